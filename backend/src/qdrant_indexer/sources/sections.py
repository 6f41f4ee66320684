"""Elements, words and headings to `Section`s: lists, tables, labels, anchors. Knows their meaning, parses nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from chatbot_api.models.domain import Block, BlockKind, Section
from qdrant_indexer.sources.grammar import Tag

_BREAKING = re.compile(
    "address|article|aside|blockquote|body|caption|center|dd|div|dl|dt|fieldset|figcaption|figure|footer|form|header|"
    "html|legend|main|nav|option|p|section"
)
"""Elements whose text is a paragraph of its own. What is not named is part of the paragraph it stands in."""
_UNSEEN = ("Head", "head", "iframe", "script", "style", "svg", "template")
_DEEPEST = 200
_CAPTURE = "(capture)"
_TICKS = re.compile("`+")
_BLANKS = re.compile(r"[ \t]+")
_BLANKS_AT_BREAK = re.compile(r" ?\n ?")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_IMPLIED_ENDS = {"li": {"li"}, "p": {"p"}, "td": {"td", "th"}, "th": {"td", "th"}, "tr": {"td", "th", "tr"}}
"""What HTML ends when the next begins."""
_OBJECT = re.compile(r"\{[^{}]*\}")
_STRING_PROPERTY = re.compile(r"""(\w+)['"]?\s*:\s*(['"`])(.*?)\2""")


def admonition_label(kind: str, title: str) -> str:
    return f"{kind.capitalize()}: {title}" if title else kind.capitalize()


_Close = Callable[[], None]


@dataclass(slots=True, eq=False)
class _Panel:
    value: str
    is_default: bool
    is_hidden: bool = False


@dataclass(slots=True)
class _Element:
    tag: Tag
    close: _Close
    sealed: bool
    panels: list[_Panel] = field(default_factory=list)


@dataclass(slots=True)
class _List:
    number: int | None
    """Of the next item; None where items are not numbered."""


@dataclass(frozen=True, slots=True)
class _Heading:
    level: int
    text: str
    id: str
    panels: tuple[_Panel, ...]


