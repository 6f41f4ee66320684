"""Many readers at one real server, each on a socket of its own, which each may drop at any moment and in any way."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket
import struct
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final, Literal, cast

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy.pool import QueuePool
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatbot_api.bootstrap import Services
from chatbot_api.config import Settings
from chatbot_api.errors import ModelError, ThreadBusy
from chatbot_api.main import create_app
from chatbot_api.models.domain import Prompt, Remark, Usage
from chatbot_api.routes.streaming import Streams
from chatbot_api.services.chat_service import ChatService
from chatbot_api.services.thread_service import ThreadService
from chatbot_api.testing import over
from tests.unit.test_main import World

Face = Literal["chat", "chatkit"]
FACES: Final[tuple[Face, ...]] = ("chat", "chatkit")
_SMALL: Final = 2_048
"""Bytes that wait for a slow reader in each of the places where they can."""
TOO_LONG: Final = 120
"""Seconds after which something will never happen."""


# The model --------------------------------------------------------------------------------------------


class Script:
    """What is written to one reader, in pieces."""

    def __init__(
        self, pieces: Sequence[str], *, error: ModelError | None = None, ahead: float = math.inf, turns: int = 0
    ) -> None:
        """`ahead`: how many characters more than the reader has heard can be written. `turns`: how often the others
        have theirs before each piece."""
        self.pieces = pieces
        self.error = error
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        """Set when the stream is closed, to its end or not."""
        self.heard = 0
        self._changed = asyncio.Event()
        self._ahead = ahead
        self._turns = turns
        self._written = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def hear(self, text: str) -> None:
        self.heard += len(text)
        self._changed.set()

    async def wait_for_reader(self, piece: str) -> None:
        for _ in range(self._turns):
            await asyncio.sleep(0)
        while self._written - self.heard > self._ahead:
            self._changed.clear()
            await self._changed.wait()
        self._written += len(piece)


class Writers:
    """A model that writes to each reader as the script for the question says."""

    model = "scripted"

    def __init__(self) -> None:
        self.scripts: defaultdict[str, Script] = defaultdict(lambda: Script(["A node publishes ", "messages [1]."]))
        self.asked: list[str] = []
        self.open = 0
        """Streams that are not closed."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        question = prompt.user.rsplit("\n", 1)[-1]
        script = self.scripts[question]
        self.asked.append(question)
        self.open += 1
        try:
            script.begun.set()
            for piece in script.pieces:
                await script.wait_for_reader(piece)
                yield piece
            if script.error is not None:
                raise script.error
        finally:
            try:
                for _ in range(5):  # as closing a connection takes a moment
                    await asyncio.sleep(0)
            finally:
                self.open -= 1
                script.over.set()

    async def check(self) -> Sequence[Remark]:
        return []

    async def close(self) -> None:
        """Holds nothing."""


# The server -------------------------------------------------------------------------------------------


class Door:
    """Who is connected. To some the server can send but little before it has to wait for them."""

    def __init__(self) -> None:
        self.came = 0
        self.here = 0
        self.slow: dict[int, asyncio.Event] = {}
        """By their ports: set while the server waits for them, and when it has no more for them."""
        self.changed = asyncio.Event()

    def protocol(self) -> type[HttpToolsProtocol]:
        door = self

        class Protocol(HttpToolsProtocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                door.came += 1
                door.here += 1
                self.waits: asyncio.Event | None = None
                peer = transport.get_extra_info("peername")
                if peer is not None and peer[1] in door.slow:
                    self.waits = door.slow[peer[1]]
                    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL)
                    transport.set_write_buffer_limits(high=_SMALL)

            def pause_writing(self) -> None:
                super().pause_writing()
                if self.waits is not None:
                    self.waits.set()

            def on_response_complete(self) -> None:
                super().on_response_complete()
                if self.waits is not None:
                    self.waits.set()

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                door.here -= 1
                door.changed.set()
                if self.waits is not None:
                    self.waits.set()

        return Protocol


class Log(logging.Handler):
    """What went wrong, and whatever the app warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.name.startswith("chatbot_api"):
            self.lines.append(f"{record.levelname} {record.name} {self.format(record)}")


@dataclass
class House:
    """A running server and what it stands on."""

    server: uvicorn.Server
    app: FastAPI
    port: int
    door: Door
    writers: Writers
    threads: ThreadService
    log: Log
    serving: asyncio.Task[None]
    dropped: int = 0
    """Connections that the readers have made, of which each was dropped or has ended."""

    @property
    def streams(self) -> Streams:
        return self.app.state.streams  # type: ignore[no-any-return]  # put there by the lifespan

    @property
    def handlers(self) -> set[asyncio.Task[None]]:
        """Of requests."""
        return self.server.server_state.tasks

    async def quiet(self) -> None:
        """Waits until everybody has left and nothing is done for them any more."""
        async with asyncio.timeout(TOO_LONG):
            while self.door.came < self.dropped or self.door.here:
                self.door.changed.clear()
                await self.door.changed.wait()
        await self.idle()

    async def idle(self) -> None:
        """Waits until nothing is done for anybody."""
        async with asyncio.timeout(TOO_LONG):
            while tasks := self.handlers | self.streams._tasks:
                await asyncio.wait(tasks)

    async def connections_in_use(self) -> int:
        """To the database."""
        database = await self.threads._opened()
        return cast("QueuePool", database._engine.pool).checkedout()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[httpx.AsyncClient, None]:
        """One that stays to the end."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=TOO_LONG) as client:
            yield client
        self.dropped = self.door.came

    async def stop(self) -> None:
        self.server.should_exit = True
        await self.serving


