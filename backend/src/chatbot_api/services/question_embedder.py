"""An `Embedder` as readers' questions meet it: quick, and sparing with what a service allows."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from chatbot_api.errors import EmbedderLimited, EmbedderUnavailable
from chatbot_api.models.domain import Quota, Remark, TitledText, Vector
from chatbot_api.ports import Embedder
from chatbot_api.services.rest import rest_seconds

_QUICK: Final = 1.5
"""Seconds within which a failure is worth a second try: a reader is waiting."""
_PAUSE: Final = 0.1


class QuestionEmbedder:
    """Remembers vectors, asks once for equal questions that come together, tries a quick failure once more, and leaves
    a service alone that has just failed."""

    def __init__(
        self, embedder: Embedder, *, remembered: int = 1_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`remembered`: how many vectors; the least recently asked for is forgotten first."""
        self._embedder = embedder
        self._remembered = remembered
        self._clock = clock
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Vector]] = {}
        self._rests_until = 0.0
        self._failure: EmbedderUnavailable | None = None

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def batch_size(self) -> int:
        return self._embedder.batch_size

    @property
    def quota(self) -> Quota | None:
        return self._embedder.quota

    async def embed_question(self, text: str) -> Vector:
        key = " ".join(text.split())
        if (vector := self._vectors.get(key)) is not None:
            self._vectors.move_to_end(key)
            return vector
        if key not in self._asking:
            if self._failure is not None and self._clock() < self._rests_until:
                raise EmbedderUnavailable(f"not asked, since it has just failed: {self._failure}") from self._failure
            self._asking[key] = asyncio.create_task(self._ask(text))
            self._asking[key].add_done_callback(lambda done: self._keep(key, done))
        # A reader who gives up leaves the vector to whoever asks next.
        return await asyncio.shield(self._asking[key])

    async def embed_passages(self, texts: Sequence[TitledText]) -> list[Vector]:
        return await self._embedder.embed_passages(texts)

    async def check(self) -> Sequence[Remark]:
        return await self._embedder.check()

    async def close(self) -> None:
        for asking in list(self._asking.values()):
            asking.cancel()
        await self._embedder.close()

    async def _ask(self, text: str) -> Vector:
        begun = self._clock()
        try:
            return await self._embedder.embed_question(text)
        except EmbedderUnavailable as exc:
            if not exc.retryable or isinstance(exc, EmbedderLimited) or self._clock() - begun > _QUICK:
                raise
        await asyncio.sleep(_PAUSE)
        return await self._embedder.embed_question(text)

    def _keep(self, key: str, done: asyncio.Task[Vector]) -> None:
        del self._asking[key]
        if done.cancelled():
            return
        failure = done.exception()
        if failure is None:
            self._failure = None
            self._vectors[key] = array("d", done.result())
            if len(self._vectors) > self._remembered:
                self._vectors.popitem(last=False)
        elif isinstance(failure, EmbedderUnavailable) and (rest := rest_seconds(failure)):
            self._failure, self._rests_until = failure, self._clock() + rest
