"""Errors as RFC 9457 problems: one table of statuses, one way to write them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from chatbot_api.errors import (
    AskbookError,
    BadQuestion,
    DatabaseOutdated,
    IndexError_,
    NotSignedIn,
    ThreadBusy,
    ThreadNotFound,
    UpstreamError,
)
from chatbot_api.models.chat_models import Problem
from chatbot_api.observe import request_id

logger = logging.getLogger(__name__)

STATUSES: Final[tuple[tuple[type[AskbookError], HTTPStatus], ...]] = (
    (BadQuestion, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotSignedIn, HTTPStatus.UNAUTHORIZED),
    (ThreadNotFound, HTTPStatus.NOT_FOUND),
    (ThreadBusy, HTTPStatus.CONFLICT),
    (DatabaseOutdated, HTTPStatus.SERVICE_UNAVAILABLE),
    (IndexError_, HTTPStatus.SERVICE_UNAVAILABLE),
    (UpstreamError, HTTPStatus.SERVICE_UNAVAILABLE),
    (AskbookError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
RETRY_AFTER_SECONDS: Final = 5
_SAID: Final = {"union_tag_invalid": "It is none of the known kinds."}
"""In place of what would repeat what was sent."""
_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_AFTER_SECONDS)},
}


def problem_of(error: AskbookError) -> Problem:
    """What a client may know of the error. A `BadQuestion` speaks to the reader itself; all others are for the log."""
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    return problem(status, error.code, str(error) if isinstance(error, BadQuestion) else error.public)


def problem(status: int, code: str, detail: str | list[dict[str, Any]]) -> Problem:
    return Problem(
        type=f"urn:askbook:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id.get(),
    )


def described(problems: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Problems that a route may answer with, by status, for its OpenAPI document."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": text, "content": content} for status, text in problems.items()}


def as_http(wrong: Problem) -> Response:
    return JSONResponse(
        wrong.model_dump(),
        status_code=wrong.status,
        headers=_HEADERS.get(wrong.status),
        media_type="application/problem+json",
    )


def places(errors: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """FastAPI's list, without what the reader sent and without exceptions in it."""
    return [
        {"type": error["type"], "loc": list(error["loc"]), "msg": _SAID.get(error["type"], error["msg"])}
        for error in errors
    ]


def install(app: FastAPI) -> None:
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
        AskbookError: _ours,
        RequestValidationError: _invalid,
        HTTPException: _http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _ours(_: Request, error: AskbookError) -> Response:
    wrong = problem_of(error)
    if wrong.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("request failed code=%s cause=%s", error.code, error)
    return as_http(wrong)


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    return as_http(problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", places(error.errors())))


async def _http(_: Request, error: HTTPException) -> Response:
    code = HTTPStatus(error.status_code).name.lower()
    response = as_http(problem(error.status_code, code, str(error.detail)))
    response.headers.update(error.headers or {})
    return response
