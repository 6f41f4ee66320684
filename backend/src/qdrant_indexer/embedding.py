"""The vectors of a whole book: batch by batch, at the service's pace, kept as they come. Nothing is paid for twice."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any, Final

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from chatbot_api.errors import DayUsedUp, EmbedderDenied, EmbedderLimited, EmbedderUnavailable, TextRefused
from chatbot_api.models.domain import TitledText, Vector
from chatbot_api.ports import Embedder
from qdrant_indexer.chunking import estimate_tokens
from qdrant_indexer.pace import Pace, Room
from qdrant_indexer.vector_cache import VectorCache

logger = logging.getLogger(__name__)

_TRIES: Final = 7
_LONGEST_PAUSE: Final = 60
_TOKENS_A_CALL: Final = 8_000
_HARMLESS: Final = TitledText("", "A page of this book.")

Keyed = tuple[bytes, TitledText]
"""A text under its key in the vector cache."""


class BulkEmbedding:
    def __init__(
        self, embedder: Embedder, cache: VectorCache, pace: Pace, on_progress: Callable[[int, float, float], None]
    ) -> None:
        """`on_progress` is told how many texts are done, in how many seconds the others will be, and how many seconds
        it waits now for a quota."""
        self._embedder = embedder
        self._cache = cache
        self._pace = pace
        self._on_progress = on_progress
        self.made = 0
        """Vectors, until now."""
        self._begun = pace.clock.now()
        self._done = 0
        self._tokens = 0

    async def run(self, texts: Iterator[Keyed], total: int) -> None:
        """Puts the vectors of all texts into the cache, and notes there which texts the service refused.

        Raises `EmbedderUnavailable` where it cannot go on: `DayUsedUp` until tomorrow, `EmbedderDenied` until the
        owner has mended something. What was made until then is kept.
        """
        groups: deque[list[Keyed]] = deque()
        try:
            while group := groups.popleft() if groups else list(islice(texts, self._embedder.batch_size)):
                batch, later = _cut(group, await self._room(group[0][1], total), self._tokens_of)
                if later:
                    groups.appendleft(later)
                try:
                    vectors = await self._asked([text for _, text in batch])
                except EmbedderLimited as exc:
                    groups.appendleft(batch)
                    self._pace.obey(exc)
                except TextRefused as exc:
                    if len(batch) == 1:
                        await self._refused(batch[0][0], exc)
                    else:  # one of them stands in the way of the others
                        half = len(batch) // 2
                        groups.extendleft((batch[half:], batch[:half]))
                else:
                    self._kept(batch, vectors, total)
        except DayUsedUp as exc:
            raise DayUsedUp(exc.limit, exc.until, embedded=self.made, remaining=total - self._done) from exc

    async def _room(self, first: TitledText, total: int) -> Room:
        tokens = self._tokens_of(first)
        if (wait := self._pace.waiting(tokens)) > 0:
            self._tell(total, wait)
        room = await self._pace.room(tokens)
        return Room(room.texts, min(room.tokens, _TOKENS_A_CALL))

    async def _asked(self, texts: Sequence[TitledText]) -> list[Vector]:
        patiently = AsyncRetrying(
            stop=stop_after_attempt(_TRIES),
            wait=wait_random_exponential(max=_LONGEST_PAUSE),
            retry=retry_if_exception(_may_pass),
            sleep=self._pace.clock.sleep,
            before_sleep=lambda state: logger.warning("embedding failed, trying again cause=%s", _cause(state.outcome)),
            reraise=True,
        )
        return await patiently(self._embedder.embed_passages, texts)

    async def _refused(self, key: bytes, refusal: TextRefused) -> None:
        if not self._done:
            try:
                await self._asked([_HARMLESS])
            except TextRefused as exc:
                raise EmbedderDenied(f"{exc}, whatever the text; check the model and its dimensions") from exc
        logger.warning("a text was refused, its words alone will be searched cause=%s", refusal)
        self._cache.refuse(key)
        self._done += 1

    def _kept(self, batch: Sequence[Keyed], vectors: Sequence[Vector], total: int) -> None:
        self._cache.put({key: vector for (key, _), vector in zip(batch, vectors, strict=True)})
        tokens = sum(self._tokens_of(text) for _, text in batch)
        self._pace.sent(Room(len(batch), tokens))
        self.made += len(batch)
        self._done += len(batch)
        self._tokens += tokens
        self._tell(total)

    def _tell(self, total: int, waiting: float = 0.0) -> None:
        left = total - self._done
        by_limits = self._pace.seconds(left, left * self._tokens // max(self._done, 1))
        by_speed = (self._pace.clock.now() - self._begun) / max(self._done, 1) * left
        self._on_progress(self._done, max(by_limits, by_speed), waiting)

    def _tokens_of(self, text: TitledText) -> int:
        quota = self._embedder.quota
        tokens = estimate_tokens(f"{text.title} {text.text}")
        return min(tokens, quota.tokens_per_text) if quota and quota.tokens_per_text else tokens


def _cut(group: list[Keyed], room: Room, tokens_of: Callable[[TitledText], int]) -> tuple[list[Keyed], list[Keyed]]:
    """As many as there is room for, at least one; and the others."""
    taken, tokens = 1, tokens_of(group[0][1])
    while taken < min(len(group), room.texts):
        tokens += tokens_of(group[taken][1])
        if tokens > room.tokens:
            break
        taken += 1
    return group[:taken], group[taken:]


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, EmbedderUnavailable) and error.retryable and not isinstance(error, EmbedderLimited)


def _cause(outcome: Future[Any] | None) -> object:
    return outcome.exception() if outcome is not None else None
