"""Whether the book says anything about a question, judged from retrieval alone. Pure.

A wrong "the book does not say" costs a reader more than a model that reads in vain, so doubt is settled for the book.
What the rule finds and how often it errs: benchmarks/RETRIEVAL.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from chatbot_api.answering.support import STOP_WORDS
from chatbot_api.answering.text import stem, words
from chatbot_api.models.domain import Candidates


@dataclass(frozen=True, slots=True)
class _Space:
    """How the cosines of a model's vectors are to be read."""

    language: str
    """Of text in another one they say little."""
    silent_below: float
    """The `Signals.score` under which a question is refused."""


_SPACES: Final = {"all-minilm-l6-v2-int8": _Space("en", 0.7)}
"""A space that is not here has not been measured: what its vectors find is judged by words."""
_UNCOVERED_BELOW: Final = 0.15
"""Judged by words, a question is refused under this coverage."""
_LIKELY: Final = 10
"""How many of each side count as likely to answer."""
_READ: Final = 25
"""How many of each side are read, to see which words are rare. More take longer and tell no more."""
_BACKGROUND: Final = 20
"""Fewer candidates are nothing to stand out from."""
_SLIP: Final = 2
"""A question of fewer words hangs on one, which may be misspelt."""
_PASTE: Final = 30
"""A question of more words was pasted, such as a log, and most of a log is in no book that explains it."""
_SHORT: Final = 4
_NAMES: Final = re.compile(r"\w+")
_LETTERS: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Signals:
    """How far the candidates speak for a question; each is high where the book answers it."""

    nearest: float
    """The best cosine."""
    lead: float
    """How far it is above the mean of all candidates."""
    coverage: float
    """The greatest share of the question's words in one likely passage, rare words weighing more: 0 to 1."""

    @property
    def score(self) -> float:
        """What a logistic fit came to, its weights rounded."""
        return self.nearest + self.lead + self.coverage / 2


def says_nothing(question: str, candidates: Candidates, model: str) -> bool:
    """True where nothing was found, or where what was found is far in meaning, does not stand out and lacks the
    question's words.

    Judged are only sentences in the book's language, against enough candidates: never a paste, an identifier, bare
    keywords or a question that hangs on one word.
    """
    if not candidates.dense and not candidates.lexical:
        return True
    texts = _texts(candidates)
    if not _is_judged(question, candidates, texts):
        return False
    found, space = _signals(question, candidates, texts), _space(candidates, model)
    return found.coverage < _UNCOVERED_BELOW if space is None else found.score < space.silent_below


def signals(question: str, candidates: Candidates) -> Signals:
    return _signals(question, candidates, _texts(candidates))


def is_judged(question: str, candidates: Candidates) -> bool:
    return _is_judged(question, candidates, _texts(candidates))


def _is_judged(question: str, candidates: Candidates, texts: Mapping[str, str]) -> bool:
    return len(texts) >= _BACKGROUND and _is_sentence(question) and _shares_its_language(question, candidates, texts)


def _is_sentence(question: str) -> bool:
    names = {name for name in _NAMES.findall(question.lower()) if name not in STOP_WORDS and not name.isdigit()}
    return len(names) >= _SLIP and len(_subject(question)) <= _PASTE


def _shares_its_language(question: str, candidates: Candidates, texts: Mapping[str, str]) -> bool:
    """Whether the likely passages use most of the question's short words, and all its letters beyond ASCII.

    A language's commonest words are short, and few are another's too. Keywords may have none; then nothing tells.
    """
    asked, near = question.lower(), " ".join(texts[i] for i in _likely(candidates))
    if any(letter.isalpha() and not letter.isascii() and letter not in near for letter in set(asked)):
        return False
    short = {word for word in _LETTERS.findall(asked) if len(word) <= _SHORT}
    return 2 * sum(f" {word} " in near for word in short) > len(short)


def _signals(question: str, candidates: Candidates, texts: Mapping[str, str]) -> Signals:
    cosines = [hit.score for hit in candidates.dense] or [0.0]
    covered = dict.fromkeys(_likely(candidates), 0.0)
    whole = 0.0
    for word in _subject(question):
        holding = _holding(word, texts)
        weight = math.log(1 + (len(texts) - len(holding) + 0.5) / (len(holding) + 0.5))
        whole += weight
        for i in holding & covered.keys():
            covered[i] += weight
    coverage = max(covered.values(), default=0.0) / whole if whole else 1.0
    return Signals(cosines[0], cosines[0] - fmean(cosines), coverage)


def _subject(question: str) -> list[str]:
    """Stems of the words that say what it is about, each once. A number says nothing by itself."""
    return list(dict.fromkeys(stem(w) for w in words(question) if w not in STOP_WORDS and not w.isdigit()))


def _holding(word: str, texts: Mapping[str, str]) -> set[str]:
    """Where a word begins like this one; a longer one may also stand within a word, such as an identifier."""
    if len(word) >= _SHORT:
        return {i for i, text in texts.items() if word in text}
    return {i for i, text in texts.items() if _begins_a_word(word, text)}


def _begins_a_word(word: str, text: str) -> bool:
    at = text.find(word)
    while at > 0 and text[at - 1].isalnum():
        at = text.find(word, at + 1)
    return at >= 0


def _space(candidates: Candidates, model: str) -> _Space | None:
    space = _SPACES.get(model)
    if space is None or not candidates.dense:
        return None
    return space if candidates.dense[0].passage.locale.lower().startswith(space.language) else None


def _likely(candidates: Candidates) -> list[str]:
    """Ids of the passages that are most likely to answer."""
    return list(dict.fromkeys(hit.passage.id for hit in (*candidates.dense[:_LIKELY], *candidates.lexical[:_LIKELY])))


def _texts(candidates: Candidates) -> dict[str, str]:
    """By id, in lower case, with their titles."""
    best = (*candidates.dense[:_READ], *candidates.lexical[:_READ])
    passages = {hit.passage.id: hit.passage for hit in best}
    return {i: f"{passage.label}\n{passage.text}".lower() for i, passage in passages.items()}
