"""An index run: read, cut, compare, embed what is new, build a generation, publish it, report.

A run changes nothing that a reader sees before `publish`. Vectors go into the cache batch by batch, so a run that ends
early, however it ends, is continued by the next one.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Final, Literal, Self, TypeVar
from uuid import uuid4

from chatbot_api.errors import IndexCorrupt, SourceError, TooManyDropped
from chatbot_api.models.domain import BY_WORDS, Entry, Manifest, Page, Passage, Quota, TitledText
from chatbot_api.ports import Embedder, VectorIndex
from qdrant_indexer.chunking import estimate_tokens, passages_of
from qdrant_indexer.embedding import BulkEmbedding
from qdrant_indexer.pace import Pace
from qdrant_indexer.sources import Skipped
from qdrant_indexer.vector_cache import VectorCache, cache_key

_WRITE_BATCH: Final = 256
_DROPPED_AT_MOST: Final = 0.3
_FEW_PAGES: Final = 3
"""So few pages may go in any case."""
_SAMPLES: Final = 8
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    step: Literal["fetching", "reading", "embedding", "writing"]
    done: int
    total: int | None
    """None where the end is not known yet."""
    seconds_left: float | None = None
    """Until the step is done, where that can be told."""
    waiting: float = 0.0
    """Seconds for which it waits now, for a quota."""


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
    by_words: tuple[str, ...]
    """Sources of passages whose texts the model refused: their words alone are searched. Empty where nothing was
    published."""
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
    default_locale: str = "en"
    fingerprint: str = ""
    """A hash of everything that reading depends on; empty where that cannot be known without reading."""


def plan(stored: Iterable[str], wanted: Iterable[str]) -> Plan:
    old, new = frozenset(stored), frozenset(wanted)
    return Plan(written=new - old, dropped=old - new, kept=old & new)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would cost, before anything is spent."""

    pages: int
    passages: int
    to_embed: int
    """Texts without a vector yet, each once."""
    tokens: int
    """Of those texts, estimated."""
    calls: int
    dollars: float
    minutes: float
    """At the service's limits, as far as they are known; 0 where there are none."""
    days: int
    """On how many days texts are embedded, where there is a daily limit; else 0."""
    presumed: bool
    """Whether these limits are those of the free plan, since nobody has said which hold."""


