"""Which statements of an answer the passages do not bear out, and which code is theirs. Pure, no model.

A statement is held against the passages it points to. It is unsupported if they lack a number or a name that it gives,
if little of what it says stands in any one place of them, if another passage says clearly more of it, or if they say
the opposite. How often that is right, and how the figures below were chosen: benchmarks/GROUNDING.md.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chatbot_api.answering.support import STOP_WORDS
from chatbot_api.answering.text import stem, units_of, words
from chatbot_api.answering.visible import visible
from chatbot_api.models.domain import CodeSpan, Grounding, Passage, Span

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
_MAX_STATEMENTS: Final = 10_000
_MAX_CLAUSES: Final = 40
_MAX_FENCES: Final = 500
_MAX_WORD: Final = 40


def ground(text: str, cited: Mapping[int, Passage], given: Sequence[Passage], question: str = "") -> Grounding:
    """`text` as `CitedText.text` has it, `cited` the passages behind its markers, `given` all that the model read.

    Words of the question count neither for a statement nor against it.
    """
    statements, fences = _parse(text[:_MAX_TEXT], cited)
    sources = {p.id: _read(p) for p in (*given, *cited.values())}
    judge = _Judge(sources, question, _language("\n".join(s.text for s in statements)))
    unsupported = tuple(
        statement.span
        for statement in statements
        if not judge.bears_out(statement.text, [cited[n].id for n in statement.markers])
    )
    codes = [_code_of(source.text) for source in sources.values()] if fences else []
    return Grounding(unsupported, tuple(_code_spans(text, fences, codes)))


def _listed(words: str) -> list[str]:
    return words.split()


# The answer taken apart ------------------------------------------------------------------------------------

_LINE: Final = re.compile(r"[^\n]*(?:\n|\Z)")
_OPENING: Final = re.compile(r" {0,3}(?:(`{3,})[^`\n]*|(~{3,})[^\n]*|(\$\$)[ \t]*)(?:\n|\Z)")
_FORMULA: Final = re.compile(r"[ \t]*\$\$[ \t]*\n(?:(?![ \t]*(?:\$\$|\n))[^\n]*\n)*[ \t]*\$\$[ \t]*(?:\n|\Z)")
_MAX_FORMULA: Final = 2_000
_ITEM: Final = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+")
_NO_STATEMENT: Final = re.compile(r"#{1,6}\s|\*\*[^*]*\*\*:?$|\|[\s|:-]*$|[-*_=\s]+$")
_OPAQUE: Final = re.compile(r"\\[^\w\s]|(?<!`)(?P<run>`+)(?!`)[^\n]{1,2000}?(?<!`)(?P=run)(?!`)")
_MARKER: Final = re.compile(r"\[(\d{1,3})\]")
_END: Final = re.compile(
    r"""(?<=[.!?])["')\]*_”»“]*(?:\s*\[\d{1,3}\])*\s+(?=["'(\[`*_“«„¿¡]*[^\W_a-z]|["'(*_]*`)
    |(?<=[.!?])(?:\s*\[\d{1,3}\])+\s+|(?<=\][.!?])\s+
    |(?<=[。！？])[”」』]*(?:\s*\[\d{1,3}\])*\s*""",  # noqa: RUF001  # the marks of Chinese and Japanese
    re.VERBOSE,
)
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|incl|no|fig|bzw|ca|ej)|\b[a-z])\.$", re.IGNORECASE
)
_ESCAPE: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_CLOSING_MARKS: Final = ".!?,;。！？"  # noqa: RUF001


@dataclass(slots=True)
class _Statement:
    span: Span
    text: str
    """Without our markers."""
    markers: tuple[int, ...]


def _parse(text: str, cited: Mapping[int, Passage]) -> tuple[list[_Statement], list[Span]]:
    reader = _Reader(text, cited)
    for line in _LINE.finditer(text):
        reader.read(line.start(), line.group())
    reader.end()
    return reader.statements[:_MAX_STATEMENTS], reader.fences


class _Reader:
    """Reads line by line. A group is what shares its markers: a paragraph, or a list however loose."""

    def __init__(self, text: str, cited: Mapping[int, Passage]) -> None:
        self.statements: list[_Statement] = []
        self.fences: list[Span] = []
        self._text = text
        self._cited = cited
        self._group: list[_Statement] = []
        self._piece: tuple[int, int] | None = None
        self._in_list = False
        self._blank = True
        self._opaque: tuple[int, str] | None = None
        """Where the fence or formula began that we are in, and its mark."""

    def read(self, start: int, line: str) -> None:
        opening = _OPENING.match(line)
        if self._opaque is not None:
            self._read_opaque(start, line)
        elif opening and (not opening[3] or _FORMULA.match(self._text, start, start + _MAX_FORMULA)):
            self._end_piece()
            mark = opening[1] or opening[2] or opening[3]
            self._opaque = (start + line.index(mark), mark)
        elif not line.strip():
            self._end_piece()
            self._blank = True
        else:
            self._read_words(start, line)

    def end(self) -> None:
        if self._opaque is not None and self._opaque[1] != "$$":
            self.fences.append(Span(self._opaque[0], len(self._text.rstrip())))
        self._end_group()

    def _read_opaque(self, start: int, line: str) -> None:
        began, mark = self._opaque or (0, "")
        shown = line.strip()
        closes = shown.startswith(mark) and not shown.strip(mark[0]) and len(line) - len(line.lstrip()) < 4
        if closes and mark != "$$":
            self.fences.append(Span(began, start + len(line.rstrip())))
        if closes:
            self._opaque = None
            self._blank = False

    def _read_words(self, start: int, line: str) -> None:
        shown = line.strip()
        item = _ITEM.match(line)
        only_markers = not _MARKER.sub("", shown)
        goes_on = only_markers or (self._in_list and (bool(item) or line[0] in " \t"))
        if self._blank and not goes_on:
            self._end_group()
        if item or shown.startswith("|"):
            self._end_piece()
        self._in_list = bool(item) or (self._in_list and (goes_on or not self._blank))
        self._blank = False
        if _NO_STATEMENT.match(shown):
            self._end_group()
        else:
            begin = start + item.end() if item else start
            self._piece = (self._piece[0] if self._piece else begin, start + len(line))

    def _end_piece(self) -> None:
        if self._piece:
            self._group.extend(_statements_in(self._text, *self._piece, self._cited))
            self._piece = None

    def _end_group(self) -> None:
        """What has no marker of its own takes the next ones in its group."""
        self._end_piece()
        following: tuple[int, ...] = ()
        for statement in reversed(self._group):
            statement.markers = following = statement.markers or following
        self.statements.extend(statement for statement in self._group if _claims(statement.text))
        self._group = []


def _statements_in(text: str, start: int, stop: int, cited: Mapping[int, Passage]) -> Iterator[_Statement]:
    block = text[start:stop]
    masked = _OPAQUE.sub(lambda found: "x" * len(found.group()), block)
    begin = 0
    for end in _sentence_ends(masked):
        markers = [found for found in _MARKER.finditer(masked, begin, end) if int(found[1]) in cited]
        numbers = tuple(dict.fromkeys(int(found[1]) for found in markers))
        while begin < end and (masked[begin].isspace() or masked[begin] in ">|"):
            begin += 1
        last = _without_trailing_markers(masked, begin, end)
        within = [found.span() for found in markers if begin <= found.start() < last]
        edges = [begin, *(edge for span in within for edge in span), last]
        said = "".join(block[left:right] for left, right in zip(edges[::2], edges[1::2], strict=True))
        yield _Statement(Span(start + begin, start + last), _ESCAPE.sub(r"\1", said), numbers)
        begin = end


def _sentence_ends(masked: str) -> Iterator[int]:
    begin = 0
    for end in _END.finditer(masked):
        if not _ABBREVIATION.search(masked[max(begin, end.start() - 12) : end.start()]):
            begin = end.end()
            yield begin
    if begin < len(masked):
        yield len(masked)


def _without_trailing_markers(masked: str, begin: int, end: int) -> int:
    def before(stop: int, unwanted: str) -> int:
        while stop > begin and (masked[stop - 1].isspace() or masked[stop - 1] in unwanted):
            stop -= 1
        return stop

    whole = before(end, "|")
    stop = before(whole, _CLOSING_MARKS)
    bare = whole
    while marker := re.search(r"\[\d{1,3}\]\Z", masked[max(begin, stop - 5) : stop]):
        bare = stop = before(stop - len(marker.group()), "")
    return bare


_EMPTY: Final = frozenset(
    _listed("""yes no short summary example note follows following steps step below here thus so ok sure ja nein hier
    folgt folgende oui non voici suit sí aquí sigue""")
)
_ABOUT_THE_BOOK: Final = (
    re.compile(
        r"""\W*(?:\w+\b\W*){0,4}?\b(?:book|docs?|documentation|documents?|pages?|passages?|texts?|sources?|site|guide
        |manual|excerpts?|buch|dokumentation|seiten?|abschnitte?|anleitung|quellen?|livre|extraits?|texte|libro
        |documentación|páginas?|texto|guía|manuale|documentação|documentazione)\b""",
        re.IGNORECASE | re.VERBOSE,
    ),
    re.compile(
        r"\b(?:not|nothing|no|nicht|nichts|kein\w*|ne|pas|aucune?|rien|nada|ningun[oa]?|ningún|não|non)\b|n['’]",  # noqa: RUF001
        re.IGNORECASE,
    ),
    re.compile(
        r"""\b(?:say|state|mention|descri|explain|specif|cover|tell|answer|address|discuss|information|sag|erwähn
        |beschreib|nenn|erklär|steh|angab|angeb|auskunft|dit|dis|précis|expliqu|décri|indiqu|parl|dice|menci|indic
        |explic|especific|diz|spieg)""",
        re.IGNORECASE | re.VERBOSE,
    ),
)
_ABOUT_THE_BOOK_HAN: Final = re.compile(
    r"(?:文档|本书|书中|文件|页面|手册|资料|文中).{0,8}[没未不].{0,4}(?:说|提|描述|写|包含|解释|涉及)"
)


def _claims(text: str) -> bool:
    """Whether it states something about the matter: not a lead-in, a question, or a word about the book itself."""
    if text.rstrip("*_ ").endswith((":", "?", "：", "？")):  # noqa: RUF001
        return False
    if not any(word not in _EMPTY and word not in STOP_WORDS for word in words(text)):
        return False
    head = text[:120]
    about, denies, says = _ABOUT_THE_BOOK
    if about.match(head) and denies.search(head) and says.search(head):
        return False
    return not _ABOUT_THE_BOOK_HAN.search(head)


# A passage read ----------------------------------------------------------------------------------------------

_WORD: Final = re.compile(r"[^\W_]+")
_NAME: Final = re.compile(r"\w+")
_ASCII_NAME: Final = re.compile(r"\w+", re.ASCII)
_UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


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


@dataclass(frozen=True, slots=True)
class _Letters:
    """What it says to the letter."""

    lower: str
    flat: str
    """All words in order, nothing else."""
    names: frozenset[str]
    numbers: frozenset[str]


@lru_cache(maxsize=256)
def _read(passage: Passage) -> _Source:
    shown = visible(passage.text)
    units = units_of(shown)
    texts = [text for unit in units for text in (unit.text.splitlines() if unit.kind == "table" else [unit.text])]
    prose = tuple(unit.text for unit in units if unit.kind != "code")
    stems = tuple(frozenset(_stems(text)) for text in texts)
    label = frozenset(_stems(passage.label))
    return _Source(
        text=shown,
        place=passage.label,
        units=stems,
        label=label,
        words=label.union(*stems),
        prose=prose,
        language=_language("\n".join(prose)),
    )


@lru_cache(maxsize=256)
def _letters(text: str, label: str) -> _Letters:
    lower = text.casefold()
    spoken = _NAME.findall(lower)
    names = frozenset(spoken).union(_NAME.findall(label.casefold()))
    if not lower.isascii():
        names = names.union(_ASCII_NAME.findall(lower))
    return _Letters(lower, _flat(spoken), names, frozenset(_numbers_of(f"{label}\n{text}", names)))


def _flat(spoken: Iterable[str]) -> str:
    return f" {' '.join(' '.join(spoken).replace('_', ' ').split())} "


def _stems(text: str) -> set[str]:
    """What the words that carry meaning share with their other forms; little words have nothing."""
    return {key for word in set(_WORD.findall(text)) for key in _keys(word[:_MAX_WORD])}


@lru_cache(maxsize=20_000)
def _keys(word: str) -> tuple[str, ...]:
    """Of an identifier also those of its parts; pairs of characters where words are not set apart."""
    if not word.isascii() and _UNSPACED.search(word):
        return tuple(word[at : at + 2] for at in range(max(1, len(word) - 1)))
    return tuple(key for key in map(_key, words(word)) if key)


def _key(word: str) -> str:
    if word in STOP_WORDS or word in _LITTLE_WORDS:
        return ""
    root = stem(_IRREGULAR.get(word, word))
    for ending in ("ment", "able", "er", "or", "ly", "al", "ion", "en"):
        if root.endswith(ending) and len(root) - len(ending) >= 4:
            return root[: -len(ending)][:7]
    return root[:7]


_IRREGULAR: Final = dict(
    pair.split(":")
    for pair in _listed("""found:find thrown:throw threw:throw shown:show written:write wrote:write sent:send
    built:build kept:keep made:make ran:run chosen:choose chose:choose began:begin begun:begin left:leave lost:lose
    meant:mean taken:take took:take given:give gave:give held:hold hidden:hide hid:hide known:know knew:know seen:see
    said:say told:tell done:do went:go gone:go got:get broken:break broke:break brought:bring came:come drawn:draw
    fell:fall felt:feel fed:feed led:lead met:meet paid:pay rose:rise stood:stand understood:understand
    children:child people:person""")
)


# Numbers and names -------------------------------------------------------------------------------------------

_CODE: Final = re.compile(r"(?<!`)(`+)(?!`)([^\n]{1,2000}?)(?<!`)\1(?!`)")
_PLACEHOLDER: Final = re.compile(r"<[^<>\s]{1,60}>")
_FLAG: Final = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")
_CODE_WORD: Final = re.compile(r"[^\W\d]\w*")
_PROSE_NAME: Final = re.compile(
    r"""(?:https?://|www\.)[^\s<>()"'`]+
    |(?<![\w-])--[A-Za-z][\w-]*
    |\b[^\W_]+(?:_+[^\W_]+)+
    |\b[a-z]+[A-Z]\w*
    |\b[A-Za-z]+\d\w*
    |(?<![\w.-])[\w-]{2,}(?:\.[A-Za-z]\w+)+""",
    re.VERBOSE | re.ASCII,
)
_QUOTED: Final = re.compile(r"[\"“„«]([^\"“”„«»\n]{3,80})[\"”“»]")
_NUMBER: Final = re.compile(r"\d(?:\d{0,2}(?:[ \u00a0\u202f]\d{3})+(?!\d)|\d*(?:[.,]\d+)*)")
_MEASURE: Final = re.compile(rf"({_NUMBER.pattern})(?:\s?(%|[^\W\d_]{{1,12}}))?")
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


