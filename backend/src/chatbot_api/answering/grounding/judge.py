"""The judgement: which statements the passages bear out, and the figures that decide it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chatbot_api.answering.grounding.code import code_of, code_spans
from chatbot_api.answering.grounding.language import NAME, OTHER, flat_of, language_of, stems_of
from chatbot_api.answering.grounding.polarity import (
    Clause,
    Sentence,
    as_sentence,
    is_opposite,
    sentences_of,
    words_and_values,
)
from chatbot_api.answering.grounding.statements import parse
from chatbot_api.answering.grounding.values import letters_of, missing
from chatbot_api.answering.text import units_of
from chatbot_api.answering.visible import visible
from chatbot_api.models.domain import Grounding, Passage

_MIN_COVERAGE: Final = 0.6
"""How much of a statement the passage must say."""
_CLEARLY_MORE: Final = 0.35
"""By how much another passage must say more of a statement before its pointer is wrong."""
_WINDOW: Final = 3
"""How many neighbouring units are one place."""
_ELSEWHERE: Final = 1 / 3
"""The share that the rest of the passage has in the judgement."""
_UNKNOWN: Final = 0.5
"""The weight of a word that no passage has; it is often only the answer's way of putting things."""
_SAME_MATTER: Final = 0.65
"""How much two clauses must share before one can contradict the other."""
_SAME_SENTENCE: Final = 0.8
_NEARLY: Final = 0.9

_MAX_TEXT: Final = 1_000_000
_MAX_CLAUSES: Final = 40


def ground(text: str, cited: Mapping[int, Passage], given: Sequence[Passage], question: str = "") -> Grounding:
    """`text` as `CitedText.text` has it, `cited` the passages behind its markers, `given` all that the model read.

    Words of the question count neither for a statement nor against it.
    """
    statements, fences = parse(text[:_MAX_TEXT], cited)
    sources = {p.id: _read(p) for p in (*given, *cited.values())}
    judge = _Judge(sources, question, language_of("\n".join(s.text for s in statements)))
    unsupported = tuple(
        statement.span
        for statement in statements
        if not judge.bears_out(statement.text, [cited[n].id for n in statement.markers])
    )
    codes = [code_of(source.text) for source in sources.values()] if fences else []
    return Grounding(unsupported, tuple(code_spans(text, fences, codes)))


@dataclass(frozen=True, slots=True)
class _Source:
    """What every passage must be known for: how rare words are, and who says more."""

    text: str
    """As the model was shown it."""
    place: str
    units: tuple[frozenset[str], ...]
    """The words of each of its units: sentences, items, rows, code."""
    words: frozenset[str]
    """Those of all units and of the label."""
    label: frozenset[str]
    prose: tuple[str, ...]
    language: str


@lru_cache(maxsize=256)
def _read(passage: Passage) -> _Source:
    shown = visible(passage.text)
    units = units_of(shown)
    texts = [text for unit in units for text in (unit.text.splitlines() if unit.kind == "table" else [unit.text])]
    prose = tuple(unit.text for unit in units if unit.kind != "code")
    stems = tuple(frozenset(stems_of(text)) for text in texts)
    label = frozenset(stems_of(passage.label))
    return _Source(
        text=shown,
        place=passage.label,
        units=stems,
        label=label,
        words=label.union(*stems),
        prose=prose,
        language=language_of("\n".join(prose)),
    )


