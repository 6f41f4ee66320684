"""A Qdrant server as our `VectorStore` and `VectorIndex`. The only module that imports `qdrant_client`.

A generation is a collection `NAME__GENERATION`; the alias `NAME` points at the published one and is moved in one step.
The manifest is a point of its own, without vectors, so that no search ever finds it.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

from filelock import FileLock, Timeout
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from chatbot_api.errors import BadEntry, IndexBusy, IndexCorrupt, IndexMismatch, IndexMissing, SearchUnavailable
from chatbot_api.models.domain import (
    BY_WORDS,
    GENERATION,
    Candidates,
    Entry,
    Hit,
    Manifest,
    PageSummary,
    Passage,
    Scope,
    SearchQuery,
    Vector,
)
from chatbot_api.services import payload as layout
from chatbot_api.services.bm25_service import Bm25Encoder

_MANIFEST_ID: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, "askbook:manifest"))
_PASSAGES: Final = models.Filter(must=[models.HasVectorCondition(has_vector=layout.LEXICAL)])
_UPSERT: Final = 64
_SCROLL: Final = 256
_NOTHING: Final[dict[str, Any]] = {}


class QdrantService:
    def __init__(
        self, client: AsyncQdrantClient, collection: str, lock_folder: Path, *, refresh_seconds: float = 5.0
    ) -> None:
        """Looks for a newer generation at most every `refresh_seconds`. The right to write is a lock in `lock_folder`:
        it keeps apart the runs of one machine."""
        self._client = client
        self._alias = collection
        self._lock_folder = lock_folder
        self._refresh_seconds = refresh_seconds
        self._encoder = Bm25Encoder()
        self._known: tuple[float, Manifest] | None = None
        self._pages: tuple[str, tuple[PageSummary, ...]] | None = None
        self._closed = False

    @classmethod
    def connect(cls, host: str, key: SecretStr | None, collection: str, lock_folder: Path) -> QdrantService:
        """`host` is an address (`https://qdrant.example:6333`), or a name, which then means port 6333."""
        is_address = "://" in host
        client = AsyncQdrantClient(
            url=host if is_address else None,
            host=None if is_address else host,
            api_key=key.get_secret_value() if key else None,
            timeout=10,
            check_compatibility=False,
        )
        return cls(client, collection, lock_folder)

    # As the store ---------------------------------------------------------------------------------------

    async def manifest(self) -> Manifest:
        if self._known is None or monotonic() - self._known[0] >= self._refresh_seconds:
            manifest = await self._published()
            if manifest is None:
                raise IndexMissing(f"nothing is indexed as {self._alias} yet; run: askbook index SOURCE")
            if dict(manifest.lexical) != self._encoder.configuration:
                raise IndexMismatch("the index was built with another BM25 configuration; run: askbook index SOURCE")
            self._known = (monotonic(), manifest)
        return self._known[1]

    async def search(self, query: SearchQuery) -> Candidates:
        manifest = await self.manifest()
        return await _search(self._client, self._alias, self._encoder, query, has_vectors=manifest.has_vectors)

    async def search_documents(self, query_vector: Vector, top_k: int) -> list[dict[str, Any]]:
        """The nearest passages as dictionaries: their fields, their `id` and their `score`; best first."""
        with _our_errors():
            response = await self._client.query_points(
                self._alias, list(query_vector), using=layout.DENSE, limit=top_k, with_payload=True
            )
        return [{"id": str(p.id), "score": p.score, **(p.payload or _NOTHING)} for p in response.points]

    async def pages(self) -> Sequence[PageSummary]:
        manifest = await self.manifest()
        if self._pages is None or self._pages[0] != manifest.generation:
            first = models.Filter(must=[models.FieldCondition(key="ordinal", range=models.Range(gte=0, lte=0))])
            summaries = [layout.as_passage(p.id, p.payload).its_page() async for p in self._records(self._alias, first)]
            summaries.sort(key=lambda page: (page.version, page.locale, page.position, page.path))
            self._pages = (manifest.generation, tuple(summaries))
        return self._pages[1]

    async def passages(self, page: PageSummary) -> Sequence[Passage]:
        await self.manifest()
        equal = {"page": page.path, "tag": page.tag, "locale": page.locale}
        of_page = models.Filter(must=[_is_one_of(key, (value,)) for key, value in equal.items()])
        found = [layout.as_passage(p.id, p.payload) async for p in self._records(self._alias, of_page)]
        return sorted(found, key=lambda passage: passage.ordinal)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._client.close()

    # As the index ---------------------------------------------------------------------------------------

    @property
    def lexical(self) -> Mapping[str, str | float]:
        return self._encoder.configuration

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None, None]:
        self._lock_folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock_folder / f"{self._alias}.writer.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as exc:
            raise IndexBusy(
                f"another askbook index is writing to {self._alias}; wait for it to end or stop it, then run again"
            ) from exc
        try:
            yield
        finally:
            lock.release()

    async def current(self) -> Manifest | None:
        return await self._published()

    async def placed(self) -> AsyncGenerator[tuple[str, str], None]:
        if await self._published() is not None:
            async for point in self._records(self._alias, _PASSAGES, payload=["page"]):
                yield str(point.id), str((point.payload or _NOTHING).get("page"))

    async def roll_back(self) -> Manifest:
        with _our_errors():
            current = await _target(self._client, self._alias)
            older = [name for name in await _generations(self._client, self._alias) if current and name < current]
            if not older:
                raise IndexMissing("there is no generation before the current one; run: askbook index SOURCE")
            await _point_alias(self._client, self._alias, older[0])
        self._known = None
        return await self.manifest()

    @asynccontextmanager
    async def generation(self, manifest: Manifest) -> AsyncGenerator[QdrantGeneration, None]:
        writer = QdrantGeneration(self._client, self._alias, manifest, self._encoder)
        with _our_errors():
            await writer.create()
        try:
            yield writer
        finally:
            with _our_errors():
                await writer.tidy()
            self._known = None

    async def _published(self) -> Manifest | None:
        with _our_errors():
            if await _target(self._client, self._alias) is None:
                return None
            points = await self._client.retrieve(self._alias, [_MANIFEST_ID], with_payload=True)
        if not points or not points[0].payload:
            raise IndexCorrupt(f"the collection {self._alias} has no manifest; run: askbook index SOURCE --full")
        try:
            return layout.as_manifest(json.loads(points[0].payload["manifest"]))
        except (KeyError, ValueError) as exc:
            raise IndexCorrupt(f"{self._alias} has a damaged manifest; run: askbook index SOURCE --full") from exc

    async def _records(
        self, collection: str, wanted: models.Filter, *, payload: bool | list[str] = True
    ) -> AsyncIterator[models.Record]:
        offset: Any = None
        while True:
            with _our_errors():
                points, offset = await self._client.scroll(
                    collection, scroll_filter=wanted, limit=_SCROLL, offset=offset, with_payload=payload
                )
            for point in points:
                yield point
            if offset is None:
                return


class QdrantGeneration:
    """One generation on its way. Made by `QdrantService.generation`."""

    def __init__(self, client: AsyncQdrantClient, alias: str, manifest: Manifest, encoder: Bm25Encoder) -> None:
        self._client = client
        self._alias = alias
        self._manifest = manifest
        self._encoder = encoder
        self._name = f"{alias}__{manifest.generation}"
        self._published = False
        self._before: str | None = None

    async def create(self) -> None:
        await self._client.create_collection(
            self._name,
            vectors_config={
                layout.DENSE: models.VectorParams(size=self._manifest.dimensions, distance=models.Distance.COSINE)
            },
            sparse_vectors_config={layout.LEXICAL: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        )
        # Before any point, so that the search graph knows the filters, and strict servers accept them.
        for name in layout.KEYWORD_FIELDS:
            await self._client.create_payload_index(self._name, name, models.PayloadSchemaType.KEYWORD, wait=True)
        for name in layout.INTEGER_FIELDS:
            await self._client.create_payload_index(self._name, name, models.PayloadSchemaType.INTEGER, wait=True)

    async def put(self, entries: Sequence[Entry]) -> None:
        if self._published:
            raise BadEntry("this generation is published: nothing can be added to it")
        layout.check_entries(entries, self._manifest)
        points = [self._point(entry) for entry in entries]
        for start in range(0, len(points), _UPSERT):
            with _our_errors():
                await self._client.upsert(self._name, points[start : start + _UPSERT], wait=True)

    async def check(self, samples: Sequence[Entry]) -> None:
        for sample in samples:
            query = SearchQuery(sample.passage.text, sample.vector, limit=1)
            has_vectors = self._manifest.has_vectors
            found = await _search(self._client, self._name, self._encoder, query, has_vectors=has_vectors)
            layout.check_found(sample, found)

    async def publish(self) -> None:
        with _our_errors():
            count = (await self._client.count(self._name, count_filter=_PASSAGES, exact=True)).count
            if count != self._manifest.passages:
                raise IndexCorrupt(
                    f"{count} passages were written, {self._manifest.passages} were planned; run this again"
                )
            text = json.dumps(layout.as_json(self._manifest))
            await self._client.upsert(
                self._name, [models.PointStruct(id=_MANIFEST_ID, vector={}, payload={"manifest": text})], wait=True
            )
            self._before = await _target(self._client, self._alias)
            await _point_alias(self._client, self._alias, self._name)
        self._published = True

    async def tidy(self) -> None:
        """Not published, this collection goes. Published, all others go but the one that was current until now, to roll
        back to; one without vectors is not worth that."""
        if not self._published:
            await self._client.delete_collection(self._name)
            return
        for name in await _generations(self._client, self._alias):
            if name != self._name and (name != self._before or name.endswith(BY_WORDS)):
                await self._client.delete_collection(name)

    def _point(self, entry: Entry) -> models.PointStruct:
        weights = self._encoder.of_passage(entry.passage)
        vectors: dict[str, Any] = {layout.LEXICAL: models.SparseVector(indices=weights.indices, values=weights.values)}
        if entry.vector is not None:
            vectors[layout.DENSE] = list(entry.vector)
        return models.PointStruct(id=entry.passage.id, vector=vectors, payload=layout.as_payload(entry.passage))


async def _target(client: AsyncQdrantClient, alias: str) -> str | None:
    """The collection that the alias points at."""
    aliases = (await client.get_aliases()).aliases
    return next((known.collection_name for known in aliases if known.alias_name == alias), None)


async def _generations(client: AsyncQdrantClient, alias: str) -> list[str]:
    """Their collections, newest first."""
    every = [known.name for known in (await client.get_collections()).collections]
    ours = re.compile(rf"{re.escape(alias)}__{GENERATION}")
    return sorted(filter(ours.fullmatch, every), reverse=True)


async def _point_alias(client: AsyncQdrantClient, alias: str, collection: str) -> None:
    """In one step, so that there is no moment without an index."""
    create = models.CreateAlias(collection_name=collection, alias_name=alias)
    operations: list[models.AliasOperations] = [models.CreateAliasOperation(create_alias=create)]
    if await _target(client, alias) is not None:
        operations.insert(0, models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
    await client.update_collection_aliases(change_aliases_operations=operations)


async def _search(
    client: AsyncQdrantClient, collection: str, encoder: Bm25Encoder, query: SearchQuery, *, has_vectors: bool
) -> Candidates:
    weights = encoder.of_question(query.text, query.scope.locale)
    wanted: list[tuple[str, Any]] = []
    if query.vector is not None and has_vectors:
        wanted.append((layout.DENSE, list(query.vector)))
    if weights.indices:
        wanted.append((layout.LEXICAL, models.SparseVector(indices=weights.indices, values=weights.values)))
    requests = [
        models.QueryRequest(
            query=vector, using=using, filter=_filter(query.scope), limit=query.limit, with_payload=True
        )
        for using, vector in wanted
    ]
    with _our_errors():
        found = await client.query_batch_points(collection, requests) if requests else []
    sides = {using: _hits(response.points) for (using, _), response in zip(wanted, found, strict=True)}
    return Candidates(dense=sides.get(layout.DENSE, ()), lexical=sides.get(layout.LEXICAL, ()))


def _filter(scope: Scope) -> models.Filter | None:
    must: list[Any] = [_is_one_of(key, values) for key, values in layout.conditions(scope)]
    if scope.up_to_position is not None:
        must.append(models.FieldCondition(key="position", range=models.Range(lte=scope.up_to_position)))
    return models.Filter(must=must) if must else None


def _is_one_of(key: str, values: Sequence[str]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))


def _hits(points: Sequence[models.ScoredPoint]) -> tuple[Hit, ...]:
    hits = [
        Hit(layout.as_passage(point.id, point.payload), point.score) for point in points if math.isfinite(point.score)
    ]
    return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.passage.id)))


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except UnexpectedResponse as exc:
        if exc.status_code in (401, 403):
            raise SearchUnavailable("the Qdrant server refused the key; check QDRANT_API_KEY") from exc
        raise SearchUnavailable(f"the Qdrant server answered {exc.status_code}") from exc
    except ResponseHandlingException as exc:
        raise SearchUnavailable(f"the Qdrant server cannot be reached: {type(exc.source).__name__}") from exc
    except (ApiException, QdrantException) as exc:
        raise SearchUnavailable(f"the Qdrant server failed: {type(exc).__name__}") from exc
    except ValueError as exc:  # the client lets through what parsing an odd body raises
        raise SearchUnavailable("the Qdrant server answered with what is no answer of Qdrant") from exc