class SectionBuilder:
    """Feed it a page from top to bottom, then take its `sections()`.

    A *sealed* element is one that the Markdown around it ends, such as a list item: a stray closing tag within
    does not reach beyond it.
    """

    def __init__(self) -> None:
        self._sections: list[tuple[tuple[_Heading, ...], list[Block]]] = [((), [])]
        self._emitted = 0
        self._ids: Counter[str] = Counter()
        self._elements: list[_Element] = []
        self._labels: list[str] = []
        self._panels: list[_Panel] = []
        self._words: list[str] = []
        self._captured: list[list[str]] = []
        self._verbatim = 0
        self._preformatted = 0
        self._lists: list[_List] = []
        self._marker = ""
        self._items: list[str] = []
        self._tables: list[list[list[str]]] = []

    # Words

    def text(self, words: str) -> None:
        self._words.append(words)

    def lines(self, text: str) -> None:
        """Text as it stands in the source, where the end of a line is a space to a reader."""
        self._words.append(text if self._preformatted else text.replace("\n", " "))

    def inline_code(self, code: str) -> None:
        if code and not self._verbatim:
            ticks = "`" * (max(map(len, _TICKS.findall(code)), default=0) + 1)
            pad = " " if "`" in (code[0], code[-1]) else ""
            code = f"{ticks}{pad}{code}{pad}{ticks}"
        self._words.append(code)

    def end_paragraph(self) -> None:
        if self._elements and self._elements[-1].tag.name == "code":
            self._close_down_to(len(self._elements) - 1)
        if self._captured:
            self._words.append("\n")
        elif text := self._take():
            self._add_to_list(text) if self._lists else self._emit("paragraph", text)

    def code(self, code: str, language: str = "", caption: str = "") -> None:
        self._end_blocks()
        self._emit("code", code, language, caption)

    def maths(self, tex: str) -> None:
        self._end_blocks()
        if tex.strip():
            self._emit("maths", tex.strip())

    def heading(self, level: int, text: str, id_: str) -> None:
        self._ids[id_] += 1
        if self._captured:
            self._words += [text, "\n"]
            return
        self._end_blocks()
        path = tuple(heading for heading in self._sections[-1][0] if heading.level < level)
        self._sections.append(((*path, _Heading(level, text, id_, tuple(self._panels))), []))

    @contextmanager
    def captured(self) -> Iterator[list[str]]:
        """Words told within become the one text of the list, instead of a paragraph. Code has no backticks there."""
        texts: list[str] = []
        self._elements.append(_Element(Tag(_CAPTURE), self._capture(texts.append), sealed=True))
        yield texts
        self.close(_CAPTURE, sealed=True)

    def sections(self) -> tuple[Section, ...]:
        self._close_down_to(0)
        self._end_blocks()
        return tuple(
            Section(tuple(heading.text for heading in path if heading.text), self._anchor(path), tuple(blocks))
            for path, blocks in self._sections
            if path or blocks
        )

    def _anchor(self, path: tuple[_Heading, ...]) -> str | None:
        for heading in reversed(path):
            if heading.id and self._ids[heading.id] == 1 and not any(panel.is_hidden for panel in heading.panels):
                return heading.id
        return None

    def _take(self) -> str:
        text = _BLANKS.sub(" ", "".join(self._words))
        self._words.clear()
        return _BLANKS_AT_BREAK.sub("\n", text).strip()

    def _emit(self, kind: BlockKind, text: str, language: str = "", caption: str = "") -> None:
        self._emitted += 1
        labels = tuple(label for label in self._labels if label)
        self._sections[-1][1].append(Block(kind, text, language, caption, labels))

    def _end_blocks(self) -> None:
        if not self._captured:
            self.end_paragraph()
        if self._items:
            self._emit("list", "\n".join(self._items))
            self._items = []

    # Elements

    def open(self, tag: Tag, *, sealed: bool = False) -> None:
        if tag.name == "br":
            self.text("\n")
        elif tag.name == "img":
            self.text(tag.attributes.get("alt", ""))
        elif tag.name == "hr":
            self.end_paragraph()
        elif sealed or len(self._elements) < _DEEPEST:
            self._open(tag, sealed)

    def close(self, name: str, *, sealed: bool = False) -> None:
        for depth in range(len(self._elements) - 1, -1, -1):
            element = self._elements[depth]
            if element.tag.name == name and element.sealed == sealed:
                return self._close_down_to(depth)
            if element.sealed:
                return None
        return None

    def enter(self, label: str = "", title: str = "") -> None:
        """What follows, up to `leave`, stands in something with this label; without one, just apart.

        Where nothing follows, the title is what is left of it.
        """
        self._elements.append(_Element(Tag(""), self._labelled(label, title), sealed=True))

    def leave(self) -> None:
        self.close("", sealed=True)

    def _open(self, tag: Tag, sealed: bool) -> None:
        while self._elements and not self._elements[-1].sealed and self._implies_end(tag.name):
            self._close_down_to(len(self._elements) - 1)
        if tag.name.islower() and "id" in tag.attributes and tag.name not in _HEADINGS:
            self._ids[tag.attributes["id"]] += 1
        if opener := _OPENERS.get(tag.name):
            close = opener(self, tag)
        elif _BREAKING.fullmatch(tag.name):
            self.end_paragraph()
            close = self.end_paragraph
        elif tag.name.islower():
            return
        else:
            close = _nothing
        self._elements.append(_Element(tag, close, sealed))

    def _implies_end(self, name: str) -> bool:
        return self._elements[-1].tag.name in _IMPLIED_ENDS.get(name, ())

    def _close_down_to(self, depth: int) -> None:
        while len(self._elements) > depth:
            element = self._elements.pop()
            element.close()
            _hide_panels(element)

    def _labelled(self, label: str, title: str | None = None) -> _Close:
        """A title of None is the label that it has in the end."""
        self._end_blocks()
        self._labels.append(label)
        lists, self._lists, self._marker = self._lists, [], ""
        before = self._emitted

        def close() -> None:
            self._end_blocks()
            label = self._labels.pop()
            left = label if title is None else title
            if left and self._emitted == before:
                self._emit("paragraph", left)
            self._lists, self._marker = lists, ""

        return close

    def _capture(self, receive: Callable[[str], None], *, verbatim: bool = True) -> _Close:
        self._captured.append(self._words)
        self._words = []
        self._verbatim += verbatim

        def close() -> None:
            text = self._take()
            self._words = self._captured.pop()
            self._verbatim -= verbatim
            receive(text)

        return close

    def _details(self, _: Tag) -> _Close:
        return self._labelled("")

    def _summary(self, _: Tag) -> _Close:
        if not self._elements or self._elements[-1].tag.name.lower() != "details":
            self.end_paragraph()
            return self.end_paragraph

        def name_details(text: str) -> None:
            self._labels[-1] = _one_line(text)

        return self._capture(name_details)

    def _admonition(self, tag: Tag) -> _Close:
        title = tag.attributes.get("title", "")
        return self._labelled(admonition_label(tag.attributes.get("type", "note"), title), title)

    def _tab(self, tag: Tag) -> _Close:
        value = tag.attributes.get("value", "")
        panel = _Panel(value, "default" in tag.attributes or tag.expressions.get("default") == "true")
        known: Mapping[str, str] = {}
        if self._elements:
            self._elements[-1].panels.append(panel)
            known = _tab_labels(self._elements[-1].tag)
        end_label = self._labelled(tag.attributes.get("label") or known.get(value, value), "")
        self._panels.append(panel)

        def close() -> None:
            end_label()
            self._panels.remove(panel)

        return close

    def _heading(self, tag: Tag) -> _Close:
        self.end_paragraph()
        level, id_ = _HEADINGS[tag.name], tag.attributes.get("id", "")
        return self._capture(lambda text: self.heading(level, _one_line(text), id_))

    def _code(self, _: Tag) -> _Close:
        return _nothing if self._preformatted else self._capture(self.inline_code)

    def _pre(self, tag: Tag) -> _Close:
        self._end_blocks()
        end_capture = self._capture(_ignore)
        self._preformatted += 1

        def close() -> None:
            code = "".join(self._words).strip("\n")
            self._preformatted -= 1
            end_capture()
            if code.strip():
                self.code(f"{code}\n", tag.attributes.get("language", ""), tag.attributes.get("title", ""))

        return close

    def _unseen(self, _: Tag) -> _Close:
        return self._capture(_ignore)

    # Lists and tables

    def _list(self, tag: Tag) -> _Close:
        self.end_paragraph()
        if self._marker:
            self._add_to_list("")
        start = tag.attributes.get("start", "")
        self._lists.append(_List(None if tag.name == "ul" else int(start) if start.isdecimal() else 1))
        self._marker = ""

        def close() -> None:
            self.end_paragraph()
            self._lists.pop()
            self._marker = ""
            if not self._lists:
                self._end_blocks()

        return close

    def _item(self, _: Tag) -> _Close:
        self.end_paragraph()
        if self._lists:
            items = self._lists[-1]
            self._marker = "- " if items.number is None else f"{items.number}. "
            items.number = None if items.number is None else items.number + 1

        def close() -> None:
            self.end_paragraph()
            self._marker = ""

        return close

    def _add_to_list(self, text: str) -> None:
        indent = "  " * (len(self._lists) - 1)
        first, *more = text.split("\n")
        if self._marker:
            self._items.append(f"{indent}{self._marker}{first}".rstrip())
            self._items += [f"{indent}  {line}" for line in more]
            self._marker = ""
        elif self._items:
            self._items += [f"{indent}  {line}" for line in (first, *more)]
        else:
            self._emit("paragraph", text)

    def _table(self, _: Tag) -> _Close:
        self._end_blocks()
        self._tables.append([])

        def close() -> None:
            self._end_blocks()
            rows = [row for row in self._tables.pop() if any(row)]
            if self._captured:
                self.text(" ".join(cell for row in rows for cell in row))
            elif rows:
                self._emit("table", _pipe_table(rows))

        return close

    def _row(self, _: Tag) -> _Close:
        if self._tables:
            self._tables[-1].append([])
        return _nothing

    def _cell(self, _: Tag) -> _Close:
        if not self._tables or not self._tables[-1]:
            return _nothing
        row = self._tables[-1][-1]
        return self._capture(lambda text: row.append(_one_line(text).replace("|", r"\|")), verbatim=False)


