"""An index run over fakes and the real vector cache: what is written, kept, dropped and embedded, also on failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from chatbot_api.errors import EmbedderDenied, EmbedderUnavailable, IndexCorrupt, SourceError, TooManyDropped
from chatbot_api.models.domain import Block, Page, Quota, Section, TitledText, Vector
from chatbot_api.testing import HashEmbedder, MemoryIndex
from qdrant_indexer.indexing import Origin, Plan, Progress, Report, estimate, index, plan
from qdrant_indexer.pace import Ledger, Pace
from qdrant_indexer.sources import Skipped
from qdrant_indexer.vector_cache import VectorCache, cache_key
from tests.fast_clock import FastClock

ORIGIN = Origin("book", "rev-1", "https://book.example")


def page(name: str, *texts: str) -> Page:
    sections = tuple(Section((f"H{n}",), f"h{n}", (Block("paragraph", text),)) for n, text in enumerate(texts))
    return Page(path=f"/docs/{name}", title=name, source=f"{name}.md", sections=sections)


BAD = Skipped("x.md", "broken front matter", "bad")
BOOK = [page("a", "One.", "Two."), page("b", "Three.")]


class Run:
    """One owner's machine: an index, a cache, an embedder, over several runs."""

    def __init__(self, cache: VectorCache) -> None:
        self.cache = cache
        self.ledger = Ledger(Path(":memory:"))
        self.clock = FastClock()
        self.index = MemoryIndex()
        self.embedder = HashEmbedder()
        self.steps: list[Progress] = []
        self.reads = 0

    async def __call__(
        self,
        pages: Sequence[Page | Skipped],
        origin: Origin = ORIGIN,
        *,
        full: bool = False,
        force: bool = False,
    ) -> Report:
        def read() -> Sequence[Page | Skipped]:
            self.reads += 1
            return pages

        return await index(
            read,
            origin=origin,
            embedder=self.embedder,
            vector_index=self.index,
            cache=self.cache,
            pace=Pace(self.embedder.quota, self.ledger, clock=self.clock),
            full=full,
            force=force,
            on_progress=self.steps.append,
        )


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with VectorCache(tmp_path / "vectors.sqlite") as cache:
        run = Run(cache)
        with run.ledger:
            yield run


def test_a_plan_tells_what_is_new_gone_and_kept() -> None:
    changes = plan({"a", "b"}, ["b", "c"])

    assert changes == Plan(written=frozenset("c"), dropped=frozenset("a"), kept=frozenset("b"))


async def test_a_first_run_writes_everything_and_says_so(run: Run) -> None:
    report = await run(BOOK)

    assert (report.pages, report.passages, report.written, report.dropped, report.kept) == (2, 3, 3, 0, 0)
    assert report.embedded == 3
    assert run.index.published is not None
    built = run.index.published[0]
    assert (built.pages, built.passages, built.source_revision, built.site_url) == (
        2,
        3,
        "rev-1",
        "https://book.example",
    )
    assert {step.step for step in run.steps} == {"reading", "embedding", "writing"}
    assert run.steps[-1] == Progress("writing", 3, 3)


async def test_a_first_run_can_be_asked_by_words_before_its_vectors_are_made(run: Run) -> None:
    await run(BOOK)

    assert [built.has_vectors for built in run.index.history] == [False, True]


async def test_an_unchanged_book_costs_nothing_and_publishes_nothing(run: Run) -> None:
    first = await run(BOOK)
    run.embedder.asked.clear()

    report = await run(BOOK)

    assert (report.written, report.dropped, report.kept, report.embedded) == (0, 0, 3, 0)
    assert not report.published
    assert report.generation == first.generation
    assert run.embedder.asked == []


