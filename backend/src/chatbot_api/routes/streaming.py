"""Server-sent events that outlive their reader by as long as it takes to keep what was said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any, Final, TypeVar

from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from chatbot_api.errors import AnswerCutShort

T = TypeVar("T")

_STILL_HERE: Final = format_sse_event(comment="still here")
_HEADERS: Final = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


class Streams:
    """The streams under way. Each is written in a task of its own, into a queue without a bound.

    When a reader leaves, Starlette cancels whatever is awaited while it sends, and again until nothing is: an answer
    that was written there could not be kept, nor one whose reader is slow. A task is cancelled once, wherever it is.
    """

    def __init__(self, *, keep_alive_seconds: float) -> None:
        self._keep_alive_seconds = keep_alive_seconds
        self._tasks: set[asyncio.Task[Any]] = set()

    def response(
        self, events: AsyncGenerator[bytes, None], *, still_here: Callable[[], bytes] = lambda: b""
    ) -> Response:
        """Begins at once. The events are closed when they end, when the reader leaves, and with the app. While none
        comes, `still_here` is told, or where that is empty, a comment."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        task = self._begun(_written(events, queue))
        return _Stream(task, self._told(task, queue, still_here))

    async def result(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """Of work whose result is sent whole; it is stopped when the reader leaves, and with the app."""
        working, leaving = self._begun(work), asyncio.create_task(_left(request))
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise AnswerCutShort("the reader left")
            return await working
        finally:
            leaving.cancel()
            _stop(working)
            await asyncio.wait((working, leaving))

    async def close(self) -> None:
        """Stops what is under way, and waits until it is kept."""
        while self._tasks:
            await asyncio.sleep(0)  # lets each one begin: what was never begun would be dropped, not closed
            for task in self._tasks:
                _stop(task)
            await asyncio.wait(self._tasks)

    def _begun(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _told(
        self, task: asyncio.Task[None], queue: asyncio.Queue[bytes | None], still_here: Callable[[], bytes]
    ) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._keep_alive_seconds):
                    event = await queue.get()
            except TimeoutError:
                yield still_here() or _STILL_HERE
                continue
            if event is None:
                await task
                return
            yield event


class _Stream(EventSourceResponse):
    def __init__(self, task: asyncio.Task[None], events: AsyncIterator[bytes]) -> None:
        super().__init__(events, headers=_HEADERS)
        self._task = task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with suppress(ClientDisconnect):  # which servers of ASGI 2.4 tell in this way
                await super().__call__(scope, receive, send)
        finally:
            _stop(self._task)


async def _written(events: AsyncGenerator[bytes, None], queue: asyncio.Queue[bytes | None]) -> None:
    try:
        async with aclosing(events):
            async for event in events:
                queue.put_nowait(event)
    finally:
        queue.put_nowait(None)


def _stop(task: asyncio.Task[Any]) -> None:
    """A second cancellation would interrupt what is done at the end."""
    if not task.cancelling():
        task.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