def _names_in(said: str) -> Iterator[str]:
    """What must stand in a passage as it is: flags, the words of code, and words that look like names in code."""
    for _, code in _CODE.findall(said):
        code = _PLACEHOLDER.sub(" ", code)
        yield from _FLAG.findall(code)
        yield from _CODE_WORD.findall(code)
    for name in _PROSE_NAME.findall(_CODE.sub(" ", said)):
        yield from [name] if name.startswith("-") else _CODE_WORD.findall(name)


def _knows(name: str, source: _Letters) -> bool:
    name = name.casefold()
    if name.startswith("-"):
        return re.search(rf"{re.escape(name)}(?![\w-])", source.lower) is not None
    if name in source.names or name.removesuffix("s") in source.names:
        return True
    # `getBy` stands for `getByText` and its kind.
    return len(name) > 3 and any(other.startswith(name) or other.endswith(name) for other in source.names)


def _numbers_of(text: str, names: frozenset[str]) -> Iterator[str]:
    for number, unit in _MEASURE.findall(text):
        yield from _readings(number, unit)
    yield from (_NUMBER_WORDS[word] for word in _NUMBER_WORDS.keys() & names)
    if not text.isascii():
        yield from (_NUMBER_WORDS[sign] for sign in text if sign in _NUMBER_WORDS)


