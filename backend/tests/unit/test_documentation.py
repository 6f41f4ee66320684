"""What the documentation names, and what there is: the command, errors, routes, events, objects, keys, targets."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import typer
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from askbook import cli, evaluation
from chatbot_api.config import Settings
from chatbot_api.errors import AskbookError
from chatbot_api.main import create_app
from chatbot_api.models.chat_models import (
    ChatRequest,
    ChatResponse,
    CitationModel,
    Config,
    Health,
    IndexModel,
    NearestModel,
    Problem,
    ScopeRequest,
)
from chatbot_api.models.domain import Mode, State
from chatbot_api.routes import edge
from chatbot_api.routes import errors as problems
from qdrant_indexer.sources import layout

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "site/docs"
PAGES = {file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8") for file in sorted(DOCS.rglob("*.mdx"))}
COMMAND_LINE = PAGES["reference/command-line.mdx"]
HTTP_API = PAGES["reference/http-api.mdx"]
ERRORS = PAGES["reference/errors.mdx"]
ANSWER = PAGES["reference/answer-object.mdx"]
ASKBOOK_YAML = PAGES["reference/askbook-yaml.mdx"]
CONFIGURATION = PAGES["reference/configuration.mdx"]

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group


# Reading a page ---------------------------------------------------------------------------------------


def section(page: str, anchor: str) -> str:
    """What stands between the heading with this id and the next heading."""
    heading = re.search(rf"^##+ .*\{{#{anchor}\}}$", page, re.MULTILINE)
    assert heading, f"no heading has the id {anchor}"
    return re.split(r"^##+ ", page[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(part: str) -> list[str]:
    """The code that rows of tables begin with."""
    return re.findall(r"^\| `([^`]+)`", part, re.MULTILINE)


def fences(page: str, language: str) -> list[tuple[str, str]]:
    """Blocks of code, each with its title."""
    found = re.findall(rf"^```{language}(?: title=\"([^\"]*)\")?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [(title, code) for title, code in found]


def example(part: str) -> Any:
    [(_, code)] = fences(part, "json")
    return json.loads(code)


# The command ------------------------------------------------------------------------------------------


def parameters(command: str) -> set[str]:
    """Options as they are typed, arguments in capitals."""
    return {
        name if name.startswith("--") else name.upper() for param in COMMANDS[command].params for name in param.opts
    }


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert re.findall(r"^## askbook (\S+) ", COMMAND_LINE, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_section_names_its_options_and_arguments_and_no_other(command: str) -> None:
    told = section(COMMAND_LINE, command)
    arguments = {cell for cell in first_cells(told) if cell.isupper()}

    assert {*OPTION.findall(told), *arguments} == parameters(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_synopsis_names_a_commands_options_and_arguments_and_no_other(command: str) -> None:
    _, synopsis = fences(COMMAND_LINE, "text")[0]
    lines = [line for line in synopsis.splitlines() if line.split()[1] == command]
    arguments = {word for line in lines for word in re.findall(r'(?<= )"?([A-Z]+)"?(?= |$)', line)}

    assert {*OPTION.findall(" ".join(lines)), *arguments} == parameters(command)


def test_every_option_that_the_page_names_exists() -> None:
    known = {name for command in COMMANDS for name in parameters(command)} | {"--help"}

    assert set(OPTION.findall(COMMAND_LINE)) - known == set()


def code_of(page: str) -> str:
    """Fences and code within lines, a command that goes on below joined."""
    fenced = re.findall(r"^```.*?^```$", page, re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", page)]).replace("\\\n", " ")


def calls() -> Iterator[tuple[str, str, str]]:
    """Page, command and what follows it, of every `askbook …` in any page."""
    for name, page in PAGES.items():
        for command, rest in re.findall(r"(?<![\w=])askbook ([a-z]+)\b([^`\n|;&]*)", code_of(page)):
            yield name, command, rest


def test_every_command_that_any_page_calls_exists_with_its_options() -> None:
    wrong = [
        (page, command, rest)
        for page, command, rest in calls()
        if command not in COMMANDS or set(OPTION.findall(rest)) - parameters(command)
    ]

    assert len(list(calls())) > 50
    assert wrong == []


def test_every_exit_code_is_named_and_no_other() -> None:
    codes = re.findall(r"^\| (\d+) \|", section(COMMAND_LINE, "exit-codes"), re.MULTILINE)

    assert [int(code) for code in codes] == [0, cli.FAILED, cli.WRONG_USAGE, cli.RESUMABLE]


def test_every_measure_of_an_evaluation_is_explained() -> None:
    told = section(PAGES["guides/evaluate-answers.mdx"], "read-the-numbers")

    assert set(evaluation.METRICS) - set(re.findall(r"`([a-z]+@\d+)`", told)) == set()


def test_the_fields_of_a_question_to_evaluate_are_those_that_are_read() -> None:
    told = section(PAGES["guides/evaluate-answers.mdx"], "write-questions")

    assert set(first_cells(told)) == set(evaluation.GoldQuestion.model_fields)


def test_the_questions_of_the_example_can_be_read(tmp_path: Path) -> None:
    [questions] = [
        code for title, code in fences(PAGES["guides/evaluate-answers.mdx"], "json") if title == "questions.jsonl"
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text(questions, encoding="utf-8")

    assert len(evaluation.read_questions(file)) == len(questions.splitlines())


# Errors -----------------------------------------------------------------------------------------------


def kinds(of: type[AskbookError] = AskbookError) -> list[type[AskbookError]]:
    return [of, *(kind for child in of.__subclasses__() for kind in kinds(child))]


def made_by(module: ModuleType) -> dict[str, int]:
    """Codes that a module of the routes writes itself, with their statuses."""
    found = re.findall(r"problem\((?:HTTPStatus\.)?(\w+), \"(\w+)\"", inspect.getsource(module))
    return {code: int(status) if status.isdecimal() else HTTPStatus[status].value for status, code in found}


NAMED = {code: int(status) for code, status in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", ERRORS, re.MULTILINE)}


def test_every_error_is_named_with_the_status_it_has_over_http() -> None:
    # Made without its arguments, which say nothing about the status.
    statuses = {kind.code: problems.problem_of(kind.__new__(kind, "cause")).status for kind in kinds()}

    assert {code: NAMED.get(code) for code in statuses} == statuses


def test_every_code_that_routes_write_themselves_is_named_with_its_status() -> None:
    statuses = made_by(problems) | made_by(edge)

    assert statuses
    assert {code: NAMED.get(code) for code in statuses} == statuses


def test_every_error_that_is_named_exists() -> None:
    of_http = {status.name.lower(): status.value for status in HTTPStatus}
    written = made_by(problems) | made_by(edge)
    others = {code: status for code, status in NAMED.items() if code not in {kind.code for kind in kinds()}}

    assert {code: written.get(code) or of_http.get(code) for code in others} == others


def test_retrying_is_advised_where_the_error_says_so() -> None:
    advised = re.findall(r"^\| `(\w+)` \| \d{3} \|.*\| (yes|no) \|", section(ERRORS, "upstream"), re.MULTILINE)
    retryable = {kind.code: kind.retryable for kind in kinds()}

    assert advised
    assert {code: advice == "yes" for code, advice in advised} == {code: retryable[code] for code, _ in advised}


def test_every_page_that_links_a_code_to_the_errors_names_one_that_exists() -> None:
    linked = {code for page in PAGES.values() for code in re.findall(r"\[`(\w+)`\]\(\S*errors\.mdx(?:#\w+)?\)", page)}

    assert linked
    assert linked - set(NAMED) == set()


# Routes and events ------------------------------------------------------------------------------------


def test_every_route_is_named_and_every_named_route_exists() -> None:
    routes = {
        f"{method} {re.sub(r'{[^}]*}', '…', str(route.path))}"
        for route in iter_route_contexts(create_app(Settings()).routes)
        if route.path != "/static"
        for method in set(route.methods or ()) - {"HEAD"}
    }

    assert sorted(re.findall(r"^\| `([A-Z]+ /\S*)` \|", HTTP_API, re.MULTILINE)) == sorted(routes)


def test_the_events_are_those_of_the_openapi_document() -> None:
    answers = create_app(Settings()).openapi()["paths"]["/chat"]["post"]["responses"]["200"]
    schema = answers["content"]["text/event-stream"]["schema"]

    assert first_cells(section(HTTP_API, "events")) == schema["properties"]["event"]["enum"]


# Objects ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "model"),
    [
        (ANSWER.split("\n## ", 1)[0], ChatResponse),
        (section(ERRORS, "body"), Problem),
        (section(HTTP_API, "health"), Health),
        (section(HTTP_API, "config"), Config),
    ],
    ids=["answer", "problem", "health", "config"],
)
def test_an_example_is_what_its_model_would_send(part: str, model: type[BaseModel]) -> None:
    told = example(part)

    assert json.loads(model.model_validate(told).model_dump_json()) == told


@pytest.mark.parametrize(
    ("part", "model"),
    [
        (section(HTTP_API, "chat"), ChatRequest),
        (section(HTTP_API, "scope"), ScopeRequest),
        (section(ANSWER, "citations"), CitationModel),
        (section(ANSWER, "index"), IndexModel),
    ],
    ids=["request", "scope", "citation", "index"],
)
def test_a_table_of_fields_names_those_of_its_model(part: str, model: type[BaseModel]) -> None:
    assert set(first_cells(part)) == set(model.model_fields)


def test_every_field_of_an_answer_is_explained() -> None:
    with_sections_of_their_own = {"state", "mode"}

    assert {*first_cells(section(ANSWER, "fields")), *with_sections_of_their_own} == set(ChatResponse.model_fields)


@pytest.mark.parametrize(("anchor", "values"), [("state", get_args(State)), ("mode", get_args(Mode))])
def test_states_and_modes_are_those_there_are(anchor: str, values: Sequence[str]) -> None:
    assert first_cells(section(ANSWER, anchor)) == list(values)


@pytest.mark.parametrize(
    ("interface", "model"), [("Answer", ChatResponse), ("Citation", CitationModel), ("Nearest", NearestModel)]
)
def test_the_types_for_typescript_have_the_fields_of_the_model(interface: str, model: type[BaseModel]) -> None:
    [(_, code)] = fences(ANSWER, "ts")
    body = code.split(f"export interface {interface} {{\n", 1)[1].split("\n}", 1)[0]

    assert set(re.findall(r"^  (\w+):", body, re.MULTILINE)) == set(model.model_fields)


def test_the_requests_of_the_examples_are_accepted() -> None:
    bodies = [code.partition("\n\n")[2] for _, code in fences(section(HTTP_API, "chat"), "http")]
    bodies += [code for _, code in fences(section(HTTP_API, "scope"), "json")]
    bodies += re.findall(r"-d '(\{.*?\})'", PAGES["guides/call-the-api.mdx"], re.DOTALL)

    assert len(bodies) >= 4
    for body in bodies:
        ChatRequest.model_validate_json(body)


# Settings and keys ------------------------------------------------------------------------------------


def shown(value: object) -> str:
    match value:
        case None:
            return "not set"
        case "" | ():
            return "empty"
        case float():
            return f"`{value:g}`"
        case tuple():
            return f"`{','.join(value)}`"
        case _:
            return f"`{value}`"


def test_every_default_is_the_settings_own() -> None:
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]*) \|", CONFIGURATION, re.MULTILINE))

    assert told == {name.upper(): shown(field.default) for name, field in Settings.model_fields.items()}


def test_every_setting_in_an_example_of_a_dotenv_file_exists() -> None:
    examples = [code for page in PAGES.values() for title, code in fences(page, "ini") if title.endswith(".env")]
    names = {name for code in examples for name in re.findall(r"^(\w+)=", code, re.MULTILINE)}

    assert names
    assert names - {name.upper() for name in Settings.model_fields} == set()


def keys_of(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = f"{above}{field.alias or name}"
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{key}.")
        else:
            yield key


def test_the_keys_of_askbook_yaml_are_those_that_are_accepted() -> None:
    assert sorted(first_cells(section(ASKBOOK_YAML, "keys"))) == sorted(keys_of(layout._Config))


@pytest.mark.parametrize(
    "config",
    [code for page in PAGES.values() for title, code in fences(page, "yaml") if not title.endswith(".yml")],
)
def test_every_example_of_askbook_yaml_is_accepted(tmp_path: Path, config: str) -> None:
    for folder in ("docs", "content"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "intro.md").write_text("# Intro\n", encoding="utf-8")
    (tmp_path / "askbook.yaml").write_text(config, encoding="utf-8")

    layout.find_layout(tmp_path)


# Make -------------------------------------------------------------------------------------------------


TARGETS = re.findall(r"^([a-z0-9]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_make_target_is_described_and_no_other() -> None:
    described = re.findall(r"^\| `make ([a-z0-9]+)", section(COMMAND_LINE, "make"), re.MULTILINE)

    assert sorted(described) == sorted(TARGETS)


def test_every_make_target_that_any_page_calls_exists() -> None:
    called = {
        target
        for page in PAGES.values()
        for target in re.findall(r"(?:`|^|^[A-Z0-9_=. ]+ )make ([a-z0-9]+)", page, re.MULTILINE)
    }

    assert called
    assert called - set(TARGETS) == set()
