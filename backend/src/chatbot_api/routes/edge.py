"""The edge of the app, before any route: bodies that are too large or not text, and the last resort for errors."""

from __future__ import annotations

import logging
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatbot_api.routes.errors import as_http, problem

logger = logging.getLogger(__name__)


class Bodies:
    """Reads a request's body whole, up to the limit, and refuses what is not UTF-8: every body here is JSON text."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        body = bytearray()
        more = not (declared.isdecimal() and int(declared) > self._max_bytes)
        too_large = not more
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            too_large = len(body) > self._max_bytes
            more = message.get("more_body", False) and not too_large
        if too_large:
            text = f"The request is larger than {self._max_bytes} bytes."
            wrong = problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", text)
            await as_http(wrong)(scope, receive, send)
            return
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            place = {"type": "not_utf8", "loc": ["body"], "msg": "The body is not UTF-8 text."}
            wrong = problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", [place])
            await as_http(wrong)(scope, receive, send)
            return
        await self._app(scope, _replay(bytes(body), receive), send)


class LastResort:
    """Whatever nobody expected becomes a logged cause and a 500 that tells nothing; inside CORS, so that it arrives."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception:  # the one place that must catch everything: it is logged whole, and answered
            logger.exception("unexpected error path=%s", scope.get("path"))
            if started or scope["type"] != "http":
                raise
            wrong = problem(500, "internal", "Something went wrong on our side. Please try again.")
            await as_http(wrong)(scope, receive, send)


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
