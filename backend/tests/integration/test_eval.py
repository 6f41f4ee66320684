"""`askbook eval` as its user runs it: measuring, comparing, and checking a change to the docs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from askbook.golden import Entry, read_golden
from tests.integration.test_command import askbook

ROOT = Path(__file__).parents[3]
PART = "Part {number} is bolted to the frame of the robot. It was made in a factory, and it is what we painted."
HOSTILE = "<img src=x onerror=alert(1)> | @octocat, how do I `publish`?"
GOLDEN: list[dict[str, Any]] = [
    {
        "question": "How do I publish to a topic?",
        "page": "topics.md",
        "anchor": "publish",
        "contains": "node publishes",
    },
    {"question": "How do I cancel an action?", "page": "/docs/actions", "anchor": "cancel"},
    {"question": "Which battery does the robot have?", "page": "/docs/battery"},
    {"question": "What is the capital of France?", "answerable": False},
]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    docs = tmp_path / "book" / "docs"
    docs.mkdir(parents=True)
    (docs.parent / "docusaurus.config.js").write_text("module.exports = {};\n", encoding="utf-8")
    write(docs / "topics.md", "# Topics\n\n## Publish\n\nA node publishes messages to a topic.\n")
    write(docs / "actions.md", "# Actions\n\n## Cancel\n\nCancel an action with its goal id.\n")
    write(docs / "battery.md", "# Battery\n\nThe robot has a battery of lithium.\n")
    for number in range(25):
        write(docs / f"part-{number}.md", f"# Part {number}\n\n{PART.format(number=number)}\n")
    return docs.parent


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def golden(folder: Path, entries: Sequence[object] = GOLDEN) -> None:
    write(folder / "golden.yaml", yaml.safe_dump(list(entries)))


def check(folder: Path, *more: str, code: int = 1) -> dict[str, Any]:
    run = askbook(folder, "eval", "--golden", "golden.yaml", "--site", "book", "--json", *more)
    assert run.returncode == code, run.stderr + run.stdout
    return json.loads(run.stdout)  # type: ignore[no-any-return]  # the run


def statuses(run: Mapping[str, Any]) -> list[str]:
    return [entry["status"] for entry in run["entries"]]


# Docs CI ----------------------------------------------------------------------------------------------


def test_a_site_that_answers_as_recorded_passes_and_nothing_is_left_behind(book: Path, tmp_path: Path) -> None:
    golden(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    run = askbook(tmp_path, "eval", "--golden", "golden.yaml", "--site", "book", TMPDIR=str(tmp_path))

    assert run.returncode == 0, run.stdout
    assert "All 4 questions are answered as recorded." in run.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_a_renamed_heading_is_told_with_the_one_it_became(book: Path, tmp_path: Path) -> None:
    golden(tmp_path)
    write(book / "docs/topics.md", "# Topics\n\n## Send\n\nA node publishes messages to a topic.\n\n## Names\n\nAny.\n")

    run = check(tmp_path)

    moved = run["entries"][0]
    assert statuses(run) == ["moved", "ok", "ok", "ok"]
    assert moved["nearest"] == "/docs/topics#send"
    assert moved["detail"] == "the heading #publish is gone; nearest: /docs/topics#send"


def test_a_heading_that_is_empty_now_is_still_there(book: Path, tmp_path: Path) -> None:
    golden(tmp_path, [{"question": "How do I cancel an action?", "page": "actions.md", "anchor": "cancel"}])
    write(book / "docs/actions.md", "# Actions\n\n## Cancel\n\n### By its id\n\nCancel an action with its goal id.\n")

    assert statuses(check(tmp_path, code=0)) == ["ok"]


def test_words_that_moved_to_another_heading_are_told_where_they_are(book: Path, tmp_path: Path) -> None:
    golden(tmp_path, GOLDEN[:1])
    write(
        book / "docs/topics.md",
        "# Topics\n\n## Publish\n\nSee below.\n\n## Nodes\n\nA node publishes messages to a topic.\n",
    )

    [entry] = check(tmp_path)["entries"]

    assert (entry["status"], entry["nearest"]) == ("moved", "/docs/topics#nodes")


def test_a_deleted_page_is_gone(book: Path, tmp_path: Path) -> None:
    golden(tmp_path)
    (book / "docs/actions.md").unlink()

    run = check(tmp_path)

    assert statuses(run) == ["ok", "gone", "ok", "ok"]
    assert run["golden"] == {"ok": 3, "lost": 0, "moved": 0, "gone": 1, "answered": 0}


def test_a_passage_that_is_not_there_any_more_is_lost(book: Path, tmp_path: Path) -> None:
    golden(tmp_path)
    write(book / "docs/topics.md", "# Topics\n\n## Publish\n\nTopics carry messages.\n")
    write(book / "docs/battery.md", "# Supply\n\nEmpty.\n")
    write(book / "docs/part-1.md", "# Power\n\nThe robot has a battery of lithium. Charge the battery at night.\n")
    for number in range(2, 8):
        write(book / f"docs/part-{number}.md", f"# Robot {number}\n\nThe battery of robot {number} is small.\n")

    run = check(tmp_path)

    assert statuses(run) == ["lost", "ok", "lost", "ok"]
    assert run["entries"][0]["detail"] == 'no quoted passage of the page holds "node publishes"'
    assert "the page is neither cited nor among the first 5; cited instead: /docs/" in run["entries"][2]["detail"]


def test_an_answer_where_none_was_expected_is_told(book: Path, tmp_path: Path) -> None:
    golden(tmp_path)
    write(book / "docs/france.md", "# France\n\nThe capital of France is Paris.\n")

    run = check(tmp_path)

    assert statuses(run) == ["ok", "ok", "ok", "answered"]
    assert run["entries"][3]["detail"] == "it is answered from /docs/france"


def test_what_was_broken_before_does_not_fail_a_change(book: Path, tmp_path: Path) -> None:
    golden(tmp_path)
    (book / "docs/actions.md").unlink()
    check(tmp_path, "--save", "old.json")
    write(book / "docs/part-1.md", "# Part 1\n\nChanged.\n")

    same = check(tmp_path, "--compare", "old.json", code=0)
    (book / "docs/battery.md").unlink()
    worse = check(tmp_path, "--compare", "old.json", "--markdown", "told.md", code=1)

    told = (tmp_path / "told.md").read_text(encoding="utf-8")
    assert (same["passed"], worse["passed"]) == (True, False)
    assert told.splitlines()[0] == (
        "**1 of 4 questions are not answered as recorded: page gone 1; 1 more were not before.**"
    )
    assert [line for line in told.splitlines() if line.startswith("| `")] == [
        "| `Which battery does the robot have?` | `/docs/battery` | ok | page gone | "
        f"`{worse['entries'][2]['detail']}` |"
    ]


def test_a_hostile_question_is_harmless_in_a_comment(book: Path, tmp_path: Path) -> None:
    golden(tmp_path, [{"question": HOSTILE, "page": "/docs/none"}])

    check(tmp_path, "--markdown", "told.md")

    told = (tmp_path / "told.md").read_text(encoding="utf-8")
    outside = re.sub(r"(`+).+?(?<!`)\1(?!`)", "", told)
    assert "@octocat" in told
    assert not re.search(r"octocat|<img|onerror", outside)
    [row] = [line for line in told.splitlines() if line.startswith("| `")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5


def test_vectors_are_kept_where_there_is_a_data_folder(book: Path, tmp_path: Path) -> None:
    golden(tmp_path)
    (tmp_path / "kept").mkdir()
    arguments = ("eval", "--golden", "golden.yaml", "--site", "book")

    first = askbook(tmp_path, *arguments, DATA_DIR="kept")
    second = askbook(tmp_path, *arguments, DATA_DIR="kept")

    assert "embedding 28" in first.stderr
    assert (second.returncode, "embedding" in second.stderr) == (0, False)
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["vectors.sqlite"]


def test_a_key_or_a_server_in_the_settings_is_not_used(book: Path, tmp_path: Path) -> None:
    golden(tmp_path)

    run = askbook(
        tmp_path,
        *("eval", "--golden", "golden.yaml", "--site", "book"),
        GEMINI_API_KEY="k",
        GEMINI_BASE_URL="http://127.0.0.1:9",
        QDRANT_HOST="http://127.0.0.1:9",
    )

    assert run.returncode == 0, run.stderr


def test_a_list_of_questions_becomes_a_golden_file(book: Path, tmp_path: Path) -> None:
    known = {"question": "Which battery is it?", "page": "/docs/battery", "contains": "lithium"}
    write(tmp_path / "golden.yaml", "# Ours\n- How do I publish to a topic?\n- What is the capital of France?\n")
    with (tmp_path / "golden.yaml").open("a", encoding="utf-8") as file:
        file.write(yaml.safe_dump([known]))

    check(tmp_path, "--write", code=0)
    again = check(tmp_path, code=0)

    assert statuses(again) == ["ok", "ok", "ok"]
    assert read_golden(tmp_path / "golden.yaml") == [
        Entry(question="How do I publish to a topic?", page="/docs/topics", anchor="publish"),
        Entry(question="What is the capital of France?", answerable=False),
        Entry.model_validate(known),
    ]
    assert (tmp_path / "golden.yaml").read_text(encoding="utf-8").startswith("# Ours\n")


def test_a_page_that_cannot_be_read_is_named(book: Path, tmp_path: Path) -> None:
    golden(tmp_path)
    write(book / "docs/battery.md", "---\ntitle: [\n---\nText.\n")

    run = askbook(tmp_path, "eval", "--golden", "golden.yaml", "--site", "book")

    assert run.returncode == 1
    assert "skipped battery.md: " in run.stderr


def built(folder: Path, pages: Mapping[str, tuple[str, str]]) -> None:
    """A build with a sitemap: the version and the text of each page, by its path."""
    for path, (version, text) in pages.items():
        page = folder / path.strip("/") / "index.html"
        page.parent.mkdir(parents=True)
        meta = f'<meta name="docusaurus_version" content="{version}"><meta name="docusaurus_tag" '
        head = f'<head><title>Topics</title>{meta}content="docs-default-{version}"></head>'
        main = f'<main><article><div class="theme-doc-markdown">{text}</div></article></main>'
        write(page, f'<!doctype html><html lang="en">{head}<body>{main}</body></html>')
    addresses = "".join(f"<url><loc>https://book.example{path}</loc></url>" for path in pages)
    write(folder / "sitemap.xml", f"<urlset>{addresses}</urlset>")


def test_a_built_site_is_checked_by_its_paths_and_in_the_version_of_the_page(tmp_path: Path) -> None:
    text = '<h1>Topics</h1><h2 id="publish">Publish</h2><p>A node publishes messages to a topic{}.</p>'
    pages = {
        "/docs/topics": ("2.0", text.format("")),
        "/docs/1.0/topics": ("1.0", text.format(" of the old kind")),
    }
    built(tmp_path / "book", pages)
    old = {"question": "How did I publish to a topic?", "page": "/docs/1.0/topics", "contains": "old kind"}
    golden(tmp_path, [{**GOLDEN[0], "page": "/docs/topics/"}, old])

    run = check(tmp_path, code=0)

    assert [entry["cited"] for entry in run["entries"]] == [["/docs/topics#publish"], ["/docs/1.0/topics#publish"]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "QUESTIONS is missing"),
        (("--golden", "golden.yaml"), "--site is missing"),
        (("--golden", "none.yaml", "--site", "book"), "none.yaml cannot be read"),
        (("--golden", "golden.yaml", "--site", "none"), "--site none: it is no folder"),
        (("--golden", "golden.yaml", "--site", "https://book.example"), "it is no folder"),
        (("--golden", "golden.yaml", "--site", "book", "--compare", "golden.yaml"), "is no run over a golden file"),
        (("--golden", "wrong.yaml", "--site", "book"), 'entry 2 ("Why?"): page is missing'),
        (("questions.jsonl", "--golden", "golden.yaml", "--site", "book"), "do not go with --golden"),
        (("--golden", "golden.yaml", "--site", "book", "--html", "a.html"), "do not go with --golden"),
        (("questions.jsonl", "--site", "book"), "go with --golden"),
    ],
)
def test_wrong_usage_is_a_sentence_and_no_run(
    book: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    golden(tmp_path)
    golden_of_plain = [GOLDEN[0], "Why?"]
    write(tmp_path / "wrong.yaml", yaml.safe_dump(golden_of_plain))

    run = askbook(tmp_path, "eval", *arguments)

    assert run.returncode == 2
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr


def test_our_own_site_answers_what_its_golden_file_says() -> None:
    run = askbook(ROOT, "eval", "--golden", "site/golden.yaml", "--site", "site", "--json", DATA_DIR="no-such-folder")

    failed = [entry for entry in json.loads(run.stdout)["entries"] if entry["status"] != "ok"]
    assert failed == []
    assert len(read_golden(ROOT / "site/golden.yaml")) > 10


# Measuring --------------------------------------------------------------------------------------------


@pytest.fixture
def indexed(book: Path, tmp_path: Path) -> Path:
    questions: list[dict[str, Any]] = [
        {
            "id": "publish",
            "query": "How do I publish to a topic?",
            "gold": [{"path": "topics.md", "anchor": "publish", "grade": 2}],
            "facts": [{"fact": "f", "snippet": "A node publishes messages", "path": "topics.md"}],
        },
        {"id": "hostile", "query": HOSTILE, "gold": [{"path": "topics.md", "anchor": None, "grade": 2}]},
        {"id": "none", "query": "What is the capital of France?", "answerable": False, "gold": []},
    ]
    write(tmp_path / "questions.jsonl", "\n".join(map(json.dumps, questions)))
    assert askbook(tmp_path, "index", "book").returncode == 0
    return tmp_path


def test_answers_are_measured_and_every_citation_is_checked(indexed: Path) -> None:
    run = askbook(indexed, "eval", "questions.jsonl", "--answers", "--json")

    result = json.loads(run.stdout)
    answers = result["answers"]
    assert answers["facts"] == {"found": 1.0, "cited": 1.0, "of": 1}
    assert answers["citations"]["faulty"] == 0
    assert answers["citations"]["of"] > 0
    assert (answers["unanswerable_recognised"], answers["answerable_refused"]) == (1.0, 0.0)
    assert answers["unanswerable"] == {"count": 1, "recognised": 1, "by_retrieval": 1, "by_model": 0}
    assert answers["answerable"] == {"count": 2, "refused": 0, "by_retrieval": 0, "by_model": 0}
    assert (answers["tokens"], answers["dollars"]) == ({"input": 0, "output": 0}, 0.0)
    assert [each["searched"]["query"]["rank"] for each in result["by_question"]] == [1, 1, None]
    assert result["retrieval"]["query"]["hit@1"] == 1.0


def test_two_runs_are_compared_question_by_question(indexed: Path) -> None:
    first = askbook(indexed, "eval", "questions.jsonl", "--answers", "--save", "run.json")
    write(indexed / "book/docs/topics.md", "# Other\n\nNothing of that.\n")
    write(indexed / "book/docs/how.md", "# How to publish\n\nHow do I publish to a topic? A node publishes.\n")
    askbook(indexed, "index", "book")

    told = askbook(indexed, "eval", "questions.jsonl", "--answers", "--compare", "run.json")
    as_json = askbook(indexed, "eval", "questions.jsonl", "--answers", "--compare", "run.json", "--json")

    assert "dead or invented: 0" in first.stdout
    assert "facts found: better 0, worse 1, same 0; sign test p = 1.00\n  worse: publish 1 → 0" in told.stdout
    compared = json.loads(as_json.stdout)["compared"]
    assert [change["id"] for change in compared["by_question"]["query rank"]["worse"]] == ["publish", "hostile"]
    assert compared["means"]["query hit@1"]["verdict"] == "unclear"


def test_the_report_is_a_file_of_its_own(indexed: Path) -> None:
    askbook(indexed, "eval", "questions.jsonl", "--save", "run.json")
    run = askbook(indexed, "eval", "questions.jsonl", "--answers", "--compare", "run.json", "--html", "report.html")

    page = (indexed / "report.html").read_text(encoding="utf-8")
    assert run.returncode == 0, run.stderr
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert not re.search(r"<script|<link|src=[\"']|href=|url\(", page)


# What the documentation shows -------------------------------------------------------------------------


def guide() -> str:
    return (ROOT / "site/docs/guides/check-pull-requests.mdx").read_text(encoding="utf-8")


def test_the_golden_files_of_the_guide_can_be_read(tmp_path: Path) -> None:
    examples = re.findall(r"^```yml title=\"golden\.yaml\"\n(.*?)^```$", guide(), re.MULTILINE | re.DOTALL)

    assert len(examples) == 2
    for example in examples:
        write(tmp_path / "golden.yaml", example)
        read_golden(tmp_path / "golden.yaml", may_be_open=True)


def test_the_fields_that_the_guide_explains_are_those_of_an_entry() -> None:
    table = guide().split("## Write down what must be answered", 1)[1].split("\n## ", 1)[0]

    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(Entry.model_fields)


def test_the_workflow_of_the_guide_may_do_little_and_needs_no_secret() -> None:
    [workflow] = re.findall(
        r"^```yaml title=\"\.github/workflows/[^\n]*\n(.*?)^```$", guide(), re.MULTILINE | re.DOTALL
    )
    parsed = yaml.safe_load(workflow)
    [job] = parsed["jobs"].values()

    assert parsed["permissions"] == {"contents": "read"}
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert all(re.fullmatch(r"[\w./-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)
    assert "secrets." not in workflow
    assert "pull_request_target" not in workflow
    assert not re.search(r"\$\{\{[^}]*\}\}", "\n".join(step.get("run", "") for step in job["steps"]))
