"""The promises of `Generator`, over the fake and Gemini's client against its wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from chatbot_api.errors import AnswerCutShort, ModelError, ModelUnavailable
from chatbot_api.models.domain import Prompt
from chatbot_api.ports import Generator
from chatbot_api.testing import ScriptedGenerator
from tests.contract.test_embedders import gemini
from tests.gemini_server import Break, GeminiServer, error, event

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
            yield service.generator
            await service.close()


@pytest.fixture(params=[FakeWorld, GeminiWorld], ids=["fake", "gemini"])
def world(request: pytest.FixtureRequest) -> FakeWorld | GeminiWorld:
    return request.param()  # type: ignore[no-any-return]  # one of the two above


async def test_the_pieces_come_in_order_and_none_is_empty(world: FakeWorld | GeminiWorld) -> None:
    async with world.says(["One ", "two ", "three."]) as generator:
        pieces = [piece async for piece in generator.stream(PROMPT)]

    assert "".join(pieces) == "One two three."
    assert all(pieces)


async def test_a_failure_before_the_first_piece_is_a_model_error(world: FakeWorld | GeminiWorld) -> None:
    async with world.fails_at_once() as generator:
        with pytest.raises(ModelError) as caught:
            _ = [piece async for piece in generator.stream(PROMPT)]

    assert not isinstance(caught.value, AnswerCutShort)


async def test_a_failure_after_the_first_piece_is_an_answer_cut_short(world: FakeWorld | GeminiWorld) -> None:
    async with world.breaks_off() as generator:
        pieces = generator.stream(PROMPT)
        first = await anext(pieces)
        with pytest.raises(AnswerCutShort):
            await anext(pieces)

    assert first == "One "


async def test_a_stream_can_be_left_early(world: FakeWorld | GeminiWorld) -> None:
    before = asyncio.all_tasks()
    async with world.says(["One ", "two ", "three."]) as generator:
        async with aclosing(generator.stream(PROMPT)) as pieces:
            async for _ in pieces:
                break
        await generator.close()
        await generator.close()

    assert asyncio.all_tasks() <= before
