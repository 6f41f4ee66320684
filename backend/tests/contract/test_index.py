"""The promises of `VectorStore` and `VectorIndex`, over the fake, the embedded engine and the client of a server."""

from __future__ import annotations

import asyncio
import math
import os
import re
import warnings
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest
from qdrant_client import AsyncQdrantClient

from chatbot_api.errors import BadEntry, IndexBusy, IndexCorrupt, IndexMissing
from chatbot_api.models.domain import BY_WORDS, GENERATION, Entry, Manifest, Passage, Scope, SearchQuery
from chatbot_api.ports import VectorIndex, VectorStore
from chatbot_api.services.edge_service import EdgeIndex, EdgeStore
from chatbot_api.services.qdrant_service import QdrantService
from chatbot_api.testing import HashEmbedder, MemoryIndex
from tests.conftest import manifest, passage
from tests.qdrant_grpc import QdrantGrpc
from tests.qdrant_server import QdrantServer


@dataclass(frozen=True)
class Pair:
    index: VectorIndex
    store: VectorStore


ENGINES = ["fake", "edge", "qdrant-memory", "qdrant-rest", "qdrant-grpc"]
if os.environ.get("QDRANT_TEST_URL"):
    ENGINES.append("qdrant-server")


@pytest.fixture(params=ENGINES)
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Pair, None]:
    if request.param == "fake":
        fake = MemoryIndex()
        yield Pair(fake, fake)
        return
    if request.param == "edge":
        index, store = EdgeIndex(tmp_path / "index"), EdgeStore(tmp_path / "index")
        yield Pair(index, store)
        await store.close()
        await index.close()
        return
    if request.param in {"qdrant-rest", "qdrant-grpc"}:
        async with QdrantServer(key="") as server, QdrantGrpc(server) as port:
            by_grpc = request.param == "qdrant-grpc"
            client = AsyncQdrantClient(server.url, grpc_port=port, prefer_grpc=by_grpc, check_compatibility=False)
            service = QdrantService(client, "test", tmp_path, refresh_seconds=0)
            yield Pair(service, service)
            await service.close()
        return
    with warnings.catch_warnings():
        # The client's in-memory double warns that it has no use for what a server takes.
        warnings.filterwarnings("ignore", message="Payload indexes have no effect", category=UserWarning)
        warnings.filterwarnings("ignore", message="Local mode performs exact", category=UserWarning)
        location = ":memory:" if request.param == "qdrant-memory" else os.environ["QDRANT_TEST_URL"]
        service = QdrantService(AsyncQdrantClient(location), f"test-{uuid4().hex[:8]}", tmp_path, refresh_seconds=0)
        yield Pair(service, service)
        await service.close()


EMBEDDER = HashEmbedder()
TOPICS = passage("A node publishes messages to a topic.", page="/docs/robots/topics", title="Topics", position=1)
TOPICS_2 = passage(
    "Topics have types.", page="/docs/robots/topics", title="Topics", ordinal=1, position=1, anchor="types"
)
ACTIONS = passage("An action has a goal and feedback.", page="/docs/robots/actions", title="Actions", position=2)
OLD = passage("A node sends messages to a topic.", page="/docs/1.0/topics", title="Topics", version="1.0")
GERMAN = passage("Ein Knoten sendet Nachrichten.", page="/de/docs/topics", title="Themen", locale="de")
BOOK = [TOPICS, TOPICS_2, ACTIONS, OLD, GERMAN]


async def entry(of: Passage) -> Entry:
    return Entry(of, await EMBEDDER.embed_question(f"{of.label}\n{of.text}"))


async def publish(index: VectorIndex, passages: list[Passage], **changes: object) -> Manifest:
    wanted = manifest(
        lexical=index.lexical,
        passages=len(passages),
        pages=len({p.page for p in passages}),
        generation=name_of(next(_numbers), by_words=not changes.get("has_vectors", True)),
        **changes,
    )
    entries = [await entry(p) if wanted.has_vectors else Entry(p, None) for p in passages]
    async with index.writing(), index.generation(wanted) as generation:
        await generation.put(entries)
        await generation.publish()
    return wanted


_numbers = iter(range(1, 1_000_000))


def name_of(number: int, *, by_words: bool = False) -> str:
    name = f"20260101T{number:012}-0123abcd{BY_WORDS if by_words else ''}"
    assert re.fullmatch(GENERATION, name)
    return name


async def query(text: str, **changes: object) -> SearchQuery:
    return replace(SearchQuery(text, await EMBEDDER.embed_question(text)), **changes)  # type: ignore[arg-type]


async def test_before_the_first_run_there_is_no_index(pair: Pair) -> None:
    assert await pair.index.current() is None
    assert [i async for i, _ in pair.index.placed()] == []
    with pytest.raises(IndexMissing):
        await pair.store.manifest()
    with pytest.raises(IndexMissing):
        await pair.store.search(await query("topic"))