async def test_only_what_changed_is_embedded(run: Run) -> None:
    await run(BOOK)
    run.embedder.asked.clear()

    report = await run([page("a", "One.", "Two, changed."), page("c", "Four.")])

    assert (report.written, report.dropped, report.kept) == (2, 2, 1)
    assert len(run.embedder.asked) == 2
    assert len(run.index.history) == 3, "a book that is already searchable is never searched by words alone"


async def test_full_builds_anew_but_pays_for_no_vector_twice(run: Run) -> None:
    await run(BOOK)
    run.embedder.asked.clear()

    report = await run(BOOK, full=True)

    assert (report.published, report.embedded, report.kept) == (True, 0, 3)
    assert run.embedder.asked == []


async def test_a_moved_page_is_published_though_no_text_changed(run: Run) -> None:
    await run(BOOK)

    report = await run([BOOK[1], BOOK[0]])

    assert report.published
    assert report.embedded == 0


async def test_equal_texts_are_embedded_once(run: Run) -> None:
    same = [
        Page(path=f"/docs/{n}", title="T", source=f"{n}.md", sections=(Section((), None, (Block("paragraph", "S."),)),))
        for n in range(40)
    ]

    await run(same)

    assert len(run.embedder.asked) == 1


async def test_an_embedder_that_fails_leaves_the_book_searchable_by_words_and_the_work_done(run: Run) -> None:
    pages = [page(f"p{n}", f"Text {n}.") for n in range(50)]
    run.embedder = FailsAfter(20)

    with pytest.raises(EmbedderUnavailable):
        await run(pages)
    assert run.index.published is not None
    assert not run.index.published[0].has_vectors

    run.embedder = HashEmbedder()
    report = await run(pages)

    assert report.embedded == 50 - 16, "the batch that was made is not made again"
    assert run.index.published[0].has_vectors


async def test_an_embedder_that_fails_later_leaves_the_old_generation_serving(run: Run) -> None:
    await run(BOOK)
    before = run.index.published
    run.embedder.error = EmbedderUnavailable("down")

    with pytest.raises(EmbedderUnavailable):
        await run([*BOOK, page("c", "Four.")])

    assert run.index.published == before


async def test_a_bad_page_is_named_and_the_others_are_indexed(run: Run) -> None:
    report = await run([*BOOK, BAD, Skipped("d.md", "a draft", "excluded")])

    assert report.pages == 2
    assert [skip.source for skip in report.bad] == ["x.md"]


async def test_a_book_without_pages_is_refused_with_the_reasons(run: Run) -> None:
    with pytest.raises(SourceError, match=r"no page could be read from book\n  x\.md: null bytes"):
        await run([Skipped("x.md", "null bytes", "bad")])

    assert run.index.published is None


async def test_a_book_with_the_same_fingerprint_is_not_even_read(run: Run) -> None:
    origin = replace(ORIGIN, fingerprint="f1")
    await run(BOOK, origin)

    report = await run([], origin)

    assert (run.reads, report.published, report.kept, report.passages) == (1, False, 3, 3)


@pytest.mark.parametrize(
    "change", [{"fingerprint": "f2"}, {"site_url": "https://moved.example"}, {"revision": "rev-2"}]
)
async def test_a_book_that_may_have_changed_is_read(run: Run, change: dict[str, str]) -> None:
    origin = replace(ORIGIN, fingerprint="f1")
    await run(BOOK, origin)

    await run(BOOK, replace(origin, **change))

    assert run.reads == 2


async def test_a_book_with_bad_pages_is_read_again_so_that_they_are_told_again(run: Run) -> None:
    origin = replace(ORIGIN, fingerprint="f1")
    await run([*BOOK, BAD], origin)

    report = await run([*BOOK, BAD], origin)

    assert report.bad == (BAD,)


async def test_a_run_that_would_drop_much_of_the_book_stops_and_asks(run: Run) -> None:
    book = [page(f"p{n}", f"Text {n}.") for n in range(20)]
    await run(book)
    before = run.index.published

    with pytest.raises(TooManyDropped, match=r"7 of the 20 indexed pages .*\(/docs/p13, .* --force"):
        await run(book[:13])
    assert run.index.published == before
    report = await run(book[:13], force=True)

    assert (report.dropped, report.kept) == (7, 13)


