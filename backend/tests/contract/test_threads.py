"""The promises of `ThreadStore` and `ThreadArchive`, over the fake, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from chatbot_api.errors import AskbookError, MessageNotFound, ThreadBusy, ThreadNotFound, ThreadsUnavailable
from chatbot_api.models.domain import (
    AnswerItem,
    Batch,
    Citation,
    CodeSpan,
    Conversation,
    Feedback,
    Grounding,
    IndexStamp,
    Item,
    Lease,
    Nearest,
    Notice,
    QuestionItem,
    Source,
    Span,
    Thread,
    Usage,
    WantedScope,
)
from chatbot_api.ports import ThreadArchive, ThreadStore
from chatbot_api.services.thread_service import ThreadService
from chatbot_api.testing import MemoryThreads
from tests.postgres import Postgres


class Threads(ThreadStore, ThreadArchive, Protocol):
    """Both sides of the same conversations."""


@pytest.fixture(scope="session")
def database(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture(params=["fake", "sqlite", "postgresql"])
async def threads(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Threads, None]:
    if request.param == "fake":
        yield MemoryThreads()
        return
    if request.param == "sqlite":
        service = ThreadService(None, tmp_path)
    else:
        url = request.getfixturevalue("database")
        service = ThreadService(SecretStr(url), tmp_path)
        await service.migrate()
        with psycopg.connect(url) as connection:
            connection.execute("TRUNCATE threads CASCADE")
    yield service
    await service.close()


LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
T = TypeVar("T")


def thread(owner: str = "alice", title: str = "About topics", created_at: datetime = LONG_AGO) -> Thread:
    return Thread(uuid4().hex, owner, created_at, title)


def question(text: str = "What is a topic?", created_at: datetime = LONG_AGO) -> QuestionItem:
    return QuestionItem(uuid4().hex, created_at, text)


def answer(to: QuestionItem, text: str = "A named bus.", created_at: datetime = LONG_AGO) -> AnswerItem:
    return AnswerItem(uuid4().hex, to.id, created_at, "done", text, "answered", "generated")


def lease(turn_id: str | None = None, *, seconds: float = 60) -> Lease:
    return Lease(turn_id or uuid4().hex, datetime.now(UTC) + timedelta(seconds=seconds))


RAN_OUT = -1.0


async def ask(
    threads: Threads, within: Thread, text: str = "What is a topic?", *, new: bool = False, at: datetime = LONG_AGO
) -> tuple[QuestionItem, AnswerItem]:
    """A whole turn."""
    asked = question(text, at)
    told = answer(asked, f"{text} That.", at)
    held = lease(told.id)
    await threads.begin_turn(within, held, asked, new=new)
    await threads.end_turn(within, held, told)
    return asked, told


async def items(threads: Threads, within: Thread) -> list[Item]:
    return list((await threads.list_items(within.id, owner=within.owner, limit=1_000)).entries)


async def titles(threads: Threads, owner: str = "alice") -> list[str]:
    return [had.title for had in (await threads.list_threads(owner, limit=1_000)).entries]


async def all_of(archive: ThreadArchive, owner: str | None = None) -> list[Conversation]:
    return [conversation async for conversation in archive.export(owner)]


async def pages(part: Callable[[str | None], Awaitable[Batch[T]]], key: Callable[[T], str]) -> list[T]:
    """Everything, part by part."""
    found: list[T] = []
    after = None
    while True:
        batch = await part(after)
        found += batch.entries
        if not batch.has_more:
            return found
        after = key(batch.entries[-1])


# Turns ------------------------------------------------------------------------------------------------


async def test_a_turn_keeps_the_thread_the_question_and_the_answer(threads: Threads) -> None:
    mine = thread()

    asked, told = await ask(threads, mine, new=True)

    assert await threads.get_thread(mine.id, owner="alice") == replace(mine, updated_at=asked.created_at)
    assert await items(threads, mine) == [asked, told]
    assert await threads.get_item(mine.id, asked.id, owner="alice") == asked
    assert await threads.get_item(mine.id, told.id, owner="alice") == told


async def test_everything_in_an_item_comes_back(threads: Threads) -> None:
    mine = thread()
    asked = QuestionItem(
        uuid4().hex,
        LONG_AGO,
        "What?",
        page="/docs/topics",
        selection="marked",
        scope=WantedScope("1.0", "de", "/docs", "/docs/last", ("/docs/a", "/docs/b")),
    )
    told = AnswerItem(
        uuid4().hex,
        asked.id,
        LONG_AGO,
        "stopped",
        "Text.",
        "partial",
        "extractive",
        citations=(Citation(1, "Topics", ("Robots", "Topics"), "/docs/topics#a", "quote", "p1", "/docs/topics"),),
        nearest=(Nearest("Actions", ("Actions",), "/docs/actions", "/docs/actions"),),
        sources=(Source("Topics", ("Topics",), "/docs/topics", "p1"),),
        notices=(Notice("words", "Words alone."), Notice("", "And more.")),
        grounding=Grounding((Span(0, 5),), (CodeSpan(1, 2, verbatim=True),)),
        index=IndexStamp("g1", LONG_AGO, "abc"),
        usage=Usage("m", 100, 20, 0.001),
    )
    held = lease(told.id)

    await threads.begin_turn(mine, held, asked, new=True)
    await threads.end_turn(mine, held, told)

    assert await items(threads, mine) == [asked, told]


async def test_a_question_is_kept_before_its_answer_is_there(threads: Threads) -> None:
    mine, asked = thread(), question()

    await threads.begin_turn(mine, lease(), asked, new=True)

    assert await items(threads, mine) == [asked]


async def test_a_turn_without_an_answer_gives_the_thread_back(threads: Threads) -> None:
    mine, asked, held = thread(), question(), lease()
    await threads.begin_turn(mine, held, asked, new=True)

    await threads.end_turn(mine, held, None)
    _, told = await ask(threads, mine)

    assert (await items(threads, mine))[0] == asked
    assert (await items(threads, mine))[-1] == told


async def test_a_thread_takes_one_turn_at_a_time(threads: Threads) -> None:
    mine, first = thread(), question("first")
    await threads.begin_turn(mine, lease(), first, new=True)

    with pytest.raises(ThreadBusy):
        await threads.begin_turn(mine, lease(), question("second"), new=False)

    assert await items(threads, mine) == [first]


async def test_other_threads_are_not_kept_waiting(threads: Threads) -> None:
    await threads.begin_turn(thread(), lease(), question(), new=True)

    await threads.begin_turn(thread(), lease(), question(), new=True)


async def test_beginning_the_same_turn_again_changes_nothing(threads: Threads) -> None:
    mine, asked, held = thread(), question(), lease()
    await threads.begin_turn(mine, held, asked, new=True)
    await threads.begin_turn(thread(title="Newer"), lease(), question(), new=True)

    await threads.begin_turn(mine, held, asked, new=True)

    assert await items(threads, mine) == [asked]
    assert await titles(threads) == ["Newer", "About topics"]


async def test_ending_a_turn_again_changes_nothing(threads: Threads) -> None:
    mine = thread()
    asked, told = await ask(threads, mine, new=True)

    await threads.end_turn(mine, lease(told.id), replace(told, text="other"))
    await threads.end_turn(mine, lease(told.id), answer(asked, "another"))

    assert await items(threads, mine) == [asked, told]


async def test_ending_a_turn_again_leaves_the_next_one_alone(threads: Threads) -> None:
    mine = thread()
    _, told = await ask(threads, mine, new=True)
    await threads.begin_turn(mine, lease(), question(), new=False)
    before = await items(threads, mine)

    await threads.end_turn(mine, lease(told.id), told)

    assert await items(threads, mine) == before
    with pytest.raises(ThreadBusy):
        await threads.begin_turn(mine, lease(), question(), new=False)


async def test_a_lease_that_ran_out_keeps_nobody_out(threads: Threads) -> None:
    mine, lost, asked = thread(), lease(seconds=RAN_OUT), question("lost")
    await threads.begin_turn(mine, lost, asked, new=True)
    later, told = await ask(threads, mine, "later")

    with pytest.raises(ThreadBusy):
        await threads.end_turn(mine, lost, answer(asked))

    assert await items(threads, mine) == [asked, later, told]


async def test_an_answer_that_came_late_is_kept_where_no_other_turn_has_begun(threads: Threads) -> None:
    mine, late, asked = thread(), lease(seconds=RAN_OUT), question()
    told = answer(asked)
    await threads.begin_turn(mine, late, asked, new=True)

    await threads.end_turn(mine, late, told)

    assert await items(threads, mine) == [asked, told]


async def test_a_turn_that_never_began_cannot_be_ended(threads: Threads) -> None:
    mine = thread()
    asked, told = await ask(threads, mine, new=True)

    with pytest.raises(ThreadBusy):
        await threads.end_turn(mine, lease(), answer(asked))

    assert await items(threads, mine) == [asked, told]


async def test_of_many_turns_at_once_exactly_one_begins(threads: Threads) -> None:
    mine = thread()
    await ask(threads, mine, new=True)
    turns = [threads.begin_turn(mine, lease(), question(str(number)), new=False) for number in range(20)]

    outcomes = await asyncio.gather(*turns, return_exceptions=True)

    assert outcomes.count(None) == 1
    assert {type(outcome) for outcome in outcomes} == {type(None), ThreadBusy}
    assert len(await items(threads, mine)) == 3


async def test_of_many_first_turns_at_once_exactly_one_begins(threads: Threads) -> None:
    mine = thread()
    turns = [threads.begin_turn(mine, lease(), question(str(number)), new=True) for number in range(20)]

    outcomes = await asyncio.gather(*turns, return_exceptions=True)

    assert outcomes.count(None) == 1
    assert {type(outcome) for outcome in outcomes} == {type(None), ThreadBusy}
    assert len(await items(threads, mine)) == 1


async def test_many_readers_can_ask_at_once(threads: Threads) -> None:
    all_threads = [thread(owner=f"reader-{number}") for number in range(40)]

    await asyncio.gather(*(ask(threads, one, new=True) for one in all_threads))

    assert [len(await items(threads, one)) for one in all_threads] == [2] * 40


async def test_a_turn_in_a_thread_that_is_not_there_does_not_begin(threads: Threads) -> None:
    with pytest.raises(ThreadNotFound):
        await threads.begin_turn(thread(), lease(), question(), new=False)

    assert await all_of(threads) == []


async def test_a_new_thread_cannot_take_anothers_place(threads: Threads) -> None:
    mine = thread()
    asked, told = await ask(threads, mine, new=True)

    with pytest.raises(ThreadNotFound):
        await threads.begin_turn(replace(mine, owner="bob"), lease(), question(), new=True)

    assert await items(threads, mine) == [asked, told]


# Another answer ---------------------------------------------------------------------------------------


async def test_another_answer_replaces_what_came_after_the_question(threads: Threads) -> None:
    mine = thread()
    asked, told = await ask(threads, mine, new=True)
    asked_2, told_2 = await ask(threads, mine, "And then?")
    await threads.put_feedback(mine.id, told.id, Feedback("negative", LONG_AGO), owner="alice")
    better = answer(asked, "Better.")
    held = lease(better.id)

    await threads.begin_turn(mine, held, None, new=False)
    meanwhile = await items(threads, mine)
    await threads.end_turn(mine, held, better, replaced=[told.id, asked_2.id, told_2.id, "unknown"])

    assert meanwhile == [asked, told, asked_2, told_2]
    assert await items(threads, mine) == [asked, better]
    assert await threads.list_feedback(mine.id, owner="alice") == {}
    for gone in (told.id, asked_2.id):
        with pytest.raises(MessageNotFound):
            await threads.get_item(mine.id, gone, owner="alice")


async def test_without_another_answer_nothing_is_replaced(threads: Threads) -> None:
    mine, held = thread(), lease()
    asked, told = await ask(threads, mine, new=True)
    await threads.begin_turn(mine, held, None, new=False)

    await threads.end_turn(mine, held, None, replaced=[told.id])

    assert await items(threads, mine) == [asked, told]


async def test_only_items_of_the_thread_are_replaced(threads: Threads) -> None:
    mine, other = thread(), thread()
    asked, told = await ask(threads, mine, new=True)
    others = await ask(threads, other, new=True)
    held = lease()
    await threads.begin_turn(mine, held, None, new=False)

    await threads.end_turn(mine, held, answer(asked), replaced=[told.id, others[0].id, others[1].id])

    assert await items(threads, other) == list(others)


# Whose it is ------------------------------------------------------------------------------------------


CALLS: dict[str, Callable[[Threads, str, str, str], Awaitable[object]]] = {
    "get_thread": lambda threads, thread_id, _, owner: threads.get_thread(thread_id, owner=owner),
    "rename_thread": lambda threads, thread_id, _, owner: threads.rename_thread(thread_id, "Stolen", owner=owner),
    "delete_thread": lambda threads, thread_id, _, owner: threads.delete_thread(thread_id, owner=owner),
    "list_items": lambda threads, thread_id, _, owner: threads.list_items(thread_id, owner=owner, limit=10),
    "get_item": lambda threads, thread_id, item_id, owner: threads.get_item(thread_id, item_id, owner=owner),
    "begin_turn": lambda threads, thread_id, _, owner: threads.begin_turn(
        Thread(thread_id, owner, LONG_AGO), lease(), question(), new=False
    ),
    "end_turn": lambda threads, thread_id, item_id, owner: threads.end_turn(
        Thread(thread_id, owner, LONG_AGO), lease(item_id), answer(question()), replaced=[item_id]
    ),
    "put_feedback": lambda threads, thread_id, item_id, owner: threads.put_feedback(
        thread_id, item_id, Feedback("negative", LONG_AGO), owner=owner
    ),
    "list_feedback": lambda threads, thread_id, _, owner: threads.list_feedback(thread_id, owner=owner),
    "list_threads after": lambda threads, thread_id, _, owner: threads.list_threads(owner, limit=10, after=thread_id),
}


NEVER = ["0" * 32, "", "\0", "\ud800", "'; DROP TABLE threads; --", "x" * 5_000]
"""Ids of nothing."""


@pytest.mark.parametrize("call", CALLS)
async def test_another_readers_thread_does_not_exist(threads: Threads, call: str) -> None:
    mine = thread()
    asked, told = await ask(threads, mine, new=True)

    for owner in ("bob", "", "ALICE", "alice ", "alice\0", "%"):
        with pytest.raises(ThreadNotFound) as raised:
            await CALLS[call](threads, mine.id, told.id, owner)
        assert not isinstance(raised.value, MessageNotFound)

    assert await all_of(threads) == [Conversation(replace(mine, updated_at=LONG_AGO), (asked, told), {})]


@pytest.mark.parametrize("call", [call for call in CALLS if call != "list_threads after"])
async def test_a_deleted_thread_does_not_exist(threads: Threads, call: str) -> None:
    mine = thread()
    _, told = await ask(threads, mine, new=True)
    await threads.delete_thread(mine.id, owner="alice")

    with pytest.raises(ThreadNotFound):
        await CALLS[call](threads, mine.id, told.id, "alice")

    assert await all_of(threads) == []


@pytest.mark.parametrize("call", CALLS)
async def test_a_thread_that_never_was_does_not_exist(threads: Threads, call: str) -> None:
    for never in NEVER:
        with pytest.raises(ThreadNotFound):
            await CALLS[call](threads, never, never, "alice")


async def test_a_message_that_never_was_does_not_exist(threads: Threads) -> None:
    mine = thread()
    await ask(threads, mine, new=True)

    for never in NEVER:
        for call in ("get_item", "put_feedback"):
            with pytest.raises(MessageNotFound):
                await CALLS[call](threads, mine.id, never, "alice")
        with pytest.raises(MessageNotFound):
            await threads.list_items(mine.id, owner="alice", limit=10, after=never)


async def test_a_message_of_another_thread_does_not_exist_in_this_one(threads: Threads) -> None:
    mine, other = thread(), thread()
    await ask(threads, mine, new=True)
    asked, told = await ask(threads, other, new=True)

    with pytest.raises(MessageNotFound):
        await threads.get_item(mine.id, asked.id, owner="alice")
    with pytest.raises(MessageNotFound):
        await threads.list_items(mine.id, owner="alice", limit=10, after=asked.id)
    with pytest.raises(MessageNotFound):
        await threads.put_feedback(mine.id, told.id, Feedback("positive", LONG_AGO), owner="alice")


async def test_nobodys_thread_is_for_whoever_knows_its_id_and_in_no_list(threads: Threads) -> None:
    nobodys = thread(owner="")
    await ask(threads, nobodys, new=True)

    forgotten = await threads.forget("")

    assert (await threads.get_thread(nobodys.id, owner="")).title == "About topics"
    assert len(await items(threads, nobodys)) == 2
    assert await titles(threads, "") == []
    assert await all_of(threads, "") == []
    assert forgotten == 0
    assert len(await all_of(threads)) == 1


# Lists ------------------------------------------------------------------------------------------------


async def test_threads_are_listed_by_when_something_was_last_asked(threads: Threads) -> None:
    first, second, third = (thread(title=title) for title in ("first", "second", "third"))
    for one in (first, second, third):
        await ask(threads, one, new=True)

    await ask(threads, first)
    await threads.rename_thread(second.id, "renamed", owner="alice")
    await threads.begin_turn(second, lease(), None, new=False)

    assert await titles(threads) == ["first", "third", "renamed"]
    oldest_first = await threads.list_threads("alice", limit=2, newest_first=False)
    assert [had.title for had in oldest_first.entries] == ["renamed", "third"]
    assert oldest_first.has_more


async def test_when_something_was_last_asked_is_told(threads: Threads) -> None:
    mine, later = thread(), LONG_AGO + timedelta(days=1)
    await ask(threads, mine, new=True)

    await ask(threads, mine, at=later)
    await threads.rename_thread(mine.id, "renamed", owner="alice")

    assert await threads.get_thread(mine.id, owner="alice") == replace(mine, title="renamed", updated_at=later)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(0, 9), limit=st.integers(1, 4), newest_first=st.booleans())
async def test_paging_loses_and_repeats_nothing(threads: Threads, count: int, limit: int, newest_first: bool) -> None:
    owner = uuid4().hex
    all_threads = [thread(owner, str(number)) for number in range(count)]
    for one in all_threads:
        await threads.begin_turn(one, lease(seconds=RAN_OUT), question(), new=True)
    long = thread(owner, "long")
    said: list[QuestionItem] = []
    for number in range(count):
        said.append(question(str(number)))
        await threads.begin_turn(long, lease(seconds=RAN_OUT), said[-1], new=number == 0)

    listed = await pages(
        lambda after: threads.list_threads(owner, limit=limit, after=after, newest_first=newest_first),
        lambda had: had.id,
    )
    in_long = (
        await pages(
            lambda after: threads.list_items(long.id, owner=owner, limit=limit, after=after, newest_first=newest_first),
            lambda item: item.id,
        )
        if count
        else []
    )

    expected = [*all_threads, long] if count else []
    assert [had.id for had in listed] == [had.id for had in (reversed(expected) if newest_first else expected)]
    assert in_long == (said[::-1] if newest_first else said)


async def test_a_cursor_stays_good_when_its_thread_is_deleted(threads: Threads) -> None:
    all_threads = [thread(title=str(number)) for number in range(5)]
    for one in all_threads:
        await ask(threads, one, new=True)

    await threads.delete_thread(all_threads[3].id, owner="alice")
    rest = await threads.list_threads("alice", limit=2, after=all_threads[3].id)

    assert [had.title for had in rest.entries] == ["2", "1"]
    assert rest.has_more
    assert await titles(threads) == ["4", "2", "1", "0"]


async def test_a_cursor_stays_good_when_its_message_is_replaced(threads: Threads) -> None:
    mine = thread()
    asked, told = await ask(threads, mine, new=True)
    better = answer(asked, "Better.")
    held = lease(better.id)
    await threads.begin_turn(mine, held, None, new=False)
    await threads.end_turn(mine, held, better, replaced=[told.id])

    after = await threads.list_items(mine.id, owner="alice", limit=10, after=told.id)
    before = await threads.list_items(mine.id, owner="alice", limit=10, after=told.id, newest_first=True)

    assert after == Batch((better,), has_more=False)
    assert before == Batch((asked,), has_more=False)


async def test_the_last_messages_of_a_long_thread_come_first_where_that_is_asked(threads: Threads) -> None:
    mine = thread()
    for number in range(12):
        await ask(threads, mine, str(number), new=number == 0)

    batch = await threads.list_items(mine.id, owner="alice", limit=20, newest_first=True)

    assert [item.text for item in batch.entries[:3]] == ["11 That.", "11", "10 That."]
    assert len(batch.entries) == 20
    assert batch.has_more


# Deleting ---------------------------------------------------------------------------------------------


async def test_a_thread_that_is_deleted_while_an_answer_is_written_stays_deleted(threads: Threads) -> None:
    mine, asked, held = thread(), question(), lease()
    await threads.begin_turn(mine, held, asked, new=True)
    await threads.delete_thread(mine.id, owner="alice")

    with pytest.raises(ThreadNotFound):
        await threads.end_turn(mine, held, answer(asked))
    with pytest.raises(ThreadNotFound):
        await threads.begin_turn(mine, held, asked, new=True)

    assert await all_of(threads) == []
    assert await titles(threads) == []


# Feedback ---------------------------------------------------------------------------------------------


async def test_the_last_word_about_an_answer_counts(threads: Threads) -> None:
    mine = thread()
    _, told = await ask(threads, mine, new=True)
    last = Feedback("negative", LONG_AGO, "It is wrong 😀")

    await threads.put_feedback(mine.id, told.id, Feedback("positive", LONG_AGO), owner="alice")
    await threads.put_feedback(mine.id, told.id, last, owner="alice")

    assert await threads.list_feedback(mine.id, owner="alice") == {told.id: last}


async def test_feedback_can_be_taken_back_even_twice(threads: Threads) -> None:
    mine = thread()
    _, told = await ask(threads, mine, new=True)
    await threads.put_feedback(mine.id, told.id, Feedback("positive", LONG_AGO), owner="alice")

    await threads.put_feedback(mine.id, told.id, None, owner="alice")
    await threads.put_feedback(mine.id, told.id, None, owner="alice")

    assert await threads.list_feedback(mine.id, owner="alice") == {}


async def test_feedback_is_about_answers(threads: Threads) -> None:
    mine = thread()
    asked, _ = await ask(threads, mine, new=True)

    with pytest.raises(MessageNotFound):
        await threads.put_feedback(mine.id, asked.id, Feedback("positive", LONG_AGO), owner="alice")


# The archive ------------------------------------------------------------------------------------------


async def test_everything_of_one_reader_or_of_all_is_exported_oldest_thread_first(threads: Threads) -> None:
    younger = thread(title="younger", created_at=LONG_AGO + timedelta(days=1))
    older = thread(title="older")
    bobs = thread("bob", "bob's", LONG_AGO + timedelta(days=2))
    for one in (younger, older, bobs):
        await ask(threads, one, new=True)
    asked, told = await ask(threads, older, "Again?")
    opinion = Feedback("positive", LONG_AGO, "Thanks!")
    await threads.put_feedback(older.id, told.id, opinion, owner="alice")

    alices, everybodys = await all_of(threads, "alice"), await all_of(threads)

    assert [had.thread.title for had in alices] == ["older", "younger"]
    assert [had.thread.title for had in everybodys] == ["older", "younger", "bob's"]
    assert alices[0].items[2:] == (asked, told)
    assert alices[0].feedback == {told.id: opinion}


async def test_threads_of_the_same_moment_are_all_exported(threads: Threads) -> None:
    all_threads = [thread() for _ in range(7)]
    for one in all_threads:
        await ask(threads, one, new=True)

    exported = await all_of(threads)

    assert sorted(had.thread.id for had in exported) == sorted(one.id for one in all_threads)


async def test_what_is_forgotten_leaves_no_trace_and_nobody_else_is_touched(threads: Threads) -> None:
    mine, deleted, running, bobs = thread(), thread(), thread(), thread("bob")
    for one in (mine, deleted, bobs):
        await ask(threads, one, new=True)
    await threads.delete_thread(deleted.id, owner="alice")
    held = lease()
    await threads.begin_turn(running, held, question(), new=True)

    count = await threads.forget("alice")

    assert count == 3
    with pytest.raises(ThreadNotFound):
        await threads.end_turn(running, held, answer(question()))
    with pytest.raises(ThreadNotFound):
        await threads.list_threads("alice", limit=10, after=deleted.id)
    assert [had.thread.id for had in await all_of(threads)] == [bobs.id]
    assert await threads.forget("alice") == 0


async def test_threads_in_which_nothing_was_asked_for_long_are_removed(threads: Threads) -> None:
    asked_again, old, deleted = thread(title="asked again"), thread(title="old"), thread(title="deleted")
    for one in (asked_again, old, deleted):
        await ask(threads, one, new=True)
    await ask(threads, asked_again, at=LONG_AGO + timedelta(days=100))
    await threads.delete_thread(deleted.id, owner="alice")

    count = await threads.purge(LONG_AGO + timedelta(days=90))

    assert count == 2
    assert await titles(threads) == ["asked again"]
    assert len(await items(threads, asked_again)) == 4
    with pytest.raises(ThreadNotFound):
        await threads.list_threads("alice", limit=10, after=deleted.id)
    assert await threads.purge(LONG_AGO + timedelta(days=90)) == 0


# Times and words --------------------------------------------------------------------------------------


async def test_times_come_back_in_utc(threads: Threads) -> None:
    there = datetime(2026, 7, 1, 1, 30, 0, 123456, timezone(timedelta(hours=5, minutes=30)))
    mine = thread(created_at=there)
    _, told = await ask(threads, mine, new=True, at=there)
    await threads.put_feedback(mine.id, told.id, Feedback("positive", there), owner="alice")

    kept = await threads.get_thread(mine.id, owner="alice")
    opinion = (await threads.list_feedback(mine.id, owner="alice"))[told.id]
    times = [kept.created_at, kept.updated_at, opinion.created_at]
    times += [item.created_at for item in await items(threads, mine)]

    assert times == [there] * 5
    assert {time and time.utcoffset() for time in times} == {timedelta()}


@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "😀👩‍🚀",
        "مرحبا\u202eabc",
        "'; DROP TABLE threads; --",
        "\x01\x7f\ufffe\uffff",
        "語" * 4_000,
        "%s %(x)s :x \\",
    ],
    ids=["nul", "emoji", "right-to-left", "sql", "controls", "long", "placeholders"],
)
async def test_every_text_comes_back_as_it_was(threads: Threads, text: str) -> None:
    mine = thread()
    asked, told = await ask(threads, mine, text, new=True)

    assert await items(threads, mine) == [asked, told]


async def test_halves_of_characters_are_replaced_so_that_the_rest_can_be_sent(threads: Threads) -> None:
    mine = thread(title="\ud83d title")
    _, told = await ask(threads, mine, "a \ud800 b", new=True)
    await threads.put_feedback(mine.id, told.id, Feedback("negative", LONG_AGO, "no \udfff"), owner="alice")

    assert (await items(threads, mine))[0].text == "a \N{REPLACEMENT CHARACTER} b"
    assert (await threads.get_thread(mine.id, owner="alice")).title == "\N{REPLACEMENT CHARACTER} title"
    opinions = await threads.list_feedback(mine.id, owner="alice")
    assert opinions[told.id].comment == "no \N{REPLACEMENT CHARACTER}"


async def test_a_title_and_a_comment_with_nul_are_kept_without_it(threads: Threads) -> None:
    mine = thread(title="a\0b")
    _, told = await ask(threads, mine, new=True)
    await threads.put_feedback(mine.id, told.id, Feedback("negative", LONG_AGO, "c\0d"), owner="alice")

    renamed = await threads.rename_thread(mine.id, "e\0f", owner="alice")

    assert renamed.title == "e\N{REPLACEMENT CHARACTER}f"
    assert (await threads.list_feedback(mine.id, owner="alice"))[told.id].comment == "c\N{REPLACEMENT CHARACTER}d"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.text(min_size=1))
async def test_any_reader_can_keep_any_text(threads: Threads, text: str, owner: str) -> None:
    mine = thread(owner=owner)

    asked, told = await ask(threads, mine, text, new=True)

    assert await items(threads, mine) == [asked, told]
    assert (await threads.get_thread(mine.id, owner=owner)).owner == owner


# Looking after it -------------------------------------------------------------------------------------


async def test_it_says_what_it_is_and_can_be_closed_twice(threads: Threads) -> None:
    remarks = await threads.check()

    await threads.close()
    await threads.close()

    assert [remark.mend for remark in remarks] == [""]


async def test_the_fake_fails_where_it_is_told_to() -> None:
    fake = MemoryThreads()
    mine = thread()
    _, told = await ask(fake, mine, new=True)
    fake.error = ThreadsUnavailable("down")

    calls = [call(fake, mine.id, told.id, "alice") for call in CALLS.values()]
    calls += [
        fake.list_threads("alice", limit=1),
        all_of(fake),
        fake.forget("alice"),
        fake.purge(LONG_AGO),
        fake.check(),
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {ThreadsUnavailable}


# One after the other, in any order --------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One call, with small numbers for what it is about."""

    call: str
    thread: int = 0
    owner: int = 0
    turn: int = 0
    other: int = 0
    flag: bool = False
    again: bool = False


