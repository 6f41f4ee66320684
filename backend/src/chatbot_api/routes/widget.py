"""`GET /askbook.js`: the widget, as `make widget` built it, for any page that wants it."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response

router = APIRouter()

_BUILT: Final = Path(__file__).parent.parent / "static" / "widget"
_HEADERS: Final = {
    # Other sites load it, and its parts as modules, which a browser gets by CORS alone.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    # Its name never changes: a browser may keep it for a few minutes, and then asks whether it is still the same.
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
}


@router.get("/askbook.js", include_in_schema=False)
async def loader() -> Response:
    return _file("askbook.js")


@router.get("/askbook-{part}.js", include_in_schema=False)
async def part(part: Annotated[str, InPath(pattern=r"^[a-z]{1,20}$")]) -> Response:
    """What the loader fetches when it is needed."""
    return _file(f"askbook-{part}.js")


def _file(name: str) -> Response:
    file = _BUILT / name
    if not file.is_file():
        raise HTTPException(HTTPStatus.NOT_FOUND, "The widget has no such part.")
    return FileResponse(file, media_type="text/javascript", headers=_HEADERS)
