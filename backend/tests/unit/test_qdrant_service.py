"""Our index on a Qdrant server, over a socket: what the contract suite cannot ask for, and what faults become."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from qdrant_client import models

from chatbot_api.errors import IndexBusy, IndexCorrupt, IndexMismatch, IndexMissing, NoRoom, SearchUnavailable
from chatbot_api.models.domain import BY_WORDS, Block, Entry, Page, Scope, SearchQuery, Section
from chatbot_api.services import payload as layout
from chatbot_api.services.edge_service import EdgeIndex
from chatbot_api.services.qdrant_service import QdrantService
from chatbot_api.testing import HashEmbedder
from qdrant_indexer.indexing import Origin, index
from qdrant_indexer.pace import Ledger, Pace
from qdrant_indexer.vector_cache import VectorCache
from tests.conftest import manifest, passage
from tests.loopback import Break
from tests.qdrant_grpc import QdrantGrpc
from tests.qdrant_server import HTML, MALFORMED, VENDOR_WORDS, QdrantServer

BOOK = [
    passage("A node publishes messages to a topic.", page="/docs/topics"),
    passage("An action has a goal and sends feedback.", page="/docs/actions", title="Actions"),
]


@dataclass
class Pauses:
    """Takes the place of sleeping, and takes no time."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
async def server() -> AsyncGenerator[QdrantServer, None]:
    async with QdrantServer() as server:
        yield server


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def service(server: QdrantServer, pauses: Pauses, tmp_path: Path) -> AsyncGenerator[QdrantService, None]:
    async with opened(server, tmp_path, sleep=pauses) as service:
        yield service


@asynccontextmanager
async def opened(server: QdrantServer, folder: Path, **changes: Any) -> AsyncGenerator[QdrantService, None]:
    wanted = {"host": server.url, "key": SecretStr(server.key), "collection": "book", "lock_folder": folder, **changes}
    service = QdrantService.connect(**wanted)
    yield service
    await service.close()


def generation(number: int) -> str:
    return f"20260101T{number:012}-0123abcd"


async def entries() -> list[Entry]:
    embedder = HashEmbedder()
    return [Entry(p, await embedder.embed_question(p.text)) for p in BOOK]


async def fill(service: QdrantService, **changes: Any) -> None:
    wanted = manifest(**{"lexical": service.lexical, "passages": len(BOOK), **changes})
    async with service.writing(), service.generation(wanted) as writer:
        await writer.put(await entries())
        await writer.publish()


async def collections(server: QdrantServer) -> set[str]:
    return {known.name for known in (await server.data.get_collections()).collections}


# What is stored ---------------------------------------------------------------------------------------


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


async def test_another_books_generations_are_left_alone(
    server: QdrantServer, service: QdrantService, tmp_path: Path
) -> None:
    async with opened(server, tmp_path, collection="book__api") as other:
        await fill(other)
        await fill(service)

        assert (await other.manifest()).passages == len(BOOK)
        assert len({passage_id async for passage_id, _ in other.placed()}) == len(BOOK)


@pytest.mark.parametrize("payload", [None, {}, {"manifest": 7}, {"manifest": "{"}, {"manifest": "[]"}])
async def test_a_collection_that_we_did_not_fill_is_not_taken_for_an_index(
    server: QdrantServer, service: QdrantService, payload: dict[str, Any] | None
) -> None:
    await fill(service)
    [name] = await collections(server)
    [point] = [p for p in (await server.data.scroll(name))[0] if p.id not in {p.id for p in BOOK}]
    await server.data.upsert(name, [models.PointStruct(id=point.id, vector={}, payload=payload)])

    with pytest.raises(IndexCorrupt, match="run: askbook index SOURCE --full"):
        await service.current()


async def test_a_book_of_more_pages_than_one_answer_holds_is_read_to_its_end(service: QdrantService) -> None:
    book = [passage("Word.", page=f"/docs/{n}") for n in range(1001)]
    wanted = manifest(lexical=service.lexical, passages=len(book), has_vectors=False)

    async with service.writing(), service.generation(wanted) as writer:
        await writer.put([Entry(p, None) for p in book])
        await writer.publish()

    assert len(await service.pages()) == len(book)


def test_every_field_that_can_be_asked_for_is_declared() -> None:
    every = Scope(tags=("docs-default-current",), locale="en", path_prefix="/docs", up_to_position=1, pages=("/docs",))

    assert {key for key, _ in layout.conditions(every)} <= set(layout.KEYWORD_FIELDS)


