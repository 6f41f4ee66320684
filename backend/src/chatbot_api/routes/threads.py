"""A reader's conversations, for clients that do not speak ChatKit: `/threads` and `/feedback`."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query

from chatbot_api.bootstrap import Services
from chatbot_api.models.chat_models import (
    ConversationModel,
    ExportModel,
    FeedbackRequest,
    ThreadsModel,
    as_conversation,
    as_thread,
)
from chatbot_api.models.domain import Feedback
from chatbot_api.routes.deps import known_reader, no_store, services
from chatbot_api.routes.errors import described

_PROBLEMS: Final = described(
    {
        401: "A reader's token is needed, has expired or is not valid here.",
        404: "It does not exist, or it is another reader's.",
        422: "An id or a number is not one.",
        503: "Conversations cannot be kept or read at the moment.",
    }
)
router = APIRouter(responses=_PROBLEMS, dependencies=[Depends(no_store)])

_Id = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
_After = Annotated[str | None, Query(pattern=r"^[0-9a-f]{32}$", description="The last id of the part before.")]
_Limit = Annotated[int, Query(ge=1, le=100)]
_Reader = Annotated[str, Depends(known_reader)]
_Services = Annotated[Services, Depends(services)]


@router.get("/threads", response_model=ThreadsModel)
async def list_threads(services: _Services, reader: _Reader, limit: _Limit = 20, after: _After = None) -> ThreadsModel:
    """The reader's conversations, the one that was asked in last first."""
    found = await services.threads.list_threads(reader, limit=limit, after=after)
    return ThreadsModel(threads=[as_thread(thread) for thread in found.entries], has_more=found.has_more)


@router.delete("/threads", status_code=HTTPStatus.NO_CONTENT)
async def forget(services: _Services, reader: _Reader) -> None:
    """Removes everything that is kept of the reader."""
    await services.archive.forget(reader)


@router.get("/threads/export", response_model=ExportModel)
async def export(services: _Services, reader: _Reader) -> ExportModel:
    """Every conversation of the reader, with what was asked, said and thought of it."""
    kept = [as_conversation(had.thread, had.items, had.feedback) async for had in services.archive.export(reader)]
    return ExportModel(threads=kept)


@router.get("/threads/{thread_id}", response_model=ConversationModel)
async def get_thread(
    thread_id: _Id, services: _Services, reader: _Reader, limit: _Limit = 50, after: _After = None
) -> ConversationModel:
    """A conversation and what was said in it, oldest first."""
    thread = await services.threads.get_thread(thread_id, owner=reader)
    items = await services.threads.list_items(thread_id, owner=reader, limit=limit, after=after)
    feedback = await services.threads.list_feedback(thread_id, owner=reader)
    return as_conversation(thread, items.entries, feedback, has_more=items.has_more)


@router.delete("/threads/{thread_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_thread(thread_id: _Id, services: _Services, reader: _Reader) -> None:
    """Its words are gone at once, even if an answer is being written in it."""
    await services.threads.delete_thread(thread_id, owner=reader)


@router.post("/feedback", status_code=HTTPStatus.NO_CONTENT)
async def feedback(body: FeedbackRequest, services: _Services, reader: _Reader) -> None:
    """What a reader thinks of an answer. The last word counts; null takes it back."""
    given = Feedback(body.kind, datetime.now(UTC), body.comment) if body.kind else None
    await services.threads.put_feedback(body.thread_id, body.message_id, given, owner=reader)
