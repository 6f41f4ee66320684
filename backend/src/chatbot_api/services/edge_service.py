"""Qdrant Edge, the engine inside our process, as our `VectorStore` and `VectorIndex`. With `bm25_service`, the only
importer of `qdrant_edge`.

On disk, under one folder:

    CURRENT          the name of the published generation, replaced in one step
    gen-NAME/        a published generation: manifest.json and the engine's files; never written again
    building-NAME/   one that is being written
    writer.lock      held by the one process that writes
    open.lock        held for the moment of opening: the engine rewrites its own configuration while it opens

A published generation is opened without a write-ahead log, so that any number of processes can read it.
Every call of the engine holds the interpreter's lock, so a thread would not free the event loop: queries, which take
a few milliseconds, run where they are; opening, flushing and closing run in a thread all the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import qdrant_edge as edge
from filelock import FileLock, Timeout

from chatbot_api.errors import (
    BadEntry,
    IndexBusy,
    IndexCorrupt,
    IndexMismatch,
    IndexMissing,
    NoRoom,
    SearchUnavailable,
)
from chatbot_api.models.domain import (
    BY_WORDS,
    Candidates,
    Entry,
    Hit,
    Manifest,
    PageSummary,
    Passage,
    Remark,
    Scope,
    SearchQuery,
)
from chatbot_api.services import payload as layout
from chatbot_api.services.bm25_service import Bm25Encoder

logger = logging.getLogger(__name__)

_BYTES = edge.ScalarQuantizationConfig(edge.ScalarType.Int8)
_NO_GRAPH = edge.HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=1_000_000_000)
_PACKED_FROM: Final = 1_000
"""Kilobytes of vectors from which on a byte is kept of each number beside it: scanning those takes a quarter of the
time, and the best are ranked by their whole numbers, so that they are found exactly (docs/adr/0002). No graph is built:
it would be faster still, but takes long to build and finds less."""
_RESCORED = edge.SearchParams(quantization=edge.QuantizationSearchParams(rescore=True, oversampling=2.0))
_SCROLL: Final = 256
_REMEMBERED: Final = 8_192
"""Passages of a generation, in some 16 MB."""
_ROOM: Final = 48 * 2**20
_ROOM_PER_PASSAGE: Final = 4096
"""Bytes of disk that a generation takes, and that each passage takes beside its vector; measured, and rounded up."""


class EdgeStore:
    """Reads the published generation, and notices when another one is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._encoder = Bm25Encoder()
        self._opening = asyncio.Lock()
        self._open: _Generation | None = None
        self._pages: tuple[str, tuple[PageSummary, ...]] | None = None

    async def manifest(self) -> Manifest:
        return (await self._generation()).manifest

    async def search(self, query: SearchQuery) -> Candidates:
        generation = await self._generation()
        return _search(generation.passages, self._encoder, query, has_vectors=generation.manifest.has_vectors)

    async def pages(self) -> Sequence[PageSummary]:
        generation = await self._generation()
        if self._pages is None or self._pages[0] != generation.manifest.generation:
            first = edge.Filter(must=[edge.FieldCondition("ordinal", range=edge.RangeFloat(gte=0, lte=0))])
            summaries = [passage.its_page() for passage in generation.scroll(first)]
            summaries.sort(key=lambda page: (page.version, page.locale, page.position, page.path))
            self._pages = (generation.manifest.generation, tuple(summaries))
        return self._pages[1]

    async def passages(self, page: PageSummary) -> Sequence[Passage]:
        generation = await self._generation()
        equal = {"page": page.path, "tag": page.tag, "locale": page.locale}
        of_page = edge.Filter(must=[_is_one_of(key, (value,)) for key, value in equal.items()])
        return sorted(generation.scroll(of_page), key=lambda passage: passage.ordinal)

    async def check(self) -> Sequence[Remark]:
        return [Remark(f"embedded, in {self._folder}")]

    async def close(self) -> None:
        if self._open is not None:
            await asyncio.to_thread(self._open.shard.close)
            self._open = None

    async def _generation(self) -> _Generation:
        if self._open is not None and self._open.stamp == _stamp(self._folder):
            return self._open
        async with self._opening:
            stamp = _stamp(self._folder)
            if self._open is None or self._open.stamp != stamp:
                opened = await asyncio.to_thread(_open_current, self._folder)
                if dict(opened.manifest.lexical) != self._encoder.configuration:
                    await asyncio.to_thread(opened.shard.close)
                    raise IndexMismatch(
                        "the index was built with another BM25 configuration; run: askbook index SOURCE --full"
                    )
                previous, self._open = self._open, opened
                manifest = opened.manifest
                logger.info("generation opened name=%s passages=%d", manifest.generation, manifest.passages)
                if previous is not None:
                    await asyncio.to_thread(previous.shard.close)
            return self._open


