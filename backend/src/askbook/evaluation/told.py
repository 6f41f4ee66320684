"""An evaluation as Markdown for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from askbook.evaluation.compare import Change, Comparison, Side
from askbook.evaluation.results import Evaluation
from askbook.evaluation.retrieval import METRICS

_MISSES: Final = 10
_CHANGES: Final = 20
_FAULTS: Final = 10


def as_text(result: Evaluation, comparison: Comparison | None = None) -> str:
    latency, gate = result.latency_ms, result.gate
    lines = [
        f"{result.questions} questions",
        "",
        *_retrieval(result.retrieval),
        "",
        f"retrieval latency: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms",
        f"refused without a model: {gate['answerable_refused']:.1%} of the answerable questions, "
        f"{gate['unanswerable_refused']:.1%} of the unanswerable ones",
        *_by_words(result),
        *_misses(result),
    ]
    if result.answers:
        lines += ["", *_answers(result.answers), *_faults(result)]
    if comparison:
        lines += ["", *_comparison(comparison)]
    return "\n".join(lines)


def _retrieval(retrieval: Mapping[str, Mapping[str, float]]) -> list[str]:
    rows = ["| form | " + " | ".join(METRICS) + " |", "|---|" + "---|" * len(METRICS)]
    for form, metrics in retrieval.items():
        rows.append(f"| {form} | " + " | ".join(f"{metrics[metric]:.3f}" for metric in METRICS) + " |")
    return rows


def _by_words(result: Evaluation) -> list[str]:
    alone = sum(each.gate_score is None for q in result.by_question for each in q.searched.values())
    return [f"searched by words alone: {alone} times, for there was no vector"] if alone else []


def _misses(result: Evaluation) -> list[str]:
    missed = [(q.id, each.rank) for q in result.by_question if q.answerable and (each := q.searched["query"]).rank != 1]
    missed.sort(key=lambda miss: (miss[1] is not None, -(miss[1] or 0)))
    if not missed:
        return []
    told = ", ".join(f"{id_} {_shown(rank)}" for id_, rank in missed[:_MISSES])
    return [f"not first, worst first: {told}{_more(len(missed) - _MISSES)}"]


def _answers(answers: Mapping[str, Any]) -> list[str]:
    facts, citations, tokens = answers["facts"], answers["citations"], answers["tokens"]
    others, answerable = answers["unanswerable"], answers["answerable"]
    dollars = "unknown" if answers["dollars"] is None else f"${answers['dollars']:.4f}"
    return [
        f"answers: {_counts(answers['states'])}; {_counts(answers['modes'])}",
        f"facts: {_percent(facts['found'])} of {facts['of']} told or quoted, {_percent(facts['cited'])} in the "
        "passages cited",
        f"citations: {citations['of']}, dead or invented: {citations['faulty']}; "
        f"{_percent(citations['on_gold_page'])} on a right page, "
        f"{_percent(citations['on_gold_anchor'])} under the right heading where one is known",
        f"sentences without support: {_percent(answers['unsupported_sentences'])}",
        f"unanswerable recognised: {_percent(answers['unanswerable_recognised'])}; "
        f"answerable refused: {_percent(answers['answerable_refused'])}",
        f"by retrieval alone, before a model was asked: {others['by_retrieval']} of {others['count']} unanswerable, "
        f"{answerable['by_retrieval']} of {answerable['count']} answerable",
        f"by the model, after it had read: {others['by_model']} of {others['count']} unanswerable, "
        f"{answerable['by_model']} of {answerable['count']} answerable",
        f"first word: {_latency(answers['first_word_ms'])}; whole answer: {_latency(answers['total_ms'])}",
        f"tokens: {tokens['input']:,} read, {tokens['output']:,} written; cost: {dollars}",
    ]


def _faults(result: Evaluation) -> list[str]:
    faults = [f"  {q.id}: {fault}" for q in result.by_question if q.answer for fault in q.answer.faults]
    return [*faults[:_FAULTS], *([f"  {_more(len(faults) - _FAULTS)}"] if len(faults) > _FAULTS else [])]


def _comparison(comparison: Comparison) -> list[str]:
    left_out = f"; not comparable: {len(comparison.left_out)}" if comparison.left_out else ""
    lines = [f"compared on {comparison.questions} questions{left_out}", ""]
    if comparison.differences:
        lines += [
            "| measure | was | now | 95 % interval of the difference | sign test | |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {d.measure} | {d.was:.3f} | {d.now:.3f} | {d.low:+.3f} to {d.high:+.3f} | p = {d.p:.2f} | {d.verdict} |"
            for d in comparison.differences
        ]
        lines.append("")
    return [*lines, *(line for side in comparison.sides for line in _side(side))]


def _side(side: Side) -> list[str]:
    counts = f"{side.measure}: better {len(side.better)}, worse {len(side.worse)}, same {side.same}"
    lines = [f"{counts}; sign test p = {side.p:.2f}"]
    for name, changes in (("better", side.better), ("worse", side.worse)):
        if changes:
            lines.append(f"  {name}: {_changes(changes)}")
    return lines


def _changes(changes: Sequence[Change]) -> str:
    told = ", ".join(f"{change.id} {_shown(change.was)} → {_shown(change.now)}" for change in changes[:_CHANGES])
    return told + _more(len(changes) - _CHANGES)


def _shown(value: int | str | None) -> str:
    return "not found" if value is None else str(value)


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"


def _latency(values: Mapping[str, float]) -> str:
    return f"p50 {values['p50']:.0f} ms, p99 {values['p99']:.0f} ms"
