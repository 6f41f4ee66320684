"""A turn within a thread: its history goes in, the question and the answer are kept. Every face goes through here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final, Literal
from uuid import uuid4

from chatbot_api.answering.notices import NEW_THREAD, NOT_REMEMBERED
from chatbot_api.errors import (
    AskbookError,
    DatabaseOutdated,
    MessageNotFound,
    ThreadBusy,
    ThreadNotFound,
    ThreadsUnavailable,
)
from chatbot_api.models.domain import (
    Answer,
    AnswerEvent,
    AnswerItem,
    Citation,
    CitationMade,
    Feedback,
    Item,
    Lease,
    Message,
    Notice,
    Outcome,
    Question,
    QuestionItem,
    Source,
    SourcesFound,
    TextDelta,
    Thread,
    TurnDone,
    Usage,
)
from chatbot_api.ports import ThreadStore
from chatbot_api.services.rag_service import RagService

logger = logging.getLogger(__name__)

_HISTORY: Final = 20
"""How many of the last questions and answers a question can lean on."""
_TITLE: Final = 80
_UNFINISHED: Final = {"stopped": "[This answer was stopped here.]", "failed": "[This answer broke off here.]"}
_WAIT_FOR_THREAD: Final = 2.0
"""Seconds. Who stops an answer and asks at once is sometimes quicker than the stopped answer is kept."""
_LOOK_EVERY: Final = 0.05
_Unkept = (ThreadsUnavailable, DatabaseOutdated)


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that was found to be askable, before anything is searched."""

    thread: Thread
    new: bool
    """Whether the thread begins with it."""
    asked: QuestionItem
    question: Question
    lease: Lease
    """Its `turn_id` is the id of the answer."""
    retry: bool = False
    """Whether the question is kept already, and this is to be another answer to it."""
    replaced: tuple[str, ...] = ()
    """Items that go when the new answer is there, and not before."""
    remembered: bool = True
    notices: tuple[Notice, ...] = ()

    @property
    def message_id(self) -> str:
        return self.lease.turn_id


