"""A turn within a thread: its history goes in, the question and the answer are kept."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from uuid import uuid4

from chatbot_api.answering.scope import WantedScope
from chatbot_api.errors import ThreadNotFound
from chatbot_api.models.domain import AnswerEvent, Message, Question, TurnDone, Usage
from chatbot_api.ports import ThreadStore
from chatbot_api.services.rag_service import RagService

logger = logging.getLogger(__name__)

_NEW_THREAD = "The earlier conversation is no longer known here, so this one begins anew."


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that was found to be askable, before anything is searched."""

    thread_id: str
    message_id: str
    question: Question
    notice: str = ""


class ChatService:
    def __init__(self, rag: RagService, threads: ThreadStore) -> None:
        self._rag = rag
        self._threads = threads

    async def begin(
        self,
        text: str,
        *,
        thread_id: str | None = None,
        page: str | None = None,
        scope: WantedScope | None = None,
        selection: str = "",
    ) -> Turn:
        """Raises as `RagService.question` does. An unknown thread begins a new one, and the answer says so."""
        history: tuple[Message, ...] = ()
        notice = ""
        if thread_id is not None:
            try:
                history = await self._threads.history(thread_id)
            except ThreadNotFound:
                thread_id, notice = None, _NEW_THREAD
        question = await self._rag.question(text, page=page, scope=scope, selection=selection, history=history)
        return Turn(thread_id or uuid4().hex, uuid4().hex, question, notice)

    async def answer(self, turn: Turn, *, whole: bool = False) -> AsyncGenerator[AnswerEvent, None]:
        """The events of `RagService.answer`; the turn is kept before `TurnDone` is told."""
        async with aclosing(self._rag.answer(turn.question, whole=whole)) as events:
            async for event in events:
                if isinstance(event, TurnDone):
                    answer = event.answer
                    if turn.notice:
                        answer = replace(answer, notice=f"{turn.notice} {answer.notice}".strip())
                    await self._threads.append(
                        turn.thread_id, (Message("reader", turn.question.text), Message("assistant", answer.text))
                    )
                    logger.info(
                        "turn done state=%s mode=%s citations=%d first_word_ms=%.0f total_ms=%.0f%s",
                        answer.state,
                        answer.mode,
                        len(answer.citations),
                        answer.timings.first_word,
                        answer.timings.total,
                        _as_fields(answer.usage),
                    )
                    yield TurnDone(answer)
                else:
                    yield event


def _as_fields(usage: Usage | None) -> str:
    if usage is None:
        return ""
    dollars = "" if usage.dollars is None else f" dollars={usage.dollars:.6f}"
    return f" model={usage.model} input_tokens={usage.input_tokens} output_tokens={usage.output_tokens}{dollars}"
