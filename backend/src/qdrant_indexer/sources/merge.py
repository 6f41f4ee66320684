"""What a page's HTML lacks and its source has: diagrams, panels of lazy tabs, code that only a browser shows."""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from chatbot_api.models.domain import Block, Section
from qdrant_indexer.sources.frontmatter import read_front_matter
from qdrant_indexer.sources.html import HtmlDocument
from qdrant_indexer.sources.layout import find_layout
from qdrant_indexer.sources.markdown import Folder, read_text
from qdrant_indexer.sources.mdx import read_outline

_RENDERED_LATER = re.compile(
    r"```(?:mermaid|text)\b|^\s*(?:```|~~~).*\blive\b|<Tabs\b[^>]*\blazy\b|<BrowserOnly\b|^import .*\.mdx?['\"]",
    re.MULTILINE,
)
_FENCES = re.compile(r"^[ \t>*-]*(?:```|~~~)", re.MULTILINE)

logger = logging.getLogger(__name__)


class SiteSources:
    """The folder that a site was built from."""

    def __init__(self, site_dir: Path) -> None:
        """Raises `SourceError`, whose text says what to do."""
        # How the Markdown reader opens a file and its partials.
        self._folder = Folder(find_layout(site_dir))
        self._site = site_dir.resolve()

    def find_sections(self, source: str, document: HtmlDocument) -> tuple[Section, ...]:
        """Of a document's source, by its path in the site; none where there is no such file, or none that can be read,
        or where a glance shows that the document has all of it."""
        try:
            file = (self._site / source).resolve()
            if file.suffix not in (".md", ".mdx") or not file.is_relative_to(self._site) or not file.is_file():
                return ()
            text = read_text(file)
            if _is_all_shown(text, document):
                return ()
            written = self._folder.source_of(file, read_front_matter(text), text)
            return read_outline(written, self._folder.load_partial).sections
        except (OSError, RecursionError, ValueError) as exc:
            logger.warning("source not merged source=%s reason=%s", source, exc)
        return ()


def _is_all_shown(text: str, document: HtmlDocument) -> bool:
    """Reading a source takes longer than reading its HTML, and few pages need it: those that speak of a thing that only
    browsers render, have parts in other files, or have more code fences than the document has code."""
    if _RENDERED_LATER.search(text):
        return False
    shown = sum(block.kind == "code" for section in document.sections for block in section.blocks)
    return len(_FENCES.findall(text)) <= 2 * shown


def merge_sections(document: HtmlDocument, written: Sequence[Section]) -> tuple[Section, ...]:
    """The document's sections, with what only `written` has at its place under the same heading."""
    opening = () if document.sections and not document.sections[0].headings else (Section((), None, ()),)
    shown = [_Shown(section) for section in (*opening, *document.sections)]
    homes = _homes(written, shown)
    places = [
        [home.recognise(block) if home else None for block in section.blocks]
        for section, home in zip(written, homes, strict=True)
    ]
    moved = Counter(key for home in shown for key in home.unknown.values())
    last = shown[0]
    for section, home, found in zip(written, homes, places, strict=True):
        last = home or last
        lacking: list[Block] = []
        after = -1
        for block, place in zip(section.blocks, found, strict=True):
            if place is not None:
                after = place
            elif moved[_key(block)]:
                moved[_key(block)] -= 1
            elif not document.unrendered.isdisjoint(block.within) or (home and home.lacks(block)):
                (home.added[after] if home else lacking).append(block)
        if lacking:
            anchor = section.anchor if any(section.anchor == home.section.anchor for home in shown) else None
            last.following.append(Section(section.headings, anchor, tuple(lacking)))
    return tuple(section for home in shown for section in home.completed())


_MAGIC_COMMENT = re.compile(r"^[^\w\n]*highlight-(?:next-line|start|end)[^\w\n]*(?:\n|\Z)", re.M)
_Key = tuple[str, str]


def _key(block: Block) -> _Key:
    """What a block is recognised by. Docusaurus takes its magic comments out of code."""
    text = _MAGIC_COMMENT.sub("", block.text) if block.kind == "code" else block.text
    return block.kind, " ".join(text.split())


class _Shown:
    """A section of the HTML, what was recognised in it, and what it gains."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self.unknown = {place: _key(block) for place, block in enumerate(section.blocks)}
        """Blocks in which nothing written was recognised yet."""
        self.added: dict[int, list[Block]] = defaultdict(list)
        """By the place they follow, from -1."""
        self.following: list[Section] = []
        self._blocks = list(section.blocks)

    def recognise(self, block: Block) -> int | None:
        key = _key(block)
        place = next((place for place, known in self.unknown.items() if known == key), None)
        if place is not None:
            del self.unknown[place]
            # Live code lost its title, and a fence without a language is called `text`: the source knows.
            ours = self._blocks[place]
            language, caption = block.language or ours.language, ours.caption or block.caption
            self._blocks[place] = replace(ours, language=language, caption=caption)
        return place

    def lacks(self, block: Block) -> bool:
        """Whether code has no counterpart here: a plugin may have changed its text."""
        if block.kind != "code":
            return False
        language = "" if block.language == "text" else block.language
        twin = next((place for place in self.unknown if self._is_code(place, language)), None)
        if twin is not None:
            del self.unknown[twin]
        return twin is None

    def completed(self) -> Iterator[Section]:
        blocks = self.added[-1] + [
            each for place, block in enumerate(self._blocks) for each in (block, *self.added[place])
        ]
        if self.section.headings or blocks:
            yield replace(self.section, blocks=tuple(blocks))
        yield from self.following

    def _is_code(self, place: int, language: str) -> bool:
        return self._blocks[place].kind == "code" and self._blocks[place].language.lower() == language.lower()


def _homes(written: Sequence[Section], shown: Sequence[_Shown]) -> list[_Shown | None]:
    """Of each written section the shown one: with the same headings, or with the same anchor in the same depth."""
    exact: dict[object, list[_Shown]] = defaultdict(list)
    near: dict[object, _Shown] = {}
    for home in shown:
        section = home.section
        exact[section.anchor, section.headings].append(home)
        near.setdefault((section.anchor, len(section.headings)), home)
    homes: list[_Shown | None] = []
    for section in written:
        same = exact[section.anchor, section.headings]
        alike = near.get((section.anchor, len(section.headings))) if section.anchor else None
        homes.append(same.pop(0) if same else alike)
    return homes
