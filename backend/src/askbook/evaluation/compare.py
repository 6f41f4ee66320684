"""Two runs of the same questions, question by question, with how much of the difference may be chance. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final, Literal, TypeVar

from askbook.evaluation.questions import FORMS
from askbook.evaluation.results import Evaluation, QuestionResult
from askbook.evaluation.retrieval import METRICS

_RESAMPLES: Final = 2000
_SEED: Final = 20_261_124
_STATES: Final = {"answered": 2, "partial": 1, "not_in_docs": 0}
_NOWHERE: Final = 1_000_000
_FEWEST: Final = 2
_CHANCE: Final = 0.05

Verdict = Literal["better", "worse", "unclear", "same"]
_Pair = tuple[QuestionResult, QuestionResult]
_Value = TypeVar("_Value", int, str, int | None)


@dataclass(frozen=True, slots=True)
class Change:
    """Of one question. `was` and `now` are a rank, a count or a state; None is a page that was not found."""

    id: str
    was: int | str | None
    now: int | str | None


@dataclass(frozen=True, slots=True)
class Side:
    """Which questions did better and which worse by one measure."""

    measure: str
    better: tuple[Change, ...]
    worse: tuple[Change, ...]
    same: int
    p: float
    """Of the sign test, two-sided: how often chance alone would be at least as lopsided."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two means over the same questions, with the interval that 95 % of bootstrap samples fall into."""

    measure: str
    was: float
    now: float
    low: float
    high: float
    p: float
    """Of the sign test: few changed questions can move every sample, and prove little all the same."""

    @property
    def verdict(self) -> Verdict:
        """`unclear` where chance alone could have made the difference."""
        if self.low == self.high == 0:
            return "same"
        if self.p > _CHANCE or self.low <= 0 <= self.high:
            return "unclear"
        return "better" if self.low > 0 else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    questions: int
    """In both runs, with the same words."""
    left_out: tuple[str, ...]
    """Ids that only one run has, or whose words are others."""
    differences: tuple[Difference, ...]
    sides: tuple[Side, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "questions": self.questions,
            "left_out": list(self.left_out),
            "means": {
                each.measure: {
                    "was": each.was,
                    "now": each.now,
                    "difference": round(each.now - each.was, 4),
                    "interval": [each.low, each.high],
                    "sign_test_p": each.p,
                    "verdict": each.verdict,
                }
                for each in self.differences
            },
            "by_question": {
                side.measure: {
                    "better": [{"id": c.id, "was": c.was, "now": c.now} for c in side.better],
                    "worse": [{"id": c.id, "was": c.was, "now": c.now} for c in side.worse],
                    "same": side.same,
                    "sign_test_p": side.p,
                }
                for side in self.sides
            },
        }


def compare(old: Evaluation, new: Evaluation) -> Comparison:
    before = {result.id: result for result in old.by_question}
    pairs = [(before[n.id], n) for n in new.by_question if n.id in before and _same_question(before[n.id], n)]
    compared = {result.id for _, result in pairs}
    ids = dict.fromkeys(result.id for run in (old, new) for result in run.by_question)
    return Comparison(
        questions=len(pairs),
        left_out=tuple(each for each in ids if each not in compared),
        differences=tuple(_differences(pairs)),
        sides=tuple(_sides(pairs)),
    )


def _same_question(old: QuestionResult, new: QuestionResult) -> bool:
    def words(result: QuestionResult) -> object:
        return (
            result.answerable,
            {(gold.path, gold.grade) for gold in result.gold},
            {form: searched.text for form, searched in result.searched.items()},
        )

    return words(old) == words(new)


def _differences(pairs: Sequence[_Pair]) -> Iterator[Difference]:
    for form in FORMS:
        for metric in METRICS:
            values = [
                (old.searched[form].scores[metric], new.searched[form].scores[metric])
                for old, new in pairs
                if form in old.searched and new.answerable
            ]
            yield from _difference(f"{form} {metric}", values)
    shares = [
        (old.answer.facts_found / old.answer.facts, new.answer.facts_found / new.answer.facts)
        for old, new in pairs
        if old.answer and new.answer and new.answerable and old.answer.facts == new.answer.facts > 0
    ]
    yield from _difference("facts found", shares)


def _difference(measure: str, values: Sequence[tuple[float, float]]) -> Iterator[Difference]:
    if len(values) >= _FEWEST:
        low, high = interval([now - was for was, now in values])
        p = sign_test(sum(now > was for was, now in values), sum(now < was for was, now in values))
        was, now = (round(fmean(column), 4) for column in zip(*values, strict=True))
        yield Difference(measure, was, now, low, high, p)


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Of their mean: the middle 95 % of the means of samples drawn from them with replacement. Equal input gives equal
    output."""
    chance = random.Random(_SEED)  # noqa: S311 - a statistic, not a secret
    drawn = sorted(fmean(chance.choices(differences, k=len(differences))) for _ in range(_RESAMPLES))
    edge = round(_RESAMPLES * 0.025)
    return round(drawn[edge], 4), round(drawn[-edge - 1], 4)


def _sides(pairs: Sequence[_Pair]) -> Iterator[Side]:
    for form in FORMS:
        asked = [(old, new) for old, new in pairs if form in old.searched and new.answerable]
        ranks = [(new.id, old.searched[form].rank, new.searched[form].rank) for old, new in asked]
        if ranks:
            yield _side(f"{form} rank", ranks, lambda rank: -(rank or _NOWHERE))
    answered = [(new, old.answer, new.answer) for old, new in pairs if old.answer and new.answer]
    facts = [(q.id, was.facts_found, now.facts_found) for q, was, now in answered if was.facts == now.facts > 0]
    if facts:
        yield _side("facts found", facts, int)
    states = [(q, str(was.state), str(now.state)) for q, was, now in answered]
    told = [(q.id, was, now) for q, was, now in states if q.answerable]
    refused = [(q.id, was, now) for q, was, now in states if not q.answerable]
    if told:
        yield _side("state of answerable", told, lambda state: _STATES[state])
    if refused:
        yield _side("state of unanswerable", refused, lambda state: -_STATES[state])


def _side(measure: str, values: Sequence[tuple[str, _Value, _Value]], worth: Callable[[_Value], int]) -> Side:
    better = tuple(Change(id_, was, now) for id_, was, now in values if worth(now) > worth(was))
    worse = tuple(Change(id_, was, now) for id_, was, now in values if worth(now) < worth(was))
    return Side(measure, better, worse, len(values) - len(better) - len(worse), sign_test(len(better), len(worse)))


def sign_test(better: int, worse: int) -> float:
    """Two-sided and exact: how likely a fair coin falls at least as lopsided."""
    total, fewer = better + worse, min(better, worse)
    tail = sum(math.comb(total, heads) for heads in range(fewer + 1)) / 2.0**total
    return round(min(1.0, 2 * tail), 4)
