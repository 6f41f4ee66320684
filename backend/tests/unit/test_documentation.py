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
from chatkit.types import (
    ChatKitReq,
    ErrorEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    is_streaming_req,
)
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, TypeAdapter

from askbook import cli, evaluation
from chatbot_api import main
from chatbot_api.chatkit_bridge import requests
from chatbot_api.config import Settings
from chatbot_api.errors import AskbookError, ThreadBusy
from chatbot_api.main import create_app
from chatbot_api.models.chat_models import (
    AnswerItemModel,
    ChatRequest,
    ChatResponse,
    CitationModel,
    Config,
    ConversationModel,
    EntitiesModel,
    FeedbackRequest,
    Health,
    IndexModel,
    NearestModel,
    Problem,
    QuestionItemModel,
    ScopeRequest,
    SessionModel,
    ThreadsModel,
)
from chatbot_api.models.domain import Mode, Outcome, State
from chatbot_api.routes import edge
from chatbot_api.routes import errors as problems
from qdrant_indexer.sources import layout
from tests.recordings import every_notice

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "site/docs"
PAGES = {file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8") for file in sorted(DOCS.rglob("*.mdx"))}
COMMAND_LINE = PAGES["reference/command-line.mdx"]
HTTP_API = PAGES["reference/http-api.mdx"]
ERRORS = PAGES["reference/errors.mdx"]
ANSWER = PAGES["reference/answer-object.mdx"]
ASKBOOK_YAML = PAGES["reference/askbook-yaml.mdx"]
CONFIGURATION = PAGES["reference/configuration.mdx"]
CHATKIT = PAGES["guides/use-chatkit.mdx"]

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


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def rows(part: str) -> list[list[str]]:
    """The cells of its tables' rows, without those of their heads."""
    lines = [line.strip("| ") for line in part.splitlines() if line.startswith("| ")]
    return [re.split(r" ?\| ", line) for line in lines]


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


PATHS = create_app(Settings()).openapi()["paths"]
ALL_OTHERS = "all others"


def token_of(operation: dict[str, Any]) -> str:
    match operation.get("security"):
        case None:
            return "not looked at"
        case [{"reader": []}]:
            return "needed"
        case _:
            return "looked at if it comes"


def test_which_routes_need_a_token_is_what_the_openapi_document_says() -> None:
    told = {name: cells[1] for cells in rows(section(HTTP_API, "token")) for name in codes(cells[0]) or [cells[0]]}
    said: dict[str, set[str]] = {}
    for path, operations in PATHS.items():
        first = "/" + path.split("/")[1]
        said.setdefault(first if first in told else ALL_OTHERS, set()).update(map(token_of, operations.values()))

    assert said.keys() == told.keys() - {"Routes"}
    assert all(len(kinds) == 1 and told[name].startswith(tuple(kinds)) for name, kinds in said.items())


@pytest.mark.parametrize(("anchor", "path"), [("threads", "/threads"), ("entities", "/entities")])
def test_the_parameters_of_a_list_are_those_it_takes(anchor: str, path: str) -> None:
    told = {codes(cells[0])[0]: cells[1] for cells in rows(section(HTTP_API, anchor)) if codes(cells[0])}
    taken = {each["name"]: each["schema"] for each in PATHS[path]["get"]["parameters"]}

    assert told.keys() == taken.keys()
    limit = taken["limit"]
    assert f"{limit['minimum']} to {limit['maximum']}, {limit['default']} by default" in told["limit"]


def test_a_conversation_takes_the_parameters_of_the_list() -> None:
    of_list, of_thread = (
        {each["name"]: each["schema"] for each in PATHS[path]["get"]["parameters"] if each["in"] == "query"}
        for path in ("/threads", "/threads/{thread_id}")
    )

    assert of_thread.keys() == of_list.keys()
    assert of_thread["limit"]["maximum"] == of_list["limit"]["maximum"]
    assert f"`limit` is {of_thread['limit']['default']} by default" in section(HTTP_API, "thread")


def test_headers_that_pages_of_other_origins_may_send_are_named_and_no_other() -> None:
    assert sorted(first_cells(section(CHATKIT, "privacy"))) == sorted(main._HEADERS)


# ChatKit ----------------------------------------------------------------------------------------------


OPERATIONS: dict[str, Any] = {kind.model_fields["type"].default: kind for kind in get_args(get_args(ChatKitReq)[0])}
EVENT: TypeAdapter[ThreadStreamEvent] = TypeAdapter(ThreadStreamEvent)


def test_every_operation_of_chatkit_is_named_and_whether_it_is_served_and_how() -> None:
    told = {
        codes(cells[0])[0]: (re.split(r"\W", cells[1])[0], cells[2])
        for cells in rows(section(CHATKIT, "operations"))
        if codes(cells[0])
    }

    assert told == {
        name: (
            "yes" if kind in requests._SUPPORTED else "no",
            "stream" if is_streaming_req(kind.model_construct()) else "JSON",
        )
        for name, kind in OPERATIONS.items()
    }


def name_of(event: ThreadStreamEvent) -> tuple[str, ...]:
    match event:
        case ThreadItemUpdatedEvent():
            return event.type, event.update.type
        case ThreadItemAddedEvent() | ThreadItemDoneEvent():
            return event.type, event.item.type
        case _:
            return (event.type,)


def test_the_events_of_a_turn_are_those_of_the_contract_in_their_order() -> None:
    told = [tuple(codes(cells[0]) + codes(cells[1])) for cells in rows(section(CHATKIT, "events")) if codes(cells[0])]
    frames = (ROOT / "contract/chatkit/answered.sse").read_text(encoding="utf-8").strip().split("\n\n")
    events = [EVENT.validate_json(frame.removeprefix("data: ")) for frame in frames]

    assert told == list(dict.fromkeys(map(name_of, events)))


def test_an_error_in_a_stream_is_shown_as_one_is_sent() -> None:
    [(_, frame)] = fences(section(CHATKIT, "errors"), "text")

    event = ErrorEvent(code="custom", message=ThreadBusy.public, allow_retry=ThreadBusy.retryable)
    assert json.loads(frame.removeprefix("data: ")) == event.model_dump()


def test_the_statuses_of_chatkit_are_those_of_the_openapi_document() -> None:
    told = {int(cells[0]) for cells in rows(section(CHATKIT, "errors")) if cells[0].isdecimal()}
    of_every_route = {made_by(edge)["too_large"]}

    assert told - of_every_route == {int(status) for status in PATHS["/chatkit"]["post"]["responses"]} - {200}


def test_the_tools_of_the_composer_are_those_that_are_known() -> None:
    [(_, page)] = fences(section(CHATKIT, "page"), "js")

    for tools in (re.findall(r"\{id: '(\w+)', label", page), re.findall(r"tool `(\w+)`", section(CHATKIT, "sent"))):
        assert tools == [requests.THIS_PAGE, requests.WHOLE_BOOK]


def test_the_requests_of_the_chatkit_examples_are_served() -> None:
    sent = re.findall(r"^chatkit '(\{.*?\})'(?: \||$)", section(CHATKIT, "curl"), re.MULTILINE | re.DOTALL)

    assert len(sent) >= 7
    for body in sent:
        requests.check(requests.parse(re.sub(r"'\$[A-Z]+'", "0", body).encode()))


# Objects ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "model"),
    [
        (ANSWER.split("\n## ", 1)[0], ChatResponse),
        (section(ERRORS, "body"), Problem),
        (section(HTTP_API, "health"), Health),
        (section(HTTP_API, "config"), Config),
        (section(HTTP_API, "session"), SessionModel),
        (section(PAGES["concepts/readers.mdx"], "anonymous"), SessionModel),
        (section(HTTP_API, "threads"), ThreadsModel),
        (section(HTTP_API, "thread"), ConversationModel),
        (section(HTTP_API, "entities"), EntitiesModel),
    ],
    ids=["answer", "problem", "health", "config", "session", "reader", "threads", "thread", "entities"],
)
def test_an_example_is_what_its_model_would_send(part: str, model: type[BaseModel]) -> None:
    told = example(part)

    assert json.loads(model.model_validate(told).model_dump_json()) == told


