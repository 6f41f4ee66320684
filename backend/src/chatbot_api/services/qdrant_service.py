"""A Qdrant server as our `VectorStore` and `VectorIndex`. With `qdrant_calls`, the only importer of `qdrant_client`.

A generation is a collection `NAME__GENERATION`; the alias `NAME` points at the published one and is moved in one step.
The manifest is a point of its own, without vectors, so that no search ever finds it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import math
import re
import uuid
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient, models

from chatbot_api.errors import (
    AskbookError,
    BadEntry,
    IndexBusy,
    IndexCorrupt,
    IndexMismatch,
    IndexMissing,
    SearchUnavailable,
)
from chatbot_api.models.domain import (
    BY_WORDS,
    GENERATION,
    Candidates,
    Entry,
    Hit,
    Manifest,
    PageSummary,
    Passage,
    Remark,
    Scope,
    SearchQuery,
    Vector,
)
from chatbot_api.services import payload as layout
from chatbot_api.services.bm25_service import Bm25Encoder
from chatbot_api.services.qdrant_calls import (
    PATIENT_SECONDS,
    Ask,
    CollectionGone,
    NameTaken,
    NotUnderstood,
    Sleep,
    brisk,
    patient,
)

logger = logging.getLogger(__name__)

Quantization = Literal["none", "int8", "binary"]

_MANIFEST_ID: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, "askbook:manifest"))
_PASSAGES: Final = models.Filter(must_not=[models.HasIdCondition(has_id=[_MANIFEST_ID])])
_UPSERT: Final = 64
_SCROLL: Final = 1000
_OLDEST_SERVER: Final = (1, 15)
_LOOKS: Final = 60
_LOOK_SECONDS: Final = 2.0
"""How often, and after which pauses, a new collection is looked at until its search graph is built."""
_PLAIN_KEY: Final = Remark("QDRANT_API_KEY is sent over plain http", "begin QDRANT_HOST with https://")
_QUANTIZED: Final[Mapping[Quantization, models.QuantizationConfig | None]] = {
    "none": None,
    "int8": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    ),
    "binary": models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True)),
}
_NOTHING: Final[dict[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Tuning:
    """How new generations lie on the server, and how all are searched."""

    quantization: Quantization = "none"
    oversampling: float = 2.0
    """How many times more candidates are fetched of quantized vectors, to be ranked by the full ones."""
    shards: int | None = None
    replicas: int | None = None


class QdrantService:
    def __init__(
        self,
        client: AsyncQdrantClient,
        collection: str,
        lock_folder: Path,
        *,
        timeout: float = 10.0,
        tuning: Tuning | None = None,
        refresh_seconds: float = 5.0,
        remarks: Sequence[Remark] = (),
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`timeout` is for a call of the store, tries and pauses included. Looks for a newer generation at most every
        `refresh_seconds`. The right to write is a lock in `lock_folder`: it keeps apart the runs of one machine.
        `remarks` are what `check` has to tell in any case."""
        self._server = _Server(client, collection, tuning or Tuning(), Bm25Encoder())
        self._client = client
        self._alias = collection
        self._lock_folder = lock_folder
        self._timeout = timeout
        self._refresh_seconds = refresh_seconds
        self._sleep = sleep
        self._known: tuple[float, Manifest] | None = None
        self._pages: tuple[str, tuple[PageSummary, ...]] | None = None
        self._remarks = tuple(remarks)
        self._closed = False

    @classmethod
    def connect(
        cls,
        host: str,
        key: SecretStr | None,
        collection: str,
        lock_folder: Path,
        *,
        grpc_port: int | None = None,
        timeout: float = 10.0,
        quantization: Quantization = "none",
        oversampling: float = 2.0,
        shards: int | None = None,
        replicas: int | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> QdrantService:
        """`host` is an address (`https://qdrant.example:6333`) or a name, which is called by HTTPS where there is a
        key; without a port, 6333 is meant. With a `grpc_port` gRPC is spoken, else REST.

        Connects at the first call. Raises `SearchUnavailable` where host or key cannot be one.
        """
        secret = key.get_secret_value() if key else None
        if secret is not None and not re.fullmatch("[!-~]+", secret):
            # The HTTP library would say so with the key in its words.
            raise SearchUnavailable("QDRANT_API_KEY holds spaces or letters that no key has; copy it again")
        url = host if "://" in host else f"{'https' if secret else 'http'}://{host}"
        try:
            with warnings.catch_warnings():
                # We say it better below.
                warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
                client = AsyncQdrantClient(
                    url=url,
                    api_key=secret,
                    prefer_grpc=grpc_port is not None,
                    grpc_port=grpc_port or 6334,
                    timeout=math.ceil(max(timeout, PATIENT_SECONDS)),
                    check_compatibility=False,
                )
        except ValueError as exc:
            raise SearchUnavailable("QDRANT_HOST is no address; write it as in https://qdrant.example:6333") from exc
        tuning = Tuning(quantization, oversampling, shards, replicas)
        remarks = [_PLAIN_KEY] if secret and url.startswith("http:") and not _is_loopback(url) else []
        for remark in remarks:
            logger.warning("%s; %s", remark.text, remark.mend)
        return cls(client, collection, lock_folder, timeout=timeout, tuning=tuning, remarks=remarks, sleep=sleep)

    # As the store ---------------------------------------------------------------------------------------

    async def manifest(self) -> Manifest:
        async with self._reader() as ask:
            return await self._manifest(ask)

    async def search(self, query: SearchQuery) -> Candidates:
        async with self._reader() as ask:
            manifest = await self._manifest(ask)
            return await self._server.search(ask, self._alias, query, has_vectors=manifest.has_vectors)

    async def search_documents(self, query_vector: Vector, top_k: int) -> list[dict[str, Any]]:
        """The nearest passages as dictionaries: their fields, their `id` and their `score`; best first. Raises
        `SearchUnavailable`."""
        async with self._reader() as ask:
            response = await ask(
                self._client.query_points,
                self._alias,
                list(query_vector),
                using=layout.DENSE,
                search_params=self._server.rescored,
                limit=top_k,
                with_payload=True,
            )
        return [{"id": str(p.id), "score": p.score, **(p.payload or _NOTHING)} for p in response.points]

    async def pages(self) -> Sequence[PageSummary]:
        async with self._reader() as ask:
            manifest = await self._manifest(ask)
            if self._pages is None or self._pages[0] != manifest.generation:
                first = models.Filter(must=[_condition("ordinal", range=models.Range(gte=0, lte=0))])
                records = self._records(ask, self._alias, first)
                summaries = [layout.as_passage(p.id, p.payload).its_page() async for p in records]
                summaries.sort(key=lambda page: (page.version, page.locale, page.position, page.path))
                self._pages = (manifest.generation, tuple(summaries))
            return self._pages[1]

    async def passages(self, page: PageSummary) -> Sequence[Passage]:
        async with self._reader() as ask:
            await self._manifest(ask)
            equal = {"page": page.path, "tag": page.tag, "locale": page.locale}
            of_page = models.Filter(must=[_is_one_of(key, (value,)) for key, value in equal.items()])
            found = [layout.as_passage(p.id, p.payload) async for p in self._records(ask, self._alias, of_page)]
        return sorted(found, key=lambda passage: passage.ordinal)

    async def check(self) -> Sequence[Remark]:
        async with self._reader() as ask:
            server = (await ask(self._client.info)).version
            target = await self._server.target(ask)
            kept = await self._server.generations(ask)
            remarks = [*self._remarks, _of_version(server)]
            if target is None:
                return [*remarks, Remark(f"nothing is published as {self._alias}")]
            remarks.append(Remark(f"{self._alias} is {target}, {len(kept)} generations are kept"))
            try:
                info = await ask(self._client.get_collection, target)
            except NotUnderstood:  # servers that are newer than the client tell what it does not know
                return [*remarks, Remark("its payload indexes could not be looked at", "upgrade qdrant-client")]
        fields = (*layout.KEYWORD_FIELDS, *layout.INTEGER_FIELDS)
        missing = [name for name in fields if name not in info.payload_schema]
        if missing:
            text = f"{target} has no payload index on {', '.join(missing)}: strict servers refuse to filter by them"
            remarks.append(Remark(text, "run: askbook index SOURCE --full"))
        return remarks

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._client.close()

    # As the index ---------------------------------------------------------------------------------------

    @property
    def lexical(self) -> Mapping[str, str | float]:
        return self._server.encoder.configuration

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
        return await self._published(patient(self._sleep))

    async def placed(self) -> AsyncGenerator[tuple[str, str], None]:
        ask = patient(self._sleep)
        if await self._published(ask) is not None:
            async for point in self._records(ask, self._alias, _PASSAGES, payload=["page"]):
                yield str(point.id), str((point.payload or _NOTHING).get("page"))

    async def roll_back(self) -> Manifest:
        ask = patient(self._sleep)
        current = await self._server.target(ask)
        older = [name for name in await self._server.generations(ask) if current and name < current]
        if not older:
            raise IndexMissing("there is no generation before the current one; run: askbook index SOURCE")
        await self._server.point_alias(ask, older[0])
        self._known = None
        return await self._manifest(ask)

    @asynccontextmanager
    async def generation(self, manifest: Manifest) -> AsyncGenerator[QdrantGeneration, None]:
        writer = QdrantGeneration(self._server, manifest, self._sleep)
        try:
            await writer.create()
            yield writer
        finally:
            await writer.tidy()
            self._known = None

    def _reader(self) -> AbstractAsyncContextManager[Ask]:
        return brisk(self._timeout, self._sleep)

    async def _manifest(self, ask: Ask) -> Manifest:
        if self._known is None or monotonic() - self._known[0] >= self._refresh_seconds:
            manifest = await self._published(ask)
            if manifest is None:
                raise IndexMissing(f"nothing is indexed as {self._alias} yet; run: askbook index SOURCE")
            if dict(manifest.lexical) != self._server.encoder.configuration:
                raise IndexMismatch("the index was built with another BM25 configuration; run: askbook index SOURCE")
            self._known = (monotonic(), manifest)
        return self._known[1]

    async def _published(self, ask: Ask) -> Manifest | None:
        if await self._server.target(ask) is None:
            return None
        points = await ask(self._client.retrieve, self._alias, [_MANIFEST_ID], with_payload=True)
        if not points or not points[0].payload:
            raise IndexCorrupt(f"the collection {self._alias} has no manifest; run: askbook index SOURCE --full")
        try:
            return layout.as_manifest(json.loads(points[0].payload["manifest"]))
        except (KeyError, TypeError, ValueError) as exc:
            raise IndexCorrupt(f"{self._alias} has a damaged manifest; run: askbook index SOURCE --full") from exc

    async def _records(
        self, ask: Ask, collection: str, wanted: models.Filter, *, payload: bool | list[str] = True
    ) -> AsyncIterator[models.Record]:
        offset: Any = None
        while True:
            points, offset = await ask(
                self._client.scroll,
                collection,
                scroll_filter=wanted,
                limit=_SCROLL,
                offset=offset,
                with_payload=payload,
            )
            for point in points:
                yield point
            if offset is None:
                return


class QdrantGeneration:
    """One generation on its way. Made by `QdrantService.generation`."""

    def __init__(self, server: _Server, manifest: Manifest, sleep: Sleep) -> None:
        self._server = server
        self._client = server.client
        self._manifest = manifest
        self._sleep = sleep
        self._ask = patient(sleep)
        self._ask_once = patient(sleep, tries=1)
        self._name = f"{server.alias}__{manifest.generation}"
        self._published = False
        self._before: str | None = None

    async def create(self) -> None:
        tuning = self._server.tuning
        vectors = models.VectorParams(
            size=self._manifest.dimensions,
            distance=models.Distance.COSINE,
            on_disk=tuning.quantization != "none" or None,  # memory holds the quantized ones
            quantization_config=_QUANTIZED[tuning.quantization],
        )
        # The name is ours alone: where it is taken, an earlier try came through and its answer did not.
        with suppress(NameTaken):
            await self._ask(
                self._client.create_collection,
                self._name,
                vectors_config={layout.DENSE: vectors},
                sparse_vectors_config={layout.LEXICAL: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                shard_number=tuning.shards,
                replication_factor=tuning.replicas,
            )
        # Before any point, so that the search graph knows the filters, and strict servers accept them.
        indexes = dict.fromkeys(layout.KEYWORD_FIELDS, models.PayloadSchemaType.KEYWORD)
        indexes |= dict.fromkeys(layout.INTEGER_FIELDS, models.PayloadSchemaType.INTEGER)
        with self._still_there():
            for name, kind in indexes.items():
                await self._ask(self._client.create_payload_index, self._name, name, kind, wait=True)

    async def put(self, entries: Sequence[Entry]) -> None:
        """Raises `IndexBusy` where another machine's run removed this generation, as `check` and `publish` do."""
        if self._published:
            raise BadEntry("this generation is published: nothing can be added to it")
        layout.check_entries(entries, self._manifest)
        points = [self._point(entry) for entry in entries]
        with self._still_there():
            for start in range(0, len(points), _UPSERT):
                await self._ask(self._client.upsert, self._name, points[start : start + _UPSERT], wait=True)

    async def check(self, samples: Sequence[Entry]) -> None:
        for sample in samples:
            query = SearchQuery(sample.passage.text, sample.vector, limit=1)
            with self._still_there():
                found = await self._server.search(self._ask, self._name, query, has_vectors=self._manifest.has_vectors)
            layout.check_found(sample, found)

    async def publish(self) -> None:
        with self._still_there():
            await self._wait_for_graph()
            count = (await self._ask(self._client.count, self._name, count_filter=_PASSAGES, exact=True)).count
            if count != self._manifest.passages:
                raise IndexCorrupt(
                    f"{count} passages were written, {self._manifest.passages} were planned; run this again"
                )
            text = json.dumps(layout.as_json(self._manifest))
            point = models.PointStruct(id=_MANIFEST_ID, vector={}, payload={"manifest": text})
            await self._ask(self._client.upsert, self._name, [point], wait=True)
            self._before = await self._server.target(self._ask)
            await self._server.point_alias(self._ask, self._name)
        self._published = True

    async def tidy(self) -> None:
        """Not published, this collection goes. Published, all older ones go but the one that was current until now, to
        roll back to; one without vectors is not worth that. Newer ones are another machine's. What cannot be removed
        now is removed by the next run."""
        try:
            for name in await self._superfluous():
                await self._ask_once(self._client.delete_collection, name)
        except AskbookError as exc:
            logger.warning("generations are left for the next run to remove cause=%s", exc)

    async def _superfluous(self) -> list[str]:
        if not self._published:
            return [self._name]
        # Deleting a collection deletes the alias with it, so whatever is current by now must stay.
        kept = {self._name, await self._server.target(self._ask_once)}
        if self._before is not None and not self._before.endswith(BY_WORDS):
            kept.add(self._before)
        names = await self._server.generations(self._ask_once)
        return [name for name in names if name not in kept and _made(name) <= _made(self._name)]

    async def _wait_for_graph(self) -> None:
        """A while: until the search graph is built, searches are right, but slow."""
        for _ in range(_LOOKS):
            try:
                status = (await self._ask(self._client.get_collection, self._name)).status
            except NotUnderstood:
                return
            if status is not models.CollectionStatus.YELLOW:
                return
            await self._sleep(_LOOK_SECONDS)
        logger.warning("generation is published while its search graph is being built name=%s", self._name)

    @contextmanager
    def _still_there(self) -> Iterator[None]:
        try:
            yield
        except CollectionGone as exc:
            raise IndexBusy(
                f"another machine indexed {self._server.alias} meanwhile and removed this unfinished generation; index "
                "from one machine at a time, then run this again"
            ) from exc

    def _point(self, entry: Entry) -> models.PointStruct:
        weights = self._server.encoder.of_passage(entry.passage)
        vectors: dict[str, Any] = {layout.LEXICAL: models.SparseVector(indices=weights.indices, values=weights.values)}
        if entry.vector is not None:
            vectors[layout.DENSE] = list(entry.vector)
        return models.PointStruct(id=entry.passage.id, vector=vectors, payload=layout.as_payload(entry.passage))


@dataclass(frozen=True, slots=True)
class _Server:
    """One index on its server: what the store and a generation both ask for."""

    client: AsyncQdrantClient
    alias: str
    tuning: Tuning
    encoder: Bm25Encoder

    @property
    def rescored(self) -> models.SearchParams:
        """What is found by quantized vectors is ranked by the full ones. Ignored where none are quantized."""
        oversampling = self.tuning.oversampling
        return models.SearchParams(
            quantization=models.QuantizationSearchParams(rescore=True, oversampling=oversampling)
        )

    async def target(self, ask: Ask) -> str | None:
        """The collection that the alias points at."""
        aliases = (await ask(self.client.get_aliases)).aliases
        return next((known.collection_name for known in aliases if known.alias_name == self.alias), None)

    async def generations(self, ask: Ask) -> list[str]:
        """Their collections, newest first."""
        every = [known.name for known in (await ask(self.client.get_collections)).collections]
        ours = re.compile(rf"{re.escape(self.alias)}__{GENERATION}")
        return sorted(filter(ours.fullmatch, every), reverse=True)

    async def point_alias(self, ask: Ask, collection: str) -> None:
        """In one step, so that there is no moment without an index. An alias that is not there may be deleted too."""
        delete = models.DeleteAlias(alias_name=self.alias)
        create = models.CreateAlias(collection_name=collection, alias_name=self.alias)
        await ask(
            self.client.update_collection_aliases,
            [models.DeleteAliasOperation(delete_alias=delete), models.CreateAliasOperation(create_alias=create)],
        )

    async def search(self, ask: Ask, collection: str, query: SearchQuery, *, has_vectors: bool) -> Candidates:
        weights = self.encoder.of_question(query.text, query.scope.locale)
        wanted: list[tuple[str, Any]] = []
        if query.vector is not None and has_vectors:
            wanted.append((layout.DENSE, list(query.vector)))
        if weights.indices:
            wanted.append((layout.LEXICAL, models.SparseVector(indices=weights.indices, values=weights.values)))
        requests = [
            models.QueryRequest(
                query=vector,
                using=using,
                filter=_filter(query.scope),
                params=self.rescored if using == layout.DENSE else None,
                limit=query.limit,
                with_payload=True,
            )
            for using, vector in wanted
        ]
        found = await ask(self.client.query_batch_points, collection, requests) if requests else []
        if len(found) != len(wanted):
            raise NotUnderstood(f"{len(wanted)} searches had {len(found)} answers; check the Qdrant server's version")
        sides = {using: _hits(response.points) for (using, _), response in zip(wanted, found, strict=True)}
        return Candidates(dense=sides.get(layout.DENSE, ()), lexical=sides.get(layout.LEXICAL, ()))


def _filter(scope: Scope) -> models.Filter | None:
    must: list[Any] = [_is_one_of(key, values) for key, values in layout.conditions(scope)]
    if scope.up_to_position is not None:
        must.append(_condition("position", range=models.Range(lte=scope.up_to_position)))
    return models.Filter(must=must) if must else None


def _is_one_of(key: str, values: Sequence[str]) -> models.FieldCondition:
    return _condition(key, match=models.MatchAny(any=list(values)))


def _condition(key: str, **wanted: Any) -> models.FieldCondition:
    """The only maker of conditions: what has no payload index is refused here, since only strict servers refuse it."""
    if key not in layout.KEYWORD_FIELDS + layout.INTEGER_FIELDS:
        raise ValueError(f"{key} is not among the fields of `payload` that can be filtered by")
    return models.FieldCondition(key=key, **wanted)


def _hits(points: Sequence[models.ScoredPoint]) -> tuple[Hit, ...]:
    hits = [
        Hit(layout.as_passage(point.id, point.payload), point.score) for point in points if math.isfinite(point.score)
    ]
    return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.passage.id)))


def _of_version(server: str) -> Remark:
    """The client speaks with servers of its own minor version, the one before and the one after."""
    found, client = re.match(r"(\d+)\.(\d+)", server), version("qdrant-client")
    if found is None:
        return Remark("the Qdrant server tells no version that we know how to read", "check QDRANT_HOST")
    theirs, ours = (int(found[1]), int(found[2])), tuple(map(int, client.split(".")[:2]))
    text = f"Qdrant {found[0]}, spoken to by qdrant-client {client}"
    if theirs < _OLDEST_SERVER or theirs < (ours[0], ours[1] - 1):
        return Remark(text, f"upgrade the Qdrant server to {ours[0]}.{ours[1] - 1} or newer")
    if theirs > (ours[0], ours[1] + 1):
        return Remark(text, "upgrade qdrant-client")
    return Remark(text)


def _is_loopback(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _made(name: str) -> str:
    """Orders generations by when their run began: one without vectors is of the same run as the one that follows."""
    return name.removesuffix(BY_WORDS)
