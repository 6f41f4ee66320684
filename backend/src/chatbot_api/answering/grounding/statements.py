"""An answer taken apart: its statements, each with the passages that it points to, and where its code stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from chatbot_api.answering.grounding.language import listed
from chatbot_api.answering.support import STOP_WORDS
from chatbot_api.answering.text import words
from chatbot_api.models.domain import Passage, Span

_MAX_STATEMENTS: Final = 10_000
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
class Statement:
    span: Span
    text: str
    """Without our markers."""
    markers: tuple[int, ...]


def parse(text: str, cited: Mapping[int, Passage]) -> tuple[list[Statement], list[Span]]:
    reader = _Reader(text, cited)
    for line in _LINE.finditer(text):
        reader.read(line.start(), line.group())
    reader.end()
    return reader.statements[:_MAX_STATEMENTS], reader.fences


class _Reader:
    """Reads line by line. A group is what shares its markers: a paragraph, or a list however loose."""

    def __init__(self, text: str, cited: Mapping[int, Passage]) -> None:
        self.statements: list[Statement] = []
        self.fences: list[Span] = []
        self._text = text
        self._cited = cited
        self._group: list[Statement] = []
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


def _statements_in(text: str, start: int, stop: int, cited: Mapping[int, Passage]) -> Iterator[Statement]:
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
        yield Statement(Span(start + begin, start + last), _ESCAPE.sub(r"\1", said), numbers)
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
    listed("""yes no short summary example note follows following steps step below here thus so ok sure ja nein hier
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
