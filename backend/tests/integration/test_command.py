"""The command as its user runs it: processes, exit codes, files, and what a killed run leaves."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Postgres

ASKBOOK = [sys.executable, "-m", "askbook"]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    docs = tmp_path / "book" / "docs"
    docs.mkdir(parents=True)
    (docs.parent / "docusaurus.config.js").write_text("module.exports = {};\n", encoding="utf-8")
    (docs / "intro.md").write_text("# Welcome\n\nThis book is about robots.\n", encoding="utf-8")
    (docs / "topics.md").write_text(
        "# Topics\n\n## Publish\n\nA node publishes messages to a topic.\n\n```bash\nrobot pub /chat hello\n```\n",
        encoding="utf-8",
    )
    return docs.parent


def askbook(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    return subprocess.run(
        [*ASKBOOK, *arguments],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def answer(folder: Path, question: str) -> dict[str, Any]:
    run = askbook(folder, "ask", question, "--json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)  # type: ignore[no-any-return]  # the answer object


def test_index_then_ask_gives_an_answer_with_a_citation(book: Path, tmp_path: Path) -> None:
    indexed = askbook(tmp_path, "index", str(book))
    told = askbook(tmp_path, "ask", "How do I publish to a topic?")

    assert indexed.returncode == 0, indexed.stderr
    assert "2 pages, 2 passages: written 2, dropped 0, kept 0; embedded 2" in indexed.stdout
    assert told.returncode == 0, told.stderr
    assert "A node publishes messages to a topic." in told.stdout
    assert "[1] Topics > Publish\n    /docs/topics#publish:~:text=" in told.stdout


def test_json_is_the_answer_object_and_nothing_else(book: Path, tmp_path: Path) -> None:
    askbook(tmp_path, "index", str(book))

    body = answer(tmp_path, "How do I publish to a topic?")

    assert (body["state"], body["mode"]) == ("answered", "extractive")
    assert body["citations"][0]["heading_path"] == ["Topics", "Publish"]
    assert body["citations"][0]["url"].startswith("/docs/topics#publish")


def test_a_second_run_of_an_unchanged_book_changes_nothing(book: Path, tmp_path: Path) -> None:
    first = json.loads(askbook(tmp_path, "index", str(book), "--json").stdout)
    second = json.loads(askbook(tmp_path, "index", str(book), "--json").stdout)

    assert (second["written"], second["kept"], second["embedded"], second["published"]) == (0, 2, 0, False)
    assert second["generation"] == first["generation"]


def test_a_changed_page_is_what_is_answered_from(book: Path, tmp_path: Path) -> None:
    askbook(tmp_path, "index", str(book))
    (book / "docs" / "topics.md").write_text("# Topics\n\nTopics were replaced by channels.\n", encoding="utf-8")

    report = json.loads(askbook(tmp_path, "index", str(book), "--json").stdout)

    assert (report["written"], report["dropped"], report["kept"], report["embedded"]) == (1, 1, 1, 1)
    assert "channels" in answer(tmp_path, "What are topics?")["response"]


def test_a_killed_run_leaves_the_old_index_answering_and_the_next_one_finishes(book: Path, tmp_path: Path) -> None:
    askbook(tmp_path, "index", str(book))
    pages = 300
    for number in range(pages):
        text = f"# Page {number}\n\nThe robot number {number} has {number * 7} parts and a name of its own.\n"
        (book / "docs" / f"robot-{number}.md").write_text(text, encoding="utf-8")
    running = subprocess.Popen([*ASKBOOK, "index", str(book)], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("embedding"):
            break
    while not _vectors(tmp_path) > 2:
        assert running.poll() is None, "the run ended before it could be killed"

    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stderr.close()
    after_kill = answer(tmp_path, "How do I publish to a topic?")
    made = _vectors(tmp_path)
    report = json.loads(askbook(tmp_path, "index", str(book), "--json").stdout)

    assert after_kill["citations"][0]["url"].startswith("/docs/topics#publish")
    assert 2 < made < pages + 2
    assert report["embedded"] == pages + 2 - made, "what was made is not made again"
    assert (report["passages"], report["kept"], report["dropped"]) == (pages + 2, 2, 0)
    assert "21 parts" in answer(tmp_path, "How many parts has robot number 3?")["response"]
    assert sorted(path.name for path in (tmp_path / "data/index").glob("building-*")) == []


def _vectors(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "data/vectors.sqlite")) as cache:
        return int(cache.execute("SELECT count(*) FROM vectors").fetchone()[0])


def test_an_estimate_says_what_a_run_would_cost_and_does_nothing(book: Path, tmp_path: Path) -> None:
    free = askbook(tmp_path, "index", str(book), "--estimate")
    paid = askbook(tmp_path, "index", str(book), "--estimate", "--json", GEMINI_API_KEY="k")

    assert "to embed: 2 texts" in free.stdout
    assert "costs nothing" in free.stdout
    told = json.loads(paid.stdout)
    assert (told["pages"], told["to_embed"], told["calls"], told["days"]) == (2, 2, 1, 1)
    assert not (tmp_path / "data/index").exists()


def test_the_generation_before_can_be_published_again(book: Path, tmp_path: Path) -> None:
    askbook(tmp_path, "index", str(book))
    (book / "docs" / "topics.md").write_text("# Topics\n\nTopics were replaced by channels.\n", encoding="utf-8")
    askbook(tmp_path, "index", str(book))

    back = askbook(tmp_path, "index", "--rollback")
    again = askbook(tmp_path, "index", "--rollback")

    assert "is published again" in back.stdout
    assert "publishes messages" in answer(tmp_path, "What are topics?")["response"]
    assert (again.returncode, again.stderr.startswith("askbook: there is no generation before")) == (1, True)


def test_a_run_that_would_drop_much_of_the_book_asks_first(book: Path, tmp_path: Path) -> None:
    for number in range(10):
        (book / "docs" / f"robot-{number}.md").write_text(f"# Robot {number}\n\nIt walks.\n", encoding="utf-8")
    askbook(tmp_path, "index", str(book))
    for number in range(5):
        (book / "docs" / f"robot-{number}.md").unlink()

    refused = askbook(tmp_path, "index", str(book))
    forced = askbook(tmp_path, "index", str(book), "--force")

    assert (refused.returncode, forced.returncode) == (1, 0)
    assert "5 of the 12 indexed pages are not in the source any more" in refused.stderr
    assert "dropped 5" in forced.stdout


def test_two_runs_at_once_are_refused_with_a_sentence(book: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    askbook(tmp_path, "index", str(book))
    with FileLock(tmp_path / "data/index/writer.lock"):
        second = askbook(tmp_path, "index", str(book))

    assert second.returncode == 1
    assert second.stderr.startswith("askbook: another askbook index is writing to data/index; wait")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("ask", "Why?"), 1, "nothing is indexed yet; run: askbook index SOURCE"),
        (("index", "no-such-folder"), 1, "no-such-folder"),
        (("index", "empty"), 1, "empty"),
        (("index", "file.txt"), 1, "file.txt"),
        (("eval", "no-such-file"), 1, "no-such-file cannot be read"),
        (("eval", "file.txt"), 1, "file.txt, line 1"),
        (("ask", "  "), 2, "QUERY: String should have at least 1 character"),
        (("ask",), 2, "Missing argument"),
        (("index",), 2, "SOURCE is missing"),
        (("fly",), 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_an_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("not json\n", encoding="utf-8")

    run = askbook(tmp_path, *arguments)

    assert run.returncode == code
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr


def test_a_setting_that_cannot_be_used_is_named_without_its_value(tmp_path: Path) -> None:
    run = askbook(tmp_path, "ask", "Why?", PORT="s3cret", QDRANT_API_KEY="hidden")

    assert run.returncode == 2
    assert "PORT: Input should be a valid integer" in run.stderr
    assert "s3cret" not in run.stderr
    assert "hidden" not in run.stderr


def test_an_index_of_another_model_is_refused_with_the_command_that_mends_it(book: Path, tmp_path: Path) -> None:
    askbook(tmp_path, "index", str(book))

    run = askbook(tmp_path, "ask", "Why?", GEMINI_API_KEY="k", ANSWERS="extractive")

    assert run.returncode == 1
    assert "the index was built with all-minilm-l6-v2-int8 (384 dimensions)" in run.stderr
    assert "run: askbook index SOURCE" in run.stderr


@pytest.mark.parametrize("damage", ["manifest", "shard", "current"])
def test_a_damaged_index_is_refused_and_full_mends_it(book: Path, tmp_path: Path, damage: str) -> None:
    askbook(tmp_path, "index", str(book))
    home = tmp_path / "data/index" / (tmp_path / "data/index/CURRENT").read_text(encoding="utf-8")
    match damage:
        case "manifest":
            (home / "manifest.json").write_text("{", encoding="utf-8")
        case "shard":
            (home / "shard/edge_config.json").write_text("{", encoding="utf-8")
        case "current":
            (tmp_path / "data/index/CURRENT").write_text("gen-gone", encoding="utf-8")

    refused = askbook(tmp_path, "ask", "How do I publish?")
    plain = askbook(tmp_path, "index", str(book))
    mended = askbook(tmp_path, "index", str(book), "--full")

    assert (refused.returncode, plain.returncode, mended.returncode) == (1, 1, 0)
    assert "run: askbook index SOURCE --full" in refused.stderr
    assert "embedded 0" in mended.stdout, "vectors outlive the index"
    assert answer(tmp_path, "How do I publish?")["citations"]


def test_a_page_that_cannot_be_read_is_named_and_counts_only_when_strict(book: Path, tmp_path: Path) -> None:
    (book / "docs" / "broken.md").write_text("---\ntitle: [\n---\nText.\n", encoding="utf-8")
    (book / "docs" / "binary.md").write_bytes(b"# A\x00B\n")

    lenient = askbook(tmp_path, "index", str(book))
    strict = askbook(tmp_path, "index", str(book), "--strict")

    assert (lenient.returncode, strict.returncode) == (0, 1)
    assert "skipped broken.md: " in lenient.stderr
    assert "skipped binary.md: " in lenient.stderr
    assert "2 pages" in lenient.stdout
    assert "2 skipped" in lenient.stdout


def test_a_built_site_is_read_by_its_sitemap_and_cited_where_it_is_published(tmp_path: Path) -> None:
    page = tmp_path / "build" / "docs" / "topics" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(
        '<!doctype html><html lang="en"><head><title>Topics</title><meta name="docusaurus_locale" content="en">'
        '<meta name="docusaurus_tag" content="docs-default-current"></head><body><nav>Menu</nav><main><article>'
        '<div class="theme-doc-markdown"><h1>Topics</h1><h2 id="publish">Publish</h2>'
        "<p>A node publishes <em>messages</em> to a topic.</p></div></article></main></body></html>",
        encoding="utf-8",
    )
    sitemap = "<urlset><url><loc>https://book.example/docs/topics</loc></url></urlset>"
    (tmp_path / "build" / "sitemap.xml").write_text(sitemap, encoding="utf-8")

    indexed = askbook(tmp_path, "index", "build")

    assert indexed.returncode == 0, indexed.stderr
    citation = answer(tmp_path, "Where does a node publish?")["citations"][0]
    assert citation["quote"] == "A node publishes messages to a topic."
    assert citation["url"].startswith("https://book.example/docs/topics#publish:~:text=A%20node")


def test_a_site_that_is_not_there_leaves_the_index_as_it_is(book: Path, tmp_path: Path) -> None:
    askbook(tmp_path, "index", str(book))

    gone = askbook(tmp_path, "index", "http://127.0.0.1:9/")

    assert gone.returncode == 1
    assert gone.stderr.startswith("askbook: http://127.0.0.1:9/robots.txt")
    assert answer(tmp_path, "How do I publish to a topic?")["citations"]


def test_eval_prints_metrics_for_programs(book: Path, tmp_path: Path) -> None:
    askbook(tmp_path, "index", str(book))
    question = {"id": "1", "query": "How to publish?", "gold": [{"path": "topics.md", "anchor": None, "grade": 2}]}
    unanswerable = {"id": "2", "query": "Is there cake?", "answerable": False, "gold": []}
    lines = "\n".join(json.dumps(line) for line in (question, unanswerable))
    (tmp_path / "questions.jsonl").write_text(lines, encoding="utf-8")

    run = askbook(tmp_path, "eval", "questions.jsonl", "--json")

    result = json.loads(run.stdout)
    assert set(result["retrieval"]["query"]) == {"hit@1", "recall@5", "recall@10", "mrr@10", "ndcg@10"}
    assert result["retrieval"]["query"]["hit@1"] == 1.0
    assert set(result["latency_ms"]) == {"p50", "p99"}


def test_doctor_says_what_mends_what_is_wrong(book: Path, tmp_path: Path) -> None:
    before = askbook(tmp_path, "doctor")
    askbook(tmp_path, "index", str(book))
    after = askbook(tmp_path, "doctor", "--json")

    assert before.returncode == 1
    assert "run: askbook index SOURCE" in before.stdout
    assert after.returncode == 0, after.stdout
    assert {finding["status"] for finding in json.loads(after.stdout)} == {"ok"}


def test_migrate_makes_the_tables_and_does_nothing_thereafter(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()

    first = askbook(tmp_path, "migrate", DATABASE_URL=url)
    again = askbook(tmp_path, "migrate", DATABASE_URL=url)

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == "the tables of conversations are made: revision 0001\n"
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == "the tables of conversations are up to date: revision 0001\n"
    assert list(tmp_path.iterdir()) == []


def test_migrate_makes_an_sqlite_file_too(tmp_path: Path) -> None:
    run = askbook(tmp_path, "migrate")

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "the tables of conversations are made: revision 0001\n"
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["threads.sqlite"]


def test_migrate_says_that_it_cannot_reach_the_server_without_saying_the_password(tmp_path: Path) -> None:
    run = askbook(tmp_path, "migrate", DATABASE_URL="postgresql://reader:swordfish@127.0.0.1:1/book")

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("askbook: the database of conversations failed: OperationalError")
    assert "swordfish" not in run.stderr
    assert run.stderr.count("\n") == 1


def test_an_address_of_no_database_of_ours_is_wrong_usage(tmp_path: Path) -> None:
    run = askbook(tmp_path, "migrate", DATABASE_URL="mysql://reader:swordfish@host/book")

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("askbook: DATABASE_URL: it must be postgresql://")
    assert "swordfish" not in run.stderr
