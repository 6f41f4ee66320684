"""`GET /health`: can questions be answered, and how well. `GET /health/live`: is the process there."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from chatbot_api import __version__
from chatbot_api.bootstrap import Services
from chatbot_api.errors import AskbookError
from chatbot_api.models.chat_models import Component, Health, IndexModel
from chatbot_api.routes.deps import services

logger = logging.getLogger(__name__)
router = APIRouter()
_BY_WEIGHT: Final = ("ready", "degraded", "down")


@router.get("/health", response_model=Health, responses={503: {"model": Health}})
async def health(response: Response, services: Annotated[Services, Depends(services)]) -> Health:
    """Ready or degraded: 200. Down: 503, and the component's `detail` names the command that mends it."""
    index = None
    try:
        manifest = await services.rag.manifest()
        index = IndexModel(
            generation=manifest.generation, built_at=manifest.built_at, source_revision=manifest.source_revision
        )
        if manifest.has_vectors:
            found = Component(status="ready", detail=f"{manifest.passages} passages of {manifest.pages} pages")
        else:
            found = Component(
                status="degraded", detail="Vectors are still being made; questions are searched by words."
            )
    except AskbookError as exc:
        logger.warning("index not usable code=%s cause=%s", exc.code, exc)
        found = Component(status="down", detail=exc.public)
    writes = services.generator.model if services.generator else "none: passages are quoted"
    components = {
        "index": found,
        "embedder": _part(services.embedder.model, services.rag.troubles.get("embedder")),
        "answers": _part(writes, services.rag.troubles.get("generator")),
        "conversations": _conversations(services.settings.retention_days, services.chat.trouble),
    }
    worst = max((part.status for part in components.values()), key=_BY_WEIGHT.index)
    if worst == "down":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Health(status=worst, version=__version__, components=components, index=index)


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Says only that the process answers."""
    return {"status": "alive"}


def _conversations(days: int, trouble: AskbookError | None) -> Component:
    if trouble is not None:
        return Component(status="degraded", detail=trouble.public)
    return Component(status="ready", detail=f"kept until nothing was asked for {days} days" if days else "kept")


def _part(name: str, trouble: AskbookError | None) -> Component:
    """A part that answers can do without."""
    if trouble is None:
        return Component(status="ready", detail=name)
    return Component(status="degraded", detail=f"{name}: {trouble.public}")