STEPS = st.lists(
    st.builds(
        Step,
        call=st.sampled_from(
            ["begin", "begin", "begin", "end", "end", "delete", "rename", "feedback", "threads", "items", "forget"]
        ),
        thread=st.integers(0, 2),
        owner=st.sampled_from([0, 0, 0, 1]),
        turn=st.integers(0, 3),
        other=st.integers(-1, 3),
        flag=st.booleans(),
        again=st.booleans(),
    ),
    max_size=25,
)


class Story:
    """The same calls with the same values, to any store."""

    def __init__(self) -> None:
        self._owners = [uuid4().hex, uuid4().hex]
        self._threads = [uuid4().hex for _ in range(3)]
        self._questions = [question(str(number)) for number in range(4)]
        self._answers = [answer(asked, f"told {asked.text}") for asked in self._questions]
        self._far = datetime.now(UTC) + timedelta(hours=1)

    async def outcomes(self, threads: Threads, steps: Sequence[Step]) -> list[object]:
        told = [await self._outcome(threads, step) for step in steps]
        return [*told, await all_of(threads, self._owners[0]), await all_of(threads, self._owners[1])]

    async def _outcome(self, threads: Threads, step: Step) -> object:
        try:
            return await self._call(threads, step)
        except AskbookError as exc:
            return type(exc)

    async def _call(self, threads: Threads, step: Step) -> object:
        owner = self._owners[step.owner]
        within = Thread(self._threads[step.thread], owner, LONG_AGO, f"title {step.turn}")
        told = self._answers[step.turn]
        held = Lease(told.id, LONG_AGO if step.again else self._far)
        other = None if step.other < 0 else self._answers[step.other].id
        match step.call:
            case "begin":
                asked = self._questions[step.turn] if step.other != 0 else None
                await threads.begin_turn(within, held, asked, new=step.flag)
            case "end":
                replaced = [other] if other is not None and step.flag else []
                await threads.end_turn(within, held, None if step.other == 0 else told, replaced=replaced)
            case "delete":
                await threads.delete_thread(within.id, owner=owner)
            case "rename":
                return await threads.rename_thread(within.id, "renamed", owner=owner)
            case "feedback":
                opinion = Feedback("positive", LONG_AGO) if step.flag else None
                await threads.put_feedback(within.id, told.id, opinion, owner=owner)
                return await threads.list_feedback(within.id, owner=owner)
            case "threads":
                after = None if step.other < 0 else self._threads[step.other % 3]
                return await threads.list_threads(owner, limit=1 + step.turn % 2, after=after, newest_first=step.flag)
            case "items":
                return await threads.list_items(
                    within.id, owner=owner, limit=1 + step.turn % 2, after=other, newest_first=step.flag
                )
            case "forget" if step.again and step.flag:
                return await threads.forget(owner)
        return None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_whatever_happens_the_fake_and_the_databases_tell_the_same(threads: Threads, steps: list[Step]) -> None:
    story = Story()

    assert await story.outcomes(threads, steps) == await story.outcomes(MemoryThreads(), steps)
