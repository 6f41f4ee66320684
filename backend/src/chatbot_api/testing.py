"""A fake for every port, for our tests and for those of anyone who builds on us. Held to the same contract suites."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from chatbot_api.answering.text import words
from chatbot_api.errors import AskbookError, BadEntry, EmbedderUnavailable, IndexBusy, IndexCorrupt, IndexMissing
from chatbot_api.models.domain import (
    Candidates,
    Entry,
    Hit,
    Manifest,
    PageSummary,
    Passage,
    Prompt,
    Quota,
    Remark,
    Scope,
    SearchQuery,
    TitledText,
    Usage,
    Vector,
)
from chatbot_api.models.paths import ancestors
from chatbot_api.services.payload import check_entries


class HashEmbedder:
    """Texts that share words get vectors that are near. `error` makes it fail, `asked` counts texts."""

    batch_size = 16

    def __init__(self, *, model: str = "hash", dimensions: int = 64, quota: Quota | None = None) -> None:
        self.quota = quota
        self.model = model
        self.dimensions = dimensions
        self.error: EmbedderUnavailable | None = None
        self.asked: list[str] = []

    async def embed_question(self, text: str) -> Vector:
        return self._embed(text)

    async def embed_passages(self, texts: Sequence[TitledText]) -> list[Vector]:
        return [self._embed(f"{text.title}\n{text.text}") for text in texts]

    async def check(self) -> Sequence[Remark]:
        if self.error is not None:
            raise self.error
        return [Remark(self.model)]

    async def close(self) -> None:
        """Holds nothing."""

    def _embed(self, text: str) -> Vector:
        if self.error is not None:
            raise self.error
        self.asked.append(text)
        vector = [0.0] * self.dimensions
        for word in words(text) or [text]:
            digest = hashlib.sha256(word.encode()).digest()
            vector[int.from_bytes(digest[:4], "big") % self.dimensions] += 1.0
        norm = math.sqrt(sum(value * value for value in vector))
        return [value / norm for value in vector]


class ScriptedGenerator:
    """Says its pieces, then raises `error` where there is one. `gate` holds it before the piece of that index."""

    def __init__(
        self,
        pieces: Sequence[str | Usage] = (),
        *,
        error: AskbookError | None = None,
        gate: int | None = None,
        model: str = "scripted",
    ) -> None:
        self.model = model
        self.pieces = list(pieces)
        self.error = error
        self.prompts: list[Prompt] = []
        self.waiting = asyncio.Event()
        """Set when the gate is reached."""
        self.stopped = asyncio.Event()
        """Set when a stream is over, to its end or not."""
        self._gate = gate

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        self.prompts.append(prompt)
        try:
            for index, piece in enumerate(self.pieces):
                if index == self._gate:
                    self.waiting.set()
                    await asyncio.Event().wait()
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.stopped.set()

    async def check(self) -> Sequence[Remark]:
        if self.error is not None:
            raise self.error
        return [Remark(self.model)]

    async def close(self) -> None:
        """Holds nothing."""


class MemoryIndex:
    """`VectorStore` and `VectorIndex` over lists. The lexical side counts shared words."""

    lexical: Mapping[str, str | float] = {"tokenizer": "words"}

    def __init__(self) -> None:
        self.published: tuple[Manifest, list[Entry]] | None = None
        self.error: AskbookError | None = None
        """Raised by every reading call, where there is one."""
        self.before: tuple[Manifest, list[Entry]] | None = None
        self.history: list[Manifest] = []
        """Every manifest that was ever published."""
        self._writing = False

    async def manifest(self) -> Manifest:
        return self._current()[0]

    async def search(self, query: SearchQuery) -> Candidates:
        _, entries = self._current()
        inside = [entry for entry in entries if _in_scope(entry.passage, query.scope)]
        asked = set(words(query.text))
        dense = [
            Hit(e.passage, sum(a * b for a, b in zip(query.vector, e.vector, strict=True)))
            for e in inside
            if query.vector is not None and e.vector is not None
        ]
        shared = [Hit(e.passage, float(len(asked & set(words(f"{e.passage.label} {e.passage.text}"))))) for e in inside]
        return Candidates(_best(dense, query.limit), _best([hit for hit in shared if hit.score], query.limit))

    async def pages(self) -> Sequence[PageSummary]:
        first = [entry.passage.its_page() for entry in self._current()[1] if entry.passage.ordinal == 0]
        return sorted(first, key=lambda page: (page.version, page.locale, page.position, page.path))

    async def passages(self, page: PageSummary) -> Sequence[Passage]:
        of_page = [entry.passage for entry in self._current()[1] if entry.passage.its_page() == page]
        return sorted(of_page, key=lambda passage: passage.ordinal)

    async def check(self) -> Sequence[Remark]:
        return [Remark("in memory")]

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None, None]:
        if self._writing:
            raise IndexBusy("another run is writing")
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    async def current(self) -> Manifest | None:
        return self.published[0] if self.published else None

    async def placed(self) -> AsyncGenerator[tuple[str, str], None]:
        for entry in self.published[1] if self.published else []:
            yield entry.passage.id, entry.passage.page

    async def roll_back(self) -> Manifest:
        if self.published is None or self.before is None:
            raise IndexMissing("there is no generation before the current one; run: askbook index SOURCE")
        self.published, self.before = self.before, None
        return self.published[0]

    @asynccontextmanager
    async def generation(self, manifest: Manifest) -> AsyncGenerator[MemoryGeneration, None]:
        yield MemoryGeneration(self, manifest)

    async def close(self) -> None:
        """Holds nothing."""

    def _current(self) -> tuple[Manifest, list[Entry]]:
        if self.error is not None:
            raise self.error
        if self.published is None:
            raise IndexMissing("nothing is indexed yet; run: askbook index SOURCE")
        return self.published


class MemoryGeneration:
    def __init__(self, index: MemoryIndex, manifest: Manifest) -> None:
        self._index = index
        self._manifest = manifest
        self._entries: dict[str, Entry] = {}
        self._published = False

    async def put(self, entries: Sequence[Entry]) -> None:
        if self._published:
            raise BadEntry("this generation is published: nothing can be added to it")
        check_entries(entries, self._manifest)
        self._entries.update({entry.passage.id: entry for entry in entries})

    async def check(self, samples: Sequence[Entry]) -> None:
        for sample in samples:
            if self._entries.get(sample.passage.id) != sample:
                raise IndexCorrupt(f"passage {sample.passage.id} was written but is not found")

    async def publish(self) -> None:
        if len(self._entries) != self._manifest.passages:
            raise IndexCorrupt(f"{len(self._entries)} passages, not {self._manifest.passages}")
        self._published = True
        before = self._index.published
        self._index.before = before if before and before[0].has_vectors else None
        self._index.published = (replace(self._manifest), list(self._entries.values()))
        self._index.history.append(self._manifest)


def _in_scope(passage: Passage, scope: Scope) -> bool:
    return (
        (scope.tags is None or passage.tag in scope.tags)
        and (scope.locale is None or passage.locale == scope.locale)
        and (scope.path_prefix is None or scope.path_prefix in ancestors(passage.page))
        and (scope.up_to_position is None or passage.position <= scope.up_to_position)
    )


def _best(hits: Sequence[Hit], limit: int) -> tuple[Hit, ...]:
    return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))[:limit])
