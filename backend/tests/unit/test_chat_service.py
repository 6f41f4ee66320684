"""A turn within a thread: what is kept of it, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chatbot_api.answering.notices import NEW_THREAD, NOT_REMEMBERED, quoted_instead
from chatbot_api.errors import (
    AnswerCutShort,
    BadQuestion,
    MessageNotFound,
    ModelUnavailable,
    SearchUnavailable,
    ThreadBusy,
    ThreadNotFound,
    ThreadsUnavailable,
)
from chatbot_api.models.domain import (
    Answer,
    AnswerItem,
    Entry,
    Item,
    Lease,
    Message,
    QuestionItem,
    TextDelta,
    TurnDone,
)
from chatbot_api.services.chat_service import ChatService, Turn
from chatbot_api.services.rag_service import RagService
from chatbot_api.testing import HashEmbedder, MemoryIndex, MemoryThreads, ScriptedGenerator
from tests.conftest import manifest, passage

TOPICS = passage("A node publishes messages to a topic.")
SAID = "A node publishes messages to a topic [1]."


class World:
    def __init__(self, model: ScriptedGenerator | None = None) -> None:
        self.index = MemoryIndex()
        self.threads = MemoryThreads()
        self.model = model
        self.rag = RagService(HashEmbedder(), self.index, model)
        self.chat = ChatService(self.rag, self.threads)

    async def fill(self) -> World:
        async with self.index.generation(manifest(passages=1)) as generation:
            await generation.put([Entry(TOPICS, await HashEmbedder().embed_question(TOPICS.text))])
            await generation.publish()
        return self

    async def ask(self, text: str = "What does a node publish?", thread_id: str | None = None) -> tuple[Turn, Answer]:
        turn = await self.chat.begin(await self.chat.prepare(question(text), owner="ann", thread_id=thread_id))
        return turn, await answer_of(self.chat.answer(turn))

    async def kept(self, thread_id: str) -> list[Item]:
        return list((await self.threads.list_items(thread_id, owner="ann", limit=100)).entries)


def question(text: str) -> QuestionItem:
    return QuestionItem(uuid4().hex, datetime.now(UTC), text)


async def answer_of(events: AsyncGenerator[object, None]) -> Answer:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TurnDone):
                return event.answer
    raise AssertionError("no TurnDone")


def outcomes(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.kind, item.outcome if isinstance(item, AnswerItem) else "") for item in items]


async def test_a_question_and_its_answer_are_kept_as_they_were_told() -> None:
    world = await World(ScriptedGenerator([SAID])).fill()

    turn, answer = await world.ask()

    asked, said = await world.kept(turn.thread.id)
    assert asked == turn.asked
    assert isinstance(said, AnswerItem)
    assert (said.id, said.question_id, said.outcome) == (turn.message_id, turn.asked.id, "done")
    assert (said.text, said.citations, said.index) == (answer.text, answer.citations, answer.index)
    assert said.sources
    assert turn.thread.title == "What does a node publish?"


async def test_the_question_is_kept_before_anything_is_searched() -> None:
    world = await World().fill()

    turn = await world.chat.begin(await world.chat.prepare(question("topic?"), owner="ann"))

    assert outcomes(await world.kept(turn.thread.id)) == [("question", "")]


async def test_a_long_question_gives_a_short_title() -> None:
    world = await World().fill()

    turn, _ = await world.ask("What does a node publish " + "to which topic and why " * 10)

    assert len(turn.thread.title) <= 81
    assert turn.thread.title.endswith("…")


async def test_what_was_said_before_goes_into_the_question_without_itself() -> None:
    world = await World(ScriptedGenerator([SAID])).fill()
    first, _ = await world.ask()

    turn, _ = await world.ask("And what else?", first.thread.id)

    assert turn.question.history == (Message("reader", first.asked.text), Message("assistant", SAID))


async def test_a_reader_who_stops_keeps_what_was_there_and_the_next_question_knows() -> None:
    model = ScriptedGenerator(["A node publishes messages. ", "Never said."], gate=1)
    world = await World(model).fill()
    turn = await world.chat.begin(await world.chat.prepare(question("node?"), owner="ann"))

    async with aclosing(world.chat.answer(turn)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break

    asked, said = await world.kept(turn.thread.id)
    assert outcomes([asked, said]) == [("question", ""), ("answer", "stopped")]
    assert said.text.strip() == "A node publishes messages."
    model._gate = None
    then, _ = await world.ask("And then?", turn.thread.id)
    assert then.question.history[-1].text.endswith("[This answer was stopped here.]")


async def test_a_cancelled_task_keeps_what_was_there() -> None:
    model = ScriptedGenerator(["A node publishes messages. ", "Never said."], gate=1)
    world = await World(model).fill()
    turn = await world.chat.begin(await world.chat.prepare(question("node?"), owner="ann"))
    task = asyncio.create_task(answer_of(world.chat.answer(turn)))
    await model.waiting.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert outcomes(await world.kept(turn.thread.id)) == [("question", ""), ("answer", "stopped")]


async def test_an_answer_that_breaks_off_is_kept_and_marked() -> None:
    world = await World(ScriptedGenerator(["A node publishes messages. "], error=AnswerCutShort("cut"))).fill()
    turn = await world.chat.begin(await world.chat.prepare(question("node?"), owner="ann"))

    with pytest.raises(AnswerCutShort):
        await answer_of(world.chat.answer(turn))

    assert outcomes(await world.kept(turn.thread.id)) == [("question", ""), ("answer", "failed")]


async def test_a_question_whose_search_fails_is_kept_without_an_answer_and_its_thread_is_free() -> None:
    world = await World().fill()
    turn = await world.chat.begin(await world.chat.prepare(question("node?"), owner="ann"))
    world.index.error = SearchUnavailable("down")

    with pytest.raises(SearchUnavailable):
        await answer_of(world.chat.answer(turn))

    world.index.error = None
    assert outcomes(await world.kept(turn.thread.id)) == [("question", "")]
    await world.ask("again", turn.thread.id)


async def test_a_thread_of_another_reader_begins_anew_and_says_so() -> None:
    world = await World().fill()
    first, _ = await world.ask()

    turn = await world.chat.prepare(question("topic?"), owner="bob", thread_id=first.thread.id)

    assert turn.new
    assert turn.thread.id != first.thread.id
    answer = await answer_of(world.chat.answer(await world.chat.begin(turn)))
    assert answer.notices == (NEW_THREAD,)
    with pytest.raises(ThreadNotFound):
        await world.chat.prepare(question("topic?"), owner="bob", thread_id=first.thread.id, begin_anew=False)


async def test_two_questions_at_once_in_one_thread_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot_api.services.chat_service._WAIT_FOR_THREAD", 0.0)
    world = await World().fill()
    first, _ = await world.ask()
    begun = await world.chat.begin(await world.chat.prepare(question("one?"), owner="ann", thread_id=first.thread.id))

    other = await world.chat.prepare(question("two?"), owner="ann", thread_id=first.thread.id)
    with pytest.raises(ThreadBusy):
        await world.chat.begin(other)

    await answer_of(world.chat.answer(begun))
    await answer_of(world.chat.answer(await world.chat.begin(other)))
    texts = [item.text for item in await world.kept(first.thread.id) if isinstance(item, QuestionItem)]
    assert texts == [first.asked.text, "one?", "two?"]


async def test_who_asks_just_after_stopping_waits_until_that_is_kept() -> None:
    world = await World().fill()
    first, _ = await world.ask()
    begun = await world.chat.begin(await world.chat.prepare(question("one?"), owner="ann", thread_id=first.thread.id))

    waiting = asyncio.create_task(world.ask("two?", first.thread.id))
    await asyncio.sleep(0)
    await world.chat.abandon(begun)

    await waiting
    assert [item.text for item in await world.kept(first.thread.id)][2:4] == ["one?", "two?"]


async def test_a_turn_whose_process_died_keeps_nobody_out_for_ever() -> None:
    world = await World().fill()
    first, _ = await world.ask()
    dead = Lease("d" * 32, datetime.now(UTC) - timedelta(seconds=1))
    await world.threads.begin_turn(first.thread, dead, None, new=False)

    turn, _ = await world.ask("again", first.thread.id)

    assert turn.thread.id == first.thread.id


async def test_a_retry_takes_the_old_answers_place_once_it_is_there() -> None:
    model = ScriptedGenerator([SAID])
    world = await World(model).fill()
    first, _ = await world.ask()
    later, _ = await world.ask("And what else?", first.thread.id)

    turn = await world.chat.begin(await world.chat.prepare_retry(first.thread.id, first.message_id, owner="ann"))
    before = await world.kept(first.thread.id)
    await answer_of(world.chat.answer(turn))

    assert [item.id for item in before][1] == first.message_id
    assert [item.id for item in await world.kept(first.thread.id)] == [first.asked.id, turn.message_id]
    assert turn.question.history == ()
    assert later.message_id in turn.replaced


async def test_a_retry_that_fails_leaves_the_old_answer() -> None:
    model = ScriptedGenerator([SAID])
    world = await World(model).fill()
    first, _ = await world.ask()
    model.pieces, model.error = [], ModelUnavailable("down")
    world.index.error = None

    turn = await world.chat.begin(await world.chat.prepare_retry(first.thread.id, first.asked.id, owner="ann"))
    world.index.error = SearchUnavailable("down")
    with pytest.raises(SearchUnavailable):
        await answer_of(world.chat.answer(turn))

    assert [item.id for item in await world.kept(first.thread.id)] == [first.asked.id, first.message_id]


async def test_a_retry_of_what_is_not_there_is_refused() -> None:
    world = await World().fill()
    first, _ = await world.ask()

    with pytest.raises(MessageNotFound):
        await world.chat.prepare_retry(first.thread.id, "f" * 32, owner="ann")
    with pytest.raises(ThreadNotFound):
        await world.chat.prepare_retry(first.thread.id, first.asked.id, owner="bob")


async def test_with_the_database_down_the_answer_still_comes_and_says_that_it_is_not_remembered() -> None:
    world = await World().fill()
    first, _ = await world.ask()
    world.threads.error = ThreadsUnavailable("down")

    turn, answer = await world.ask("and topics?", first.thread.id)

    assert answer.notices == (NOT_REMEMBERED,)
    assert TOPICS.text in answer.text
    assert str(world.chat.trouble) == "down"
    assert not turn.remembered
    world.threads.error = None
    assert outcomes(await world.kept(first.thread.id)) == [("question", ""), ("answer", "done")]


async def test_a_database_that_comes_back_is_no_trouble_any_more() -> None:
    world = await World().fill()
    world.threads.error = ThreadsUnavailable("down")
    await world.ask()
    world.threads.error = None

    await world.ask()

    assert world.chat.trouble is None


async def test_a_database_that_fails_during_the_answer_is_told_too() -> None:
    world = await World().fill()
    turn = await world.chat.begin(await world.chat.prepare(question("topic?"), owner="ann"))
    world.threads.error = ThreadsUnavailable("down")

    answer = await answer_of(world.chat.answer(turn))

    assert answer.notices == (NOT_REMEMBERED,)


async def test_notices_of_the_conversation_and_of_the_answer_are_told_in_the_order_in_which_they_came_about() -> None:
    world = await World(ScriptedGenerator(error=ModelUnavailable("down"))).fill()
    first, _ = await world.ask()
    turn = await world.chat.prepare(question("topic?"), owner="bob", thread_id=first.thread.id)
    turn = await world.chat.begin(turn)
    world.threads.error = ThreadsUnavailable("down")

    answer = await answer_of(world.chat.answer(turn))

    assert answer.notices == (NEW_THREAD, quoted_instead(ModelUnavailable("")), NOT_REMEMBERED)
    assert answer.notice == f"{NEW_THREAD.text} {ModelUnavailable.public} {NOT_REMEMBERED.text}"


async def test_a_conversation_deleted_while_it_is_answered_stays_deleted() -> None:
    world = await World().fill()
    turn = await world.chat.begin(await world.chat.prepare(question("topic?"), owner="ann"))
    await world.threads.delete_thread(turn.thread.id, owner="ann")

    await answer_of(world.chat.answer(turn))

    with pytest.raises(ThreadNotFound):
        await world.kept(turn.thread.id)


async def test_a_question_that_cannot_be_asked_leaves_nothing_behind() -> None:
    world = await World().fill()
    bad = QuestionItem(uuid4().hex, datetime.now(UTC), "topic?", page="/docs/nowhere")

    with pytest.raises(BadQuestion):
        await world.chat.prepare(bad, owner="ann")

    assert (await world.threads.list_threads("ann", limit=10)).entries == ()


async def test_rating_counts_for_answers_only() -> None:
    world = await World().fill()
    turn, _ = await world.ask()

    await world.chat.rate(turn.thread.id, [turn.asked.id, turn.message_id], "positive", owner="ann")

    feedback = await world.threads.list_feedback(turn.thread.id, owner="ann")
    assert {key: given.kind for key, given in feedback.items()} == {turn.message_id: "positive"}
    with pytest.raises(MessageNotFound):
        await world.chat.rate(turn.thread.id, [turn.asked.id], "positive", owner="ann")
    with pytest.raises(ThreadNotFound):
        await world.chat.rate(turn.thread.id, [turn.message_id], "positive", owner="bob")
