"""`POST /chatkit`: the protocol of OpenAI's ChatKit, for its clients."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response

from chatbot_api import chatkit_bridge
from chatbot_api.bootstrap import Services
from chatbot_api.routes.deps import known_reader, streams
from chatbot_api.routes.errors import as_http, described, places, problem

if TYPE_CHECKING:
    from chatbot_api.chatkit_bridge.server import Bridge

_PROBLEMS: Final = described(
    {
        400: "The body is not a request of ChatKit.",
        401: "A reader's token is needed, has expired or is not valid here.",
        404: "The thread or item does not exist, or it is another reader's.",
        422: "The request is not served here, or not so.",
        503: "Conversations cannot be kept or read at the moment.",
    }
)
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "params"],
                    "properties": {
                        "type": {"type": "string"},
                        "params": {"type": "object"},
                        "metadata": {"type": "object"},
                    },
                }
            }
        },
    }
}
router = APIRouter(responses=_PROBLEMS)


class BridgeOpener:
    """Opens the bridge once, when it is first asked for: its library takes a second to import."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._opening: asyncio.Task[Bridge] | None = None

    async def bridge(self) -> Bridge:
        if self._opening is None:
            services = self._services
            opening = asyncio.to_thread(chatkit_bridge.opened, services.chat, services.rag, services.threads)
            self._opening = asyncio.create_task(opening)
        return await asyncio.shield(self._opening)


@router.post("/chatkit", response_class=Response, openapi_extra=_BODY)
async def chatkit(
    request: Request,
    reader: Annotated[str, Depends(known_reader)],
    askbook_page: Annotated[str | None, Header(description="Path of the page the reader is on.")] = None,
    accept_language: Annotated[str, Header()] = "",
) -> Response:
    """Requests and events are those of `openai-chatkit`."""
    opener: BridgeOpener = request.app.state.chatkit
    bridge = await opener.bridge()
    try:
        served = await bridge.serve(
            await request.body(), owner=reader, page=askbook_page or None, languages=accept_language
        )
    except chatkit_bridge.Malformed as exc:
        return as_http(problem(HTTPStatus.BAD_REQUEST, "invalid_request", places(exc.places)))
    if isinstance(served, bytes):
        return Response(served, media_type="application/json", headers={"Cache-Control": "no-store"})
    return streams(request).response(served.frames, still_here=served.still_here)