def _readings(number: str, unit: str = "") -> Iterator[str]:
    """What it may mean: `1,000` a thousand or one, `1.2.3` a version, or the versions `1.2`."""
    parts = re.split(r"[., \u00a0\u202f]", number) if not number.isdigit() else [number]
    if len(parts) == 1 or all(len(part) == 3 for part in parts[1:]):
        yield "".join(parts).lstrip("0") or "0"
    if len(parts) == 2 or ("," in number and "." in number):
        whole, fraction = "".join(parts[:-1]).lstrip("0") or "0", parts[-1].rstrip("0")
        yield f"{whole}.{fraction}" if fraction else whole
    elif len(parts) > 2:
        yield from (".".join(parts[:length]) for length in range(2, min(len(parts), 6) + 1))
    if unit and len(number) < _MAX_WORD and len(parts) < 3:
        yield from _measure(float(".".join(parts)), unit.lower())


def _measure(value: float, unit: str) -> Iterator[str]:
    """In seconds, bytes or ones, so that a day meets 24 hours."""
    scale, kind = _UNITS.get(unit) or _UNITS.get(unit[:-1]) or (0, "")
    if scale:
        yield f"{value * scale:g}{kind}"


def _missing(said: str, sources: Sequence[_Letters], *, quotes: bool) -> bool:
    """Whether it gives a name, a number or (where words can be compared) a quotation that the sources lack."""
    if any(not any(_knows(name, source) for source in sources) for name in dict.fromkeys(_names_in(said))):
        return True
    measures = [set(_readings(*found)) for found in _MEASURE.findall(_WITHIN_A_NAME.sub(" ", said))]
    if any(not any(readings & source.numbers for source in sources) for readings in measures):
        return True
    quoted = [_flat(_NAME.findall(found.casefold())) for found in _QUOTED.findall(said)] if quotes else []
    return any(" " in quote.strip() and not any(quote in source.flat for source in sources) for quote in quoted)


