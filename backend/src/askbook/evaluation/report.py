"""An evaluation as one HTML file: nothing in it is fetched or run, and every word of others is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from askbook.evaluation.compare import Comparison
from askbook.evaluation.plots import HEIGHT, WIDTH, Roc, rank_bars, roc, time_bars
from askbook.evaluation.questions import FORMS
from askbook.evaluation.results import Evaluation, QuestionResult
from askbook.evaluation.retrieval import METRICS

_FOUND = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A question, in the table."""

    result: QuestionResult
    ranks: tuple[str, ...]
    """By form; a dash where the question is not answerable or has no such form."""
    was: str
    """The rank of its `query` in the other run."""
    expected: tuple[str, ...]
    found: tuple[tuple[str, bool], ...]
    """The first pages, and whether each is a right one."""


def as_html(result: Evaluation, old: Evaluation | None = None, comparison: Comparison | None = None) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: "-" if share is None else f"{share:.1%}"
    return environment.get_template("report.html").render(
        result=result,
        comparison=comparison,
        metrics=METRICS,
        forms=[form for form in FORMS if form in result.retrieval],
        rows=list(_rows(result, old)),
        ranks=rank_bars({form: _ranks(result, form) for form in result.retrieval}),
        gate=_gate(result),
        times=time_bars(_times(result)),
        width=WIDTH,
        height=HEIGHT,
    )


def _rows(result: Evaluation, old: Evaluation | None) -> Iterator[Row]:
    before = {each.id: each for each in old.by_question} if old else {}
    for each in result.by_question:
        right = {gold.path for gold in each.gold}
        yield Row(
            result=each,
            ranks=tuple(_rank(each, form) for form in result.retrieval),
            was=_rank(before[each.id], "query") if each.id in before else "-",
            expected=tuple(gold.path + (f"#{gold.anchor}" if gold.anchor else "") for gold in each.gold),
            found=tuple((page, page in right) for page in each.searched["query"].pages[:_FOUND]),
        )


def _rank(result: QuestionResult, form: str) -> str:
    if not result.answerable or form not in result.searched:
        return "-"
    return str(result.searched[form].rank or "none")


def _ranks(result: Evaluation, form: str) -> Sequence[int | None]:
    return [each.searched[form].rank for each in result.by_question if each.answerable and form in each.searched]


def _gate(result: Evaluation) -> Roc | None:
    scores: dict[bool, list[float]] = {True: [], False: []}
    for each in result.by_question:
        score = each.searched["query"].gate_score
        if score is not None:
            scores[each.answerable].append(score)
    let_through = (1 - result.gate["unanswerable_refused"], 1 - result.gate["answerable_refused"])
    return roc(scores[True], scores[False], let_through)


def _times(result: Evaluation) -> dict[str, Any]:
    searched = [form.ms for each in result.by_question for form in each.searched.values()]
    answered = [each.answer.total_ms for each in result.by_question if each.answer]
    return {"search": searched, **({"whole answer": answered} if answered else {})}