class ChatService:
    def __init__(self, rag: RagService, threads: ThreadStore, *, longest_turn: float = 300.0) -> None:
        """`longest_turn`: seconds after which a turn that was never ended, since its process died, no longer keeps
        others out of its thread."""
        self._rag = rag
        self._threads = threads
        self._longest_turn = longest_turn
        self.trouble: AskbookError | None = None
        """Why conversations could not be kept when that was last tried; None where they were."""

    async def warm_up(self) -> None:
        """Opens what the first question would wait for, and notes where it does not work."""
        try:
            await self._threads.check()
        except _Unkept as exc:
            self._note(exc)

    async def prepare(
        self, asked: QuestionItem, *, owner: str, thread_id: str | None = None, begin_anew: bool = True
    ) -> Turn:
        """Nothing is kept yet. A thread that does not exist for the owner begins anew, and the answer says so, or
        raises `ThreadNotFound`. Raises as `RagService.question` does."""
        thread, new = Thread(uuid4().hex, owner, asked.created_at, _title(asked.text)), True
        notices: tuple[Notice, ...] = ()
        if thread_id is not None:
            try:
                thread, new = await self._threads.get_thread(thread_id, owner=owner), False
            except ThreadNotFound:
                if not begin_anew:
                    raise
                notices = (NEW_THREAD,)
            except _Unkept:  # `begin` will find the same, and say so
                thread, new = replace(thread, id=thread_id), False
        return await self._turn(asked, Turn(thread, new, asked, Question(asked.text), self._lease(), notices=notices))

    async def prepare_retry(self, thread_id: str, message_id: str, *, owner: str) -> Turn:
        """Another answer to a question of the thread, named by its own id or by that of an answer to it. What comes
        after the question goes once the new answer is there. Raises `ThreadNotFound`, `MessageNotFound`,
        `ThreadsUnavailable` and as `RagService.question` does."""
        thread = await self._threads.get_thread(thread_id, owner=owner)
        item = await self._threads.get_item(thread_id, message_id, owner=owner)
        if isinstance(item, AnswerItem):
            item = await self._threads.get_item(thread_id, item.question_id, owner=owner)
        if not isinstance(item, QuestionItem):
            raise MessageNotFound(f"item {message_id} is not a question, nor an answer to one")
        return await self._turn(item, Turn(thread, False, item, Question(item.text), self._lease(), retry=True))

    async def begin(self, turn: Turn) -> Turn:
        """Takes the thread for this turn and keeps the question. Raises `ThreadBusy`, `ThreadNotFound`.

        Whoever begins a turn must go through `answer`, which ends it.
        """
        taken = False
        try:
            await self._taken(turn)
            taken = True
            return await self._with_history(turn)
        except _Unkept as exc:
            self._note(exc)
            if taken:
                await self._end(turn, None)
            return replace(turn, remembered=False, notices=(*turn.notices, NOT_REMEMBERED))
        except BaseException:  # raised again; whatever it is, the thread must not stay taken
            await self._end(turn, None)
            raise

    async def answer(self, turn: Turn, *, whole: bool = False) -> AsyncGenerator[AnswerEvent, None]:
        """The events of `RagService.answer`; the turn is kept before `TurnDone` is told.

        However it ends: what the reader saw of the answer is kept, and marked where it is not all of it.
        """
        told = _Told()
        try:
            async with aclosing(self._rag.answer(turn.question, whole=whole)) as events:
                async for event in events:
                    told.hear(event)
                    if isinstance(event, TurnDone):
                        answer = replace(event.answer, notices=(*turn.notices, *event.answer.notices))
                        if not await self._end(turn, _finished(answer, turn, told)):
                            answer = replace(answer, notices=(*answer.notices, NOT_REMEMBERED))
                        told.ended = True
                        _log(answer)
                        yield TurnDone(answer)
                    else:
                        yield event
        except (GeneratorExit, asyncio.CancelledError):
            told.outcome = "stopped"
            raise
        finally:
            if not told.ended:
                await self._end(turn, told.unfinished(turn))

    async def abandon(self, turn: Turn) -> None:
        """Ends a turn that was begun and will not be answered."""
        await self._end(turn, None)

    async def rate(
        self, thread_id: str, message_ids: Iterable[str], kind: Literal["positive", "negative"], *, owner: str
    ) -> None:
        """Answers among these messages. Raises `MessageNotFound` where one of them is not there, or none is an
        answer."""
        items = [await self._threads.get_item(thread_id, each, owner=owner) for each in message_ids]
        answers = [item for item in items if isinstance(item, AnswerItem)]
        if not answers:
            raise MessageNotFound("there is no answer among these messages")
        feedback = Feedback(kind, datetime.now(UTC))
        for answer in answers:
            await self._threads.put_feedback(thread_id, answer.id, feedback, owner=owner)

    # Within a turn --------------------------------------------------------------------------------------

    def _lease(self) -> Lease:
        return Lease(uuid4().hex, datetime.now(UTC) + timedelta(seconds=self._longest_turn))

    async def _turn(self, asked: QuestionItem, turn: Turn) -> Turn:
        question = await self._rag.question(asked.text, page=asked.page, scope=asked.scope, selection=asked.selection)
        return replace(turn, question=question)

    async def _taken(self, turn: Turn) -> None:
        question = None if turn.retry else turn.asked
        patience = monotonic() + _WAIT_FOR_THREAD
        while True:
            try:
                return await self._threads.begin_turn(turn.thread, turn.lease, question, new=turn.new)
            except ThreadBusy:
                if monotonic() >= patience:
                    raise
                await asyncio.sleep(_LOOK_EVERY)

    async def _with_history(self, turn: Turn) -> Turn:
        """What was said before the question; in a retry, what came after it is to be replaced."""
        if turn.new:
            return turn
        before: list[Item] = []
        after: list[str] = []
        cursor: str | None = None
        found = False
        while len(before) < _HISTORY:
            batch = await self._threads.list_items(
                turn.thread.id, owner=turn.thread.owner, limit=_HISTORY + 1, after=cursor, newest_first=True
            )
            for item in batch.entries:
                if item.id == turn.asked.id:
                    found = True
                elif found:
                    before.append(item)
                else:
                    after.append(item.id)
            if not batch.has_more:
                break
            cursor = batch.entries[-1].id
        if not found:
            raise MessageNotFound(f"question {turn.asked.id} is no longer there")
        history = _as_messages(before[:_HISTORY])
        return replace(turn, question=replace(turn.question, history=history), replaced=tuple(after))

    async def _end(self, turn: Turn, answer: AnswerItem | None) -> bool:
        """Whether it is remembered."""
        if not turn.remembered:
            return True  # which was said already
        replaced = turn.replaced if answer is not None and answer.outcome == "done" else ()
        try:
            await self._threads.end_turn(turn.thread, turn.lease, answer, replaced=replaced)
        except ThreadNotFound:
            logger.info("answer not kept, since its conversation was deleted")
        except ThreadBusy as exc:
            if answer is not None:
                logger.warning("answer not kept code=%s cause=%s", exc.code, exc)
            return False
        except _Unkept as exc:
            self._note(exc)
            return False
        self.trouble = None
        return True

    def _note(self, failure: AskbookError) -> None:
        self.trouble = failure
        logger.warning("conversations are not kept code=%s cause=%s", failure.code, failure)


