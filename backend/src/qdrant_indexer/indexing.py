"""An index run: read, cut, compare, embed what is new, build a generation, publish it, report.

A run changes nothing that a reader sees before `publish`. Vectors go into the cache batch by batch, so a run that ends
early, however it ends, is continued by the next one.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Final, Literal, Self, TypeVar
from uuid import uuid4

from chatbot_api.errors import IndexCorrupt, SourceError
from chatbot_api.models.domain import Entry, Manifest, Page, Passage, TitledText
from chatbot_api.ports import Embedder, VectorIndex
from qdrant_indexer.chunking import passages_of
from qdrant_indexer.sources import Skipped
from qdrant_indexer.vector_cache import VectorCache, cache_key

_WRITE_BATCH: Final = 256
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    step: Literal["reading", "embedding", "writing"]
    done: int
    total: int | None
    """None where the end is not known yet."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will change, by passage id."""

    written: frozenset[str]
    dropped: frozenset[str]
    kept: frozenset[str]


@dataclass(frozen=True, slots=True)
class Report:
    pages: int
    passages: int
    written: int
    dropped: int
    kept: int
    embedded: int
    """Vectors that were made in this run; the others came from the cache."""
    skipped: tuple[Skipped, ...]
    generation: str
    published: bool
    """False where the book had not changed."""

    @property
    def bad(self) -> tuple[Skipped, ...]:
        return tuple(skip for skip in self.skipped if skip.kind == "bad")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the pages come from, as the manifest tells it."""

    source: str
    revision: str = ""
    site_url: str = ""


def plan(stored: Iterable[str], wanted: Iterable[str]) -> Plan:
    old, new = frozenset(stored), frozenset(wanted)
    return Plan(written=new - old, dropped=old - new, kept=old & new)


async def index(
    pages: Iterable[Page | Skipped],
    *,
    origin: Origin,
    embedder: Embedder,
    vector_index: VectorIndex,
    cache: VectorCache,
    full: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Report:
    """Makes the index equal to the pages. `full` builds a generation even where nothing changed.

    Raises `SourceError` where there is no page at all, `IndexBusy` where another run is under way, and
    `EmbedderUnavailable` where vectors could not be made: what was made until then is kept.
    """
    async with vector_index.writing():
        with Spool() as spool:
            page_count, skipped = _read(pages, spool, on_progress)
            if not page_count:
                reasons = "".join(f"\n  {skip.source}: {skip.reason}" for skip in skipped[:10])
                raise SourceError(f"no page could be read from {origin.source}{reasons}")
            manifest = _manifest(spool, page_count, origin, embedder, vector_index)
            try:
                current = await vector_index.current()
                stored = [passage_id async for passage_id in vector_index.passage_ids()]
            except IndexCorrupt:
                if not full:
                    raise
                current, stored = None, []
            changes = plan(stored, spool.ids)
            published, embedded = False, 0
            if full or current is None or not _same(current, manifest):
                embedded = await _publish(spool, manifest, current, embedder, vector_index, cache, on_progress)
                published = True
    return Report(
        pages=page_count,
        passages=len(spool.ids),
        written=len(changes.written),
        dropped=len(changes.dropped),
        kept=len(changes.kept),
        embedded=embedded,
        skipped=tuple(skipped),
        generation=manifest.generation if published or current is None else current.generation,
        published=published,
    )


class Spool:
    """The passages of a run on disk, so that memory does not grow with the book. Iterated once a stage."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115 - closed by __exit__
        self._hash = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, passage: Passage) -> None:
        line = json.dumps(asdict(passage)) + "\n"
        self._file.write(line)
        self._hash.update(line.encode())
        self.ids.append(passage.id)

    def __iter__(self) -> Iterator[Passage]:
        self._file.seek(0)
        for line in self._file:
            fields = json.loads(line)
            fields["breadcrumbs"], fields["headings"] = tuple(fields["breadcrumbs"]), tuple(fields["headings"])
            yield Passage(**fields)

    @property
    def fingerprint(self) -> str:
        return self._hash.hexdigest()


