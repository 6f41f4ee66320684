"""`QdrantServer` by gRPC: each call becomes the REST request that means the same, with its scripts, key and refusals.

    async with QdrantServer() as server, QdrantGrpc(server) as port:
        service = QdrantService.connect(server.url, SecretStr(server.key), "book", folder, grpc_port=port)

Of scripts it knows `status`, the header `Retry-After` and `Break.HANG`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
from qdrant_client import grpc as wire
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from tests.loopback import Break, Received
from tests.qdrant_server import VENDOR_WORDS, QdrantServer

_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.ALREADY_EXISTS,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
_DONE: Final = wire.PointsOperationResponse(result=wire.UpdateResult(status=wire.UpdateStatus.Completed))

Rest = Callable[..., Awaitable[Any]]
"""Method, path and body; the result."""


class QdrantGrpc:
    def __init__(self, server: QdrantServer) -> None:
        self._rest = server

    async def __aenter__(self) -> int:
        self._server = grpc.aio.server()
        for service, calls in _SERVICES.items():
            handlers = {name: self._handler(asked, do) for name, (asked, do) in calls.items()}
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
        port: int = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return port

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    def _handler(self, asked: Any, do: Callable[[Any, Rest], Awaitable[Any]]) -> Any:
        async def handle(request: Any, context: Any) -> Any:
            key = dict(context.invocation_metadata()).get("api-key", "")

            async def rest(method: str, path: str, body: Any = None) -> Any:
                received = Received(method, path, "", {"api-key": key}, body)
                self._rest.requests.append(received)
                script = self._rest.script_for(received)
                if Break.HANG in script.steps:
                    await asyncio.Event().wait()
                if script.status is not None:
                    told = [("retry-after", value) for name, value in script.headers.items() if name == "Retry-After"]
                    await context.abort(_CODES[script.status], VENDOR_WORDS, tuple(told))
                status, answer = await self._rest.answer(received)
                if status != 200:
                    text = answer.decode() if status == 401 else json.loads(answer)["status"]["error"]
                    await context.abort(_CODES[status], text)
                found = json.loads(answer)
                return found.get("result", found)

            return await do(request, rest)

        return grpc.unary_unary_rpc_method_handler(
            handle, request_deserializer=asked.FromString, response_serializer=lambda answer: answer.SerializeToString()
        )


async def _health(_: Any, rest: Rest) -> Any:
    return wire.HealthCheckReply(**await rest("GET", "/"))


async def _list(_: Any, rest: Rest) -> Any:
    return wire.ListCollectionsResponse(**await rest("GET", "/collections"))


async def _list_aliases(_: Any, rest: Rest) -> Any:
    return wire.ListAliasesResponse(**await rest("GET", "/aliases"))


async def _update_aliases(asked: Any, rest: Rest) -> Any:
    actions = [_dump(GrpcToRest.convert_alias_operations(action)) for action in asked.actions]
    return wire.CollectionOperationResponse(result=await rest("POST", "/collections/aliases", {"actions": actions}))


async def _get_collection(asked: Any, rest: Rest) -> Any:
    info = models.CollectionInfo.model_validate(await rest("GET", f"/collections/{asked.collection_name}"))
    return wire.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))


async def _create(asked: Any, rest: Rest) -> Any:
    wanted = models.CreateCollection(
        vectors=GrpcToRest.convert_vectors_config(asked.vectors_config),
        sparse_vectors=GrpcToRest.convert_sparse_vector_config(asked.sparse_vectors_config),
        shard_number=asked.shard_number or None,
        replication_factor=asked.replication_factor or None,
    )
    done = await rest("PUT", f"/collections/{asked.collection_name}", _dump(wanted))
    return wire.CollectionOperationResponse(result=done)


async def _delete(asked: Any, rest: Rest) -> Any:
    return wire.CollectionOperationResponse(result=await rest("DELETE", f"/collections/{asked.collection_name}"))


async def _create_index(asked: Any, rest: Rest) -> Any:
    kind = wire.FieldType.Name(asked.field_type).removeprefix("FieldType").lower()
    body = {"field_name": asked.field_name, "field_schema": kind}
    await rest("PUT", f"/collections/{asked.collection_name}/index", body)
    return _DONE


async def _upsert(asked: Any, rest: Rest) -> Any:
    points = [_dump(GrpcToRest.convert_point_struct(point)) for point in asked.points]
    await rest("PUT", f"/collections/{asked.collection_name}/points", {"points": points})
    return _DONE


async def _get(asked: Any, rest: Rest) -> Any:
    body = {"ids": [GrpcToRest.convert_point_id(point) for point in asked.ids], "with_payload": True}
    found = await rest("POST", f"/collections/{asked.collection_name}/points", body)
    return wire.GetResponse(result=[_record(point) for point in found])


async def _count(asked: Any, rest: Rest) -> Any:
    body = {"filter": _dump(GrpcToRest.convert_filter(asked.filter))}
    return wire.CountResponse(
        result=wire.CountResult(**await rest("POST", f"/collections/{asked.collection_name}/points/count", body))
    )


async def _scroll(asked: Any, rest: Rest) -> Any:
    wanted = models.ScrollRequest(
        filter=GrpcToRest.convert_filter(asked.filter),
        limit=asked.limit,
        offset=GrpcToRest.convert_point_id(asked.offset) if asked.HasField("offset") else None,
        with_payload=GrpcToRest.convert_with_payload_selector(asked.with_payload),
    )
    found = await rest("POST", f"/collections/{asked.collection_name}/points/scroll", _dump(wanted))
    offset = found["next_page_offset"]
    return wire.ScrollResponse(
        result=[_record(point) for point in found["points"]],
        next_page_offset=None if offset is None else RestToGrpc.convert_extended_point_id(offset),
    )


async def _query(asked: Any, rest: Rest) -> Any:
    body = _dump(GrpcToRest.convert_query_points(asked))
    found = await rest("POST", f"/collections/{asked.collection_name}/points/query", body)
    return wire.QueryResponse(result=_scored(found))


async def _query_batch(asked: Any, rest: Rest) -> Any:
    body = {"searches": [_dump(GrpcToRest.convert_query_points(query)) for query in asked.query_points]}
    found = await rest("POST", f"/collections/{asked.collection_name}/points/query/batch", body)
    return wire.QueryBatchResponse(result=[wire.BatchResult(result=_scored(answer)) for answer in found])


_SERVICES: Final[Mapping[str, Mapping[str, tuple[Any, Callable[[Any, Rest], Awaitable[Any]]]]]] = {
    "qdrant.Qdrant": {"HealthCheck": (wire.HealthCheckRequest, _health)},
    "qdrant.Collections": {
        "List": (wire.ListCollectionsRequest, _list),
        "ListAliases": (wire.ListAliasesRequest, _list_aliases),
        "UpdateAliases": (wire.ChangeAliases, _update_aliases),
        "Get": (wire.GetCollectionInfoRequest, _get_collection),
        "Create": (wire.CreateCollection, _create),
        "Delete": (wire.DeleteCollection, _delete),
    },
    "qdrant.Points": {
        "CreateFieldIndex": (wire.CreateFieldIndexCollection, _create_index),
        "Upsert": (wire.UpsertPoints, _upsert),
        "Get": (wire.GetPoints, _get),
        "Count": (wire.CountPoints, _count),
        "Scroll": (wire.ScrollPoints, _scroll),
        "Query": (wire.QueryPoints, _query),
        "QueryBatch": (wire.QueryBatchPoints, _query_batch),
    },
}


def _dump(model: Any) -> Any:
    return model.model_dump(mode="json")


def _record(point: Any) -> Any:
    return RestToGrpc.convert_record(models.Record.model_validate(point))


def _scored(answer: Any) -> list[Any]:
    return [RestToGrpc.convert_scored_point(models.ScoredPoint.model_validate(point)) for point in answer["points"]]
