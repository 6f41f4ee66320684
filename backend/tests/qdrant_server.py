"""Qdrant's REST wire on a loopback socket, over the client's in-memory double: healthy until a test says otherwise.

    async with QdrantServer() as server:
        service = QdrantService.connect(server.url, SecretStr(server.key), "book", folder)
        server.reply(status=503)                       # the next request only
        server.reply(Break.LOSE, at="/collections/")   # the next one whose path has this in it
        server.always(Break.HANG)                      # every request, until `healthy`
        ...
        assert [request.path for request in server.requests] == ...

It refuses what Qdrant Cloud refuses, with the words of Qdrant 1.19: other keys, collections that are not there or there
already, and filters by fields without a payload index.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from qdrant_client import AsyncQdrantClient, models

from tests.loopback import Break, LoopbackServer, Received, Reply, Step

HTML: Final = b"<!doctype html><html><title>Welcome to nginx!</title></html>"
MALFORMED: Final = b'{"result": {"aliases": [}'
VENDOR_WORDS: Final = "panicked at lib/segment/src"
"""Stands in the body of a scripted status, unless the test gives another one. No error of ours may repeat it."""


class QdrantServer(LoopbackServer):
    def __init__(self, *, key: str = "test-key", version: str = "1.20.0", strict: bool = True) -> None:
        """An empty key lets everyone in. `strict` is Cloud's strict mode."""
        super().__init__()
        self.key = key
        self.version = version
        self.strict = strict
        self.data = AsyncQdrantClient(":memory:")
        """To look into, and to damage."""
        self.indexed: defaultdict[str, dict[str, str]] = defaultdict(dict)
        """By collection: its payload indexes, and of which type they are."""
        self.status = "green"
        """Of every collection."""

    def reply(
        self, *steps: Step, status: int | None = None, headers: Mapping[str, str] | None = None, at: str = ""
    ) -> None:
        """Scripts the next request that has no script yet. Where the steps send nothing and do not break, the status
        is told with `VENDOR_WORDS`, and without a status the request is answered as always."""
        self._once.append((at, _scripted(steps, status, headers)))

    def always(
        self, *steps: Step, status: int | None = None, headers: Mapping[str, str] | None = None, at: str = ""
    ) -> None:
        """As `reply`, for every request that has no script of its own; forgets the last such script."""
        self._always = {at: _scripted(steps, status, headers)}

    def healthy(self) -> None:
        """Forgets all scripts."""
        self._once.clear()
        self._always.clear()

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await self.data.close()

    # What a healthy server does -------------------------------------------------------------------------

    async def healthy_reply(self, received: Received) -> Reply:
        status, body = await self.answer(received)
        return Reply((body,), status)

    async def answer(self, received: Received) -> tuple[int, bytes]:
        if received.path == "/":  # needs no key
            return 200, json.dumps({"title": "qdrant - vector search engine", "version": self.version}).encode()
        if self.key and received.headers.get("api-key") != self.key:
            return 401, b"Invalid API key or JWT"
        try:
            result = _as_json(await self._do(received))
            return 200, json.dumps({"result": result, "status": "ok", "time": 0.001}).encode()
        except _Refused as exc:
            return exc.status, _error(str(exc))
        except ValueError as exc:  # the double's words for all that is wrong
            if "not found" in str(exc):
                return 404, _error(f"Not found: Collection `{received.path.split('/')[2]}` doesn't exist!")
            return 400, _error(f"Wrong input: {exc}")

    async def _do(self, received: Received) -> Any:
        match received.method, [unquote(part) for part in received.path.strip("/").split("/")]:
            case "GET", ["aliases"]:
                return await self.data.get_aliases()
            case "POST", ["collections", "aliases"]:
                return await self._change_aliases(models.ChangeAliasesOperation.model_validate(received.body))
            case "GET", ["collections"]:
                return await self.data.get_collections()
            case "GET", ["collections", name]:
                indexes = {field: {"data_type": kind, "points": 0} for field, kind in self.indexed[name].items()}
                info = _as_json(await self.data.get_collection(name))
                return {**info, "status": self.status, "payload_schema": indexes}
            case "PUT", ["collections", name]:
                return await self._create(name, models.CreateCollection.model_validate(received.body))
            case "DELETE", ["collections", name]:
                self.indexed.pop(name, None)
                return await self.data.delete_collection(name)
            case "PUT", ["collections", name, "index"]:
                await self.data.get_collection(name)
                self.indexed[name][received.body["field_name"]] = received.body["field_schema"]
                return _DONE
            case "PUT", ["collections", name, "points"]:
                points = models.PointsList.model_validate(received.body).points
                await self.data.upsert(name, points)
                return _DONE
            case "POST", ["collections", name, "points", *what]:
                await self._refuse_unindexed(name, received.body)
                return await self._read(name, "/".join(what), received.body)
        raise _Refused(404, "")

    async def _read(self, name: str, what: str, body: Any) -> Any:
        match what:
            case "":
                asked = models.PointRequest.model_validate(body)
                return await self.data.retrieve(name, asked.ids, with_payload=asked.with_payload or False)
            case "count":
                return await self.data.count(name, models.CountRequest.model_validate(body).filter)
            case "scroll":
                scroll = models.ScrollRequest.model_validate(body)
                points, offset = await self.data.scroll(
                    name,
                    scroll_filter=scroll.filter,
                    limit=scroll.limit or 10,
                    offset=scroll.offset,
                    with_payload=scroll.with_payload or False,
                )
                return {"points": _as_json(points), "next_page_offset": offset}
            case "query":
                return await self._query(name, models.QueryRequest.model_validate(body))
            case "query/batch":
                searches = models.QueryRequestBatch.model_validate(body).searches
                return [await self._query(name, search) for search in searches]
        raise _Refused(404, "")

    async def _query(self, name: str, query: models.QueryRequest) -> Any:
        # Without its params, of which the double says that it has no use for them.
        [found] = await self.data.query_batch_points(name, [query.model_copy(update={"params": None})])
        return found

    async def _create(self, name: str, wanted: models.CreateCollection) -> bool:
        if await self.data.collection_exists(name):
            raise _Refused(409, f"Wrong input: Collection `{name}` already exists!")
        return await self.data.create_collection(
            name,
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
            shard_number=wanted.shard_number or 1,
            replication_factor=wanted.replication_factor or 1,
        )

    async def _change_aliases(self, wanted: models.ChangeAliasesOperation) -> bool:
        collections = {known.name for known in (await self.data.get_collections()).collections}
        for action in wanted.actions:
            if isinstance(action, models.CreateAliasOperation):
                if action.create_alias.collection_name not in collections:
                    missing = action.create_alias.collection_name
                    raise _Refused(404, f"Not found: Collection `{missing}` doesn't exist!")
                if action.create_alias.alias_name in collections:
                    taken = action.create_alias.alias_name
                    raise _Refused(409, f"Wrong input: Collection `{taken}` already exists!")
        return await self.data.update_collection_aliases(wanted.actions)

    async def _refuse_unindexed(self, name: str, body: Any) -> None:
        if not self.strict:
            return
        aliases = {known.alias_name: known.collection_name for known in (await self.data.get_aliases()).aliases}
        indexed = self.indexed[aliases.get(name, name)]
        for key, kinds in _conditions(body):
            if indexed.get(key) not in kinds:
                raise _Refused(
                    400,
                    f'Bad request: Index required but not found for "{key}" of one of the following types: '
                    f"[{', '.join(kinds)}]. Help: Create an index for this key or use a different filter.",
                )


def _scripted(steps: tuple[Step, ...], status: int | None, headers: Mapping[str, str] | None) -> Reply:
    if status is not None and all(isinstance(step, asyncio.Event | float) for step in steps):
        steps = (*steps, _error(VENDOR_WORDS))
    if steps == (Break.CUT,):
        steps = (b'{"res', Break.CUT)
    return Reply(steps, status, headers or {})


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


_DONE: Final = {"operation_id": 1, "status": "completed"}


def _conditions(body: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every field that a body filters by, with the types of index that would do."""
    if isinstance(body, list):
        for part in body:
            yield from _conditions(part)
    elif isinstance(body, dict) and "key" in body:
        yield body["key"], ("keyword",) if body.get("match") else ("float", "integer")
    elif isinstance(body, dict):
        for name, part in body.items():
            if name in {"filter", "must", "should", "must_not", "searches", "prefetch"}:
                yield from _conditions(part)


def _as_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_json(part) for part in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _error(text: str) -> bytes:
    return json.dumps({"status": {"error": text}, "time": 0.001}).encode()
