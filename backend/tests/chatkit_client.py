"""A ChatKit client for tests. It sends what any client may send, and believes no reply that is not one of the SDK's own
types, whole and with nothing besides."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import httpx
from chatkit.types import (
    Annotation,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ErrorEvent,
    Page,
    Thread,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    UserMessageItem,
    WorkflowItem,
)
from pydantic import TypeAdapter

from chatbot_api.main import create_app
from chatbot_api.models.domain import Entry, Passage, Prompt, Usage
from chatbot_api.testing import ScriptedGenerator
from tests.conftest import manifest
from tests.unit.test_main import BOOK, World

T = TypeVar("T")
EVENT: Final[TypeAdapter[ThreadStreamEvent]] = TypeAdapter(ThreadStreamEvent)
THREAD: Final = TypeAdapter(Thread)
THREADS: Final = TypeAdapter(Page[Thread])
ITEMS: Final = TypeAdapter(Page[ThreadItem])
_OUR_ID: Final = re.compile(r"(wf_)?[0-9a-f]{32}")
_FRAME: Final = re.compile(rb"data: (\{.*\})\n\n")


@dataclass
class Site(World):
    """An app over fakes and over any book."""

    book: Sequence[Passage] = field(default_factory=lambda: BOOK)

    async def fill(self) -> None:
        entries = [Entry(passage, await self.embedder.embed_question(passage.text)) for passage in self.book]
        async with self.index.generation(manifest(passages=len(entries))) as generation:
            await generation.put(entries)
            await generation.publish()


class HeldGenerator(ScriptedGenerator):
    """Waits before the piece of index `hold` until `go` is set, or is left."""

    def __init__(self, pieces: Sequence[str], *, hold: int) -> None:
        super().__init__(pieces)
        self.go = asyncio.Event()
        self._hold = hold

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        self.prompts.append(prompt)
        try:
            for index, piece in enumerate(self.pieces):
                if index == self._hold:
                    self.waiting.set()
                    await self.go.wait()
                yield piece
        finally:
            self.stopped.set()


@asynccontextmanager
async def door(world: World) -> AsyncGenerator[httpx.AsyncClient, None]:
    """The app's public side. What escapes it, escapes here too."""
    app = create_app(world.settings, world.open)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://askbook.example") as http,
    ):
        yield http


async def new_reader(http: httpx.AsyncClient) -> ChatKit:
    return ChatKit(http, (await http.post("/session")).json()["token"])


def message(text: str = "What is a topic?", **changes: Any) -> dict[str, Any]:
    """The `input` of a request that asks something."""
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "inference_options": {}, **changes}


