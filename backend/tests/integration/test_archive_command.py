"""What an owner, and the law, want of conversations: `askbook export` and `askbook forget`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chatbot_api.models.domain import AnswerItem, Lease, QuestionItem, Thread
from chatbot_api.services.thread_service import ThreadService
from tests.integration.test_command import askbook

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def converse(data: Path, owner: str, number: int) -> None:
    threads = ThreadService(None, data)
    thread = Thread(f"{number:032x}", owner, NOW, f"Title {number}")
    lease = Lease(f"{number + 100:032x}", NOW + timedelta(minutes=5))
    question = QuestionItem(f"{number + 200:032x}", NOW, f"Question {number}?")
    answer = AnswerItem(lease.turn_id, question.id, NOW, "done", f"Antwort “{number}”.", "answered", "generated")
    await threads.begin_turn(thread, lease, question, new=True)
    await threads.end_turn(thread, lease, answer)
    await threads.close()


async def test_what_is_kept_of_readers_is_printed_a_line_each(tmp_path: Path) -> None:
    for number, owner in enumerate(("anon:a", "anon:b", "anon:a")):
        await converse(tmp_path / "data", owner, number)

    everything = askbook(tmp_path, "export")
    of_one = askbook(tmp_path, "export", "--reader", "anon:a")

    told = [json.loads(line) for line in everything.stdout.splitlines()]
    assert everything.returncode == 0, everything.stderr
    assert [(each["reader"], each["title"]) for each in told] == [
        ("anon:a", "Title 0"),
        ("anon:b", "Title 1"),
        ("anon:a", "Title 2"),
    ]
    assert [item.get("text") or item["response"] for item in told[1]["items"]] == ["Question 1?", "Antwort “1”."]
    assert [json.loads(line)["title"] for line in of_one.stdout.splitlines()] == ["Title 0", "Title 2"]


async def test_a_reader_is_forgotten_and_nobody_else(tmp_path: Path) -> None:
    for number, owner in enumerate(("anon:a", "anon:b", "anon:a")):
        await converse(tmp_path / "data", owner, number)

    forgot = askbook(tmp_path, "forget", "anon:a")

    assert forgot.stdout == "removed 2 conversations\n", forgot.stderr
    left = askbook(tmp_path, "export").stdout.splitlines()
    assert [json.loads(line)["reader"] for line in left] == ["anon:b"]
    assert askbook(tmp_path, "forget", "anon:a").stdout == "removed 0 conversations\n"
