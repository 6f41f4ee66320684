"""Which words of a passage support a sentence. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from chatbot_api.answering.text import Unit, sentences, stem, units_of, words
from chatbot_api.answering.visible import visible_stretches

_MAX_QUOTE: Final = 300
_ITEM_MARK: Final = re.compile(r"^\s*(?:- |\d+[.)] )")
# Words that say nothing about what a question is about; short on purpose, rarity does most of the work.
STOP_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """a an the and or but if of to in on at by for from with as is are was were be been do does did can could
        should would will may might must have has had i you we they he she it its this that these those there
        here my your our what which who when where why how not no so than then too very just also any some such
        only into about get use using used way need want""",
    )
)


def content_words(text: str) -> list[str]:
    """Stems of the words that carry meaning; all of them where none does."""
    found = words(text)
    return [stem(word) for word in found if word not in STOP_WORDS] or [stem(word) for word in found]


class Relevance:
    """How much a text says about a question: the share of the question's words in it, rare words weighing more.

    Rarity is counted over the texts at hand (a smoothed inverse document frequency).
    """

    def __init__(self, question: str, texts: Iterable[str]) -> None:
        seen: Counter[str] = Counter()
        total = 0
        for text in texts:
            seen.update(set(content_words(text)))
            total += 1
        self._weights = {
            word: math.log(1 + (total - seen[word] + 0.5) / (seen[word] + 0.5)) for word in set(content_words(question))
        }
        self._whole = sum(self._weights.values()) or 1.0

    def __call__(self, text: str) -> float:
        """0 to 1."""
        present = set(content_words(text))
        return sum(weight for word, weight in self._weights.items() if word in present) / self._whole


def best_quote(answer_so_far: str, passage: str) -> str:
    """The verbatim words of the passage that come closest to the last sentence of the answer."""
    said = sentences(answer_so_far.rsplit("\n\n", 1)[-1])
    units = units_of(passage)
    if not units:
        return passage[:_MAX_QUOTE]
    relevance = Relevance(said[-1] if said else "", [unit.text for unit in units])
    return shortened(max(units, key=lambda unit: (relevance(unit.text), -unit.start)), relevance)


def shortened(unit: Unit, relevance: Relevance) -> str:
    """A unit as a quote: an item without its mark, the best line of code or row of a table, nothing overlong.

    Code has its hidden characters in the index too. A quote is verbatim and has none: it lies between them.
    """
    text = unit.text
    if unit.kind in ("code", "table", "maths"):
        lines = _inner_lines(unit)
        text = max(lines, key=relevance) if lines else text
    elif unit.kind == "item":
        text = _ITEM_MARK.sub("", text.split("\n", 1)[0])
    text = max(visible_stretches(text), key=lambda stretch: (relevance(stretch), len(stretch)))
    if len(text) <= _MAX_QUOTE:
        return text
    return text[:_MAX_QUOTE].rsplit(" ", 1)[0]


def _inner_lines(unit: Unit) -> Sequence[str]:
    lines = unit.text.splitlines()
    if unit.kind == "table":
        lines = lines[2:] or lines  # the names of the columns say little
    elif unit.kind in ("code", "maths"):
        lines = lines[1:-1]
    return [line.strip() for line in lines if line.strip().strip("|-: ")]