async def index(
    pages: Callable[[], Iterable[Page | Skipped]],
    *,
    origin: Origin,
    embedder: Embedder,
    vector_index: VectorIndex,
    cache: VectorCache,
    pace: Pace,
    full: bool = False,
    force: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Report:
    """Makes the index equal to the pages, which are read only where the origin's fingerprint is a new one. `full`
    builds a generation even where nothing changed.

    Raises `SourceError` where there is no page at all, `IndexBusy` where another run is under way, `TooManyDropped`
    where more than 30 % of the pages of the same source would go and `force` is not set, and as `BulkEmbedding.run`
    does where vectors could not be made.
    """
    async with vector_index.writing():
        current = await _unless_damaged(vector_index.current(), None, ignore_damage=full)
        as_wanted = _manifest(origin, embedder, vector_index)
        if current is not None and not full and _unread(current, as_wanted):
            async with aclosing(vector_index.placed()) as places:
                await anext(places)  # what is only said to be there may be damaged
            return _unchanged(current)
        with Spool() as spool:
            page_count, skipped = _read(pages(), spool, on_progress)
            if not page_count:
                reasons = "".join(f"\n  {skip.source}: {skip.reason}" for skip in skipped[:10])
                raise SourceError(f"no page could be read from {origin.source}{reasons}")
            manifest = replace(
                as_wanted,
                passages=len(spool.placed),
                pages=page_count,
                fingerprint=spool.fingerprint,
                bad_pages=sum(skip.kind == "bad" for skip in skipped),
            )
            stored = await _unless_damaged(_placed(vector_index), {}, ignore_damage=full)
            changes = plan(stored, spool.placed)
            if not force and current is not None and current.source == origin.source:
                _refuse_many_dropped(stored, spool.placed)
            build = _Build(spool, manifest, embedder, vector_index, cache, pace, on_progress)
            published = full or current is None or not _same(current, manifest)
            if full:
                cache.forget_refusals()
            if published:
                await build.publish(first=current is None)
    return Report(
        pages=page_count,
        passages=manifest.passages,
        written=len(changes.written),
        dropped=len(changes.dropped),
        kept=len(changes.kept),
        embedded=build.embedded,
        by_words=tuple(build.by_words),
        skipped=tuple(skipped),
        generation=manifest.generation if published or current is None else current.generation,
        published=published,
    )


def estimate(pages: Iterable[Page | Skipped], *, embedder: Embedder, cache: VectorCache, pace: Pace) -> Estimate:
    """Reads the pages and looks into the vector cache; embeds and writes nothing."""
    with Spool() as spool:
        count, _ = _read(pages, spool, lambda _: None)
        texts = [text for _, text in _uncached(spool, embedder, cache)]
        tokens = sum(estimate_tokens(f"{text.title} {text.text}") for text in texts)
        quota = embedder.quota or Quota(0, 0, 0, 0.0)
        return Estimate(
            pages=count,
            passages=len(spool.placed),
            to_embed=len(texts),
            tokens=tokens,
            calls=math.ceil(len(texts) / embedder.batch_size),
            dollars=round(tokens / 1_000_000 * quota.dollars_per_million_tokens, 4),
            minutes=round(pace.seconds(len(texts), tokens) / 60, 1),
            days=math.ceil(pace.days(len(texts))),
            presumed=quota.presumed,
        )


class Spool:
    """The passages of a run on disk, so that memory does not grow with the book. Iterated once a stage."""

    def __init__(self) -> None:
        self.placed: dict[str, str] = {}
        """The page of each passage, by the passage's id."""
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
        self.placed[passage.id] = passage.page

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


async def _unless_damaged(reading: Awaitable[T], otherwise: T, *, ignore_damage: bool) -> T:
    try:
        return await reading
    except IndexCorrupt:
        if not ignore_damage:
            raise
        return otherwise


async def _placed(vector_index: VectorIndex) -> dict[str, str]:
    """The page of each published passage, by the passage's id."""
    return {passage_id: page async for passage_id, page in vector_index.placed()}


def _manifest(origin: Origin, embedder: Embedder, vector_index: VectorIndex) -> Manifest:
    """Of a generation that has not been read yet."""
    now = datetime.now(UTC)
    return Manifest(
        generation=f"{now:%Y%m%dT%H%M%S%f}-{uuid4().hex[:8]}",
        built_at=now,
        embedding_model=embedder.model,
        dimensions=embedder.dimensions,
        has_vectors=True,
        lexical=vector_index.lexical,
        passages=0,
        pages=0,
        source=origin.source,
        source_revision=origin.revision,
        source_fingerprint=origin.fingerprint,
        site_url=origin.site_url,
        default_locale=origin.default_locale,
    )


def _unread(current: Manifest, wanted: Manifest) -> bool:
    """Whether reading would bring nothing new. A source with bad pages is read again, so that they are told again."""
    read = replace(wanted, passages=current.passages, pages=current.pages, fingerprint=current.fingerprint)
    return bool(current.source_fingerprint) and current.bad_pages == 0 and _same(current, read)


def _unchanged(current: Manifest) -> Report:
    return Report(
        pages=current.pages,
        passages=current.passages,
        written=0,
        dropped=0,
        kept=current.passages,
        embedded=0,
        by_words=(),
        skipped=(),
        generation=current.generation,
        published=False,
    )


def _refuse_many_dropped(stored: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    before = set(stored.values())
    gone = before - set(wanted.values())
    if len(gone) > max(_FEW_PAGES, _DROPPED_AT_MOST * len(before)):
        some = ", ".join(sorted(gone)[:3])
        raise TooManyDropped(
            f"{len(gone)} of the {len(before)} indexed pages are not in the source any more ({some}, …); "
            "if that is right, run this again with --force"
        )


def _same(current: Manifest, wanted: Manifest) -> bool:
    """Whether a new generation would differ in nothing but its name and time."""
    return replace(wanted, generation=current.generation, built_at=current.built_at) == current


class _Build:
    """A new generation on its way from the spool to its readers."""

    def __init__(
        self,
        spool: Spool,
        manifest: Manifest,
        embedder: Embedder,
        vector_index: VectorIndex,
        cache: VectorCache,
        pace: Pace,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.embedded = 0
        """Vectors that were made."""
        self.by_words: dict[str, None] = {}
        """Sources of passages without one, each once."""
        self._spool = spool
        self._manifest = manifest
        self._embedder = embedder
        self._vector_index = vector_index
        self._cache = cache
        self._pace = pace
        self._on_progress = on_progress

    async def publish(self, *, first: bool) -> None:
        missing = sum(1 for _ in _uncached(self._spool, self._embedder, self._cache))
        if missing and first:
            # Words can be searched while meanings are still being worked out.
            name = f"{self._manifest.generation}{BY_WORDS}"
            await self._write(replace(self._manifest, generation=name, has_vectors=False), lambda _: None)
        if missing:
            await self._embed(missing)
        await self._write(self._manifest, self._on_progress)

    async def _embed(self, missing: int) -> None:
        def tell(done: int, seconds_left: float, waiting: float) -> None:
            self._on_progress(Progress("embedding", done, missing, seconds_left, waiting))

        embedding = BulkEmbedding(self._embedder, self._cache, self._pace, tell)
        await embedding.run(_uncached(self._spool, self._embedder, self._cache), missing)
        self.embedded = embedding.made

    async def _write(self, manifest: Manifest, on_progress: Callable[[Progress], None]) -> None:
        done = 0
        samples: list[Entry] = []
        async with self._vector_index.generation(manifest) as generation:
            for batch in _batches(self._spool, _WRITE_BATCH):
                keys = _keys(self._embedder, batch)
                vectors = self._cache.get(keys) if manifest.has_vectors else dict.fromkeys(keys)
                entries = [Entry(p, vectors[key]) for key, p in zip(keys, batch, strict=True)]
                await generation.put(entries)
                if manifest.has_vectors:
                    self.by_words |= {entry.passage.source: None for entry in entries if entry.vector is None}
                samples += entries[:1] if len(samples) < _SAMPLES else []
                done += len(batch)
                on_progress(Progress("writing", done, manifest.passages))
            await generation.check(samples)
            await generation.publish()


def _uncached(spool: Spool, embedder: Embedder, cache: VectorCache) -> Iterator[tuple[bytes, TitledText]]:
    """Each text that has no vector yet, once."""
    seen: set[bytes] = set()
    for batch in _batches(spool, _WRITE_BATCH):
        keys = _keys(embedder, batch)
        missing = cache.missing(keys) - seen
        seen |= missing
        yield from ((key, _text_of(p)) for key, p in dict(zip(keys, batch, strict=True)).items() if key in missing)


def _text_of(passage: Passage) -> TitledText:
    return TitledText(passage.label, passage.text)


def _keys(embedder: Embedder, passages: Iterable[Passage]) -> list[bytes]:
    return [cache_key(embedder.model, embedder.dimensions, _text_of(passage)) for passage in passages]


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
