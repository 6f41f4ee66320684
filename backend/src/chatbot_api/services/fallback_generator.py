"""Several models as one `Generator`: the first that begins to write writes the whole answer."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final

from chatbot_api.errors import ModelError, ModelRefused, ModelUnavailable
from chatbot_api.models.domain import Prompt, Remark, Usage
from chatbot_api.ports import Generator
from chatbot_api.services.rest import rest_seconds

logger = logging.getLogger(__name__)

_PAUSE: Final = 0.4
"""Seconds, at most, before the only model that is left is asked once more."""


class FallbackGenerator:
    """Asks the models in their order, until one writes its first word; where none did, the first once more. A model
    that failed is left alone for a while. One that refuses ends it: its rules are not to be got around."""

    def __init__(
        self,
        generators: Sequence[Generator],
        *,
        first_word_timeout: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`first_word_timeout`: seconds for all tries together. Raises `ValueError` without a generator."""
        if not generators:
            raise ValueError("at least one generator is needed")
        self._generators = generators
        self._first_word_timeout = first_word_timeout
        self._clock = clock
        self._rests: dict[str, tuple[float, ModelError]] = {}
        """Until when a model is left alone, and why, by its name."""

    @property
    def model(self) -> str:
        return self._generators[0].model

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        first, pieces = await self._begun(prompt)
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    async def check(self) -> Sequence[Remark]:
        """Of every model. Only where the first one is not there does it raise; the others are remarks."""
        remarks = list(await self._generators[0].check())
        for generator in self._generators[1:]:
            try:
                remarks += await generator.check()
            except ModelError as exc:
                remarks.append(Remark(f"the fallback {generator.model} is not there: {exc}", "choose another fallback"))
        return remarks

    async def close(self) -> None:
        for generator in self._generators:
            await generator.close()

    async def _begun(self, prompt: Prompt) -> tuple[str, AsyncGenerator[str | Usage, None]]:
        """The first word, and the stream it came from."""
        now = asyncio.get_running_loop().time
        deadline = now() + self._first_word_timeout
        awake = [generator for generator in self._generators if self._is_awake(generator)]
        failures: list[ModelError] = []
        tries = [*awake, *awake[:1]]
        for attempt, generator in enumerate(tries):
            if attempt == len(awake):
                if not _may_pass(failures[0]):
                    break
                await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - not for secrets
            pieces = generator.stream(prompt)
            try:
                # One that hangs leaves their share of the time to those after it.
                async with asyncio.timeout((deadline - now()) / (len(tries) - attempt)):
                    first = await _first_word(pieces, generator.model)
            except ModelRefused:
                raise
            except (ModelError, TimeoutError) as exc:
                failure = (
                    exc if isinstance(exc, ModelError) else ModelUnavailable(f"{generator.model}: no word in time")
                )
                failures.append(failure)
                self._rests[generator.model] = (self._clock() + rest_seconds(failure), failure)
                logger.warning("model failed before its first word code=%s cause=%s", failure.code, failure)
                continue
            self._rests.pop(generator.model, None)
            return first, pieces
        if failures:
            raise failures[0]
        _, why = self._rests[self.model]
        raise type(why)(f"not asked, since it has just failed: {why}") from why

    def _is_awake(self, generator: Generator) -> bool:
        return generator.model not in self._rests or self._clock() >= self._rests[generator.model][0]


def _may_pass(failure: ModelError) -> bool:
    """Whether another try at once may do better."""
    return type(failure) is ModelUnavailable


async def _first_word(pieces: AsyncGenerator[str | Usage, None], model: str) -> str:
    async for piece in pieces:
        if isinstance(piece, str):
            return piece
        logger.info(
            "model failed at a cost model=%s input_tokens=%d output_tokens=%d",
            piece.model,
            piece.input_tokens,
            piece.output_tokens,
        )
    raise ModelUnavailable(f"{model}: ended without a word")
