"""The promises of `Generator`, over the fake and the clients of services against their wires."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from chatbot_api.errors import AnswerCutShort, ModelError, ModelUnavailable
from chatbot_api.models.domain import Prompt, Usage
from chatbot_api.ports import Generator
from chatbot_api.services.openai_service import OpenAIClient, OpenAIGenerator
from chatbot_api.testing import ScriptedGenerator
from tests import openai_server
from tests.contract.test_embedders import gemini
from tests.gemini_server import GeminiServer, error, event
from tests.loopback import Break
from tests.openai_server import OpenAIServer, chunk, usage

PROMPT = Prompt(system="Answer.", history=(), user="What is a topic?")


class FakeWorld:
    """Makes the fake do what the test asks for."""

    @asynccontextmanager
    async def says(self, pieces: Sequence[str]) -> AsyncGenerator[Generator, None]:
        yield ScriptedGenerator(pieces)

    @asynccontextmanager
    async def fails_at_once(self) -> AsyncGenerator[Generator, None]:
        yield ScriptedGenerator(error=ModelUnavailable("down"))

    @asynccontextmanager
    async def breaks_off(self) -> AsyncGenerator[Generator, None]:
        yield ScriptedGenerator(["One "], error=AnswerCutShort("cut"))


class GeminiWorld:
    @asynccontextmanager
    async def says(self, pieces: Sequence[str]) -> AsyncGenerator[Generator, None]:
        async with self._server(*[event(piece) for piece in pieces], event(None, finish="STOP")) as generator:
            yield generator

    @asynccontextmanager
    async def fails_at_once(self) -> AsyncGenerator[Generator, None]:
        async with self._server(error(503, "UNAVAILABLE", "overloaded"), status=503) as generator:
            yield generator

    @asynccontextmanager
    async def breaks_off(self) -> AsyncGenerator[Generator, None]:
        async with self._server(event("One "), Break.RESET) as generator:
            yield generator

    @asynccontextmanager
    async def _server(self, *steps: Any, status: int = 200) -> AsyncGenerator[Generator, None]:
        async with GeminiServer() as server:
            server.reply(*steps, status=status)
            service = gemini(server.url)
            yield service.generators[0]
            await service.close()


class OpenAIWorld:
    @asynccontextmanager
    async def says(self, pieces: Sequence[str]) -> AsyncGenerator[Generator, None]:
        async with self._server(*map(chunk, pieces), chunk(None, finish="stop"), usage(7, 3)) as generator:
            yield generator

    @asynccontextmanager
    async def fails_at_once(self) -> AsyncGenerator[Generator, None]:
        async with self._server(openai_server.error("overloaded", "server_error"), status=503) as generator:
            yield generator

    @asynccontextmanager
    async def breaks_off(self) -> AsyncGenerator[Generator, None]:
        async with self._server(chunk("One "), Break.RESET) as generator:
            yield generator

    @asynccontextmanager
    async def _server(self, *steps: Any, status: int = 200) -> AsyncGenerator[Generator, None]:
        async with OpenAIServer(key=None) as server:
            server.reply(*steps, status=status)
            client = OpenAIClient(server.url, None)
            yield OpenAIGenerator(client, "qwen3:8b", timeout=10, first_chunk_timeout=10, chunk_timeout=10)
            await client.close()


World = FakeWorld | GeminiWorld | OpenAIWorld


@pytest.fixture(params=[FakeWorld, GeminiWorld, OpenAIWorld], ids=["fake", "gemini", "openai"])
def world(request: pytest.FixtureRequest) -> World:
    return request.param()  # type: ignore[no-any-return]  # one of those above


async def test_the_pieces_come_in_order_and_none_is_empty(world: World) -> None:
    async with world.says(["One ", "two ", "three."]) as generator:
        pieces = [piece async for piece in generator.stream(PROMPT) if isinstance(piece, str)]

    assert "".join(pieces) == "One two three."
    assert all(pieces)


async def test_the_usage_comes_last_where_it_is_told(world: World) -> None:
    async with world.says(["One ", "two ", "three."]) as generator:
        *pieces, last = [piece async for piece in generator.stream(PROMPT)]

    assert all(isinstance(piece, str) for piece in pieces)
    assert isinstance(last, str | Usage)


async def test_a_failure_before_the_first_piece_is_a_model_error(world: World) -> None:
    async with world.fails_at_once() as generator:
        with pytest.raises(ModelError) as caught:
            _ = [piece async for piece in generator.stream(PROMPT)]

    assert not isinstance(caught.value, AnswerCutShort)


async def test_a_failure_after_the_first_piece_is_an_answer_cut_short(world: World) -> None:
    async with world.breaks_off() as generator:
        pieces = generator.stream(PROMPT)
        first = await anext(pieces)
        with pytest.raises(AnswerCutShort):
            _ = [piece async for piece in pieces]

    assert first == "One "


async def test_a_stream_can_be_left_early(world: World) -> None:
    before = asyncio.all_tasks()
    async with world.says(["One ", "two ", "three."]) as generator:
        async with aclosing(generator.stream(PROMPT)) as pieces:
            async for _ in pieces:
                break
        await generator.close()
        await generator.close()

    assert asyncio.all_tasks() <= before
