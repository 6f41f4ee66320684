"""Several models as one: who is asked, in which order, and for how long one that failed is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from chatbot_api.errors import (
    AnswerCutShort,
    ModelDenied,
    ModelError,
    ModelGone,
    ModelRateLimited,
    ModelRefused,
    ModelUnavailable,
    UsedUp,
)
from chatbot_api.models.domain import Prompt, Usage
from chatbot_api.services.fallback_generator import FallbackGenerator
from chatbot_api.testing import ScriptedGenerator
from tests.fast_clock import FastClock

PROMPT = Prompt(system="Answer.", history=(), user="What is a topic?")
DOWN = ModelUnavailable("down")


class Recovering(ScriptedGenerator):
    """Fails so many times, then works."""

    def __init__(self, failures: int) -> None:
        super().__init__(["Recovered."], model="recovering")
        self._failures = failures

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        if len(self.prompts) < self._failures:
            self.prompts.append(prompt)
            raise DOWN
        async with aclosing(super().stream(prompt)) as pieces:
            async for piece in pieces:
                yield piece


def failing(error: ModelError, name: str = "main") -> ScriptedGenerator:
    return ScriptedGenerator(error=error, model=name)


def works(name: str = "spare") -> ScriptedGenerator:
    return ScriptedGenerator(["Over ", "topics."], model=name)


async def told(generator: FallbackGenerator) -> str:
    async with aclosing(generator.stream(PROMPT)) as pieces:
        return "".join([piece async for piece in pieces if isinstance(piece, str)])


@pytest.mark.parametrize("error", [DOWN, ModelGone("retired"), ModelRateLimited("quota"), ModelDenied("not in plan")])
async def test_the_next_model_answers_while_the_first_does_not(error: ModelError) -> None:
    main, spare = failing(error), works()

    assert await told(FallbackGenerator([main, spare])) == "Over topics."

    assert (len(main.prompts), len(spare.prompts)) == (1, 1)


async def test_a_model_that_works_is_the_only_one_that_is_asked() -> None:
    main, spare = works("main"), works()

    await told(FallbackGenerator([main, spare]))

    assert spare.prompts == []


async def test_a_refusal_is_not_got_around() -> None:
    main, spare = failing(ModelRefused("SAFETY")), works()

    with pytest.raises(ModelRefused):
        await told(FallbackGenerator([main, spare]))

    assert spare.prompts == []


async def test_after_the_first_word_no_other_model_goes_on() -> None:
    main, spare = ScriptedGenerator(["Over "], error=AnswerCutShort("cut"), model="main"), works()
    pieces = []

    with pytest.raises(AnswerCutShort):  # noqa: PT012 - what came before the failure matters as well
        async for piece in FallbackGenerator([main, spare]).stream(PROMPT):
            pieces.append(piece)

    assert pieces == ["Over "]
    assert spare.prompts == []


async def test_the_only_model_is_asked_once_more() -> None:
    main = Recovering(1)

    assert await told(FallbackGenerator([main])) == "Recovered."

    assert len(main.prompts) == 2


@pytest.mark.parametrize("error", [ModelGone("retired"), ModelRateLimited("quota"), ModelDenied("key")])
async def test_what_another_try_cannot_mend_is_not_tried_again(error: ModelError) -> None:
    main = failing(error)

    with pytest.raises(type(error)):
        await told(FallbackGenerator([main]))

    assert len(main.prompts) == 1


async def test_where_all_fail_it_is_the_first_ones_reason_that_is_told() -> None:
    with pytest.raises(ModelRateLimited):
        await told(FallbackGenerator([failing(ModelRateLimited("quota")), failing(DOWN, "spare")]))


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (DOWN, 5),
        (ModelDenied("key"), 60),
        (ModelRateLimited("quota", UsedUp(retry_after=42)), 42),
        (ModelRateLimited("tomorrow", UsedUp(retry_after=17, per_day=True)), 900),
        (ModelGone("retired"), 3_600),
    ],
)
async def test_a_model_that_failed_is_left_alone_for_a_while(error: ModelError, seconds: float) -> None:
    main, spare, clock = failing(error), works(), FastClock()
    generator = FallbackGenerator([main, spare], clock=clock.now)
    await told(generator)

    await clock.sleep(seconds - 0.5)
    await told(generator)
    assert len(main.prompts) == 1

    await clock.sleep(1)
    await told(generator)
    assert len(main.prompts) == 2


async def test_while_every_model_is_left_alone_nobody_waits_for_one() -> None:
    main = failing(ModelRateLimited("quota"))
    generator = FallbackGenerator([main], clock=FastClock().now)
    with pytest.raises(ModelRateLimited):
        await told(generator)

    with pytest.raises(ModelRateLimited, match="not asked, since it has just failed: quota"):
        await told(generator)

    assert len(main.prompts) == 1


async def test_a_model_that_says_nothing_is_stopped_and_the_reader_does_not_wait_longer() -> None:
    silent = ScriptedGenerator(["never"], gate=0, model="main")

    with pytest.raises(ModelUnavailable, match="main: no word in time"):
        await told(FallbackGenerator([silent], first_word_timeout=0.05))

    assert silent.stopped.is_set()


async def test_a_model_that_says_nothing_leaves_time_for_the_next() -> None:
    silent = ScriptedGenerator(["never"], gate=0, model="main")

    assert await told(FallbackGenerator([silent, works()], first_word_timeout=0.3)) == "Over topics."


async def test_leaving_before_the_first_word_stops_the_model_that_is_asked() -> None:
    silent = ScriptedGenerator(["never"], gate=0, model="spare")
    reading = asyncio.create_task(told(FallbackGenerator([failing(DOWN), silent])))
    await silent.waiting.wait()

    reading.cancel()
    await asyncio.wait([reading])

    assert silent.stopped.is_set()


async def test_what_the_answer_took_is_told_by_the_model_that_wrote_it() -> None:
    usage = Usage("spare", 100, 10)
    spare = ScriptedGenerator(["Over topics.", usage], model="spare")

    pieces = [piece async for piece in FallbackGenerator([failing(DOWN), spare]).stream(PROMPT)]

    assert pieces == ["Over topics.", usage]


async def test_a_check_raises_for_the_first_model_and_warns_about_the_others() -> None:
    good = FallbackGenerator([works("main"), failing(ModelGone("retired"), "spare")])
    bad = FallbackGenerator([failing(ModelGone("retired")), works()])

    remarks = await good.check()

    assert [(remark.text, remark.mend) for remark in remarks] == [
        ("main", ""),
        ("the fallback spare is not there: retired", "choose another fallback"),
    ]
    with pytest.raises(ModelGone):
        await bad.check()


def test_no_model_at_all_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one"):
        FallbackGenerator([])