async def test_another_book_takes_the_place_of_the_one_before_without_asking(run: Run) -> None:
    await run([page(f"p{n}", f"Text {n}.") for n in range(20)])

    report = await run(BOOK, replace(ORIGIN, source="another book"))

    assert (report.pages, report.dropped) == (2, 20)


async def test_a_third_of_the_book_may_be_rewritten_without_asking(run: Run) -> None:
    book = [page(f"p{n}", f"Text {n}.") for n in range(20)]
    await run(book)

    report = await run([page(f"p{n}", f"New text {n}.") for n in range(20)])

    assert (report.written, report.dropped) == (20, 20)


def test_an_estimate_tells_the_price_and_the_time_and_spends_nothing(run: Run) -> None:
    run.embedder = HashEmbedder(quota=Quota(100, 30_000, 1_000, 0.15))
    book = [page(f"p{n}", f"Text number {n}.") for n in range(2_500)]

    told = estimate(book, embedder=run.embedder, cache=run.cache, pace=Pace(run.embedder.quota, run.ledger))

    assert (told.pages, told.passages, told.to_embed, told.calls, told.days) == (2_500, 2_500, 2_500, 157, 3)
    assert told.minutes == 25.0
    assert told.dollars == pytest.approx(told.tokens * 0.15 / 1_000_000, abs=1e-4)
    assert run.embedder.asked == []


async def test_an_estimate_counts_only_what_has_no_vector_yet(run: Run) -> None:
    await run(BOOK)

    told = estimate([*BOOK, page("c", "Four.")], embedder=run.embedder, cache=run.cache, pace=Pace(None, run.ledger))

    assert (told.passages, told.to_embed, told.dollars, told.days) == (4, 1, 0.0, 0)


async def test_a_damaged_index_is_refused_but_full_mends_it(run: Run) -> None:
    await run(BOOK)
    run.index = DamagedUntilPublished()

    with pytest.raises(IndexCorrupt):
        await run(BOOK)
    report = await run(BOOK, full=True)

    assert report.published
    assert (await run.index.manifest()).passages == 3


def test_vectors_are_kept_as_they_were_and_by_what_they_were_made_of(tmp_path: Path) -> None:
    text = TitledText("T", "x")
    key = cache_key("m", 3, text)
    vector: Vector = [0.25, -0.5, 1.0]
    with VectorCache(tmp_path / "v.sqlite") as cache:
        cache.put({key: vector})
    with VectorCache(tmp_path / "v.sqlite") as cache:
        found = cache.get(
            [key, cache_key("m", 4, text), cache_key("n", 3, text), cache_key("m", 3, TitledText("Tx", ""))]
        )

    assert {k: list(v or ()) for k, v in found.items()} == {key: vector}


def test_a_damaged_file_of_vectors_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "v.sqlite").write_bytes(b"no database at all, but long enough to look at" * 20)

    with pytest.raises(IndexCorrupt, match=r"v\.sqlite is damaged: .*; move it away"):
        VectorCache(tmp_path / "v.sqlite")


class FailsAfter(HashEmbedder):
    """Works for that many texts."""

    def __init__(self, texts: int) -> None:
        super().__init__()
        self.left = texts

    async def embed_passages(self, texts: list[TitledText]) -> list[Vector]:  # type: ignore[override]  # a list is what comes
        self.left -= len(texts)
        self.error = EmbedderDenied("down") if self.left < 0 else None
        return await super().embed_passages(texts)


class DamagedUntilPublished(MemoryIndex):
    async def current(self):  # type: ignore[no-untyped-def]  # as the parent
        if self.published is None:
            raise IndexCorrupt("damaged; run: askbook index SOURCE --full")
        return await super().current()