def _nothing() -> None:
    pass


def _ignore(_: str) -> None:
    pass


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _hide_panels(parent: _Element) -> None:
    """Of tabs, a reader sees the one named by the parent, or marked, or else the first."""
    tag, panels = parent.tag, parent.panels
    if "defaultValue" in tag.attributes or "defaultValue" in tag.expressions:
        chosen = [panel for panel in panels if panel.value == tag.attributes.get("defaultValue")]
    else:
        chosen = [panel for panel in panels if panel.is_default] or panels
    for panel in panels:
        panel.is_hidden = panel not in chosen[:1]


def _tab_labels(tabs: Tag) -> dict[str, str]:
    """What `<Tabs values={[{value: "a", label: "A"}]}>` says of its tabs."""
    objects = (_STRING_PROPERTY.findall(text) for text in _OBJECT.findall(tabs.expressions.get("values", "")))
    properties = [{key: value for key, _, value in found} for found in objects]
    return {entry["value"]: entry["label"] for entry in properties if entry.keys() >= {"value", "label"}}


def _pipe_table(rows: list[list[str]]) -> str:
    width = max(map(len, rows))
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join(["---"] * width) + " |")
    return "\n".join(lines)


_OPENERS: Mapping[str, Callable[[SectionBuilder, Tag], _Close]] = {
    "Admonition": SectionBuilder._admonition,
    "Details": SectionBuilder._details,
    "details": SectionBuilder._details,
    "summary": SectionBuilder._summary,
    "TabItem": SectionBuilder._tab,
    "ul": SectionBuilder._list,
    "ol": SectionBuilder._list,
    "li": SectionBuilder._item,
    "table": SectionBuilder._table,
    "tr": SectionBuilder._row,
    "td": SectionBuilder._cell,
    "th": SectionBuilder._cell,
    "pre": SectionBuilder._pre,
    "CodeBlock": SectionBuilder._pre,
    "code": SectionBuilder._code,
    **dict.fromkeys(_HEADINGS, SectionBuilder._heading),
    **dict.fromkeys(_UNSEEN, SectionBuilder._unseen),
}