async def test_a_field_that_is_not_declared_is_not_filtered_by(
    service: QdrantService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(service)
    monkeypatch.setattr(layout, "KEYWORD_FIELDS", ("page", "tag", "ancestors"))

    with pytest.raises(ValueError, match="locale is not among the fields"):
        await service.search(SearchQuery("goal", None, Scope(locale="en")))


@pytest.mark.parametrize(
    ("quantization", "stored"),
    [
        ("none", {"on_disk": None, "quantization_config": None}),
        ("int8", {"on_disk": True, "quantization_config": {"scalar": {"type": "int8", "always_ram": True}}}),
        ("binary", {"on_disk": True, "quantization_config": {"binary": {"always_ram": True}}}),
    ],
)
async def test_a_generation_is_made_as_it_was_asked_for(
    server: QdrantServer, tmp_path: Path, quantization: str, stored: dict[str, Any]
) -> None:
    async with opened(server, tmp_path, quantization=quantization, shards=6, replicas=2) as service:
        await fill(service)

    [created] = [r.body for r in server.requests if r.method == "PUT" and r.path.count("/") == 2]
    dense = created["vectors"]["dense"]
    assert {name: dense.get(name) for name in stored} == stored
    assert (created["shard_number"], created["replication_factor"]) == (6, 2)


async def test_what_quantized_vectors_find_is_ranked_by_the_full_ones(server: QdrantServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path, oversampling=3.0) as service:
        await fill(service)
        vector = await HashEmbedder().embed_question("goal")
        await service.search(SearchQuery("goal", vector))
        await service.search_documents(vector, top_k=1)

    [*_, batch, alone] = [r.body for r in server.requests if "/query" in r.path]
    rescored = {"quantization": {"rescore": True, "oversampling": 3.0}}
    assert [search.get("params") for search in batch["searches"]] == [rescored, None]
    assert alone["params"] == rescored


@pytest.mark.parametrize(
    ("text", "words_of_vector", "sides"),
    [("goal", "goal", ["dense", "bm25"]), ("", "goal", ["dense"]), ("goal", "", ["bm25"]), ("", "", [])],
)
async def test_only_the_sides_that_a_question_has_are_searched(
    server: QdrantServer, service: QdrantService, text: str, words_of_vector: str, sides: list[str]
) -> None:
    await fill(service)
    vector = await HashEmbedder().embed_question(words_of_vector) if words_of_vector else None

    await service.search(SearchQuery(text, vector))

    batches = [r.body["searches"] for r in server.requests if r.path.endswith("/query/batch")]
    assert [search["using"] for batch in batches for search in batch] == sides


async def test_an_index_moves_from_the_embedded_engine_to_a_server_without_embedding(
    service: QdrantService, tmp_path: Path
) -> None:
    section = Section((), None, (Block("paragraph", "A node publishes messages."),))
    pages = [Page(path="/docs/topics", title="Topics", source="topics.md", sections=(section,))]
    embedder = HashEmbedder()

    with VectorCache(tmp_path / "vectors.sqlite") as cache, Ledger(Path(":memory:")) as ledger:
        for vector_index in (EdgeIndex(tmp_path / "index"), service):
            report = await index(
                lambda: pages,
                origin=Origin("book"),
                embedder=embedder,
                vector_index=vector_index,
                cache=cache,
                pace=Pace(embedder.quota, ledger),
            )

    assert len(embedder.asked) == 1
    assert (report.embedded, report.published) == (0, True)
    assert (await service.search(SearchQuery("node", await embedder.embed_question("node")))).dense


# Faults -----------------------------------------------------------------------------------------------


@dataclass
class Fault:
    steps: tuple[Any, ...] = ()
    status: int | None = None
    headers: dict[str, str] | None = None


def refused(status: int, text: str) -> Fault:
    return Fault((json.dumps({"status": {"error": f"{text} {VENDOR_WORDS}"}}).encode(),), status)


@pytest.mark.parametrize(
    ("fault", "tries", "sentence"),
    [
        (Fault(status=401), 1, "refused the key (401); check QDRANT_API_KEY"),
        (Fault(status=403), 1, "refused the key (403); check QDRANT_API_KEY"),
        (refused(400, "Bad request: Index required but not found for"), 1, "; run: askbook index SOURCE --full"),
        (refused(400, "Wrong input: Vector dimension error"), 1, "refused the request (400)"),
        (Fault(status=422), 1, "refused the request (422)"),
        (refused(404, "Not found: Collection `book` doesn't exist!"), 1, "no such collection (404)"),
        (Fault((HTML,), 404), 1, "answers, but not as Qdrant does (404); check its port"),
        (Fault(status=301), 1, "answers, but not as Qdrant does (301); check its port, http or https"),
        (Fault((HTML,)), 1, "answers, but not as Qdrant does (JSONDecodeError)"),
        (Fault((MALFORMED,)), 1, "answers, but not as Qdrant does (JSONDecodeError)"),
        (Fault((b"\xff",)), 1, "answers, but not as Qdrant does (UnicodeDecodeError)"),
        (Fault(({"result": 7},)), 1, "answers, but not as Qdrant does (ResponseHandlingException)"),
        (Fault(({"result": None},)), 1, "answers, but not as Qdrant does (AssertionError)"),
        (Fault(status=413), 1, "too large for a proxy before the Qdrant server (413)"),
        (Fault(status=408), 3, "too slow (408); look at its load"),
        (Fault(status=504), 3, "too slow (504)"),
        (Fault(status=429), 3, "asks for a pause (429); look at its rate limits"),
        (Fault(status=429, headers={"Retry-After": "2"}), 3, "asks for a pause, for 2 s (429)"),
        (Fault(status=429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), 3, "asks for a pause (429)"),
        (Fault(status=500), 3, "failed (500); look at its log"),
        (Fault((HTML,), 502), 3, "failed (502)"),
        (Fault(status=503), 3, "failed (503)"),
        (Fault((Break.CUT,)), 3, "connection to the Qdrant server failed (RemoteProtocolError)"),
        (Fault((Break.RESET,)), 3, "connection to the Qdrant server failed (ReadError)"),
    ],
)
async def test_a_readers_fault_is_told_in_our_words_and_tried_again_where_it_may_pass(
    server: QdrantServer,
    service: QdrantService,
    pauses: Pauses,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    tries: int,
    sentence: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.always(*fault.steps, status=fault.status, headers=fault.headers)

    with pytest.raises(SearchUnavailable) as caught:
        await service.search(SearchQuery("goal", None))

    assert sentence in str(caught.value)
    assert str(caught.value).count("; ") == 1  # the doctor tells what stands after it as the mending
    assert len(server.requests) == tries == len(pauses.seconds) + 1
    assert caught.value.__cause__ is not None
    told = str(caught.value) + repr(caught.value) + caplog.text
    assert server.key not in told
    assert VENDOR_WORDS not in told


@pytest.mark.parametrize("fault", [(Break.RESET,), (Break.CUT,), (Break.LOSE,)])
async def test_a_fault_that_passes_is_noticed_in_the_log_alone(
    server: QdrantServer, service: QdrantService, caplog: pytest.LogCaptureFixture, fault: tuple[Any, ...]
) -> None:
    caplog.set_level(logging.INFO)
    await fill(service)
    server.reply(*fault)
    server.reply(status=503)

    found = await service.search(SearchQuery("goal", None))

    assert [hit.passage for hit in found.lexical] == [BOOK[1]]
    assert caplog.text.count("qdrant is asked again") == 2


async def test_the_indexer_tries_four_times_more(server: QdrantServer, service: QdrantService, pauses: Pauses) -> None:
    server.always(status=503)

    with pytest.raises(SearchUnavailable, match=r"failed \(503\)"):
        await service.current()

    assert len(server.requests) == 5
    assert all(pause <= longest for pause, longest in zip(pauses.seconds, (1, 2, 4, 8), strict=True))


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_that_the_server_asks_for_is_made(
    server: QdrantServer, service: QdrantService, pauses: Pauses, status: int
) -> None:
    server.reply(status=status, headers={"Retry-After": "3"})

    with pytest.raises(IndexMissing):
        await service.manifest()

    [pause] = pauses.seconds
    assert 3 <= pause <= 3.2


@pytest.mark.parametrize("reading", [True, False])
async def test_nobody_waits_for_longer_than_they_have(
    server: QdrantServer, service: QdrantService, pauses: Pauses, reading: bool
) -> None:
    server.always(status=429, headers={"Retry-After": "11" if reading else "61"})

    with pytest.raises(SearchUnavailable, match=r"asks for a pause, for \d\d s"):
        await (service.manifest() if reading else service.current())

    assert len(server.requests) == 1
    assert pauses.seconds == []


async def test_a_readers_time_is_for_everything_that_is_asked(
    server: QdrantServer, service: QdrantService, tmp_path: Path
) -> None:
    await fill(service)
    server.always(Break.HANG, at="/query")
    async with opened(server, tmp_path, timeout=0.2) as impatient:
        with pytest.raises(SearchUnavailable, match=r"did not answer within 0.2 s; look at its load"):
            await impatient.search(SearchQuery("goal", None))


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("http://127.0.0.1:9", "nothing listens at QDRANT_HOST (ConnectionRefusedError); check its port"),
        ("127.0.0.1:9", "nothing listens at QDRANT_HOST"),
        ("localhost:9", "nothing listens at QDRANT_HOST"),
        ("no-such-host:6333", "the name in QDRANT_HOST is not known"),
        ("http://qdrant.invalid", "the name in QDRANT_HOST is not known (gaierror); check QDRANT_HOST"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_a_search_that_is_unavailable(
    pauses: Pauses, tmp_path: Path, host: str, sentence: str
) -> None:
    service = QdrantService.connect(host, None, "book", tmp_path, sleep=pauses)

    with pytest.raises(SearchUnavailable) as caught:
        await service.manifest()

    assert sentence in str(caught.value)
    await service.close()


async def test_https_to_a_server_that_speaks_http_is_told(server: QdrantServer, tmp_path: Path, pauses: Pauses) -> None:
    async with opened(server, tmp_path, host=server.url.replace("http:", "https:"), sleep=pauses) as service:
        with pytest.raises(SearchUnavailable, match=r"TLS with the Qdrant server failed \(SSLError\); check http or"):
            await service.manifest()


@pytest.mark.parametrize("host", ["ftp://qdrant", "http://qdrant:abc", "https://my qdrant", "https://[::1"])
def test_what_is_no_address_is_refused_at_once(host: str, tmp_path: Path) -> None:
    with pytest.raises(SearchUnavailable, match="QDRANT_HOST is no address; write it as in https://"):
        QdrantService.connect(host, None, "book", tmp_path)


@pytest.mark.parametrize("key", ["secret\n", "my secret", "sécret"])
def test_what_is_no_key_is_refused_without_repeating_it(key: str, tmp_path: Path) -> None:
    with pytest.raises(SearchUnavailable, match="QDRANT_API_KEY holds spaces or letters") as caught:
        QdrantService.connect("https://qdrant.example", SecretStr(key), "book", tmp_path)

    assert key not in repr(caught.value)


async def test_another_key_is_told(server: QdrantServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path, key=SecretStr("another")) as service:
        with pytest.raises(SearchUnavailable, match=r"refused the key \(401\); check QDRANT_API_KEY"):
            await service.manifest()


async def test_an_index_that_a_strict_server_will_not_filter_is_told_with_its_mending(
    server: QdrantServer, service: QdrantService
) -> None:
    await fill(service)
    server.indexed.clear()

    with pytest.raises(SearchUnavailable, match=r"misses a payload index .*; run: askbook index SOURCE --full"):
        await service.search(SearchQuery("goal", None, Scope(locale="en")))


@pytest.mark.parametrize(
    "fault",
    [refused(507, "Insufficient storage:"), refused(500, "Service internal error: No space left on device:")],
)
async def test_a_full_server_is_told(server: QdrantServer, service: QdrantService, fault: Fault) -> None:
    server.always(*fault.steps, status=fault.status, at="/points")

    with pytest.raises(NoRoom, match="no room left") as caught:
        await fill(service)

    assert VENDOR_WORDS not in str(caught.value)


# Writing ----------------------------------------------------------------------------------------------


NAME = f"/collections/book__{generation(1)}"


@pytest.mark.parametrize("at", [NAME, f"{NAME}/index", f"{NAME}/points", "/collections/aliases"])
async def test_an_answer_that_is_lost_changes_nothing(server: QdrantServer, service: QdrantService, at: str) -> None:
    server.reply(Break.LOSE, at=at)

    await fill(service, generation=generation(1))

    assert (await service.manifest()).generation == generation(1)
    assert len({passage_id async for passage_id, _ in service.placed()}) == len(BOOK)


async def test_a_generation_that_another_machine_removed_is_not_written_to(
    server: QdrantServer, service: QdrantService
) -> None:
    wanted = manifest(lexical=service.lexical, passages=len(BOOK))
    async with service.writing(), service.generation(wanted) as writer:
        [name] = await collections(server)
        await server.data.delete_collection(name)

        for writing in (writer.put(await entries()), writer.check(await entries()), writer.publish()):
            with pytest.raises(IndexBusy, match="index from one machine at a time"):
                await writing


async def test_a_newer_generation_of_another_machine_is_left_alone_and_an_older_one_is_not(
    server: QdrantServer, service: QdrantService
) -> None:
    for number in (1, 3):
        await server.data.create_collection(f"book__{generation(number)}", vectors_config={})

    await fill(service, generation=generation(2))

    assert await collections(server) == {f"book__{generation(number)}" for number in (2, 3)}


async def test_the_generation_without_vectors_goes_when_the_one_with_them_is_there(
    server: QdrantServer, service: QdrantService
) -> None:
    wanted = manifest(lexical=service.lexical, passages=1, has_vectors=False, generation=f"{generation(1)}{BY_WORDS}")
    async with service.writing(), service.generation(wanted) as writer:
        await writer.put([Entry(BOOK[0], None)])
        await writer.publish()

    await fill(service, generation=generation(1))

    assert await collections(server) == {f"book__{generation(1)}"}


async def test_what_another_machine_published_meanwhile_is_not_deleted(
    server: QdrantServer, service: QdrantService
) -> None:
    theirs = f"book__{generation(1)}"
    await server.data.create_collection(theirs, vectors_config={})
    wanted = manifest(lexical=service.lexical, passages=len(BOOK), generation=generation(2))

    async with service.writing(), service.generation(wanted) as writer:
        await writer.put(await entries())
        await writer.publish()
        create = models.CreateAlias(collection_name=theirs, alias_name="book")
        await server.data.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])

    assert theirs in await collections(server)


async def test_what_cannot_be_tidied_at_once_is_left_for_the_next_run(
    server: QdrantServer, service: QdrantService, caplog: pytest.LogCaptureFixture
) -> None:
    await server.data.create_collection(f"book__{generation(1)}", vectors_config={})
    server.always(status=503, at=generation(1))

    await fill(service, generation=generation(2))

    assert (await service.manifest()).generation == generation(2)
    assert len([request for request in server.requests if request.method == "DELETE"]) == 1
    assert "left for the next run to remove" in caplog.text


async def test_a_run_that_fails_tells_its_own_fault_and_not_that_of_tidying(
    server: QdrantServer, service: QdrantService
) -> None:
    server.always(status=503, at=generation(1))
    server.reply(status=400, at=generation(1))

    with pytest.raises(SearchUnavailable, match=r"refused the request \(400\)"):
        await fill(service, generation=generation(1))


async def test_a_name_that_a_collection_has_cannot_be_published_under(
    server: QdrantServer, service: QdrantService
) -> None:
    await server.data.create_collection("book", vectors_config={})

    with pytest.raises(SearchUnavailable, match=r"a collection of that name .*; set another QDRANT_COLLECTION_NAME"):
        await fill(service)


async def test_publishing_waits_for_the_search_graph_but_not_for_ever(
    server: QdrantServer, service: QdrantService, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    server.status = "yellow"

    await fill(service)

    assert sum(pauses.seconds) == 120
    assert "published while its search graph is being built" in caplog.text
    assert (await service.manifest()).passages == len(BOOK)


# Looking after it -------------------------------------------------------------------------------------


async def test_a_server_in_order_has_no_warning(server: QdrantServer, service: QdrantService) -> None:
    assert [(remark.text, remark.mend) for remark in await service.check()] == [
        ("Qdrant 1.20, spoken to by qdrant-client 1.20.0", ""),
        ("nothing is published as book", ""),
    ]

    await fill(service, generation=generation(1))
    await fill(service, generation=generation(2))

    told = await service.check()
    assert [remark.mend for remark in told] == ["", ""]
    assert told[1].text == f"book is book__{generation(2)}, 2 generations are kept"


@pytest.mark.parametrize(
    ("version", "mend"),
    [
        ("1.14.1", "upgrade the Qdrant server to 1.19 or newer"),
        ("1.18.2", "upgrade the Qdrant server to 1.19 or newer"),
        ("1.19.0", ""),
        ("1.21.0-dev", ""),
        ("1.22.0", "upgrade qdrant-client"),
        ("2.0.0", "upgrade qdrant-client"),
        (VENDOR_WORDS, "check QDRANT_HOST"),
    ],
)
async def test_a_server_that_the_client_does_not_know_is_a_warning(
    server: QdrantServer, service: QdrantService, version: str, mend: str
) -> None:
    server.version = version

    [first, _] = await service.check()

    assert first.mend == mend
    assert VENDOR_WORDS not in first.text


async def test_missing_payload_indexes_are_a_warning(server: QdrantServer, service: QdrantService) -> None:
    await fill(service)
    for indexed in server.indexed.values():
        del indexed["tag"], indexed["position"]

    [*_, last] = await service.check()

    assert "no payload index on tag, position" in last.text
    assert last.mend == "run: askbook index SOURCE --full"


async def test_a_server_that_tells_more_than_the_client_knows_is_a_warning(
    server: QdrantServer, service: QdrantService
) -> None:
    await fill(service)
    server.reply({"result": {"status": "blue"}}, at="/collections/book__")

    [*_, last] = await service.check()

    assert (last.text, last.mend) == ("its payload indexes could not be looked at", "upgrade qdrant-client")


async def test_a_check_fails_where_a_search_would(server: QdrantServer, service: QdrantService) -> None:
    server.always(status=401, at="/aliases")

    with pytest.raises(SearchUnavailable, match="refused the key"):
        await service.check()


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        ("http://qdrant.example:6333", True),
        ("https://qdrant.example:6333", False),
        ("qdrant.example", False),
        ("http://localhost:6333", False),
        ("http://[::1]:6333", False),
    ],
)
async def test_a_key_that_everyone_can_read_on_its_way_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, host: str, warned: bool
) -> None:
    service = QdrantService.connect(host, SecretStr("secret"), "book", tmp_path)

    assert ("QDRANT_API_KEY is sent over plain http; begin QDRANT_HOST with https://" in caplog.text) == warned
    await service.close()