class _Judge:
    def __init__(self, sources: Mapping[str, _Source], question: str, language: str) -> None:
        self._sources = sources
        self._question = letters_of(question, "")
        self._asked = stems_of(question)
        self._seen: Counter[str] = Counter()
        for source in sources.values():
            for unit in source.units:
                self._seen.update(unit)
        self._total = sum(len(source.units) for source in sources.values())
        self._weights: dict[str, float] = {}
        self._language = language

    def bears_out(self, said: str, ids: Collection[str]) -> bool:
        cited = [self._sources[each] for each in ids] or list(self._sources.values())
        letters = [letters_of(source.text, source.place) for source in cited]
        flat = flat_of(NAME.findall(said.casefold()))
        if any(flat in each.flat for each in letters):
            return True
        comparable = self._can_compare(cited)
        if missing(said, [*letters, self._question], quotes=comparable):
            return False
        if not comparable:
            return True
        weights = {word: self._weight(word) for word in stems_of(said) - self._asked}
        if not ids:  # then the passage that says the most of it
            cited = sorted(cited, key=lambda source: -_coverage(weights, [source]))[:1]
        rivals = [source for each, source in self._sources.items() if ids and each not in ids]
        return self._is_said(weights, cited, rivals) and not self._is_denied(said, cited)

    def _can_compare(self, cited: Sequence[_Source]) -> bool:
        """Words only with words of the same language."""
        for sources in (cited, self._sources.values()):
            spoken = {source.language for source in sources} - {"", OTHER}
            if spoken and self._language:
                return self._language in spoken
        return True

    def _is_said(self, weights: Mapping[str, float], cited: Sequence[_Source], rivals: Sequence[_Source]) -> bool:
        whole = sum(weights.values())
        here = _coverage(weights, cited)
        much = here + _CLEARLY_MORE * whole
        near = [source for source in rivals if self._weigh(weights.keys() & source.words) > much]
        return here >= _MIN_COVERAGE * whole and not any(_coverage(weights, [source]) > much for source in near)

    def _is_denied(self, said: str, cited: Sequence[_Source]) -> bool:
        """Whether what is nearest to it, among sentences or among clauses, says otherwise."""
        sentence = as_sentence(said)
        others = [other for source in cited for other in sentences_of(source.prose)]
        clauses = [clause for other in others for clause in other.clauses]
        return self._differs(sentence, others) or any(
            self._opposed(clause, clauses) for clause in sentence.clauses[:_MAX_CLAUSES]
        )

    def _opposed(self, clause: Clause, others: Iterable[Clause]) -> bool:
        enough = _SAME_MATTER * self._weigh(clause.signs)
        found = []
        for other in others:
            shared = self._weigh(clause.signs.keys() & other.signs.keys())
            if shared >= enough:
                found.append((shared, is_opposite(clause, other)))
        return _all_of_the_nearest(found)

    def _differs(self, sentence: Sentence, others: Iterable[Sentence]) -> bool:
        """Almost the same words, but yes for no, or another number or name."""
        opposite = []
        swapped = []
        for other in others:
            alike = self._alike(sentence.whole.signs, other.whole.signs)
            if alike >= _SAME_SENTENCE:
                opposite.append((alike, is_opposite(sentence.whole, other.whole)))
            if alike >= _SAME_MATTER / 2:
                (words_here, here), (words_there, there) = words_and_values(sentence.text), words_and_values(other.text)
                alike = self._alike(words_here, words_there)
                if alike >= _SAME_SENTENCE:
                    swapped.append((alike, bool(here - there and there - here)))
        return _all_of_the_nearest(opposite) or _all_of_the_nearest(swapped)

    def _alike(self, one: Mapping[str, int], two: Mapping[str, int]) -> float:
        shared = one.keys() & two.keys()
        return self._weigh(shared) / max(self._weigh(one), self._weigh(two)) if shared else 0.0

    def _weigh(self, found: Iterable[str]) -> float:
        return sum(map(self._weight, found))

    def _weight(self, word: str) -> float:
        weight = self._weights.get(word)
        if weight is None:
            times = self._seen.get(word, 0)
            rarity = math.log(1 + (self._total - times + 0.5) / (times + 0.5))
            weight = self._weights[word] = rarity if times else rarity * _UNKNOWN
        return weight


def _all_of_the_nearest(found: Sequence[tuple[float, bool]]) -> bool:
    nearest = max(found, default=(0.0, False))[0] * _NEARLY
    return bool(found) and all(verdict for score, verdict in found if score >= nearest)


def _coverage(weights: Mapping[str, float], sources: Sequence[_Source]) -> float:
    """The weight of the words that stand in the best places of the sources, one place each."""
    best: set[str] = set()
    anywhere: set[str] = set()
    for source in sources:
        hits = [weights.keys() & unit for unit in source.units]
        label = weights.keys() & source.label
        places = [label.union(*hits[at : at + _WINDOW]) for at in range(max(1, len(hits) - _WINDOW + 1))]
        best |= max(places, key=lambda place: sum(weights[word] for word in place))
        anywhere |= weights.keys() & source.words
    in_places, in_all = (sum(weights[word] for word in found) for found in (best, anywhere))
    return (1 - _ELSEWHERE) * in_places + _ELSEWHERE * in_all
