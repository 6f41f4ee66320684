"""Logs and request ids. Set up once, by `main` and by the command; no other module configures anything."""

from __future__ import annotations

import logging
import logging.config
import re
from contextvars import ContextVar
from typing import Any, Final, Literal
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

request_id: ContextVar[str] = ContextVar("request_id", default="-")

QUIET: Final = (
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "google_genai",
    "google",
    "alembic",
    "chatkit",
    "openai",
)
"""Libraries of which only warnings are told."""
_HEADER: Final = "X-Request-ID"
_ACCEPTED: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIds:
    """Gives every request an id, the caller's where it is a harmless one, and sends it back with the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(_HEADER, "")
        identity = given if _ACCEPTED.fullmatch(given) else uuid4().hex
        token = request_id.set(identity)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[_HEADER] = identity
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            request_id.reset(token)


def set_up_logging(level: str, style: Literal["text", "json"]) -> None:
    formatters: dict[str, Any] = {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s request_id=%(request_id)s"},
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
        },
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"request_id": {"()": _WithRequestId}},
            "formatters": {style: formatters[style]},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": style, "filters": ["request_id"]}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            # What libraries say about their own requests can hold addresses and keys.
            "loggers": {name: {"level": "WARNING"} for name in QUIET},
        }
    )


class _WithRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True
