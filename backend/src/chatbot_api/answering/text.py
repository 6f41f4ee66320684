"""Passage text taken apart: units to quote, sentences, words. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from chatbot_api.answering.visible import visible

_FENCE: Final = re.compile(r"(`{3,})[^\n]*\n")
_SENTENCE_END: Final = re.compile(
    r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[`]*[A-Z0-9À-Þ`\u0400-\uffff])|(?<=[\u3002\uff01\uff1f])"
)
_ITEM: Final = re.compile(r"\n(?=\s*(?:- |\d+[.)] ))")
_WORD: Final = re.compile(r"[^\W_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LABEL: Final = re.compile(r"\*\*[^\n]*\*\*\n")
# Abbreviations that end in a full stop without ending a sentence.
_ABBREVIATION: Final = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|incl|no|fig)|\b[A-Z])\.$", re.IGNORECASE)

_KEPT_OR_MARK: Final = re.compile(
    r"(?P<kept>^(?P<fence>`{3,})[^`\n]*\n(?s:.*?)^ {0,3}(?P=fence)`*[ \t]*$"
    r"|(?<!`)(?P<run>`+)(?!`)[^\n]*?(?<!`)(?P=run)(?!`)"
    r"|^\*\*[^\n*`\[<\\]*\*\*$"
    r"|^\$\$\n(?:(?!\]\(|\]\[|<[A-Za-z!/?]|`|\n\n)[\s\S])*?\n\$\$$)"
    r"|(?P<address>(?i:https?://|ftp://|www\.)[^\s<`\[\\]*)(?=[<`\[\\])"
    r"|(?P<mark>[\[<`*]|(?<![^\W_])_|_(?![^\W_])|\\(?=[!-/:-@\[-`{-~])|^ *~(?=~~)"
    r"|&(?=#?[A-Za-z0-9]{1,31};))",
    re.MULTILINE,
)

_DELIMITERS: Final = re.compile(r"^[ \t>]*[|:-][ \t|:-]*$", re.MULTILINE)
_PIPE: Final = re.compile(r"(?<!\\)\|")

UnitKind = Literal["sentence", "item", "table", "code", "maths"]


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest part of a passage that makes sense when quoted, at `start` in the passage's text."""

    kind: UnitKind
    text: str
    start: int
    block: int
    """Which block of the passage it belongs to, from 0."""


def units_of(text: str) -> list[Unit]:
    """Sentences of paragraphs, items of lists; code, tables and formulas whole. Every unit is verbatim in `text`."""
    units: list[Unit] = []
    for number, (start, block) in enumerate(_blocks(text)):
        kind, pieces = _pieces(block)
        at = start
        for piece in pieces:
            at = text.index(piece, at)
            units.append(Unit(kind, piece, at, number))
            at += len(piece)
    return units


def sentences(paragraph: str) -> list[str]:
    """Verbatim, in order, without the space between them."""
    found: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(paragraph):
        candidate = paragraph[start : end.start()]
        if _ABBREVIATION.search(candidate):
            continue
        found.append(candidate.strip())
        start = end.end()
    found.append(paragraph[start:].strip())
    return [sentence for sentence in found if sentence]


def words(text: str) -> list[str]:
    """Lower-case words, identifiers taken apart as well as whole: `getByRole` gives getbyrole, get, by, role."""
    found: list[str] = []
    for word in _WORD.findall(text):
        found.append(word.lower())
        parts = _CAMEL.split(word)
        if len(parts) > 1:
            found.extend(part.lower() for part in parts)
    return found


def stem(word: str) -> str:
    """Enough of English and of its neighbours to let `zones` meet `zone` and `configuring` meet `configure`."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "ied", "es", "ed", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def inert(markdown: str) -> str:
    """The same words where no mark in them can become a link, HTML, emphasis, an entity or a marker of ours.

    The book is data: words such as `[1]`, `*args` or `[a](b)` in its prose are words. Code, labels and formulas stay as
    they are, but where a table would cut code at its `|`. Hidden characters go.
    """
    markdown = visible(markdown)
    has_table = bool(_DELIMITERS.search(markdown))
    return _KEPT_OR_MARK.sub(lambda found: _inert(found, has_table=has_table), markdown)


def _inert(found: re.Match[str], *, has_table: bool) -> str:
    kept, run = found["kept"], found["run"]
    if found["address"]:
        return f"{inert(found['address'])} "  # a renderer that links it would take the backslash behind it along
    if not kept:
        return f"\\{found['mark']}"
    if not run or not has_table or "|" not in kept:
        return kept
    if "\\\\|" in kept:  # renderers differ in what is escaped
        ticks = "\\`" * len(run)
        return f"{ticks}{inert(kept[len(run) : -len(run)])}{ticks}"
    return _PIPE.sub(r"\\|", kept)


def plain(text: str) -> str:
    """As a browser shows it: without the marks of inline code, white space folded."""
    return " ".join(text.replace("`", "").split())


def _blocks(text: str) -> list[tuple[int, str]]:
    """Blocks with their starts: split at blank lines, but not within fences and formulas."""
    blocks: list[tuple[int, str]] = []
    at = 0
    while at < len(text):
        if text[at] == "\n":
            at += 1
            continue
        label = _LABEL.match(text, at)
        if label:
            at = label.end()
            continue
        fence = _FENCE.match(text, at)
        if fence:
            closing = text.find(f"\n{fence[1]}", fence.end() - 1)
            end = len(text) if closing < 0 else closing + 1 + len(fence[1])
        elif text.startswith("$$\n", at):
            closing = text.find("\n$$", at + 2)
            end = len(text) if closing < 0 else closing + 3
        else:
            blank = text.find("\n\n", at)
            end = len(text) if blank < 0 else blank
        if text[at:end].strip():
            blocks.append((at, text[at:end]))
        at = end
    return blocks


def _pieces(block: str) -> tuple[UnitKind, list[str]]:
    if block.startswith("```"):
        return "code", [block]
    if block.startswith("$$\n"):
        return "maths", [block]
    if block.startswith("|"):
        return "table", [block]
    if re.match(r"- |\d+[.)] ", block):
        return "item", [item for item in _ITEM.split(block) if item.strip()]
    return "sentence", sentences(block)
