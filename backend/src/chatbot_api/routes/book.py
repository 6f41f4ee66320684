"""`GET /`: a page to ask from. `GET /read/...`: a page out of the index, where the site itself is not served."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from chatbot_api import __version__
from chatbot_api.answering import links
from chatbot_api.answering.text import inert
from chatbot_api.bootstrap import Services
from chatbot_api.errors import AskbookError, UnknownPage
from chatbot_api.models.chat_models import MAX_QUERY, Config
from chatbot_api.routes.deps import services
from chatbot_api.routes.errors import problem_of

if TYPE_CHECKING:
    import jinja2
    from markdown_it import MarkdownIt

router = APIRouter()

_STATIC: Final = Path(__file__).parent.parent / "static"
_FORMULA: Final = re.compile(r"^\$\$\n(.*?)\n\$\$$", re.MULTILINE | re.DOTALL)
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

static_files = StaticFiles(directory=_STATIC)


@router.get("/", include_in_schema=False)
async def front_page() -> Response:
    return FileResponse(_STATIC / "index.html", headers=_HEADERS)


@router.get("/config", response_model=Config)
async def config(services: Annotated[Services, Depends(services)]) -> Config:
    """What a page that asks may know. Without an index, its versions and locales are empty."""
    try:
        manifest = await services.rag.manifest()
        catalog = await services.rag.catalog()
    except AskbookError:
        site_url, versions, locales = services.settings.site_url, [], []
    else:
        site_url = services.settings.site_url or manifest.site_url
        versions, locales = catalog.versions, catalog.locales
    return Config(
        version=__version__,
        mode="generated" if services.generator else "extractive",
        site_url=site_url,
        versions=versions,
        locales=locales,
        max_query=MAX_QUERY,
        chatkit_domain_key=services.settings.chatkit_domain_key,
    )


@router.get("/read/{path:path}", response_class=HTMLResponse, include_in_schema=False)
async def read(
    path: str,
    services: Annotated[Services, Depends(services)],
    passage: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """The page as it was indexed, the cited passage marked."""
    try:
        page = (await services.rag.catalog()).page(f"/{path}")
        passages = await services.store.passages(page)
    except AskbookError as exc:
        wrong = problem_of(exc)
        status = HTTPStatus.NOT_FOUND if isinstance(exc, UnknownPage) else wrong.status
        html = _template("problem.html").render(title=HTTPStatus(status).phrase, detail=wrong.detail)
        return HTMLResponse(html, status_code=status, headers=_HEADERS)
    sections = [
        {
            "heading": part.headings[-1] if part.headings else "",
            "repeats": index > 0 and passages[index - 1].headings == part.headings,
            "level": min(len(part.headings) + 1, 6),
            "anchor": part.anchor,
            "cited": part.id == passage,
            "html": _markdown().render(inert(_FORMULA.sub(r"```tex\n\1\n```", part.text))),
        }
        for index, part in enumerate(passages)
    ]
    site_url = services.settings.site_url or (await services.store.manifest()).site_url
    html = _template("read.html").render(
        page=page, sections=sections, site_url=links.page_url(page, site_url) if site_url else ""
    )
    return HTMLResponse(html, headers=_HEADERS)


@cache
def _markdown() -> MarkdownIt:
    """Without HTML: the book's text is data here."""
    from markdown_it import MarkdownIt

    live = ["link", "image", "autolink", "html_inline", "reference"]
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(live)


@cache
def _template(name: str) -> jinja2.Template:
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    environment = Environment(loader=FileSystemLoader(_STATIC), autoescape=select_autoescape(["html"]))
    return environment.get_template(name)