@dataclass(slots=True)
class _Told:
    """What the reader was told so far."""

    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    sources: tuple[Source, ...] = ()
    outcome: Outcome = "failed"
    ended: bool = False

    def hear(self, event: AnswerEvent) -> None:
        if isinstance(event, TextDelta):
            self.text += event.text
        elif isinstance(event, CitationMade):
            self.citations.append(event.citation)
        elif isinstance(event, SourcesFound):
            self.sources = event.sources

    def unfinished(self, turn: Turn) -> AnswerItem | None:
        if not self.text.strip():
            return None
        return AnswerItem(
            id=turn.message_id,
            question_id=turn.asked.id,
            created_at=datetime.now(UTC),
            outcome=self.outcome,
            text=self.text,
            state="partial",
            mode="generated",
            citations=tuple(self.citations),
            sources=self.sources,
        )


def _finished(answer: Answer, turn: Turn, told: _Told) -> AnswerItem:
    return AnswerItem(
        id=turn.message_id,
        question_id=turn.asked.id,
        created_at=datetime.now(UTC),
        outcome="done",
        text=answer.text,
        state=answer.state,
        mode=answer.mode,
        citations=answer.citations,
        nearest=answer.nearest,
        sources=told.sources,
        notices=answer.notices,
        grounding=answer.grounding,
        index=answer.index,
        usage=answer.usage,
    )


def _as_messages(newest_first: Sequence[Item]) -> tuple[Message, ...]:
    messages: list[Message] = []
    for item in reversed(newest_first):
        if isinstance(item, QuestionItem):
            messages.append(Message("reader", item.text))
        else:
            mark = _UNFINISHED.get(item.outcome, "")
            messages.append(Message("assistant", f"{item.text}\n{mark}".strip()))
    return tuple(messages)


def _title(question: str) -> str:
    """Its first words, as a name for the conversation."""
    words = " ".join(question.split())
    if len(words) <= _TITLE:
        return words
    return words[:_TITLE].rsplit(" ", 1)[0] + "…"


def _log(answer: Answer) -> None:
    logger.info(
        "turn done state=%s mode=%s citations=%d first_word_ms=%.0f total_ms=%.0f%s",
        answer.state,
        answer.mode,
        len(answer.citations),
        answer.timings.first_word,
        answer.timings.total,
        _as_fields(answer.usage),
    )


def _as_fields(usage: Usage | None) -> str:
    if usage is None:
        return ""
    dollars = "" if usage.dollars is None else f" dollars={usage.dollars:.6f}"
    return f" model={usage.model} input_tokens={usage.input_tokens} output_tokens={usage.output_tokens}{dollars}"
