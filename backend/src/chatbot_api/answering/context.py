"""Which passages an answer may stand on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chatbot_api.answering.fusion import RankedPage
from chatbot_api.answering.text import plain
from chatbot_api.models.domain import Hit, Passage

_PER_PAGE: Final = 6
_PAGE_WEIGHT: Final = 0.5
"""How much a passage gains from its page. Of a grid over both numbers and the limit, what put most of the must-have
facts of the development questions before the model, for the characters it costs (benchmarks/RETRIEVAL.md)."""


def choose(ranked: Sequence[RankedPage], limit: int) -> list[Hit]:
    """The best passages of the best pages, at most `limit` and at most six a page, best first."""
    weighed = [(_PAGE_WEIGHT * page.score + hit.score, hit) for page in ranked[:limit] for hit in page.hits[:_PER_PAGE]]
    weighed.sort(key=lambda item: (-item[0], item[1].passage.page, item[1].passage.ordinal))
    return [hit for _, hit in weighed[:limit]]


def with_selection(hits: Sequence[Hit], page: Sequence[Passage], selection: str, limit: int) -> list[Hit]:
    """The passages that hold the reader's selection first, then the others."""
    marked = plain(selection)
    first = [Hit(p, 1.0) for p in page if marked in plain(p.text) or plain(p.text) in marked]
    ids = {hit.passage.id for hit in first}
    return [*first, *(hit for hit in hits if hit.passage.id not in ids)][:limit]