def _read(
    pages: Iterable[Page | Skipped], spool: Spool, on_progress: Callable[[Progress], None]
) -> tuple[int, list[Skipped]]:
    count, skipped = 0, []
    for page in pages:
        if isinstance(page, Skipped):
            skipped.append(page)
            continue
        for passage in passages_of(page):
            spool.add(passage)
        count += 1
        on_progress(Progress("reading", count, None))
    return count, skipped


def _manifest(spool: Spool, pages: int, origin: Origin, embedder: Embedder, vector_index: VectorIndex) -> Manifest:
    now = datetime.now(UTC)
    return Manifest(
        generation=f"{now:%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}",
        built_at=now,
        embedding_model=embedder.model,
        dimensions=embedder.dimensions,
        has_vectors=True,
        lexical=vector_index.lexical,
        passages=len(spool.ids),
        pages=pages,
        fingerprint=spool.fingerprint,
        source=origin.source,
        source_revision=origin.revision,
        site_url=origin.site_url,
    )


def _same(current: Manifest, wanted: Manifest) -> bool:
    """Whether a new generation would differ in nothing but its name and time."""
    return replace(wanted, generation=current.generation, built_at=current.built_at) == current


async def _publish(
    spool: Spool,
    manifest: Manifest,
    current: Manifest | None,
    embedder: Embedder,
    vector_index: VectorIndex,
    cache: VectorCache,
    on_progress: Callable[[Progress], None],
) -> int:
    """Returns how many vectors had to be made."""
    missing = sum(len(cache.missing(_keys(embedder, batch))) for batch in _batches(spool, _WRITE_BATCH))
    if missing and current is None:
        # A first index: words can be searched while meanings are still being worked out.
        by_words = replace(manifest, generation=f"{manifest.generation}-words", has_vectors=False)
        await _write(spool, by_words, embedder, vector_index, cache, lambda _: None)
    await _embed(spool, missing, embedder, cache, on_progress)
    await _write(spool, manifest, embedder, vector_index, cache, on_progress)
    return missing


async def _embed(
    spool: Spool, missing: int, embedder: Embedder, cache: VectorCache, on_progress: Callable[[Progress], None]
) -> None:
    done = 0
    for batch in _batches(_uncached(spool, embedder, cache), embedder.batch_size):
        vectors = await embedder.embed_passages([text for _, text in batch])
        cache.put({key: vector for (key, _), vector in zip(batch, vectors, strict=True)})
        done += len(batch)
        on_progress(Progress("embedding", done, missing))


def _uncached(spool: Spool, embedder: Embedder, cache: VectorCache) -> Iterator[tuple[bytes, TitledText]]:
    """Each text that has no vector yet, once."""
    seen: set[bytes] = set()
    for batch in _batches(spool, _WRITE_BATCH):
        keys = _keys(embedder, batch)
        missing = cache.missing(keys) - seen
        seen |= missing
        yield from ((key, _text_of(p)) for key, p in dict(zip(keys, batch, strict=True)).items() if key in missing)


async def _write(
    spool: Spool,
    manifest: Manifest,
    embedder: Embedder,
    vector_index: VectorIndex,
    cache: VectorCache,
    on_progress: Callable[[Progress], None],
) -> None:
    done = 0
    async with vector_index.generation(manifest) as generation:
        for batch in _batches(spool, _WRITE_BATCH):
            keys = _keys(embedder, batch)
            vectors = cache.get(keys) if manifest.has_vectors else {}
            await generation.put([Entry(p, vectors.get(key)) for key, p in zip(keys, batch, strict=True)])
            done += len(batch)
            on_progress(Progress("writing", done, manifest.passages))
        await generation.publish()


def _text_of(passage: Passage) -> TitledText:
    return TitledText(passage.label, passage.text)


def _keys(embedder: Embedder, passages: Iterable[Passage]) -> list[bytes]:
    return [cache_key(embedder.model, embedder.dimensions, _text_of(passage)) for passage in passages]


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