class EdgeIndex:
    """Writes generations."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._encoder = Bm25Encoder()

    @property
    def lexical(self) -> Mapping[str, str | float]:
        return self._encoder.configuration

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None, None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._folder / "writer.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as exc:
            raise IndexBusy(
                f"another askbook index is writing to {self._folder}; wait for it to end or stop it, then run again"
            ) from exc
        try:
            await asyncio.to_thread(_remove_unfinished, self._folder)
            yield
        finally:
            lock.release()

    async def current(self) -> Manifest | None:
        try:
            _, manifest = await asyncio.to_thread(_read_current, self._folder)
        except IndexMissing:
            return None
        return manifest

    async def placed(self) -> AsyncGenerator[tuple[str, str], None]:
        try:
            generation = await asyncio.to_thread(_open_current, self._folder)
        except IndexMissing:
            return
        try:
            for point in generation.records(None, ["page"]):
                yield str(point.id), str((point.payload or {}).get("page"))
        finally:
            await asyncio.to_thread(generation.shard.close)

    async def roll_back(self) -> Manifest:
        return await asyncio.to_thread(_roll_back, self._folder)

    @asynccontextmanager
    async def generation(self, manifest: Manifest) -> AsyncGenerator[EdgeGeneration, None]:
        writer = await asyncio.to_thread(EdgeGeneration, self._folder, manifest, self._encoder)
        try:
            yield writer
        finally:
            await asyncio.to_thread(writer.discard)

    async def close(self) -> None:
        """Nothing is held between calls."""


class EdgeGeneration:
    """One generation on its way. Made by `EdgeIndex.generation`."""

    def __init__(self, folder: Path, manifest: Manifest, encoder: Bm25Encoder) -> None:
        self._folder = folder
        self._manifest = manifest
        self._encoder = encoder
        self._building = folder / f"building-{manifest.generation}"
        _check_room(folder, manifest)
        (self._building / "shard").mkdir(parents=True)
        with _engine_errors():
            self._shard: edge.EdgeShard | None = edge.EdgeShard.create(
                str(self._building / "shard"), _configuration(manifest)
            )
            for name in layout.KEYWORD_FIELDS:
                self._shard.update(edge.UpdateOperation.create_field_index(name, edge.PayloadSchemaType.Keyword))
            for name in layout.INTEGER_FIELDS:
                self._shard.update(edge.UpdateOperation.create_field_index(name, edge.PayloadSchemaType.Integer))

    async def put(self, entries: Sequence[Entry]) -> None:
        layout.check_entries(entries, self._manifest)
        await asyncio.to_thread(self._put, entries)

    async def check(self, samples: Sequence[Entry]) -> None:
        for sample in samples:
            query = SearchQuery(sample.passage.text, sample.vector, limit=1)
            layout.check_found(
                sample, _search(_Passages(self._writable), self._encoder, query, has_vectors=self._manifest.has_vectors)
            )

    async def publish(self) -> None:
        await asyncio.to_thread(self._publish)

    def discard(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None
        shutil.rmtree(self._building, ignore_errors=True)

    def _put(self, entries: Sequence[Entry]) -> None:
        with _engine_errors():
            self._writable.update(edge.UpdateOperation.upsert_points([self._point(entry) for entry in entries]))
            self._writable.flush()

    def _point(self, entry: Entry) -> edge.Point:
        weights = self._encoder.of_passage(entry.passage)
        vectors: dict[str, Any] = {layout.LEXICAL: edge.SparseVector(weights.indices, weights.values)}
        if entry.vector is not None:
            vectors[layout.DENSE] = list(entry.vector)
        return edge.Point(entry.passage.id, vectors, layout.as_payload(entry.passage))

    def _publish(self) -> None:
        with _engine_errors():
            count = self._writable.count(edge.CountRequest())
            if count != self._manifest.passages:
                raise IndexCorrupt(
                    f"{count} passages were written, {self._manifest.passages} were planned; run this again"
                )
            self._writable.optimize()
            self._writable.flush()
            self._writable.close()
        self._shard = None
        _write_durably(self._building / "manifest.json", json.dumps(layout.as_json(self._manifest), indent=1))
        name = f"gen-{self._manifest.generation}"
        before = _current_name(self._folder)
        self._building.rename(self._folder / name)
        _write_durably(self._folder / "CURRENT", name)
        _remove_old(self._folder, name, before)

    @property
    def _writable(self) -> edge.EdgeShard:
        if self._shard is None:
            raise BadEntry("this generation is published or discarded: nothing can be added to it")
        return self._shard


@dataclass(frozen=True)
class _Generation:
    stamp: tuple[int, int]
    manifest: Manifest
    shard: edge.EdgeShard = field(repr=False)
    passages: _Passages = field(repr=False)

    def scroll(self, wanted: edge.Filter) -> Iterator[Passage]:
        return (layout.as_passage(point.id, point.payload) for point in self.records(wanted, True))

    def records(self, wanted: edge.Filter | None, payload: bool | list[str]) -> Iterator[edge.Record]:
        offset: Any = None
        while True:
            with _engine_errors():
                request = edge.ScrollRequest(offset=offset, limit=_SCROLL, filter=wanted, with_payload=payload)
                points, offset = self.shard.scroll(request)
            yield from points
            if offset is None:
                return


class _Passages:
    """Passages of a generation by their ids. Those found last are remembered: to read them takes the engine longer than
    to find them."""

    def __init__(self, shard: edge.EdgeShard) -> None:
        self.shard: Final = shard
        self._known: OrderedDict[str, Passage] = OrderedDict()

    def of(self, ids: Sequence[str]) -> dict[str, Passage]:
        unknown: list[int | UUID | str] = [each for each in ids if each not in self._known]
        if unknown:
            with _engine_errors():
                records = self.shard.retrieve(unknown, True, False)
            self._known |= ((str(record.id), layout.as_passage(record.id, record.payload)) for record in records)
        found = {}
        for each in ids:
            self._known.move_to_end(each)
            found[each] = self._known[each]
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found


def _search(passages: _Passages, encoder: Bm25Encoder, query: SearchQuery, *, has_vectors: bool) -> Candidates:
    weights = encoder.of_question(query.text, query.scope.locale)
    wanted: list[tuple[str, Any]] = []
    if query.vector is not None and has_vectors:
        wanted.append((layout.DENSE, list(query.vector)))
    if weights.indices:
        wanted.append((layout.LEXICAL, edge.SparseVector(weights.indices, weights.values)))
    requests = [
        edge.QueryRequest(
            limit=query.limit,
            query=edge.Query.Nearest(vector, using=using),
            filter=_filter(query.scope),
            params=_RESCORED if using == layout.DENSE else None,
        )
        for using, vector in wanted
    ]
    with _engine_errors():
        found = passages.shard.query_batch(edge.QueryBatchRequest(requests)) if requests else []
    sides = {using: _hits(points, passages) for (using, _), points in zip(wanted, found, strict=True)}
    return Candidates(dense=sides.get(layout.DENSE, ()), lexical=sides.get(layout.LEXICAL, ()))


def _check_room(folder: Path, manifest: Manifest) -> None:
    """The engine maps files into memory: where the disk fills up below it, the process dies without a word."""
    needed = _ROOM + manifest.passages * (manifest.dimensions * 5 + _ROOM_PER_PASSAGE)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(
            f"{folder} has {free // 2**20} MiB free, and this index needs about {needed // 2**20}; "
            "make room or set DATA_DIR, then run this again"
        )


def _configuration(manifest: Manifest) -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors={
            layout.DENSE: edge.EdgeVectorParams(
                manifest.dimensions, edge.Distance.Cosine, quantization_config=_BYTES, hnsw_config=_NO_GRAPH
            )
        },
        sparse_vectors={layout.LEXICAL: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=_PACKED_FROM, default_segment_number=1),
        wal_enabled=False,
    )


def _filter(scope: Scope) -> edge.Filter | None:
    must: list[Any] = [_is_one_of(key, values) for key, values in layout.conditions(scope)]
    if scope.up_to_position is not None:
        must.append(edge.FieldCondition("position", range=edge.RangeFloat(lte=scope.up_to_position)))
    return edge.Filter(must=must) if must else None


def _is_one_of(key: str, values: Sequence[str]) -> edge.FieldCondition:
    return edge.FieldCondition(key, match=edge.MatchAny(list(values)))


def _hits(points: Sequence[edge.ScoredPoint], passages: _Passages) -> tuple[Hit, ...]:
    scores = sorted(((str(point.id), point.score) for point in points), key=lambda found: (-found[1], found[0]))
    known = passages.of([each for each, _ in scores])
    return tuple(Hit(known[each], score) for each, score in scores)


def _stamp(folder: Path) -> tuple[int, int]:
    """Changes with every publishing: `CURRENT` is a new file each time."""
    try:
        status = (folder / "CURRENT").stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_ino, status.st_mtime_ns)


def _current_name(folder: Path) -> str:
    try:
        return (folder / "CURRENT").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _read_current(folder: Path) -> tuple[Path, Manifest]:
    try:
        name = _current_name(folder)
    except (OSError, UnicodeDecodeError) as exc:
        raise IndexCorrupt(f"{folder / 'CURRENT'} cannot be read; run: askbook index SOURCE --full") from exc
    if not name:
        raise IndexMissing("nothing is indexed yet; run: askbook index SOURCE")
    return folder / name, _read_manifest(folder / name)


def _read_manifest(home: Path) -> Manifest:
    try:
        data = json.loads((home / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise IndexCorrupt(f"{home} is damaged or gone; run: askbook index SOURCE --full") from exc
    return layout.as_manifest(data)


def _open_current(folder: Path) -> _Generation:
    while True:
        stamp = _stamp(folder)
        try:
            home, manifest = _read_current(folder)
            shard = _open(home)
            return _Generation(stamp, manifest, shard, _Passages(shard))
        except IndexCorrupt:
            if _stamp(folder) == stamp:
                raise
            # Another generation was published meanwhile, and this one may be gone.


def _open(home: Path) -> edge.EdgeShard:
    try:
        with FileLock(home.parent / "open.lock"):
            return edge.EdgeShard.load(str(home / "shard"))
    except Exception as exc:  # the engine raises bare Exception for whatever it finds in its files
        raise IndexCorrupt(f"{home} cannot be opened; run: askbook index SOURCE --full") from exc


def _roll_back(folder: Path) -> Manifest:
    current, _ = _read_current(folder)
    for home in _generations(folder):
        if home.name < current.name:
            manifest = _read_manifest(home)
            _write_durably(folder / "CURRENT", home.name)
            return manifest
    raise IndexMissing("there is no generation before the current one; run: askbook index SOURCE")


def _remove_unfinished(folder: Path) -> None:
    for building in folder.glob("building-*"):
        shutil.rmtree(building)


def _generations(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("gen-*"), reverse=True)


def _remove_old(folder: Path, current: str, before: str) -> None:
    """Keeps the generation that was current until now, to roll back to; one without vectors is not worth that."""
    for home in _generations(folder):
        if home.name != current and (home.name != before or home.name.endswith(BY_WORDS)):
            shutil.rmtree(home, ignore_errors=True)


def _write_durably(file: Path, text: str) -> None:
    """The file holds the old text or the new, whatever happens in between."""
    temporary = file.with_name(file.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(file.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except (BadEntry, IndexCorrupt):
        raise
    except Exception as exc:  # every error of the engine is a bare Exception
        raise SearchUnavailable(f"the embedded engine failed: {exc}") from exc
