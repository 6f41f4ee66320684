"""Measures of a ranking of pages, and of many. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final

from askbook.evaluation.questions import Gold

METRICS: Final = ("hit@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")
_DEPTH: Final = 10


def score(gold: Sequence[Gold], ranked: Sequence[str]) -> dict[str, float]:
    """One question's metrics. `hit@1`, `recall` and `mrr` count pages of grade 2; `ndcg` gives a page of grade g a gain
    of 2^g - 1 and discounts by log2 of its rank plus one (Järvelin and Kekäläinen, 2002)."""
    grades: dict[str, int] = {}
    for page in gold:
        grades[page.path] = max(grades.get(page.path, 0), page.grade)
    answers = {path for path, grade in grades.items() if grade == 2}
    first = rank_of_first(gold, ranked[:_DEPTH])
    gains = [2 ** grades.get(path, 0) - 1 for path in ranked[:_DEPTH]]
    ideal = sorted((2**grade - 1 for grade in grades.values()), reverse=True)[:_DEPTH]
    return {
        "hit@1": float(first == 1),
        "recall@5": len(answers & set(ranked[:5])) / len(answers),
        "recall@10": len(answers & set(ranked[:10])) / len(answers),
        "mrr@10": 1 / first if first else 0.0,
        "ndcg@10": _discounted(gains) / _discounted(ideal),
    }


def rank_of_first(gold: Sequence[Gold], ranked: Sequence[str]) -> int | None:
    """Of the first page that answers; None where none was found."""
    answers = {page.path for page in gold if page.grade == 2}
    return next((rank for rank, path in enumerate(ranked, 1) if path in answers), None)


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {metric: round(fmean(row[metric] for row in rows), 4) for metric in METRICS}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    return {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99)}


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 2)


def share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
