"""`POST /chat`: one answer, as JSON or as server-sent events."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any, assert_never
from uuid import uuid4

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from fastapi.sse import format_sse_event
from pydantic import BaseModel, TypeAdapter

from chatbot_api.bootstrap import Services
from chatbot_api.errors import AnswerCutShort, AskbookError, BadQuestion
from chatbot_api.models.chat_models import (
    ChatRequest,
    ChatResponse,
    as_citation,
    as_response,
)
from chatbot_api.models.domain import (
    AnswerEvent,
    CitationMade,
    Progress,
    QuestionItem,
    SourcesFound,
    TextDelta,
    TurnDone,
    WantedScope,
)
from chatbot_api.routes.deps import MAY_SIGN_IN, reader, services, streams
from chatbot_api.routes.errors import described, problem_of
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
    **described(
        {
            400: "The body cannot be parsed.",
            401: "The reader's token has expired or is not valid here.",
            404: "`retry_of` names nothing in a conversation of the reader.",
            409: "An answer is still being written in this conversation.",
            413: "The body is too large.",
            422: "The question cannot be asked so; `detail` says where and why.",
            500: "Something went wrong that nobody expected.",
            503: "The book cannot be searched at the moment.",
        }
    ),
}


@router.post("/chat", response_model=ChatResponse, responses=_RESPONSES, openapi_extra=MAY_SIGN_IN)
async def chat(
    body: ChatRequest,
    request: Request,
    services: Annotated[Services, Depends(services)],
    reader: Annotated[str | None, Depends(reader)],
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Answers a question from the book. With `stream` or `Accept: text/event-stream`: the events `start`, `progress`,
    `sources`, `delta`, `citation`, then `done` (the whole answer) or `error` (a problem)."""
    turn = await services.chat.begin(await _prepared(services.chat, body, reader or ""))
    if body.stream or "text/event-stream" in accept:
        return streams(request).response(_told(services.chat, turn))
    answer = await streams(request).result(request, _folded(services.chat, turn))
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


async def _prepared(chat: ChatService, body: ChatRequest, owner: str) -> Turn:
    if body.retry_of is not None:
        if body.thread_id is None:
            raise BadQuestion("retry_of names a message of a conversation: send its thread_id too.")
        turn = await chat.prepare_retry(body.thread_id, body.retry_of, owner=owner)
        if turn.asked.text != body.query:
            raise BadQuestion("retry_of asks the same question again: send it as query, or leave retry_of out.")
        return turn
    wanted = body.scope.model_dump() if body.scope else {}
    asked = QuestionItem(
        id=uuid4().hex,
        created_at=datetime.now(UTC),
        text=body.query,
        page=body.page,
        selection=body.selection,
        scope=WantedScope(**wanted),
    )
    return await chat.prepare(asked, owner=owner, thread_id=body.thread_id)


async def _folded(chat: ChatService, turn: Turn) -> ChatResponse:
    async with aclosing(chat.answer(turn, whole=True)) as events:
        async for event in events:
            if isinstance(event, TurnDone):
                return as_response(event.answer, turn.thread.id, turn.message_id)
    raise AnswerCutShort("the answer's events ended without TurnDone")


async def _told(chat: ChatService, turn: Turn) -> AsyncGenerator[bytes, None]:
    """The events on the wire. Ends with `done` or `error`, unless the reader has left."""
    yield _event("start", {"thread_id": turn.thread.id, "message_id": turn.message_id})
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
            return _event("sources", {"sources": event.sources})
        case TextDelta():
            return _event("delta", {"text": event.text})
        case CitationMade():
            return _event("citation", {"at": event.at, **as_citation(event.citation).model_dump()})
        case TurnDone():
            return _event("done", as_response(event.answer, turn.thread.id, turn.message_id))
        case _:
            assert_never(event)


def _event(name: str, data: BaseModel | dict[str, Any]) -> bytes:
    return format_sse_event(event=name, data_str=_json.dump_json(data).decode())
