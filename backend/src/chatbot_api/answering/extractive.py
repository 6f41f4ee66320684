"""An answer without a model: the book's own words, each with where it stands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatbot_api.answering.support import Relevance, shortened
from chatbot_api.answering.text import Unit, inert, units_of
from chatbot_api.models.domain import Hit, Passage

_LENGTHS: Final = (700, 400, 400)
"""How many characters the best, second and third passage may contribute."""


@dataclass(frozen=True, slots=True)
class Extract:
    """A stretch of a passage, verbatim, and the part of it that says the most."""

    passage: Passage
    text: str
    quote: str


def extracts(question: str, hits: Sequence[Hit]) -> list[Extract]:
    """The stretches of the best passages that say the most about the question, best passage first."""
    relevance = Relevance(question, [hit.passage.text for hit in hits])
    return [
        _best_stretch(hit.passage, relevance, length)
        for hit, length in zip(hits[: len(_LENGTHS)], _LENGTHS, strict=False)
    ]


def as_paragraph(extract: Extract, number: int) -> tuple[str, int]:
    """The extract as Markdown that links nowhere, with its marker, and where in it the marker begins."""
    last = units_of(extract.text)[-1:]
    glue = " " if not last or last[0].kind == "sentence" else "\n\n"
    text = inert(extract.text) + glue
    return f"{text}[{number}]", len(text)


def _best_stretch(passage: Passage, relevance: Relevance, length: int) -> Extract:
    """Consecutive units, the most relevant, then the longest; at most `length` characters, but at least one unit."""
    units = units_of(passage.text)
    if not units:
        return Extract(passage, passage.text, passage.text)
    best: tuple[float, int, int, int] | None = None
    for first in range(len(units)):
        for last in range(first, len(units)):
            text = _stretch(passage, units[first], units[last])
            if last > first and len(text) > length:
                break
            rank = (relevance(text), len(text), -first, last)
            if best is None or rank > best:
                best = rank
    _, _, start, end = best or (0.0, 0, 0, 0)
    chosen = units[-start : end + 1]
    text = _stretch(passage, chosen[0], chosen[-1])
    top = max(chosen, key=lambda unit: (relevance(unit.text), -unit.start))
    return Extract(passage, text, shortened(top, relevance))


def _stretch(passage: Passage, first: Unit, last: Unit) -> str:
    return passage.text[first.start : last.start + len(last.text)].strip("\n")