@pytest.mark.parametrize(
    ("part", "model"),
    [
        (section(HTTP_API, "chat"), ChatRequest),
        (section(HTTP_API, "scope"), ScopeRequest),
        (section(HTTP_API, "feedback"), FeedbackRequest),
        (section(ANSWER, "citations"), CitationModel),
        (section(ANSWER, "index"), IndexModel),
    ],
    ids=["request", "scope", "feedback", "citation", "index"],
)
def test_a_table_of_fields_names_those_of_its_model(part: str, model: type[BaseModel]) -> None:
    assert set(first_cells(part)) == set(model.model_fields)


def test_every_field_of_an_answer_is_explained() -> None:
    with_sections_of_their_own = {"state", "mode"}

    assert {*first_cells(section(ANSWER, "fields")), *with_sections_of_their_own} == set(ChatResponse.model_fields)


@pytest.mark.parametrize(("anchor", "values"), [("state", get_args(State)), ("mode", get_args(Mode))])
def test_states_and_modes_are_those_there_are(anchor: str, values: Sequence[str]) -> None:
    assert first_cells(section(ANSWER, anchor)) == list(values)


def test_every_notice_is_named_with_its_sentence_and_no_other() -> None:
    told = {codes(cells[0])[0]: cells[1] for cells in rows(section(ANSWER, "notice")) if codes(cells[0])}

    assert told == {notice.code: notice.text for notice in every_notice()}


@pytest.mark.parametrize(("item", "model"), [("question", QuestionItemModel), ("answer", AnswerItemModel)])
def test_every_field_of_what_was_said_is_explained(item: str, model: type[BaseModel]) -> None:
    told = [
        name for cells in rows(section(HTTP_API, "items")) if cells[1] in (item, "both") for name in codes(cells[0])
    ]

    assert sorted(told) == sorted(model.model_fields)


def test_every_way_an_answer_can_end_is_explained() -> None:
    told = {name for cells in rows(section(PAGES["concepts/conversations.mdx"], "when")) for name in codes(cells[-1])}

    assert told - {"outcome"} == set(get_args(Outcome))


def test_the_components_of_health_are_those_of_the_example() -> None:
    part = section(HTTP_API, "health")
    states, components = [first_cells(table) for table in part.split("\n| Component |")]

    assert states[1:] == list(get_args(Health.model_fields["status"].annotation))
    assert components == list(example(part)["components"])


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


def test_the_feedback_of_the_example_is_accepted() -> None:
    [(_, request)] = fences(section(HTTP_API, "feedback"), "http")

    FeedbackRequest.model_validate_json(request.partition("\n\n")[2])


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
