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
import enum
import json
import socket
import struct
from collections import defaultdict
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from qdrant_client import AsyncQdrantClient, models


class Break(enum.Enum):
    HANG = "say nothing more until the client leaves"
    CUT = "close the connection in the middle of the body"
    RESET = "reset the connection"
    LOSE = "do what was asked, then close the connection without a word"


Step = bytes | Mapping[str, Any] | asyncio.Event | float | Break
"""What a scripted reply does next: send bytes, send JSON, wait for an event or for seconds, break."""

HTML: Final = b"<!doctype html><html><title>Welcome to nginx!</title></html>"
MALFORMED: Final = b'{"result": {"aliases": [}'
VENDOR_WORDS: Final = "panicked at lib/segment/src"
"""Stands in the body of a scripted status, unless the test gives another one. No error of ours may repeat it."""


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any


@dataclass(frozen=True, slots=True)
class Script:
    steps: tuple[Step, ...]
    status: int | None
    headers: Mapping[str, str]
    at: str


class QdrantServer:
    def __init__(self, *, key: str = "test-key", version: str = "1.20.0", strict: bool = True) -> None:
        """An empty key lets everyone in. `strict` is Cloud's strict mode."""
        self.key = key
        self.version = version
        self.strict = strict
        self.requests: list[Received] = []
        self.data = AsyncQdrantClient(":memory:")
        """To look into, and to damage."""
        self.indexed: defaultdict[str, dict[str, str]] = defaultdict(dict)
        """By collection: its payload indexes, and of which type they are."""
        self.status = "green"
        """Of every collection."""
        self._once: list[Script] = []
        self._always: Script | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._nobody_connected = asyncio.Event()

    def reply(
        self, *steps: Step, status: int | None = None, headers: Mapping[str, str] | None = None, at: str = ""
    ) -> None:
        """Scripts the next request that has no script yet. Where the steps send nothing and do not break, the status
        is told with `VENDOR_WORDS`, and without a status the request is answered as always."""
        self._once.append(Script(steps, status, headers or {}, at))

    def always(
        self, *steps: Step, status: int | None = None, headers: Mapping[str, str] | None = None, at: str = ""
    ) -> None:
        """As `reply`, for every request that has no script of its own."""
        self._always = Script(steps, status, headers or {}, at)

    def healthy(self) -> None:
        """Forgets all scripts."""
        self._once.clear()
        self._always = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**25)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        if self._open:
            await self._nobody_connected.wait()
        await self._server.wait_closed()
        await self.data.close()

    # The wire -------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self._nobody_connected.clear()
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            writer.close()
            self._open.discard(writer)
            if not self._open:
                self._nobody_connected.set()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """True while the connection can be used again."""
        begin = await reader.readexactly(1)
        if begin == b"\x16":  # of TLS
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return False
        received = await _receive(begin, reader)
        self.requests.append(received)
        script = self.script_for(received)
        status, sent = script.status or 200, False
        for step in script.steps:
            match step:
                case asyncio.Event():
                    if not await _wait(step.wait(), reader):
                        return False
                case float():
                    if not await _wait(asyncio.sleep(step), reader):
                        return False
                case Break.HANG:
                    return await _wait(asyncio.Event().wait(), reader)
                case Break.CUT:
                    writer.write(b"" if sent else _head(status, script.headers) + _piece(b'{"res'))
                    await writer.drain()
                    return False
                case Break.RESET:
                    _reset(writer)
                    return False
                case Break.LOSE:
                    await self.answer(received)
                    return False
                case _:
                    data = step if isinstance(step, bytes) else json.dumps(step).encode()
                    writer.write((b"" if sent else _head(status, script.headers)) + _piece(data))
                    sent = True
                    await writer.drain()
        if not sent:
            status, body = (script.status, _error(VENDOR_WORDS)) if script.status else await self.answer(received)
            writer.write(_head(status, script.headers) + _piece(body))
        writer.write(_piece(b""))
        await writer.drain()
        return True

    def script_for(self, received: Received) -> Script:
        for script in self._once:
            if script.at in received.path:
                self._once.remove(script)
                return script
        if self._always is not None and self._always.at in received.path:
            return self._always
        return Script((), None, {}, "")

    # What a healthy server does -------------------------------------------------------------------------

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


async def _receive(begin: bytes, reader: asyncio.StreamReader) -> Received:
    head = (begin + await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    return Received(method, url.path, url.query, headers, json.loads(body) if body else None)


async def _wait(time: Coroutine[Any, Any, Any], reader: asyncio.StreamReader) -> bool:
    """False where the client left first. A client that waits for a reply sends nothing, so any read is its end."""
    leaving = asyncio.create_task(reader.read(1))
    waiting = asyncio.create_task(time)
    await asyncio.wait({leaving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if leaving.done():
        waiting.cancel()
        with suppress(ConnectionError):
            leaving.result()
        return False
    leaving.cancel()
    await asyncio.wait({leaving})
    return True


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    told = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **headers}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in told.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _piece(data: bytes) -> bytes:
    """Of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_not = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()
