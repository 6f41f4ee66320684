"""Yes and no: what a sentence is about, on which side of it, and whether another says the opposite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chatbot_api.answering.grounding.language import MAX_WORD, NAME, UNSPACED, key_of, keys_of, listed
from chatbot_api.answering.grounding.values import CODE, NUMBER, PROSE_NAME, names_in, readings_of
from chatbot_api.answering.text import stem

_NEGATORS: Final = frozenset(
    listed("""not never no cannot without neither nor none nothing nobody unable nicht kein keine keinen keiner keinem
    nie niemals ohne nichts pas jamais aucun aucune sans rien nunca sin ningún ninguna ningun jamás nada não sem nenhum
    mai senza nessun nessuna non niet geen nooit zonder""")
)
_OPPOSITES: Final = """
    enable activate / disable deactivate
    before / after
    increase raise more higher larger longer high large / decrease reduce lower less fewer smaller shorter low small
    minimum min / maximum max
    first / last
    true / false
    above / below
    required mandatory must / optional may
    allow permit / forbid prevent block disallow prohibit
    include / exclude
    start begin / stop end
    newer new / older old
    inside / outside
    possible / impossible
    add / remove
    faster fast / slower slow
    automatically automatic / manually manual
    show visible / hide hidden invisible
    accept / reject
    succeed success / fail failure
    valid / invalid
    public / private
    internal / external
    open / close
    up / down
    left / right
    same / different
    recommended encouraged / discouraged
    synchronous / asynchronous
    ascending / descending
    aktiviert aktivieren / deaktiviert deaktivieren
    erhöhen erhöht mehr größer / verringern verringert weniger kleiner
    erlaubt / verboten
    wahr / falsch
    activé activer / désactivé désactiver
    avant / après
    augmenter augmente / diminuer diminue
    obligatoire / facultatif
    vrai / faux
    activado activar / desactivado desactivar
    antes / después
    aumentar aumenta / disminuir disminuye
    obligatorio / opcional
    verdadero / falso"""
_SIDES: Final = {
    stem(word): (f"{number}", sign)
    for number, line in enumerate(_OPPOSITES.strip().splitlines())
    for sign, side in zip((1, -1), line.split("/"), strict=True)
    for word in side.split()
}
_BOUNDARY: Final = "_"
_BOUNDARIES: Final = frozenset(
    listed("""_ and but or if when because so which that while unless where und aber oder wenn weil dass et mais ou si
    quand y pero cuando""")
)
_PUNCTUATION: Final = re.compile("[,;:()–—，；、]")  # noqa: RUF001
_TURNED: Final = frozenset(("turn", "turns", "turned", "Turn", "switch", "switched", "Switch"))
_HAN_NEGATORS: Final = re.compile("[不没未无]")


@dataclass(frozen=True, slots=True)
class Clause:
    signs: Mapping[str, int]
    """Its words and concepts; -1 for the negative one of two opposites, 0 where both are there."""
    negative: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    whole: Clause
    clauses: tuple[Clause, ...]
    """Those of which there is enough to recognise the matter."""


@lru_cache(maxsize=256)
def sentences_of(prose: tuple[str, ...]) -> tuple[Sentence, ...]:
    return tuple(map(as_sentence, prose))


def as_sentence(said: str) -> Sentence:
    spoken = _spoken(said)
    clauses = tuple(clause for clause in map(_clause, _split(spoken)) if len(clause.signs) > 1)
    return Sentence(said, _clause(spoken), clauses)


@lru_cache(maxsize=512)
def words_and_values(said: str) -> tuple[Mapping[str, int], frozenset[str]]:
    """The words without the numbers and names, and these."""
    bare = PROSE_NAME.sub(" ", CODE.sub(" ", said))
    values = {name.casefold() for name in names_in(said)}.union(*map(readings_of, NUMBER.findall(bare)))
    return _clause(_spoken(NUMBER.sub(" ", bare))).signs, frozenset(values)


def is_opposite(one: Clause, two: Clause) -> bool:
    swapped = sum(one.signs[word] * two.signs[word] < 0 for word in one.signs.keys() & two.signs.keys())
    return one.negative ^ two.negative ^ (swapped % 2 == 1)


def _spoken(said: str) -> list[str]:
    """Its words, and where a clause may end."""
    said = said.replace("’", "'").replace("can't", "can not").replace("won't", "will not").replace("n't", " not")  # noqa: RUF001
    return NAME.findall(_PUNCTUATION.sub(f" {_BOUNDARY} ", said.replace("_", " ")))


def _split(spoken: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in spoken:
        if word in _BOUNDARIES:
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _clause(spoken: Iterable[str]) -> Clause:
    signs: dict[str, int] = {}
    negative = False
    before = ""
    for word in spoken:
        switch = before in _TURNED and word in ("on", "off")
        concepts, sign, negates = _meaning(word.upper() if switch else word[:MAX_WORD])
        before = word
        negative ^= negates
        for concept in concepts:
            signs[concept] = sign if signs.get(concept, sign) == sign else 0
    return Clause(signs, negative)


@lru_cache(maxsize=20_000)
def _meaning(word: str) -> tuple[tuple[str, ...], int, bool]:
    """What it is about, on which side, and whether it turns the rest into its opposite."""
    if not word.isascii() and UNSPACED.search(word):
        return keys_of(_HAN_NEGATORS.sub("", word)), 1, len(_HAN_NEGATORS.findall(word)) % 2 == 1
    word = {"ON": "enable", "OFF": "disable"}.get(word, word).lower()
    if word in _NEGATORS:
        return (), 1, True
    concept, sign = _SIDES.get(stem(word), ("", 1))
    if not concept and word.startswith("un") and len(word) > 6:
        concept, sign = key_of(word[2:]), -1  # `unsupported` is the opposite of `supported`
    concept = concept or key_of(word)
    return (concept,) if concept else (), sign, False
