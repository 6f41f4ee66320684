"""Qdrant's client as our index: what the contract suite cannot ask for, and what a server's refusals become."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient

from chatbot_api.errors import AskbookError, IndexCorrupt, IndexMismatch, SearchUnavailable
from chatbot_api.models.domain import Entry, SearchQuery
from chatbot_api.services.qdrant_service import QdrantService
from chatbot_api.testing import HashEmbedder
from tests.conftest import manifest, passage

BOOK = [
    passage("A node publishes messages to a topic.", page="/docs/topics"),
    passage("An action has a goal and sends feedback.", page="/docs/actions", title="Actions"),
]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncGenerator[QdrantService, None]:
    with warnings.catch_warnings():
        # The client's in-memory double warns that it keeps no payload indexes; a server does.
        warnings.filterwarnings("ignore", message="Payload indexes have no effect", category=UserWarning)
        service = QdrantService(AsyncQdrantClient(":memory:"), "book", tmp_path, refresh_seconds=0)
        yield service
        await service.close()


async def fill(service: QdrantService, **changes: object) -> None:
    embedder = HashEmbedder()
    wanted = manifest(**{"lexical": service.lexical, "passages": len(BOOK), **changes})
    async with service.writing(), service.generation(wanted) as generation:
        await generation.put([Entry(p, await embedder.embed_question(p.text)) for p in BOOK])
        await generation.publish()


async def test_search_documents_gives_the_nearest_passages_as_dictionaries(service: QdrantService) -> None:
    await fill(service)
    vector = await HashEmbedder().embed_question("goal and feedback")

    found = await service.search_documents(vector, top_k=1)

    assert len(found) == 1
    assert (found[0]["id"], found[0]["page"], found[0]["text"]) == (BOOK[1].id, "/docs/actions", BOOK[1].text)
    assert 0 < found[0]["score"] <= 1.0001


async def test_the_manifest_is_no_search_result(service: QdrantService) -> None:
    await fill(service)
    vector = await HashEmbedder().embed_question("manifest")

    found = await service.search(SearchQuery("manifest generation passages", vector))

    assert {hit.passage.id for hit in (*found.dense, *found.lexical)} <= {p.id for p in BOOK}
    assert {passage_id async for passage_id, _ in service.placed()} == {p.id for p in BOOK}


async def test_an_index_of_another_bm25_configuration_is_refused(service: QdrantService) -> None:
    await fill(service, lexical={"tokenizer": "another"})

    with pytest.raises(IndexMismatch, match="run: askbook index SOURCE"):
        await service.manifest()


async def test_another_books_generations_are_left_alone(tmp_path: Path) -> None:
    client = AsyncQdrantClient(":memory:")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Payload indexes have no effect", category=UserWarning)
        other = QdrantService(client, "book__api", tmp_path, refresh_seconds=0)
        await fill(other)
        await fill(QdrantService(client, "book", tmp_path, refresh_seconds=0))

    assert (await other.manifest()).passages == len(BOOK)
    assert len({passage_id async for passage_id, _ in other.placed()}) == len(BOOK)
    await client.close()


async def test_a_collection_that_we_did_not_fill_is_not_taken_for_an_index(tmp_path: Path) -> None:
    client = AsyncQdrantClient(":memory:")
    from qdrant_client import models

    await client.create_collection("theirs", vectors_config={})
    create = models.CreateAlias(collection_name="theirs", alias_name="book")
    await client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    service = QdrantService(client, "book", tmp_path)

    with pytest.raises(IndexCorrupt, match="run: askbook index SOURCE --full"):
        await service.manifest()
    await service.close()


@asynccontextmanager
async def server_that_answers(status: int, body: str) -> AsyncGenerator[str, None]:
    """Gives every request the same answer, on a real socket."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
        )
        writer.write(f"{head}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, '{"status":{"error":"Unauthorized: key-1 is wrong"}}', "refused the key; check QDRANT_API_KEY"),
        (403, '{"status":{"error":"Forbidden"}}', "refused the key; check QDRANT_API_KEY"),
        (429, '{"status":{"error":"slow down"}}', "answered 429"),
        (500, '{"status":{"error":"panic at /qdrant/src"}}', "answered 500"),
        (503, "overloaded", "answered 503"),
        (200, "not json", "no answer of Qdrant"),
        (200, '{"result": 7}', "cannot be reached"),
    ],
)
async def test_a_server_that_refuses_is_a_search_that_is_unavailable(
    tmp_path: Path, status: int, body: str, sentence: str
) -> None:
    async with server_that_answers(status, body) as url:
        with pytest.warns(UserWarning, match="insecure connection"):
            service = QdrantService.connect(url, SecretStr("key-1"), "book", tmp_path)

        with pytest.raises(SearchUnavailable, match=sentence) as caught:
            await service.manifest()

        await service.close()
    assert "key-1" not in str(caught.value) + AskbookError.public
    assert "panic" not in str(caught.value)


async def test_a_server_that_is_not_there_is_a_search_that_is_unavailable(tmp_path: Path) -> None:
    service = QdrantService.connect("http://127.0.0.1:9", None, "book", tmp_path)

    with pytest.raises(SearchUnavailable, match="cannot be reached"):
        await service.manifest()

    await service.close()
