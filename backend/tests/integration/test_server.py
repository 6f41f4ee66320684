"""A real server on a real socket: what only a connection can show."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest
import uvicorn

from chatbot_api.config import Settings
from chatbot_api.main import create_app
from chatbot_api.models.domain import Prompt, Usage
from chatbot_api.testing import ScriptedGenerator
from tests.unit.test_main import World

STREAMED = {"query": "topic", "stream": True}


@asynccontextmanager
async def served(world: World) -> AsyncGenerator[httpx.AsyncClient, None]:
    config = uvicorn.Config(create_app(world.settings, world.open), port=0, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.should_exit = True
    await task


@pytest.fixture
async def world() -> World:
    world = World()
    await world.fill()
    return world


async def test_words_arrive_while_the_model_is_still_writing(world: World) -> None:
    world.model = ScriptedGenerator(["Nodes ", "publish."], gate=1)
    async with (
        served(world) as client,
        client.stream("POST", "/chat", json={"query": "topic", "stream": True}) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data:") and "Nodes" in line:
                break

        assert not world.model.stopped.is_set()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reader_who_leaves_stops_the_model(world: World, stream: bool) -> None:
    world.model = ScriptedGenerator(["Nodes ", "publish."], gate=1)
    async with served(world) as client:
        asking = asyncio.create_task(client.post("/chat", json={"query": "topic", "stream": stream}))
        await world.model.waiting.wait()

        asking.cancel()

        await asyncio.wait_for(world.model.stopped.wait(), timeout=20)


class Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class SlowToStop(ScriptedGenerator):
    """As a model is whose connection has to be closed: that takes more than one turn of the event loop."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        try:
            async with aclosing(super().stream(prompt)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            for _ in range(5):
                await asyncio.sleep(0)


async def test_a_reader_who_leaves_is_no_error(world: World) -> None:
    world.model = SlowToStop(["Nodes ", "publish."], gate=1)
    errors = Errors()
    async with served(world) as client:
        logging.getLogger().addHandler(errors)
        async with client.stream("POST", "/chat", json=STREAMED) as response:
            async for line in response.aiter_lines():
                if line == "event: delta":
                    break
        await asyncio.wait_for(world.model.stopped.wait(), timeout=20)

    assert errors.messages == []


async def test_a_silent_stream_is_kept_alive(world: World) -> None:
    world.settings = Settings(keep_alive_seconds=0.01)
    world.model = ScriptedGenerator(["Nodes "], gate=0)
    comments = 0
    async with (
        served(world) as client,
        client.stream("POST", "/chat", json={"query": "topic", "stream": True}) as response,
    ):
        async for line in response.aiter_lines():
            comments += line.startswith(":")
            if comments == 3:
                break

    assert comments == 3


async def test_a_hundred_readers_at_once_each_get_their_own_answer(world: World) -> None:
    async with served(world) as client:
        answers = await asyncio.gather(*(client.post("/chat", json={"query": f"topic {n}"}) for n in range(100)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["thread_id"] for answer in answers}) == 100
    assert len({answer.headers["x-request-id"] for answer in answers}) == 100


async def test_every_frame_of_a_stream_is_one_event(world: World) -> None:
    world.model = ScriptedGenerator(["Line one\n\nline two\r\n", "data: not an event\n\n", "\u2028 end [1]."])
    async with served(world) as client:
        response = await client.post("/chat", json={"query": "topic", "stream": True})

    frames = response.content.decode().strip().split("\n\n")
    done = json.loads(frames[-1].split("data: ", 1)[1])
    deltas = [json.loads(f.split("data: ", 1)[1])["text"] for f in frames if f.startswith("event: delta")]
    assert all(frame.startswith("event: ") for frame in frames)
    assert "".join(deltas).strip() == done["response"]