# gRPC -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "tries", "sentence"),
    [
        (Fault(status=401), 1, "refused the key (gRPC UNAUTHENTICATED); check QDRANT_API_KEY"),
        (Fault(status=403), 1, "refused the key (gRPC PERMISSION_DENIED)"),
        (Fault(status=400), 1, "refused the request (gRPC INVALID_ARGUMENT)"),
        (Fault(status=404), 1, "not as Qdrant does (gRPC NOT_FOUND)"),
        (Fault(status=408), 3, "too slow (gRPC DEADLINE_EXCEEDED)"),
        (Fault(status=429), 3, "asks for a pause (gRPC RESOURCE_EXHAUSTED)"),
        (Fault(status=429, headers={"Retry-After": "2"}), 3, "asks for a pause, for 2 s (429)"),
        (Fault(status=500), 3, "failed (gRPC INTERNAL)"),
        (Fault(status=503), 3, "cannot be reached (gRPC UNAVAILABLE); check QDRANT_HOST, QDRANT_GRPC_PORT"),
    ],
)
async def test_by_grpc_faults_are_told_and_tried_again_alike(
    server: QdrantServer,
    tmp_path: Path,
    pauses: Pauses,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    tries: int,
    sentence: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.always(status=fault.status, headers=fault.headers)
    async with QdrantGrpc(server) as port, opened(server, tmp_path, grpc_port=port, sleep=pauses) as service:
        with pytest.raises(SearchUnavailable) as caught:
            await service.manifest()

    assert sentence in str(caught.value)
    assert len(server.requests) == tries
    told = str(caught.value) + repr(caught.value) + caplog.text
    assert server.key not in told
    assert VENDOR_WORDS not in told


async def test_by_grpc_a_readers_time_is_bounded(server: QdrantServer, tmp_path: Path) -> None:
    server.always(Break.HANG)
    async with QdrantGrpc(server) as port, opened(server, tmp_path, grpc_port=port, timeout=0.1) as service:
        with pytest.raises(SearchUnavailable, match=r"did not answer within 0.1 s"):
            await service.manifest()


async def test_by_grpc_the_same_index_is_read(server: QdrantServer, service: QdrantService, tmp_path: Path) -> None:
    await fill(service)
    async with QdrantGrpc(server) as port, opened(server, tmp_path, grpc_port=port) as by_grpc:
        vector = await HashEmbedder().embed_question("goal")

        assert await by_grpc.manifest() == await service.manifest()
        assert await by_grpc.search_documents(vector, 1) == await service.search_documents(vector, 1)
        assert await by_grpc.check() == await service.check()
