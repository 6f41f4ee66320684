"""What must stand to the letter: numbers and measures, names and flags, quotations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chatbot_api.answering.grounding.language import MAX_WORD, NAME, flat_of

_ASCII_NAME: Final = re.compile(r"\w+", re.ASCII)
CODE: Final = re.compile(r"(?<!`)(`+)(?!`)([^\n]{1,2000}?)(?<!`)\1(?!`)")
_PLACEHOLDER: Final = re.compile(r"<[^<>\s]{1,60}>")
_FLAG: Final = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")
_CODE_WORD: Final = re.compile(r"[^\W\d]\w*")
PROSE_NAME: Final = re.compile(
    r"""(?:https?://|www\.)[^\s<>()"'`]+
    |(?<![\w-])--[A-Za-z][\w-]*
    |\b[^\W_]+(?:_+[^\W_]+)+
    |\b[a-z]+[A-Z]\w*
    |\b[A-Za-z]+\d\w*
    |(?<![\w.-])[\w-]{2,}(?:\.[A-Za-z]\w+)+""",
    re.VERBOSE | re.ASCII,
)
_QUOTED: Final = re.compile(r"[\"“„«]([^\"“”„«»\n]{3,80})[\"”“»]")
NUMBER: Final = re.compile(r"\d(?:\d{0,2}(?:[ \u00a0\u202f]\d{3})+(?!\d)|\d*(?:[.,]\d+)*)")
_MEASURE: Final = re.compile(rf"({NUMBER.pattern})(?:\s?(%|[^\W\d_]{{1,12}}))?")
_WITHIN_A_NAME: Final = re.compile(r"(?<=[A-Za-z_])[\d._]+")
_UNITS: Final = {
    name: (scale, kind)
    for kind, scales in {
        "s": {
            0.001: "ms millisecond millisekunde milliseconde milisegundo",
            1: "s sec second sekunde seconde segundo",
            60: "min minute minuto",
            3_600: "h hr hour stunde heure hora",
            86_400: "d day tag jour día",
            604_800: "week woche semaine semana",
        },
        "B": {1: "b byte octet", 1e3: "kb", 1e6: "mb", 1e9: "gb", 1e12: "tb", 2**10: "kib", 2**20: "mib", 2**30: "gib"},
        "": {0.01: "%"},
    }.items()
    for scale, names in scales.items()
    for name in names.split()
}
_NUMBER_WORDS: Final = {
    word: str(value)
    for line in (
        "zero one two three four five six seven eight nine ten eleven twelve",
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "zéro un deux trois quatre cinq six sept huit neuf dix onze douze",
        "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
        "none first second third fourth fifth sixth seventh eighth ninth tenth",
        "零 一 二 三 四 五 六 七 八 九 十",
        "never once twice",
        "no single both",
    )
    for value, word in enumerate(line.split())
} | {"half": "0.5", "twenty": "20", "thirty": "30", "hundred": "100", "thousand": "1000", "两": "2"}


@dataclass(frozen=True, slots=True)
class Letters:
    """What it says to the letter."""

    lower: str
    flat: str
    """All words in order, nothing else."""
    names: frozenset[str]
    numbers: frozenset[str]


@lru_cache(maxsize=256)
def letters_of(text: str, label: str) -> Letters:
    lower = text.casefold()
    spoken = NAME.findall(lower)
    names = frozenset(spoken).union(NAME.findall(label.casefold()))
    if not lower.isascii():
        names = names.union(_ASCII_NAME.findall(lower))
    return Letters(lower, flat_of(spoken), names, frozenset(_numbers_of(f"{label}\n{text}", names)))


def missing(said: str, sources: Sequence[Letters], *, quotes: bool) -> bool:
    """Whether it gives a name, a number or (where words can be compared) a quotation that the sources lack."""
    if any(not any(_knows(name, source) for source in sources) for name in dict.fromkeys(names_in(said))):
        return True
    measures = [set(readings_of(*found)) for found in _MEASURE.findall(_WITHIN_A_NAME.sub(" ", said))]
    if any(not any(readings & source.numbers for source in sources) for readings in measures):
        return True
    quoted = [flat_of(NAME.findall(found.casefold())) for found in _QUOTED.findall(said)] if quotes else []
    return any(" " in quote.strip() and not any(quote in source.flat for source in sources) for quote in quoted)


def names_in(said: str) -> Iterator[str]:
    """What must stand in a passage as it is: flags, the words of code, and words that look like names in code."""
    for _, code in CODE.findall(said):
        code = _PLACEHOLDER.sub(" ", code)
        yield from _FLAG.findall(code)
        yield from _CODE_WORD.findall(code)
    for name in PROSE_NAME.findall(CODE.sub(" ", said)):
        yield from [name] if name.startswith("-") else _CODE_WORD.findall(name)


def _knows(name: str, source: Letters) -> bool:
    name = name.casefold()
    if name.startswith("-"):
        return re.search(rf"{re.escape(name)}(?![\w-])", source.lower) is not None
    if name in source.names or name.removesuffix("s") in source.names:
        return True
    # `getBy` stands for `getByText` and its kind.
    return len(name) > 3 and any(other.startswith(name) or other.endswith(name) for other in source.names)


def _numbers_of(text: str, names: frozenset[str]) -> Iterator[str]:
    for number, unit in _MEASURE.findall(text):
        yield from readings_of(number, unit)
    yield from (_NUMBER_WORDS[word] for word in _NUMBER_WORDS.keys() & names)
    if not text.isascii():
        yield from (_NUMBER_WORDS[sign] for sign in text if sign in _NUMBER_WORDS)


def readings_of(number: str, unit: str = "") -> Iterator[str]:
    """What it may mean: `1,000` a thousand or one, `1.2.3` a version, or the versions `1.2`."""
    parts = re.split(r"[., \u00a0\u202f]", number) if not number.isdigit() else [number]
    if len(parts) == 1 or all(len(part) == 3 for part in parts[1:]):
        yield "".join(parts).lstrip("0") or "0"
    if len(parts) == 2 or ("," in number and "." in number):
        whole, fraction = "".join(parts[:-1]).lstrip("0") or "0", parts[-1].rstrip("0")
        yield f"{whole}.{fraction}" if fraction else whole
    elif len(parts) > 2:
        yield from (".".join(parts[:length]) for length in range(2, min(len(parts), 6) + 1))
    if unit and len(number) < MAX_WORD and len(parts) < 3:
        yield from _measure(float(".".join(parts)), unit.lower())


def _measure(value: float, unit: str) -> Iterator[str]:
    """In seconds, bytes or ones, so that a day meets 24 hours."""
    scale, kind = _UNITS.get(unit) or _UNITS.get(unit[:-1]) or (0, "")
    if scale:
        yield f"{value * scale:g}{kind}"
