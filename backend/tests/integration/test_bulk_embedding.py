"""Indexing through Gemini's client against the free plan's quotas, on a clock that both sides share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from chatbot_api.errors import DayUsedUp, EmbedderDenied, EmbedderLimited, EmbedderUnavailable
from chatbot_api.models.domain import Block, Page, Section
from chatbot_api.services.gemini_models import quota_of
from chatbot_api.services.gemini_service import GeminiService
from chatbot_api.testing import MemoryIndex
from qdrant_indexer.indexing import Origin, Progress, Report, index
from qdrant_indexer.pace import Ledger, Pace
from qdrant_indexer.vector_cache import VectorCache
from tests.fast_clock import FastClock
from tests.gemini_server import FreePlan, GeminiServer, embeddings, error, event
from tests.loopback import Break, Step

MODEL = "gemini-embedding-001"
KEY = SecretStr("test-key")
DIMENSIONS = 128
NO_DETAILS = error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")
OVERLOADED = error(503, "UNAVAILABLE", "High demand.")
EMPTY_PART = error(400, "INVALID_ARGUMENT", "EmbedContentRequest.content contains an empty Part.")


def book(texts: int) -> list[Page]:
    return [
        Page(f"/docs/{n}", f"Page {n}", f"{n}.md", (Section((), None, (Block("paragraph", f"Text number {n}."),)),))
        for n in range(texts)
    ]


@dataclass
class Owner:
    """A machine that keeps its files from one run to the next."""

    server: GeminiServer
    plan: FreePlan
    clock: FastClock
    folder: Path
    limits: tuple[int | None, int | None, int | None] = (None, None, None)
    share: float = 0.9

    def __post_init__(self) -> None:
        self.index = MemoryIndex()
        self.steps: list[Progress] = []

    async def __call__(self, pages: list[Page], *, full: bool = False) -> Report:
        minute, tokens, day = self.limits
        quota = quota_of(
            MODEL,
            KEY,
            texts_per_minute=minute,
            tokens_per_minute=tokens,
            texts_per_day=day,
            dollars_per_million_tokens=0.15,
        )
        service = GeminiService(
            KEY,
            embedding_model=MODEL,
            embedding_dimensions=DIMENSIONS,
            answer_models=(),
            base_url=self.server.url,
            api_version="v1beta",
            embed_timeout=30,
            answer_timeout=30,
            quota=quota,
        )
        try:
            with VectorCache(self.folder / "vectors.sqlite") as cache, Ledger(self.folder / "quotas.sqlite") as ledger:
                return await index(
                    lambda: pages,
                    origin=Origin("book"),
                    embedder=service.embedder,
                    vector_index=self.index,
                    cache=cache,
                    pace=Pace(quota, ledger, share=self.share, clock=self.clock),
                    full=full,
                    on_progress=self.steps.append,
                )
        finally:
            await service.close()


@pytest.fixture
async def owner(tmp_path: Path) -> AsyncIterator[Owner]:
    clock = FastClock(datetime(2026, 11, 24, 12, tzinfo=UTC))
    plan = FreePlan(clock)
    async with GeminiServer(plan=plan) as server:
        yield Owner(server, plan, clock, tmp_path)


async def test_a_book_larger_than_a_days_quota_takes_two_days_and_pays_for_no_text_twice(owner: Owner) -> None:
    pages = book(1_500)

    with pytest.raises(DayUsedUp) as stopped:
        await owner(pages)
    calls = len(owner.server.requests)
    with pytest.raises(DayUsedUp):
        await owner(pages)
    again = len(owner.server.requests)
    owner.clock.move_to(stopped.value.until)
    report = await owner(pages)

    assert (stopped.value.embedded, stopped.value.remaining) == (900, 600), "a tenth is left to the readers"
    assert stopped.value.until == datetime(2026, 11, 25, 8, tzinfo=UTC)
    assert again == calls, "a quota that is known to be used up is not asked"
    assert (report.passages, report.embedded) == (1_500, 600)
    assert len(owner.plan.texts) == 1_500
    assert set(owner.plan.texts.values()) == {1}
    assert owner.plan.refused <= 1, "the one that told the limits"
    assert owner.index.published is not None
    assert owner.index.published[0].has_vectors


async def test_a_minutes_quota_is_used_to_the_full_without_being_asked_for_more(owner: Owner) -> None:
    owner.plan = owner.server.plan = FreePlan(owner.clock, texts_per_day=100_000, plan="PaidTier")
    owner.limits = (100, 0, 0)

    began = owner.clock.now()
    await owner(book(700))

    ideal = 6 * 60  # the first 100 at once, then 100 a minute
    assert owner.plan.refused == 0
    assert owner.clock.now() - began <= 1.3 * ideal


async def test_limits_that_nobody_told_are_learnt_from_one_refusal_and_remembered(owner: Owner) -> None:
    owner.plan = owner.server.plan = FreePlan(owner.clock, texts_per_minute=40, texts_per_day=100_000, plan="PaidTier")

    began = owner.clock.now()
    await owner(book(200))
    learning = owner.plan.refused
    took = owner.clock.now() - began
    await owner(book(400))

    assert learning == 1
    assert owner.plan.refused == 1
    assert took <= 1.3 * 5 * 60


async def test_a_wait_that_the_service_asks_for_is_kept_to_the_second_and_told(owner: Owner) -> None:
    owner.server.reply(
        error(429, "RESOURCE_EXHAUSTED", "Slow down.\nPlease retry in 41.25s.", {"retryDelay": "41s"}), status=429
    )

    await owner(book(10))

    assert owner.clock.slept == pytest.approx(41.25)
    assert [step.waiting for step in owner.steps if step.waiting] == [pytest.approx(41.25)]


async def test_progress_tells_the_time_that_is_left_by_the_quota(owner: Owner) -> None:
    owner.limits = (100, 0, 0)
    owner.share = 1.0

    await owner(book(500))

    first = next(step for step in owner.steps if step.step == "embedding" and step.done == 100)
    assert first.seconds_left == pytest.approx(4 * 60)


async def test_questions_can_be_embedded_while_a_book_is(owner: Owner) -> None:
    owner.limits = (100, 0, 0)
    asked = 0

    class Asking(FastClock):
        async def sleep(self, seconds: float) -> None:
            """Whenever the run waits, ten readers ask."""
            nonlocal asked
            await super().sleep(seconds / 2)
            requests = [{"content": {"parts": [{"text": f"Question {asked + n}"}]}} for n in range(10)]
            received = replace(owner.server.requests[-1], body={"requests": requests})
            assert owner.plan.refusal(received) is None
            asked += 10
            await super().sleep(seconds / 2)

    owner.clock = Asking()
    owner.plan = owner.server.plan = FreePlan(owner.clock)

    await owner(book(500))

    assert asked >= 50
    assert owner.plan.refused == 0


async def test_a_model_that_is_not_in_the_plan_ends_the_run_at_once(owner: Owner) -> None:
    owner.plan = owner.server.plan = FreePlan(owner.clock, texts_per_minute=0)

    with pytest.raises(EmbedderDenied, match="not in this key's plan"):
        await owner(book(10))

    assert len(owner.server.requests) == 1


async def test_a_service_that_only_says_no_is_given_up_for_now(owner: Owner) -> None:
    for _ in range(20):
        owner.server.reply(NO_DETAILS, status=429)

    with pytest.raises(EmbedderLimited):
        await owner(book(10))

    assert len(owner.server.requests) == 11


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ((OVERLOADED,), 503),
        ((b"<html>Bad Gateway</html>",), 502),
        ((b'{"embeddings": [{"val',), 200),
        ((embeddings([0.5] * DIMENSIONS),), 200),
        ((b"{", Break.CUT), 200),
        ((Break.RESET,), 200),
        ((event("not a vector"),), 200),
    ],
    ids=["overload", "gateway", "malformed", "too few", "cut", "reset", "another answer"],
)
async def test_what_may_pass_is_waited_out(owner: Owner, steps: tuple[Step, ...], status: int) -> None:
    for _ in range(3):
        owner.server.reply(*steps, status=status)

    report = await owner(book(150))

    assert report.embedded == 150
    assert set(owner.plan.texts.values()) == {1}


async def test_what_does_not_pass_ends_the_run_and_keeps_what_was_made(owner: Owner) -> None:
    await owner(book(20))
    for _ in range(7):
        owner.server.reply(OVERLOADED, status=503)

    with pytest.raises(EmbedderUnavailable, match="503 UNAVAILABLE"):
        await owner(book(40))

    report = await owner(book(40))
    assert report.embedded == 20


async def test_a_text_that_the_service_refuses_is_found_by_halves_and_searched_by_its_words(owner: Owner) -> None:
    pages = book(300)
    poisoned = pages[130].sections[0].blocks[0].text

    def refuses(request: object) -> bool:
        return poisoned in str(request)

    owner.server.refuse_if(refuses, EMPTY_PART)

    report = await owner(pages)
    calls = len(owner.server.requests)
    again = await owner([*pages, *book(301)[300:]])

    assert (report.passages, report.embedded, report.by_words) == (300, 299, ("130.md",))
    assert calls <= 8 + 2 * 8, "batches at the quota's pace, and two for each halving"
    assert again.embedded == 1, "what was refused is not sent again"
    assert owner.index.published is not None
    without = [entry.passage.source for entry in owner.index.published[1] if entry.vector is None]
    assert without == ["130.md"]

    owner.server.refuse_if(lambda _: False, EMPTY_PART)
    mended = await owner(pages, full=True)
    assert (mended.embedded, mended.by_words) == (1, ())


async def test_a_service_that_refuses_every_text_is_not_taken_for_a_bad_book(owner: Owner) -> None:
    owner.server.refuse_if(lambda _: True, EMPTY_PART)

    with pytest.raises(EmbedderDenied, match="whatever the text"):
        await owner(book(4))

    assert owner.index.published is not None
    assert not owner.index.published[0].has_vectors


async def test_another_key_or_other_limits_begin_with_a_clean_sheet(owner: Owner) -> None:
    with pytest.raises(DayUsedUp):
        await owner(book(1_200))
    owner.plan = owner.server.plan = FreePlan(owner.clock, texts_per_minute=10_000, texts_per_day=100_000)
    owner.limits = (3_000, 0, 0)

    report = await owner(book(1_200))

    assert report.passages == 1_200


async def test_a_run_that_is_stopped_lets_go_of_the_service(owner: Owner) -> None:
    never = asyncio.Event()
    owner.server.reply(b"{", never)
    run = asyncio.create_task(owner(book(10)))
    await owner.server.asked.wait()
    run.cancel()

    await asyncio.wait([run])

    assert run.cancelled()
    await asyncio.wait_for(owner.server.client_left.wait(), 5)