async def test_what_is_published_is_found_by_words_and_by_meaning(pair: Pair) -> None:
    published = await publish(pair.index, BOOK)

    found = await pair.store.search(await query("goal feedback"))

    assert await pair.store.manifest() == published
    assert await pair.index.current() == published
    assert found.dense[0].passage == ACTIONS
    assert found.lexical[0].passage == ACTIONS
    assert 0 < found.dense[0].score <= 1.0001
    assert found.lexical[0].score > 0


async def test_both_sides_are_ordered_and_bounded_and_equal_each_time(pair: Pair) -> None:
    await publish(pair.index, BOOK)
    asked = await query("node messages topic", limit=2)

    first, again = await pair.store.search(asked), await pair.store.search(asked)

    assert first == again
    for side in (first.dense, first.lexical):
        assert len(side) == 2
        assert [hit.score for hit in side] == sorted((hit.score for hit in side), reverse=True)


async def test_without_a_vector_words_alone_are_searched(pair: Pair) -> None:
    await publish(pair.index, BOOK)

    found = await pair.store.search(SearchQuery("goal", None))

    assert found.dense == ()
    assert [hit.passage for hit in found.lexical] == [ACTIONS]


async def test_without_words_the_vector_alone_is_searched(pair: Pair) -> None:
    await publish(pair.index, BOOK)

    found = await pair.store.search(replace(await query("goal feedback"), text=""))

    assert found.dense[0].passage == ACTIONS
    assert found.lexical == ()


async def test_a_passage_without_a_vector_is_found_by_its_words(pair: Pair) -> None:
    wanted = manifest(lexical=pair.index.lexical, passages=2, pages=2, generation=name_of(next(_numbers)))
    async with pair.index.writing(), pair.index.generation(wanted) as generation:
        await generation.put([await entry(TOPICS), Entry(ACTIONS, None)])
        await generation.check([Entry(ACTIONS, None)])
        await generation.publish()

    found = await pair.store.search(await query("goal feedback"))

    assert [hit.passage for hit in found.dense] == [TOPICS]
    assert [hit.passage for hit in found.lexical] == [ACTIONS]


async def test_a_generation_without_vectors_answers_by_words(pair: Pair) -> None:
    await publish(pair.index, BOOK, has_vectors=False)

    found = await pair.store.search(await query("goal"))

    assert found.dense == ()
    assert [hit.passage for hit in found.lexical] == [ACTIONS]


async def test_a_question_without_a_known_word_still_has_a_meaning(pair: Pair) -> None:
    await publish(pair.index, BOOK)

    found = await pair.store.search(await query("zzz"))

    assert found.lexical == ()


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(tags=("docs-default-1.0",)), {OLD}),
        (Scope(tags=("docs-default-1.0", "docs-default-current"), locale="en"), {TOPICS, TOPICS_2, ACTIONS, OLD}),
        (Scope(locale="de"), {GERMAN}),
        (Scope(path_prefix="/docs/robots"), {TOPICS, TOPICS_2, ACTIONS}),
        (Scope(path_prefix="/docs/robots/actions"), {ACTIONS}),
        (Scope(path_prefix="/docs/rob"), set()),
        (Scope(pages=("/docs/robots/actions", "/docs/nowhere")), {ACTIONS}),
        (Scope(tags=("docs-default-current",), locale="en", up_to_position=1), {TOPICS, TOPICS_2}),
        (Scope(("docs-default-current",), "en", "/docs/robots/topics", up_to_position=1), {TOPICS, TOPICS_2}),
    ],
)
async def test_nothing_outside_the_scope_is_found(pair: Pair, scope: Scope, expected: set[Passage]) -> None:
    await publish(pair.index, BOOK)

    found = await pair.store.search(await query("topic node action messages goal Knoten types", scope=scope))

    assert {hit.passage for hit in found.dense} == expected
    assert {hit.passage for hit in found.lexical} <= expected


async def test_pages_come_in_reading_order_and_with_their_passages(pair: Pair) -> None:
    await publish(pair.index, [ACTIONS, TOPICS_2, TOPICS])

    pages = await pair.store.pages()

    assert [page.path for page in pages] == ["/docs/robots/topics", "/docs/robots/actions"]
    assert list(await pair.store.passages(pages[0])) == [TOPICS, TOPICS_2]
    assert list(await pair.store.passages(replace(pages[0], tag="docs-default-9.9"))) == []


async def test_a_new_generation_replaces_the_old_one_for_a_store_that_is_open(pair: Pair) -> None:
    await publish(pair.index, [TOPICS])
    assert [hit.passage for hit in (await pair.store.search(await query("topic"))).lexical] == [TOPICS]

    second = await publish(pair.index, [ACTIONS])

    assert await pair.store.manifest() == second
    assert [hit.passage for hit in (await pair.store.search(await query("goal topic"))).lexical] == [ACTIONS]
    assert [page.title for page in await pair.store.pages()] == ["Actions"]
    assert {place async for place in pair.index.placed()} == {(ACTIONS.id, ACTIONS.page)}