# Yes and no --------------------------------------------------------------------------------------------------

_NEGATORS: Final = frozenset(
    _listed("""not never no cannot without neither nor none nothing nobody unable nicht kein keine keinen keiner keinem
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
    _listed("""_ and but or if when because so which that while unless where und aber oder wenn weil dass et mais ou si
    quand y pero cuando""")
)
_PUNCTUATION: Final = re.compile("[,;:()–—，；、]")  # noqa: RUF001
_TURNED: Final = frozenset(("turn", "turns", "turned", "Turn", "switch", "switched", "Switch"))
_HAN_NEGATORS: Final = re.compile("[不没未无]")


@dataclass(frozen=True, slots=True)
class _Clause:
    signs: Mapping[str, int]
    """Its words and concepts; -1 for the negative one of two opposites, 0 where both are there."""
    negative: bool


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    whole: _Clause
    clauses: tuple[_Clause, ...]
    """Those of which there is enough to recognise the matter."""


@lru_cache(maxsize=256)
def _sentences_of(prose: tuple[str, ...]) -> tuple[_Sentence, ...]:
    return tuple(map(_sentence, prose))


def _sentence(said: str) -> _Sentence:
    spoken = _spoken(said)
    clauses = tuple(clause for clause in map(_clause, _split(spoken)) if len(clause.signs) > 1)
    return _Sentence(said, _clause(spoken), clauses)


def _spoken(said: str) -> list[str]:
    """Its words, and where a clause may end."""
    said = said.replace("’", "'").replace("can't", "can not").replace("won't", "will not").replace("n't", " not")  # noqa: RUF001
    return _NAME.findall(_PUNCTUATION.sub(f" {_BOUNDARY} ", said.replace("_", " ")))


def _split(spoken: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in spoken:
        if word in _BOUNDARIES:
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _clause(spoken: Iterable[str]) -> _Clause:
    signs: dict[str, int] = {}
    negative = False
    before = ""
    for word in spoken:
        switch = before in _TURNED and word in ("on", "off")
        concepts, sign, negates = _meaning(word.upper() if switch else word[:_MAX_WORD])
        before = word
        negative ^= negates
        for concept in concepts:
            signs[concept] = sign if signs.get(concept, sign) == sign else 0
    return _Clause(signs, negative)


@lru_cache(maxsize=20_000)
def _meaning(word: str) -> tuple[tuple[str, ...], int, bool]:
    """What it is about, on which side, and whether it turns the rest into its opposite."""
    if not word.isascii() and _UNSPACED.search(word):
        return _keys(_HAN_NEGATORS.sub("", word)), 1, len(_HAN_NEGATORS.findall(word)) % 2 == 1
    word = {"ON": "enable", "OFF": "disable"}.get(word, word).lower()
    if word in _NEGATORS:
        return (), 1, True
    concept, sign = _SIDES.get(stem(word), ("", 1))
    if not concept and word.startswith("un") and len(word) > 6:
        concept, sign = _key(word[2:]), -1  # `unsupported` is the opposite of `supported`
    concept = concept or _key(word)
    return (concept,) if concept else (), sign, False


@lru_cache(maxsize=512)
def _values(said: str) -> tuple[Mapping[str, int], frozenset[str]]:
    """The words without the numbers and names, and these."""
    bare = _PROSE_NAME.sub(" ", _CODE.sub(" ", said))
    values = {name.casefold() for name in _names_in(said)}.union(*map(_readings, _NUMBER.findall(bare)))
    return _clause(_spoken(_NUMBER.sub(" ", bare))).signs, frozenset(values)


# Languages ---------------------------------------------------------------------------------------------------

_LANGUAGES: Final = {
    name: frozenset(little.split())
    for name, little in {
        "en": """the a an and or of to in is are was be it this that for with as on by you can not if from at have has
            will which when""",
        "de": """der die das und oder ist sind nicht ein eine einer einem einen den dem des zu im in mit für auf von
            wird werden kann sich es wenn als auch sie nach alle bei aus nur
            können müssen dürfen sollen muss darf""",
        "fr": """le la les un une des du de et ou est sont ne pas pour dans avec sur par que qui il elle ce cette en au
            aux si vous être""",
        "es": "el la los las un una de del y o es son no para en con por que se su al lo como si puede",
        "pt": "o a os as um uma de do da e ou é são não para em com por que se no na pode",
        "it": "il lo la i gli le un una di del della e o è sono non per in con da che si può",
        "nl": "de het een en of is zijn niet voor in met op van dat die te wordt kan je",
    }.items()
}
_LITTLE_WORDS: Final = frozenset[str]().union(*_LANGUAGES.values())
_SCRIPT: Final = re.compile(
    r"""(?P<greek>[\u0370-\u03ff])|(?P<cyrillic>[\u0400-\u052f])|(?P<hebrew>[\u0590-\u05ff])|(?P<arabic>[\u0600-\u06ff])
    |(?P<indic>[\u0900-\u0dff])|(?P<thai>[\u0e00-\u0e7f])|(?P<kana>[\u3040-\u30ff])|(?P<hangul>[\uac00-\ud7af])
    |(?P<han>[\u3400-\u9fff])""",
    re.VERBOSE,
)
_SIMPLE_CODE: Final = re.compile(r"`[^`\n]*`")
_MAX_SAMPLE: Final = 600
_OTHER: Final = "other"
_ENOUGH: Final = 12


def _language(text: str) -> str:
    """The script where it is not Latin, else the language whose little words are many; empty where that is unclear."""
    text = _SIMPLE_CODE.sub(" ", text[:_MAX_SAMPLE])
    if not text.isascii():
        letters = sum(map(str.isalpha, text))
        scripts = Counter(found.lastgroup or "" for found in _SCRIPT.finditer(text))
        if scripts.total() * 5 > letters:
            return "kana" if scripts["kana"] * 10 > letters else scripts.most_common(1)[0][0]
    counted = Counter(_WORD.findall(text.lower()))
    shares = {name: sum(counted[word] for word in counted.keys() & little) for name, little in _LANGUAGES.items()}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] * _ENOUGH < counted.total():
        return _OTHER if counted.total() >= (_ENOUGH if shares[best] else _ENOUGH // 2) else ""
    return best if shares[best] > 1 else ""


# The judgement -----------------------------------------------------------------------------------------------


class _Judge:
    def __init__(self, sources: Mapping[str, _Source], question: str, language: str) -> None:
        self._sources = sources
        self._question = _letters(question, "")
        self._asked = _stems(question)
        self._seen: Counter[str] = Counter()
        for source in sources.values():
            for unit in source.units:
                self._seen.update(unit)
        self._total = sum(len(source.units) for source in sources.values())
        self._weights: dict[str, float] = {}
        self._language = language

    def bears_out(self, said: str, ids: Collection[str]) -> bool:
        cited = [self._sources[each] for each in ids] or list(self._sources.values())
        letters = [_letters(source.text, source.place) for source in cited]
        flat = _flat(_NAME.findall(said.casefold()))
        if any(flat in each.flat for each in letters):
            return True
        comparable = self._can_compare(cited)
        if _missing(said, [*letters, self._question], quotes=comparable):
            return False
        if not comparable:
            return True
        weights = {word: self._weight(word) for word in _stems(said) - self._asked}
        if not ids:  # then the passage that says the most of it
            cited = sorted(cited, key=lambda source: -_coverage(weights, [source]))[:1]
        rivals = [source for each, source in self._sources.items() if ids and each not in ids]
        return self._is_said(weights, cited, rivals) and not self._is_denied(said, cited)

    def _can_compare(self, cited: Sequence[_Source]) -> bool:
        """Words only with words of the same language."""
        for sources in (cited, self._sources.values()):
            spoken = {source.language for source in sources} - {"", _OTHER}
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
        sentence = _sentence(said)
        others = [other for source in cited for other in _sentences_of(source.prose)]
        clauses = [clause for other in others for clause in other.clauses]
        return self._differs(sentence, others) or any(
            self._opposed(clause, clauses) for clause in sentence.clauses[:_MAX_CLAUSES]
        )

    def _opposed(self, clause: _Clause, others: Iterable[_Clause]) -> bool:
        enough = _SAME_MATTER * self._weigh(clause.signs)
        found = []
        for other in others:
            shared = self._weigh(clause.signs.keys() & other.signs.keys())
            if shared >= enough:
                found.append((shared, _is_opposite(clause, other)))
        return _all_of_the_nearest(found)

    def _differs(self, sentence: _Sentence, others: Iterable[_Sentence]) -> bool:
        """Almost the same words, but yes for no, or another number or name."""
        opposite = []
        swapped = []
        for other in others:
            alike = self._alike(sentence.whole.signs, other.whole.signs)
            if alike >= _SAME_SENTENCE:
                opposite.append((alike, _is_opposite(sentence.whole, other.whole)))
            if alike >= _SAME_MATTER / 2:
                (words_here, here), (words_there, there) = _values(sentence.text), _values(other.text)
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


def _is_opposite(one: _Clause, two: _Clause) -> bool:
    swapped = sum(one.signs[word] * two.signs[word] < 0 for word in one.signs.keys() & two.signs.keys())
    return one.negative ^ two.negative ^ (swapped % 2 == 1)


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


# Code --------------------------------------------------------------------------------------------------------


def _code_spans(text: str, fences: Sequence[Span], codes: Sequence[str]) -> Iterator[CodeSpan]:
    for number, fence in enumerate(fences):
        lines = text[fence.start : fence.end].split("\n")
        _, mark, wanted = _as_lines(lines[1:-1]).partition(_INDENTED)
        known = number < _MAX_FENCES and any(mark + wanted in code for code in codes)
        yield CodeSpan(fence.start, fence.end, known)


@lru_cache(maxsize=256)
def _code_of(text: str) -> str:
    """The fenced code of a passage, and what stands in its prose as code."""
    found = []
    for unit in units_of(text):
        if unit.kind == "code":
            found.append(_as_lines(unit.text.split("\n")[1:-1]))
        else:
            found += [_as_lines([code]) for _, code in _CODE.findall(unit.text)]
    return "\n".join(found)


_INDENTED: Final = "\x1f"


def _as_lines(lines: Sequence[str]) -> str:
    """Each line after its indentation relative to the one before; blank lines at the ends left out.

    Code that stands within other code, however deep, then stands within its text but for the first indentation.
    """
    depth = 0
    parts: list[str] = []
    for line in "\n".join(lines).strip("\n").expandtabs(4).split("\n"):
        bare = line.strip()
        indent = len(line) - len(line.lstrip()) if bare else depth
        parts.append(f"{indent - depth}{_INDENTED}{bare}\n")
        depth = indent
    return "".join(parts)
