"""The wire of OpenAI-compatible servers on a loopback socket: healthy until a test says otherwise.

    async with OpenAIServer() as server:
        server.reply(chunk("Half an ans"), Break.HANG)
        ...
        assert server.requests[0].body["messages"]

It refuses what real servers refuse, each in the words of one of them, so that a wrong request fails a test.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import json
import random
import socket
import struct
from collections import deque
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self

EMBEDDING_MODELS: Final = {"nomic-embed-text": 768, "bge-m3": 1024}
"""With the length of their vectors."""
ANSWER_MODELS: Final = ("qwen3:8b", "gpt-5.4")


class Break(enum.Enum):
    HANG = "say nothing more until the client leaves"
    CUT = "close the connection in the middle of the body"
    RESET = "reset the connection"


Step = bytes | Mapping[str, Any] | list[Any] | asyncio.Event | float | Break
"""What a scripted reply does next: send bytes, send JSON (an event, where the call streams), wait for an event or for
seconds, break.

Headers go out with the first bytes, so a break before them is a break before the headers.
"""


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any

    @property
    def streams(self) -> bool:
        return bool(self.body) and self.body.get("stream") is True


class OpenAIServer:
    def __init__(
        self,
        *,
        key: str | None = "test-key",
        answer: Sequence[str] = ("The book ", "says so."),
        unwanted: Collection[str] = (),
    ) -> None:
        """`key`: None for a server that wants none; `unwanted`: fields of a chat request that its models refuse."""
        self.requests: list[Received] = []
        self.connections = 0
        """How many were ever opened."""
        self.asked = asyncio.Event()
        """Set when the first request is here."""
        self.client_left = asyncio.Event()
        """Set when a client closes its connection in the middle of a reply."""
        self.nobody_connected = asyncio.Event()
        self._key = key
        self._answer = answer
        self._unwanted = unwanted
        self._scripts: deque[tuple[int, Mapping[str, str], tuple[Step, ...]]] = deque()
        self._open: set[asyncio.StreamWriter] = set()

    def reply(self, *steps: Step, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Scripts the next request that has no script yet."""
        self._scripts.append((status, headers or {}, steps))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = f"{self.origin}/v1"
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
        self.asked.set()
        status, headers, steps = self._scripts.popleft() if self._scripts else self._healthy(received)
        streams = received.streams and status == HTTPStatus.OK
        head = _head(status, streams, headers)
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
                    data = step if isinstance(step, bytes) else _encode(step, streams)
                    writer.write(head + (b"%x\r\n%b\r\n" % (len(data), data) if data else b""))
                    head = b""
                    await writer.drain()
        writer.write(head + b"0\r\n\r\n")
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

    def _healthy(self, received: Received) -> tuple[int, Mapping[str, str], tuple[Step, ...]]:
        fault = self._fault(received)
        if fault is not None:
            status, told = fault
            return status, {}, (told,)
        match received.path:
            case "/v1/models":
                # As Ollama lists them: a name without a tag means the latest.
                names = [*(f"{name}:latest" for name in EMBEDDING_MODELS), *ANSWER_MODELS]
                return 200, {}, ({"object": "list", "data": [{"id": name, "object": "model"} for name in names]},)
            case "/v1/embeddings":
                vectors = [vector_of(received.body["model"], text) for text in received.body["input"]]
                return 200, {}, (embeddings(*vectors),)
        pieces = [chunk(""), *map(chunk, self._answer), chunk(None, finish="stop")]
        told = [usage(7, 3)] if (received.body.get("stream_options") or {}).get("include_usage") else []
        return 200, {}, (*pieces, *told, DONE)

    def _fault(self, received: Received) -> tuple[int, Step] | None:
        """What a real server would say against the request."""
        if (received.method, received.path) not in _CALLS:
            return 404, b"404 page not found"
        if self._key is not None and received.headers.get("authorization") != f"Bearer {self._key}":
            return 401, error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
        if received.method == "GET":
            return None
        if received.headers.get("content-type") != "application/json":
            return 415, error("Unsupported Media Type: Only 'application/json' is allowed", "BadRequestError")
        models = EMBEDDING_MODELS if received.path == "/v1/embeddings" else ANSWER_MODELS
        if received.body.get("model") not in models:
            return 404, error(f"The model `{received.body.get('model')}` does not exist.", "NotFoundError", 404)
        told = _embedding_fault(received.body) if models is EMBEDDING_MODELS else self._chat_fault(received.body)
        return None if told is None else (400, told)

    def _chat_fault(self, body: Mapping[str, Any]) -> Step | None:
        for name in body:
            if name in self._unwanted:
                what = f"Unsupported parameter: '{name}' is not supported with this model."
                return error(what, "invalid_request_error", "unsupported_parameter", param=name)
            if name not in _CHAT_FIELDS:
                return error(f"Unrecognized request argument supplied: {name}", "invalid_request_error")
        if not body.get("messages") or body["messages"][-1].get("role") != "user":
            return error("Conversation roles must alternate user/assistant", "BadRequestError", 400)
        if not all(said["role"] in ("system", "user", "assistant") and said["content"] for said in body["messages"]):
            return error("Input should be a valid role with content", "invalid_request_error")
        if "stream_options" in body and not body.get("stream"):
            return error("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "BadRequestError")
        if {"max_tokens", "max_completion_tokens"} <= body.keys():
            return error("Setting 'max_tokens' and 'max_completion_tokens' at the same time.", "invalid_request_error")
        return None


_CALLS: Final = (("GET", "/v1/models"), ("POST", "/v1/embeddings"), ("POST", "/v1/chat/completions"))
_CHAT_FIELDS: Final = frozenset(
    {"model", "messages", "temperature", "max_tokens", "max_completion_tokens", "stream", "stream_options"}
)

DONE: Final = b"data: [DONE]\n\n"


def chunk(text: str | None, *, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One piece of an answer."""
    choice = {"index": 0, "delta": {"content": text, **delta}, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def usage(read: int, wrote: int) -> dict[str, Any]:
    """The last event where `include_usage` was asked for: it has no choice."""
    told = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": told}


def error(message: str, kind: str | None, code: str | int | None = None, *, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def embeddings(*vectors: Sequence[float | str | None]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": place, "embedding": list(vector)} for place, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def vector_of(model: str, text: str) -> list[float]:
    """Made of the text alone, and not of unit length: equal texts, equal vectors."""
    numbers = random.Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())  # noqa: S311 - no secret
    return [round(numbers.gauss(0, 0.02), 8) for _ in range(EMBEDDING_MODELS[model])]


def _embedding_fault(body: Mapping[str, Any]) -> Step | None:
    texts = body.get("input")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        return error("'$.input' is invalid.", "invalid_request_error")
    if len(texts) > 2048:
        return error("'$.input' is too long: at most 2048 items", "invalid_request_error")
    if body.get("encoding_format") not in ("float", "base64"):
        return error("encoding_format must be float or base64", "invalid_request_error", param="encoding_format")
    if "dimensions" in body:
        return error(f'Model "{body["model"]}" does not support matryoshka representation', "BadRequestError", 400)
    return None


async def _receive(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, json.loads(body) if body else None)


def _encode(step: object, streams: bool) -> bytes:
    data = json.dumps(step, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b"data: %b\n\n" % data if streams else data


def _head(status: int, streams: bool, headers: Mapping[str, str]) -> bytes:
    kind = "text/event-stream; charset=utf-8" if streams else "application/json"
    fields = {"Content-Type": kind, "Transfer-Encoding": "chunked", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode()


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_not = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()
