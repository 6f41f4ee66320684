"""`GET /entities`: pages to mention while a question is typed. No model, no search."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from chatbot_api.answering import links
from chatbot_api.answering.mentions import mentioned
from chatbot_api.bootstrap import Services
from chatbot_api.models.chat_models import EntitiesModel, EntityModel
from chatbot_api.models.domain import WantedScope
from chatbot_api.routes.deps import services

router = APIRouter()
_Word = Annotated[str | None, Query(min_length=1, max_length=100)]


@router.get("/entities", response_model=EntitiesModel)
async def entities(
    services: Annotated[Services, Depends(services)],
    q: Annotated[str, Query(max_length=200)] = "",
    version: _Word = None,
    locale: _Word = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> EntitiesModel:
    """Pages by the first letters of their titles; of the latest versions and the default locale, unless asked for
    others."""
    catalog = await services.rag.catalog()
    pages = mentioned(catalog.within(WantedScope(version=version, locale=locale)), q, limit)
    site_url = services.settings.site_url or (await services.rag.manifest()).site_url
    return EntitiesModel(
        entities=[
            EntityModel(
                id=page.path,
                title=page.title,
                group=" / ".join(page.breadcrumbs),
                url=links.page_url(page, site_url),
            )
            for page in pages
        ]
    )
