"""Two ranked lists into one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chatbot_api.models.domain import Candidates, Hit

DENSE_WEIGHT = 0.6
PAGE_EVIDENCE = (1.0, 0.2, 0.2)
"""How much a page's best, second and third passage count: a page that speaks of the matter in several places is more
likely to be about it. Both measured in benchmarks/RETRIEVAL.md."""


@dataclass(frozen=True, slots=True)
class RankedPage:
    """A page with the passages of it that were found, both best first."""

    page: str
    score: float
    hits: tuple[Hit, ...]


def rank_pages(
    candidates: Candidates,
    *,
    dense_weight: float = DENSE_WEIGHT,
    page_evidence: Sequence[float] = PAGE_EVIDENCE,
) -> list[RankedPage]:
    """Pages by a weighted sum of what their best dense and their best lexical passages say.

    Each side's scores are first stretched to 0..1 over its candidates (min-max), so that cosines and BM25 can be added:
    `w * dense + (1 - w) * lexical`, a page missing on a side having 0 there. Where a side has no candidate at all, the
    other alone decides. Passages of a page are ranked by the same sum.
    """
    if not candidates.dense:
        dense_weight = 0.0
    elif not candidates.lexical:
        dense_weight = 1.0
    dense, lexical = _stretched(candidates.dense), _stretched(candidates.lexical)
    passages = {hit.passage.id: hit.passage for side in (candidates.dense, candidates.lexical) for hit in side}
    by_page: dict[str, list[str]] = {}
    for passage_id, passage in passages.items():
        by_page.setdefault(passage.page, []).append(passage_id)
    pages = []
    for page, ids in by_page.items():
        score = dense_weight * _evidence(dense, ids, page_evidence) + (1 - dense_weight) * _evidence(
            lexical, ids, page_evidence
        )
        hits = [
            Hit(passages[i], dense_weight * dense.get(i, 0.0) + (1 - dense_weight) * lexical.get(i, 0.0)) for i in ids
        ]
        hits.sort(key=lambda hit: (-hit.score, hit.passage.ordinal))
        pages.append(RankedPage(page, score, tuple(hits)))
    pages.sort(key=lambda ranked: (-ranked.score, ranked.page))
    return pages


def _evidence(scores: Mapping[str, float], ids: Sequence[str], weights: Sequence[float]) -> float:
    best = sorted((scores.get(i, 0.0) for i in ids), reverse=True)
    return sum(weight * score for weight, score in zip(weights, best, strict=False))


def _stretched(hits: Sequence[Hit]) -> dict[str, float]:
    if not hits:
        return {}
    low, high = min(hit.score for hit in hits), max(hit.score for hit in hits)
    span = high - low
    return {hit.passage.id: (hit.score - low) / span if span else 1.0 for hit in hits}