class ChatKit:
    """One reader's."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self.http = http
        self.headers = {"Authorization": f"Bearer {token}"}

    async def post(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        sent = {"Content-Type": "application/json", **self.headers, **(headers or {})}
        return await self.http.post("/chatkit", content=body, headers=sent)

    async def send(
        self, operation: str, params: Any, *, headers: dict[str, str] | None = None, **besides: Any
    ) -> httpx.Response:
        return await self.post(json.dumps({"type": operation, "params": params, **besides}).encode(), headers)

    async def told(self, operation: str, params: Any, *, headers: dict[str, str] | None = None, **besides: Any) -> Told:
        return Told(await self.send(operation, params, headers=headers, **besides))

    async def create(self, text: str = "What is a topic?", **changes: Any) -> Told:
        return await self.told("threads.create", {"input": message(text, **changes)})

    async def add(self, thread_id: str, text: str = "What is an action?", **changes: Any) -> Told:
        return await self.told("threads.add_user_message", {"thread_id": thread_id, "input": message(text, **changes)})

    async def retry(self, thread_id: str, item_id: str) -> Told:
        return await self.told("threads.retry_after_item", {"thread_id": thread_id, "item_id": item_id})

    async def thread(self, thread_id: str) -> Thread:
        return reply(await self.send("threads.get_by_id", {"thread_id": thread_id}), THREAD)

    async def threads(self, **params: Any) -> Page[Thread]:
        return reply(await self.send("threads.list", params), THREADS)

    async def items(self, thread_id: str, **params: Any) -> Page[ThreadItem]:
        return reply(await self.send("items.list", {"thread_id": thread_id, **params}), ITEMS)

    async def page(self, operation: str, **params: Any) -> Page[Thread] | Page[ThreadItem]:
        return await (self.threads if operation == "threads.list" else self.items)(**params)

    async def rename(self, thread_id: str, title: str) -> Thread:
        return reply(await self.send("threads.update", {"thread_id": thread_id, "title": title}), THREAD)

    async def delete(self, thread_id: str) -> None:
        assert (await self.send("threads.delete", {"thread_id": thread_id})).content == b"{}"

    async def rate(self, thread_id: str, item_ids: list[str], kind: str = "positive") -> httpx.Response:
        return await self.send("items.feedback", {"thread_id": thread_id, "item_ids": item_ids, "kind": kind})


class Told:
    """A stream that was read to its end."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        self.text = response.text
        self.events = list(events(response.content))

    @property
    def types(self) -> list[str]:
        """Of the events, one a run."""
        types = [
            event.update.type if isinstance(event, ThreadItemUpdatedEvent) else event.type for event in self.events
        ]
        return [kind for at, kind in enumerate(types) if types[at - 1 : at] != [kind]]

    @property
    def error(self) -> ErrorEvent | None:
        """The last event, where it is one. There is none before."""
        assert not any(isinstance(event, ErrorEvent) for event in self.events[:-1])
        return event if isinstance(event := self.events[-1], ErrorEvent) else None

    @property
    def thread_id(self) -> str:
        return self.of(ThreadItemAddedEvent)[0].item.thread_id

    @property
    def question(self) -> UserMessageItem:
        return self._done(UserMessageItem)

    @property
    def workflow(self) -> WorkflowItem:
        return self._done(WorkflowItem)

    @property
    def answer(self) -> AssistantMessageItem:
        return self._done(AssistantMessageItem)

    @property
    def answered(self) -> str:
        """The text of the answer."""
        return self.answer.content[0].text

    @property
    def deltas(self) -> str:
        return "".join(update.delta for update in self.updates(AssistantMessageContentPartTextDelta))

    @property
    def annotations(self) -> list[Annotation]:
        """Those that were streamed."""
        told = self.updates(AssistantMessageContentPartAnnotationAdded)
        assert [update.annotation_index for update in told] == list(range(len(told)))
        return [update.annotation for update in told]

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def updates(self, kind: type[T]) -> list[T]:
        return [event.update for event in self.of(ThreadItemUpdatedEvent) if isinstance(event.update, kind)]

    def _done(self, kind: type[T]) -> T:
        (item,) = [event.item for event in self.of(ThreadItemDoneEvent) if isinstance(event.item, kind)]
        return item


def reply(response: httpx.Response, kind: TypeAdapter[T]) -> T:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    return _whole(response.content, kind)


def events(body: bytes) -> Iterator[ThreadStreamEvent]:
    """Comments, which keep a connection open, are none."""
    at = 0
    while at < len(body):
        frame = _FRAME.match(body, at)
        assert frame is not None, body[at : at + 80]
        yield _whole(frame[1], EVENT)
        at = frame.end()


def _whole(text: bytes, kind: TypeAdapter[T]) -> T:
    """Read as the SDK's type, which holds all that was sent; times are UTC, and ids too long to be guessed or given
    twice, as the SDK's own are not."""
    value = kind.validate_json(text)
    assert json.loads(kind.dump_json(value, by_alias=True, exclude_none=True)) == json.loads(text)
    for name, found in _members(json.loads(text)):
        if name == "created_at":
            assert datetime.fromisoformat(found).utcoffset() == timedelta(0), found
        if name in ("id", "item_id", "thread_id", "after") and found not in ("this_page", "whole_book"):
            assert _OUR_ID.fullmatch(found), found
    return value


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _members(each)
