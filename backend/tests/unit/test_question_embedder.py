"""How readers' questions are embedded: remembered, asked once, tried again, and left alone after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from chatbot_api.errors import EmbedderDenied, EmbedderLimited, EmbedderUnavailable, TextRefused, UsedUp
from chatbot_api.models.domain import Vector
from chatbot_api.services.question_embedder import QuestionEmbedder
from chatbot_api.testing import HashEmbedder
from tests.fast_clock import FastClock


class Scripted(HashEmbedder):
    """Fails with these errors one after the other, then works."""

    def __init__(self, failures: Sequence[EmbedderUnavailable] = ()) -> None:
        super().__init__()
        self.failures = list(failures)
        self.calls = 0
        self.gate: asyncio.Event | None = None

    async def embed_question(self, text: str) -> Vector:
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        return await super().embed_question(text)


DOWN = EmbedderUnavailable("down")


async def test_a_question_that_was_asked_before_is_not_embedded_again() -> None:
    model = Scripted()
    embedder = QuestionEmbedder(model)

    first = await embedder.embed_question("What is a topic?")
    again = await embedder.embed_question("  What is  a topic?\n")

    assert model.calls == 1
    assert list(first) == list(again)


async def test_the_question_that_was_not_asked_for_longest_is_forgotten() -> None:
    model = Scripted()
    embedder = QuestionEmbedder(model, remembered=2)

    for question in ("a", "b", "a", "c", "a", "b"):
        await embedder.embed_question(question)

    assert model.calls == 4  # a, b, c, and b again


async def test_equal_questions_that_come_together_are_one_call() -> None:
    model = Scripted()
    embedder = QuestionEmbedder(model)

    vectors = await asyncio.gather(*(embedder.embed_question("What is a topic?") for _ in range(20)))

    assert model.calls == 1
    assert len(vectors) == 20


async def test_a_reader_who_leaves_does_not_take_the_vector_from_another() -> None:
    model = Scripted()
    model.gate = asyncio.Event()
    embedder = QuestionEmbedder(model)
    leaving = asyncio.create_task(embedder.embed_question("What is a topic?"))
    staying = asyncio.create_task(embedder.embed_question("What is a topic?"))
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.wait([leaving])
    model.gate.set()

    assert len(await staying) == embedder.dimensions
    assert model.calls == 1


async def test_a_quick_failure_is_tried_once_more() -> None:
    model = Scripted([DOWN])

    assert await QuestionEmbedder(model).embed_question("What is a topic?")

    assert model.calls == 2


@pytest.mark.parametrize("failure", [EmbedderDenied("no"), EmbedderLimited("wait"), TextRefused("not this")])
async def test_what_another_try_cannot_mend_is_not_tried_again(failure: EmbedderUnavailable) -> None:
    model = Scripted([failure])

    with pytest.raises(type(failure)):
        await QuestionEmbedder(model).embed_question("What is a topic?")

    assert model.calls == 1


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [
        (DOWN, 5),
        (EmbedderDenied("no"), 60),
        (EmbedderLimited("wait", UsedUp(retry_after=42)), 42),
        (EmbedderLimited("tomorrow", UsedUp(retry_after=17, per_day=True)), 900),
    ],
)
async def test_a_service_that_failed_is_left_alone_for_a_while(failure: EmbedderUnavailable, seconds: float) -> None:
    model = Scripted([failure, failure])
    clock = FastClock()
    embedder = QuestionEmbedder(model, clock=clock.now)
    with pytest.raises(EmbedderUnavailable):
        await embedder.embed_question("What is a topic?")
    asked = model.calls
    model.failures.clear()

    await clock.sleep(seconds - 0.5)
    with pytest.raises(EmbedderUnavailable, match="not asked, since it has just failed"):
        await embedder.embed_question("Another?")
    assert model.calls == asked

    await clock.sleep(1)
    assert await embedder.embed_question("Another?")


async def test_one_bad_text_is_no_reason_to_leave_the_service_alone() -> None:
    model = Scripted([TextRefused("not this")])
    embedder = QuestionEmbedder(model)
    with pytest.raises(TextRefused):
        await embedder.embed_question("\x00")

    assert await embedder.embed_question("What is a topic?")


async def test_what_is_remembered_is_told_while_the_service_is_left_alone() -> None:
    model = Scripted()
    embedder = QuestionEmbedder(model)
    await embedder.embed_question("What is a topic?")
    model.failures = [EmbedderDenied("no")]
    with pytest.raises(EmbedderDenied):
        await embedder.embed_question("Another?")

    assert await embedder.embed_question("What is a topic?")
