"""Gemini's REST wire on a loopback socket: healthy until a test says otherwise.

    async with GeminiServer() as server:
        server.reply(event("Half an ans"), Break.HANG)
        ...
        assert server.requests[0].body["contents"]

It refuses what the real service refuses, with the real service's words, so that a wrong request fails a test.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import json
import random
import re
import socket
import struct
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import urlsplit

MODELS: Final = (
    "gemini-embedding-001",
    "gemini-embedding-2",
    "gemini-3.5-flash-lite",
    "gemini-3.5-flash",
    "gemini-3.8-flash",
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemma-4",
)


class Break(enum.Enum):
    HANG = "say nothing more until the client leaves"
    CUT = "close the connection in the middle of the body"
    RESET = "reset the connection"


Step = bytes | Mapping[str, Any] | asyncio.Event | float | Break
"""What a scripted reply does next: send bytes, send JSON (an event, where the call streams), wait for an event or for
seconds, break.

Headers go out with the first bytes, so a break before them is a break before the headers.
"""


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any
    """Parsed, with names in camelCase, which the service takes as well as snake_case."""

    @property
    def call(self) -> str:
        """`embedContent` and so on; `models` for the list."""
        return self.path.rpartition(":")[2] if ":" in self.path else "models"

    @property
    def streams(self) -> bool:
        return self.call == "streamGenerateContent"


class GeminiServer:
    def __init__(self, *, key: str = "test-key", answer: Sequence[str] = ("The book ", "says so.")) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        """How many were ever opened."""
        self.client_left = asyncio.Event()
        """Set when a client closes its connection in the middle of a reply."""
        self.nobody_connected = asyncio.Event()
        self._key = key
        self._answer = answer
        self._scripts: deque[tuple[int, tuple[Step, ...]]] = deque()
        self._open: set[asyncio.StreamWriter] = set()

    def reply(self, *steps: Step, status: int = 200) -> None:
        """Scripts the next request that has no script yet."""
        self._scripts.append((status, steps))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        if self._open:
            await self.nobody_connected.wait()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        self.nobody_connected.clear()
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            writer.close()
            self._open.discard(writer)
            if not self._open:
                self.nobody_connected.set()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """True while the connection can be used again."""
        received = await _receive(reader)
        self.requests.append(received)
        status, steps = self._scripts.popleft() if self._scripts else self._healthy(received)
        sent_headers = False
        for step in steps:
            match step:
                case asyncio.Event():
                    if not await self._wait(step.wait(), reader):
                        return False
                case float():
                    if not await self._wait(asyncio.sleep(step), reader):
                        return False
                case Break.HANG:
                    return await self._wait(asyncio.Event().wait(), reader)
                case Break.CUT:
                    return False
                case Break.RESET:
                    _reset(writer)
                    return False
                case _:
                    data = step if isinstance(step, bytes) else _encode(step, received.streams and status == 200)
                    if not sent_headers:
                        writer.write(_headers(status, received.streams))
                        sent_headers = True
                    writer.write(b"%x\r\n%b\r\n" % (len(data), data) if data else b"")
                    await writer.drain()
        writer.write((b"" if sent_headers else _headers(status, received.streams)) + b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _wait(self, time: Coroutine[Any, Any, Any], reader: asyncio.StreamReader) -> bool:
        """False where the client left first. A client that waits for a reply sends nothing, so any read is its end."""
        leaving = asyncio.create_task(reader.read(1))
        waiting = asyncio.create_task(time)
        await asyncio.wait({leaving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            waiting.cancel()
            with suppress(ConnectionError):
                leaving.result()
            self.client_left.set()
            return False
        leaving.cancel()
        await asyncio.wait({leaving})
        return True

    def _healthy(self, received: Received) -> tuple[int, tuple[Step, ...]]:
        fault = _fault(received, self._key)
        if fault is not None:
            return fault["error"]["code"], (fault,)
        match received.call:
            case "models":
                return 200, ({"models": [{"name": f"models/{name}"} for name in MODELS]},)
            case "batchEmbedContents":
                return 200, ({"embeddings": [{"values": vector_of(item)} for item in received.body["requests"]]},)
            case "generateContent":
                return 200, (event("".join(self._answer), finish="STOP"),)
            case "streamGenerateContent":
                return 200, (*(event(piece) for piece in self._answer), event("", finish="STOP"))
        return 404, (error(404, "NOT_FOUND", "Not found."),)


def event(text: str | None, *, finish: str | None = None, thought: bool = False) -> dict[str, Any]:
    """One partial response; without content where the text is None."""
    candidate: dict[str, Any] = {"index": 0}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text} | ({"thought": True} if thought else {})]}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": {"totalTokenCount": 7}, "modelVersion": "test"}


def blocked(reason: str = "SAFETY") -> dict[str, Any]:
    return {"promptFeedback": {"blockReason": reason}, "modelVersion": "test"}


def error(code: int, status: str, message: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def quota_failure(quota: str, value: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.QuotaFailure"
    return {"@type": kind, "violations": [{"quotaId": quota, "quotaValue": value}]}


def embeddings(*vectors: Sequence[float | str | None]) -> dict[str, Any]:
    return {"embeddings": [{"values": list(vector)} for vector in vectors]}


def vector_of(item: Mapping[str, Any]) -> list[float]:
    """Made of the text alone, and not of unit length: equal texts, equal vectors."""
    text = "".join(part["text"] for part in item["content"]["parts"])
    numbers = random.Random(hashlib.sha256(text.encode()).digest())  # noqa: S311 - not for secrets
    return [round(numbers.gauss(0, 0.02), 8) for _ in range(item.get("outputDimensionality", 3072))]


def _fault(received: Received, key: str) -> dict[str, Any] | None:
    """What the real service would say against the request."""
    if "x-goog-api-key" not in received.headers:
        return error(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
    if received.headers["x-goog-api-key"] != key:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return _bad("API key not valid. Please pass a valid API key.", info)
    deadline = received.headers.get("x-server-timeout", "60")
    if int(deadline) < 10:
        return _bad(f"Manually set deadline {deadline}s is too short. Minimum allowed deadline is 10s.")
    if received.call == "models":
        return None
    version, _, model = received.path.strip("/").partition("/models/")
    if model.rpartition(":")[0] not in MODELS:
        return error(404, "NOT_FOUND", f"models/{model} is not found for API version {version}.")
    if received.call == "batchEmbedContents":
        return _embedding_fault(received.body.get("requests", []), f"models/{model.rpartition(':')[0]}")
    thinking = received.body.get("generationConfig", {}).get("thinkingConfig", {})
    if {"thinkingBudget", "thinkingLevel"} <= thinking.keys():
        return _bad("You can only set only one of thinking budget and thinking level.")
    return None


def _embedding_fault(items: Sequence[Mapping[str, Any]], model: str) -> dict[str, Any] | None:
    if not items:
        return _bad("BatchEmbedContentsRequest.requests: unexpected empty list")
    if len(items) > 100:
        return _bad("BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch")
    for item in items:
        if item.get("model") != model:
            return _bad("BatchEmbedContentsRequest.requests.model: must match the model of the batch")
        if not all(part.get("text") for part in item["content"]["parts"]):
            return _bad("EmbedContentRequest.content contains an empty Part.")
        if "title" in item and item.get("taskType") != "RETRIEVAL_DOCUMENT":
            return _bad("title is only valid with the task type RETRIEVAL_DOCUMENT")
    return None


def _bad(message: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    return error(400, "INVALID_ARGUMENT", message, *details)


async def _receive(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    return Received(method, url.path, url.query, headers, _camel(json.loads(body)) if body else None)


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub("_([a-z])", lambda found: found[1].upper(), name): _camel(item) for name, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value


def _encode(step: Mapping[str, Any], streams: bool) -> bytes:
    return b"data: %b\r\n\r\n" % json.dumps(step).encode() if streams else json.dumps(step, indent=2).encode()


def _headers(status: int, streams: bool) -> bytes:
    kind = "text/event-stream" if streams and status == 200 else "application/json; charset=UTF-8"
    reason = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_not = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()
