"""A vendor's server on a loopback socket: healthy until a test says otherwise. It speaks HTTP and follows scripts; the
vendors are in `gemini_server`, `openai_server` and `qdrant_server`.

    async with GeminiServer() as server:
        server.reply(event("Half an ans"), Break.HANG)
        ...
        assert server.requests[0].body["contents"]
"""

from __future__ import annotations

import asyncio
import enum
import json
import socket
import struct
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import responses
from typing import Any, ClassVar, Self


class Break(enum.Enum):
    HANG = "say nothing more until the client leaves"
    CUT = "close the connection in the middle of the body"
    RESET = "reset the connection"
    LOSE = "do what was asked, then close the connection without a word"


Step = bytes | Mapping[str, Any] | list[Any] | asyncio.Event | float | Break
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


@dataclass(frozen=True, slots=True)
class Reply:
    steps: tuple[Step, ...] = ()
    status: int | None = None
    """None: 200, and where the steps send nothing, what a healthy server says follows them."""
    headers: Mapping[str, str] = field(default_factory=dict)


class LoopbackServer:
    base_path: ClassVar = ""
    json_type: ClassVar = "application/json"
    event_type: ClassVar = "text/event-stream"

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.date = ""
        """What the `Date` header says; none where it is empty."""
        self.connections = 0
        """How many were ever opened."""
        self.asked = asyncio.Event()
        """Set when the first request is here."""
        self.client_left = asyncio.Event()
        """Set when a client closes its connection in the middle of a reply."""
        self.nobody_connected = asyncio.Event()
        self._once: list[tuple[str, Reply]] = []
        self._always: dict[str, Reply] = {}
        """By what is in the path; the longest one counts."""
        self._own_fault: Exception | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = self.origin + self.base_path
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        if self._open:
            await self.nobody_connected.wait()
        await self._server.wait_closed()
        if self._own_fault is not None:  # which would pass for the fault of a connection
            raise self._own_fault

    # The script -----------------------------------------------------------------------------------------

    def reply(self, *steps: Step, status: int = 200, headers: Mapping[str, str] | None = None, at: str = "") -> None:
        """Scripts the next request that has no script yet, and has `at` in its path."""
        self._once.append((at, Reply(steps, status, headers or {})))

    def script_for(self, received: Received) -> Reply:
        for at, reply in self._once:
            if at in received.path:
                self._once.remove((at, reply))
                return reply
        lasting = [at for at in self._always if at in received.path]
        return self._always[max(lasting, key=len)] if lasting else Reply()

    # What differs from vendor to vendor -----------------------------------------------------------------

    async def healthy_reply(self, received: Received) -> Reply:
        """Does what was asked, or refuses it; the reply has a status."""
        raise NotImplementedError

    def streams(self, received: Received) -> bool:
        """Whether a good reply to this is a stream of events."""
        return False

    def decode(self, body: bytes) -> Any:
        return json.loads(body)

    def encode(self, step: object, streams: bool) -> bytes:
        return json.dumps(step).encode()

    # The wire -------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        self.nobody_connected.clear()
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer_one(reader, writer):
                    pass
        except Exception as exc:  # noqa: BLE001  # raised below
            self._own_fault = exc
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
        received = await self._receive(begin, reader)
        self.requests.append(received)
        self.asked.set()
        return await self._play(self.script_for(received), received, reader, writer)

    async def _receive(self, begin: bytes, reader: asyncio.StreamReader) -> Received:
        head = (begin + await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Received(method, path, query, headers, self.decode(body) if body else None)

    async def _play(
        self, reply: Reply, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        status = reply.status or 200
        streams = status == 200 and self.streams(received)
        head = self._head(status, streams, reply.headers)
        for step in reply.steps:
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
                case Break.LOSE:
                    await self.healthy_reply(received)
                    return False
                case _:
                    data = step if isinstance(step, bytes) else self.encode(step, streams)
                    writer.write(head + (b"%x\r\n%b\r\n" % (len(data), data) if data else b""))
                    head = b""
                    await writer.drain()
        if head and reply.status is None:
            healthy = replace(await self.healthy_reply(received), headers=reply.headers)
            return await self._play(healthy, received, reader, writer)
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

    def _head(self, status: int, streams: bool, headers: Mapping[str, str]) -> bytes:
        told = {
            "Content-Type": self.event_type if streams else self.json_type,
            "Transfer-Encoding": "chunked",
            **({"Date": self.date} if self.date else {}),
            **headers,
        }
        # 499 has no name, and `HTTPStatus` would not take it.
        lines = [f"HTTP/1.1 {status} {responses.get(status, '')}", *(f"{name}: {what}" for name, what in told.items())]
        return "\r\n".join([*lines, "", ""]).encode()


def patience(steps: Sequence[Step]) -> float:
    """Seconds for a client to wait: few where nothing comes, and else as many as a busy machine may take."""
    return 1.0 if Break.HANG in steps else 5.0


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_not = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()
