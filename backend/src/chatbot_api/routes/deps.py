"""What routes depend on."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response, Security
from fastapi.security import HTTPBearer

from chatbot_api.bootstrap import Services
from chatbot_api.errors import NotSignedIn
from chatbot_api.routes.streaming import Streams

_TOKEN: Final = HTTPBearer(
    scheme_name="reader",
    bearerFormat="JWT",
    description="A reader's token: from `POST /session`, or from the accounts of the site.",
    auto_error=False,
)
MAY_SIGN_IN: Final[dict[str, Any]] = {"security": [{}, {"reader": []}]}
"""`openapi_extra` of a route that does with and without a token."""


async def services(request: Request) -> Services:
    """Opened by the app's lifespan. Async, since FastAPI sends what is not to a thread."""
    return request.app.state.services  # type: ignore[no-any-return]  # put there by the lifespan


def streams(request: Request) -> Streams:
    return request.app.state.streams  # type: ignore[no-any-return]  # put there by the lifespan


async def no_store(response: Response) -> None:
    """What belongs to one reader is for no cache."""
    response.headers["Cache-Control"] = "no-store"


async def authorization(request: Request) -> str | None:
    """The header as it came. Two of them make one that nobody can read."""
    given = request.headers.getlist("authorization")
    return ", ".join(given) if given else None


async def reader(
    services: Annotated[Services, Depends(services)],
    authorization: Annotated[str | None, Depends(authorization)],
) -> str | None:
    """The reader's id; None without a token. For routes that do without, where readers without an account may ask."""
    reader = await services.readers.who(authorization)
    if reader is None and not services.settings.anonymous_readers:
        raise NotSignedIn("readers without an account are not served here")
    return reader


async def known_reader(
    reader: Annotated[str | None, Depends(reader)],
    _: Annotated[object, Security(_TOKEN)],  # which names the token in the OpenAPI document
) -> str:
    if reader is None:
        raise NotSignedIn("the request came without a token")
    return reader