@asynccontextmanager
async def house(threads: ThreadService, *, patience: int = 5) -> AsyncGenerator[House, None]:
    """Closes the threads with the server. `patience`: seconds for what is under way when it is stopped."""
    world = World(settings=Settings(log_level="warning"))
    await world.fill()
    writers = Writers()

    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncGenerator[Services, None]:
        services = over(settings, world.index, writers, embedder=world.embedder)
        chat = ChatService(services.rag, threads)
        yield replace(services, chat=chat, threads=threads, archive=threads)
        await threads.close()

    app = create_app(world.settings, opened)
    door, log = Door(), Log()
    logging.getLogger().addHandler(log)
    config = uvicorn.Config(
        app,
        port=0,
        log_config=None,
        access_log=False,
        lifespan="on",
        http=door.protocol(),
        timeout_keep_alive=600,
        timeout_graceful_shutdown=patience,
        backlog=2_048,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    running = House(server, app, port, door, writers, threads, log, serving)
    try:
        yield running
    finally:
        await running.stop()
        logging.getLogger().removeHandler(log)


# Readers ----------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What a reader has read of one answer."""

    question: str
    token: str = ""
    status: int = 0
    thread_id: str = ""
    asked: bool = False
    """Whether it was said that the question is kept."""
    text: str = ""
    ended: bool = False
    """Whether the end of the answer was read."""
    error: str = ""
    """What it was told instead of it."""

    @property
    def is_refused(self) -> bool:
        """Whether the thread was busy."""
        return self.error in (ThreadBusy.code, ThreadBusy.public)


class Line:
    """A connection, and the one answer that comes over it."""

    def __init__(self, house: House, face: Face, told: Told, script: Script | None = None) -> None:
        self._house = house
        self._face = face
        self._script = script
        self.told = told

    async def connect(self, *, slow: bool = False) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        self._port = sock.getsockname()[1]
        if slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
            self._house.door.slow[self._port] = asyncio.Event()
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._house.port))
        limit = _SMALL if slow else 65_536
        self._reader, self._writer = await asyncio.open_connection(sock=sock, limit=limit)
        self._house.dropped += 1

    def ask(self, token: str, thread_id: str = "", *, part: float = 1.0) -> None:
        """`part`: how much of the request is sent."""
        body = json.dumps(request(self._face, self.told.question, thread_id)).encode()
        head = [
            f"POST /{self._face} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        sent = "\r\n".join([*head, "", ""]).encode() + body
        self._writer.write(sent[: math.ceil(len(sent) * part)])

    async def frames(self) -> AsyncGenerator[str, None]:
        """Notes what each one tells before it is given out. Only a stream has any."""
        self.told.status = int((await self._reader.readline()).split()[1])
        length = 0
        while line := (await self._reader.readline()).strip().lower():
            if line.startswith(b"content-length: "):
                length = int(line.split()[1])
        if self.told.status != HTTPStatus.OK:
            self.told.error = json.loads(await self._reader.readexactly(length))["code"]
            return
        buffer = b""
        while size := int(await self._reader.readline(), 16):
            buffer += (await self._reader.readexactly(size + 2))[:-2]
            *frames, buffer = buffer.split(b"\n\n")
            for frame in frames:
                self._hear(frame.decode())
                yield frame.decode()

    async def server_waits(self) -> None:
        """Reads nothing until the server can send no more."""
        async with asyncio.timeout(TOO_LONG):
            await self._house.door.slow[self._port].wait()

    async def leave(self, *, reset: bool) -> None:
        if reset:
            linger_not = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
            self._writer.transport.abort()
        else:
            self._writer.close()
        await asyncio.wait([asyncio.ensure_future(self._writer.wait_closed())])

    def _hear(self, frame: str) -> None:
        before = len(self.told.text)
        hear(self._face, self.told, frame)
        if self._script is not None:
            self._script.hear(self.told.text[before:])


def request(face: Face, question: str, thread_id: str = "") -> dict[str, Any]:
    within = {"thread_id": thread_id} if thread_id else {}
    if face == "chat":
        return {"query": question, "stream": True, **within}
    content = [{"type": "input_text", "text": question}]
    params = {"input": {"content": content, "attachments": [], "inference_options": {}}, **within}
    return {"type": "threads.add_user_message" if thread_id else "threads.create", "params": params}


def hear(face: Face, told: Told, frame: str) -> None:
    lines = dict(line.split(": ", 1) for line in frame.split("\n"))
    if "data" in lines:
        (_hear_chat if face == "chat" else _hear_chatkit)(told, lines)


def _hear_chat(told: Told, lines: dict[str, str]) -> None:
    data = json.loads(lines["data"])
    match lines["event"]:
        case "start":
            told.thread_id = data["thread_id"]
            told.asked = True
        case "delta":
            told.text += data["text"]
        case "done":
            told.ended = True
        case "error":
            told.error = data["code"]


def _hear_chatkit(told: Told, lines: dict[str, str]) -> None:
    data = json.loads(lines["data"])
    match data["type"]:
        case "thread.item.done" if data["item"]["type"] == "user_message":
            told.thread_id = data["item"]["thread_id"]
            told.asked = True
        case "thread.item.done" if data["item"]["type"] == "assistant_message":
            told.ended = True
        case "thread.item.updated" if data["update"]["type"] == "assistant_message.content_part.text_delta":
            told.text += data["update"]["delta"]
        case "error":
            told.error = data["message"]
