"""`POST /chat`: one answer, as JSON or as server-sent events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Annotated, Any, assert_never

from anyio import CancelScope
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import BaseModel, TypeAdapter

from chatbot_api.answering.scope import WantedScope
from chatbot_api.bootstrap import Services
from chatbot_api.errors import AnswerCutShort, AskbookError
from chatbot_api.models.chat_models import (
    ChatRequest,
    ChatResponse,
    Problem,
    as_citation,
    as_response,
)
from chatbot_api.models.domain import AnswerEvent, CitationMade, Progress, SourcesFound, TextDelta, TurnDone
from chatbot_api.routes.deps import services
from chatbot_api.routes.errors import problem_of
from chatbot_api.services.chat_service import ChatService, Turn

logger = logging.getLogger(__name__)
router = APIRouter()
_json: TypeAdapter[Any] = TypeAdapter(Any)

_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "One server-sent event; `data` is JSON.",
    "properties": {
        "event": {"enum": ["start", "progress", "sources", "delta", "citation", "done", "error"]},
        "data": {"type": "string"},
    },
    "required": ["event", "data"],
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": _EVENT_SCHEMA}}},
    **{
        status: {"description": text, "content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}
        for status, text in {
            400: "The body cannot be parsed.",
            413: "The body is too large.",
            422: "The question cannot be asked so; `detail` says where and why.",
            500: "Something went wrong that nobody expected.",
            503: "The book cannot be searched at the moment.",
        }.items()
    },
}


@router.post("/chat", response_model=ChatResponse, responses=_RESPONSES)
async def chat(
    body: ChatRequest,
    request: Request,
    services: Annotated[Services, Depends(services)],
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Answers a question from the book. With `stream` or `Accept: text/event-stream`: the events `start`, `progress`,
    `sources`, `delta`, `citation`, then `done` (the whole answer) or `error` (a problem)."""
    scope = body.scope.model_dump() if body.scope else {}
    turn = await services.chat.begin(
        body.query, thread_id=body.thread_id, page=body.page, scope=WantedScope(**scope), selection=body.selection
    )
    if body.stream or "text/event-stream" in accept:
        events = _told(services.chat, turn)
        return EventSourceResponse(
            with_keep_alive(events, services.settings.keep_alive_seconds),
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
    answer = await _while_connected(request, _folded(services.chat, turn))
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


async def _folded(chat: ChatService, turn: Turn) -> ChatResponse:
    async with aclosing(chat.answer(turn, whole=True)) as events:
        async for event in events:
            if isinstance(event, TurnDone):
                return as_response(event.answer, turn.thread_id, turn.message_id)
    raise AnswerCutShort("the answer's events ended without TurnDone")


async def _told(chat: ChatService, turn: Turn) -> AsyncGenerator[bytes, None]:
    """The events on the wire. Ends with `done` or `error`, unless the reader has left."""
    yield _event("start", {"thread_id": turn.thread_id, "message_id": turn.message_id})
    try:
        async with aclosing(chat.answer(turn)) as events:
            async for event in events:
                yield _as_sse(event, turn)
    except AskbookError as exc:
        logger.warning("turn failed code=%s cause=%s", exc.code, exc)
        yield _event("error", problem_of(exc))
    except Exception:  # the answer has begun: only the stream itself can still say that it failed
        logger.exception("turn failed unexpectedly")
        yield _event("error", problem_of(AskbookError()))


def _as_sse(event: AnswerEvent, turn: Turn) -> bytes:
    match event:
        case Progress():
            return _event("progress", {"step": event.step})
        case SourcesFound():
            sources = [
                {"title": hit.passage.title, "heading_path": hit.passage.heading_path, "passage_id": hit.passage.id}
                for hit in event.hits
            ]
            return _event("sources", {"sources": sources})
        case TextDelta():
            return _event("delta", {"text": event.text})
        case CitationMade():
            return _event("citation", {"at": event.at, **as_citation(event.citation).model_dump()})
        case TurnDone():
            return _event("done", as_response(event.answer, turn.thread_id, turn.message_id))
        case _:
            assert_never(event)


def _event(name: str, data: BaseModel | dict[str, Any]) -> bytes:
    return format_sse_event(event=name, data_str=_json.dump_json(data).decode())


async def with_keep_alive(events: AsyncGenerator[bytes, None], seconds: float) -> AsyncIterator[bytes]:
    """The events, and a comment whenever none came for so long. Leaving closes them."""
    waiting: asyncio.Task[bytes] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait((waiting,), timeout=seconds)
            if not done:
                yield format_sse_event(comment="still here")
                continue
            task, waiting = waiting, None
            try:
                yield task.result()
            except StopAsyncIteration:
                return
    finally:
        # When a reader leaves, Starlette cancels whatever is waited for here, and again until nothing is.
        with CancelScope(shield=True):
            if waiting is not None:
                waiting.cancel()
                await asyncio.wait((waiting,))
            await events.aclose()


async def _while_connected(request: Request, work: Coroutine[None, None, ChatResponse]) -> ChatResponse:
    """The result of the work, which is cancelled when the reader leaves."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise AnswerCutShort("the reader left")
        return await working
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait((working, leaving))


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