async def test_a_generation_that_is_left_unpublished_leaves_no_trace(pair: Pair) -> None:
    first = await publish(pair.index, [TOPICS])
    wanted = manifest(lexical=pair.index.lexical, passages=1, generation=name_of(999_999))

    async with pair.index.writing(), pair.index.generation(wanted) as generation:
        await generation.put([await entry(ACTIONS)])

    assert await pair.store.manifest() == first
    assert [hit.passage for hit in (await pair.store.search(await query("topic goal"))).lexical] == [TOPICS]


async def test_a_generation_that_lacks_passages_is_not_published(pair: Pair) -> None:
    wanted = manifest(lexical=pair.index.lexical, passages=2)
    async with pair.index.writing(), pair.index.generation(wanted) as generation:
        await generation.put([await entry(TOPICS)])
        with pytest.raises(IndexCorrupt, match="1 passages"):
            await generation.publish()

    assert await pair.index.current() is None


async def test_putting_a_passage_twice_keeps_it_once(pair: Pair) -> None:
    wanted = manifest(lexical=pair.index.lexical, passages=1)
    async with pair.index.writing(), pair.index.generation(wanted) as generation:
        await generation.put([await entry(TOPICS)])
        await generation.put([await entry(TOPICS)])
        await generation.publish()

    assert [i async for i, _ in pair.index.placed()] == [TOPICS.id]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Entry(replace(ACTIONS, id="7"), [0.125] * 64), "not a UUID"),
        (Entry(ACTIONS, [1.0]), "a vector of 1 numbers, not 64"),
        (Entry(ACTIONS, [math.nan] * 64), "not finite"),
        (Entry(ACTIONS, [math.inf] * 64), "not finite"),
    ],
)
async def test_one_bad_entry_keeps_its_whole_batch_out(pair: Pair, bad: Entry, reason: str) -> None:
    wanted = manifest(lexical=pair.index.lexical, passages=1)
    async with pair.index.writing(), pair.index.generation(wanted) as generation:
        await generation.put([await entry(OLD)])
        with pytest.raises(BadEntry, match=reason):
            await generation.put([await entry(TOPICS), bad])
        await generation.publish()

    assert [i async for i, _ in pair.index.placed()] == [OLD.id]


async def test_what_was_put_is_found_before_it_is_published(pair: Pair) -> None:
    wanted = manifest(lexical=pair.index.lexical, passages=1)
    put, not_put = await entry(TOPICS), await entry(GERMAN)

    async with pair.index.writing(), pair.index.generation(wanted) as generation:
        await generation.put([put])
        await generation.check([put])
        with pytest.raises(IndexCorrupt, match=GERMAN.id):
            await generation.check([put, not_put])


async def test_the_generation_before_can_be_published_again(pair: Pair) -> None:
    await publish(pair.index, [GERMAN], has_vectors=False)
    first = await publish(pair.index, [TOPICS])
    await publish(pair.index, [ACTIONS])
    assert [hit.passage for hit in (await pair.store.search(await query("topic goal"))).lexical] == [ACTIONS]

    async with pair.index.writing():
        assert await pair.index.roll_back() == first

    assert await pair.store.manifest() == first
    assert [hit.passage for hit in (await pair.store.search(await query("topic goal"))).lexical] == [TOPICS]
    with pytest.raises(IndexMissing, match="no generation before"):
        await pair.index.roll_back()


async def test_what_was_rolled_back_from_is_not_rolled_back_to(pair: Pair) -> None:
    good = await publish(pair.index, [TOPICS])
    await publish(pair.index, [GERMAN])
    await pair.index.roll_back()

    await publish(pair.index, [ACTIONS])

    assert await pair.index.roll_back() == good


async def test_a_second_writer_is_told_so_at_once(pair: Pair) -> None:
    async with pair.index.writing():
        with pytest.raises(IndexBusy):
            async with pair.index.writing():
                pass

    async with pair.index.writing():
        pass


async def test_searches_go_on_while_a_generation_is_written(pair: Pair) -> None:
    await publish(pair.index, [TOPICS])
    wanted = manifest(lexical=pair.index.lexical, passages=1, generation=name_of(999_998))

    async with pair.index.writing(), pair.index.generation(wanted) as generation:
        asked = await query("topic")
        searches = [asyncio.create_task(pair.store.search(asked)) for _ in range(20)]
        await generation.put([await entry(ACTIONS)])
        found = await asyncio.gather(*searches)
        await generation.publish()

    assert all([hit.passage for hit in candidates.lexical] == [TOPICS] for candidates in found)


async def test_a_check_tells_of_the_engine_whether_or_not_anything_is_indexed(pair: Pair) -> None:
    empty = await pair.store.check()
    await publish(pair.index, BOOK)
    full = await pair.store.check()

    assert empty
    assert full
    assert all(remark.text for remark in (*empty, *full))


async def test_closing_twice_is_allowed(pair: Pair) -> None:
    await publish(pair.index, [TOPICS])
    await pair.store.manifest()

    for _ in range(2):
        await pair.store.close()
        await pair.index.close()


async def test_looking_at_what_is_placed_can_be_ended_early(pair: Pair) -> None:
    await publish(pair.index, BOOK)

    async with aclosing(pair.index.placed()) as places:
        async for _ in places:
            break

    await publish(pair.index, BOOK)
