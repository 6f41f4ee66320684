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
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import urlsplit

from qdrant_indexer.pace import Clock

DAY: Final = 86_400
DAY_BEGINS: Final = 8 * 3_600
"""Midnight in California, in seconds after midnight UTC."""
MODELS: Final = (
    "gemini-embedding-001",
    "gemini-embedding-2",
    "gemini-3.1-flash-lite",
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


class FreePlan:
    """Counts the embedded texts of any 60 seconds and of each day, by a clock that both sides share."""

    def __init__(
        self, clock: Clock, *, texts_per_minute: int = 100, texts_per_day: int = 1_000, plan: str = "FreeTier"
    ) -> None:
        self.texts: Counter[str] = Counter()
        """How often each text was embedded."""
        self.refused = 0
        """How many calls."""
        self._clock = clock
        self._limits = {"Minute": texts_per_minute, "Day": texts_per_day}
        self._plan = plan
        self._calls: list[tuple[float, int]] = []

    def refusal(self, received: Received) -> dict[str, Any] | None:
        """Says no, or takes the texts as embedded."""
        texts = ["".join(part["text"] for part in item["content"]["parts"]) for item in received.body["requests"]]
        now = self._clock.now()
        day_begun = (now - DAY_BEGINS) // DAY * DAY + DAY_BEGINS
        within = {
            "Day": [c for c in self._calls if c[0] >= day_begun],
            "Minute": [c for c in self._calls if c[0] > now - 60],
        }
        for period in ("Day", "Minute"):
            if sum(count for _, count in within[period]) + len(texts) > self._limits[period]:
                self.refused += 1
                # As the service does it: what a used up day says about waiting is as wrong as this.
                delay = 17.0 if period == "Day" else self._until_free(within["Minute"], len(texts), now)
                quota = f"EmbedContentRequestsPer{period}PerProjectPerModel-{self._plan}"
                return error(
                    429,
                    "RESOURCE_EXHAUSTED",
                    f"You exceeded your current quota.\nPlease retry in {delay:.7f}s.",
                    quota_failure(quota, str(self._limits[period])),
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{int(delay)}s"},
                )
        self._calls.append((now, len(texts)))
        self.texts.update(texts)
        return None

    def _until_free(self, calls: list[tuple[float, int]], texts: int, now: float) -> float:
        used = sum(count for _, count in calls)
        for at, count in calls:
            used -= count
            if used + texts <= self._limits["Minute"]:
                return at + 60 - now
        return 60.0


class GeminiServer:
    def __init__(
        self,
        *,
        key: str = "test-key",
        answer: Sequence[str] = ("The book ", "says so."),
        plan: FreePlan | None = None,
    ) -> None:
        self.plan = plan
        self.requests: list[Received] = []
        self.date = ""
        """What the `Date` header says; none where it is empty."""
        self.connections = 0
        """How many were ever opened."""
        self.asked = asyncio.Event()
        """Set by the first request."""
        self.client_left = asyncio.Event()
        """Set when a client closes its connection in the middle of a reply."""
        self.nobody_connected = asyncio.Event()
        self._refuses: tuple[Callable[[Received], bool], dict[str, Any]] | None = None
        self._once: dict[str, tuple[int, tuple[Step, ...]]] = {}
        self._always: dict[str, tuple[int, tuple[Step, ...]]] = {}
        self._key = key
        self._answer = answer
        self._scripts: deque[tuple[int, tuple[Step, ...]]] = deque()
        self._open: set[asyncio.StreamWriter] = set()

    def reply(self, *steps: Step, status: int = 200) -> None:
        """Scripts the next request that has no script yet."""
        self._scripts.append((status, steps))

    def always(self, call: str, *steps: Step, status: int = 200, model: str = "") -> None:
        """Scripts every request of this call, for one model or for all, that has no script of its own."""
        self._always[f"{model}:{call}"] = (status, steps)

    def once(self, call: str, *steps: Step, status: int = 200) -> None:
        """Scripts the next request of this call."""
        self._once[call] = (status, steps)

    def refuse_if(self, condition: Callable[[Received], bool], fault: dict[str, Any]) -> None:
        """From now on, whatever meets the condition is answered with this error."""
        self._refuses = (condition, fault)

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
        begin = await reader.readexactly(1)
        if begin == b"\x16":  # of TLS, which is not spoken here
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return False
        received = await _receive(begin, reader)
        self.requests.append(received)
        self.asked.set()
        status, steps = self._scripts.popleft() if self._scripts else self._unscripted(received)
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
                        writer.write(self._headers(status, received.streams))
                        sent_headers = True
                    writer.write(b"%x\r\n%b\r\n" % (len(data), data) if data else b"")
                    await writer.drain()
        writer.write((b"" if sent_headers else self._headers(status, received.streams)) + b"0\r\n\r\n")
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

    def _headers(self, status: int, streams: bool) -> bytes:
        kind = "text/event-stream" if streams and status == 200 else "application/json; charset=UTF-8"
        dated = f"Date: {self.date}\r\n" if self.date else ""
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n{dated}"
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()

    def _unscripted(self, received: Received) -> tuple[int, tuple[Step, ...]]:
        if received.call in self._once:
            return self._once.pop(received.call)
        asked = received.path.rpartition("/")[2]
        lasting = self._always.get(asked) or self._always.get(f":{received.call}")
        return lasting or self._healthy(received)

    def _healthy(self, received: Received) -> tuple[int, tuple[Step, ...]]:
        fault = _fault(received, self._key)
        if self._refuses is not None and self._refuses[0](received):
            fault = self._refuses[1]
        if fault is not None:
            return fault["error"]["code"], (fault,)
        match received.call:
            case "models" if name := received.path.partition("/models/")[2]:
                return 200, ({"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]},)
            case "models":
                return 200, ({"models": [{"name": f"models/{name}"} for name in MODELS]},)
            case "batchEmbedContents" if self.plan is not None and (refusal := self.plan.refusal(received)):
                return 429, (refusal,)
            case "batchEmbedContents":
                return 200, ({"embeddings": [{"values": vector_of(item)} for item in received.body["requests"]]},)
            case "generateContent":
                return 200, (event("".join(self._answer), finish="STOP"),)
            case "streamGenerateContent":
                return 200, (*(event(piece) for piece in self._answer), event("", finish="STOP"))
        return 404, (error(404, "NOT_FOUND", "Not found."),)


USAGE: Final = {"promptTokenCount": 100, "candidatesTokenCount": 7, "thoughtsTokenCount": 3, "totalTokenCount": 110}


def event(text: str | None, *, finish: str | None = None, thought: bool = False) -> dict[str, Any]:
    """One partial response; without content where the text is None."""
    candidate: dict[str, Any] = {"index": 0}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text} | ({"thought": True} if thought else {})]}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "test"}


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
    if received.call == "models" and not received.path.rpartition("/models")[2]:
        return None
    version, _, model = received.path.strip("/").partition("/models/")
    if model.partition(":")[0] not in MODELS:
        return error(404, "NOT_FOUND", f"models/{model} is not found for API version {version}.")
    if received.call == "batchEmbedContents":
        return _embedding_fault(received.body.get("requests", []), f"models/{model.rpartition(':')[0]}")
    if received.call == "models":
        return None
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


async def _receive(begin: bytes, reader: asyncio.StreamReader) -> Received:
    head = (begin + await reader.readuntil(b"\r\n\r\n")).decode("ascii")
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


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_not = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()
