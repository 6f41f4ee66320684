"""A page's source to its title and sections. Opens no file: a loader brings the partials."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from markdown_it.common.utils import unescapeAll
from markdown_it.token import Token

from chatbot_api.models.domain import Section
from qdrant_indexer.sources.grammar import (
    ADMONITIONS,
    Env,
    Expression,
    Markup,
    Tag,
    is_plain,
    literal,
    parse_blocks,
    parse_inline,
    scan_html,
)
from qdrant_indexer.sources.sections import SectionBuilder, admonition_label
from qdrant_indexer.sources.slugs import Slugger

MAX_CHARACTERS = 5_000_000
"""Of a page together with its partials."""


class BadPartial(ValueError):
    """A page that imports what it must not; the text says what."""


@dataclass(frozen=True, slots=True)
class Source:
    """Markdown without its front matter, and the file it stands in."""

    text: str
    file: Path = Path()
    mdx: bool = True


@dataclass(frozen=True, slots=True)
class Outline:
    title: str | None
    """The page's first heading, where that is an h1."""
    sections: tuple[Section, ...]


Loader = Callable[[Path, str], Source]
"""The Markdown that a file imports under a relative or `@site` name. Raises `BadPartial`."""


def read_outline(source: Source, load: Loader) -> Outline:
    """Raises `BadPartial`."""
    room = MAX_CHARACTERS - len(source.text)

    def load_within(importer: Path, name: str) -> Source:
        nonlocal room
        partial = load(importer, name)
        room -= len(partial.text) + _COST_OF_A_PARTIAL
        if room < 0:
            raise BadPartial("it grows too large with the files it imports")
        return partial

    builder = SectionBuilder()
    reader = _Reader(source, load_within, builder)
    reader.read()
    return Outline(reader.title, builder.sections())


_COST_OF_A_PARTIAL = 1000
_MDX_CODE_BLOCK = re.compile(r" *(`{3,4}) *mdx-code-block")
_IMPORT = re.compile(
    r"""^import\s+([A-Za-z_$][\w$]*)\s*(?:,\s*\{[^}]*\}\s*)?from\s*(['"])((?:\.\.?|@site)/.*?\.mdx?)\2""", re.M
)
_ESCAPED = re.compile(r"\\(.)")
_LANGUAGE = re.compile(r"[^\s{]*")
_CAPTION = re.compile(r"""title=(["'])(.*?)\1""")
_DISPLAY_MATHS = re.compile(r"\$\$((?:(?!\$\$).)+)\$\$", re.S)
_ID_IN_BRACES = re.compile(r"\s*\{#((?:(?!\{#)[^}])+)\}\Z")
_ID_IN_COMMENT = re.compile(r"\s*/\*\s*#((?:(?!\*/)\S)+)(?:(?!\*/).)*\*/\s*", re.S)


class _Reader:
    """Tells a builder what stands in one file, and in the partials it shows."""

    def __init__(self, source: Source, load: Loader, builder: SectionBuilder, within: tuple[Path, ...] = ()) -> None:
        self.title: str | None = None
        self._source = source
        self._load = load
        self._builder = builder
        self._chain = (*within, source.file)
        self._has_heading = bool(within)
        self._slugger = Slugger()
        self._partials: dict[str, str] = {}
        self._env: Env = {}

    def read(self) -> None:
        tokens, self._env = parse_blocks(_unwrap(self._source.text), mdx=self._source.mdx)
        stream = iter(tokens)
        for token in stream:
            if token.type == "heading_open":
                self._heading(int(token.tag[1]), next(stream).content)
                next(stream)
            else:
                self._block(token)

    def _block(self, token: Token) -> None:
        builder = self._builder
        match token.type:
            case "inline":
                self._inline(token.content)
            case "paragraph_open":
                pass
            case "paragraph_close":
                builder.end_paragraph()
            case "fence" | "code_block":
                info = unescapeAll(token.info.strip())
                language, caption = _LANGUAGE.match(info), _CAPTION.search(info)
                builder.code(token.content, language[0] if language else "", caption[2] if caption else "")
            case "maths":
                builder.maths(token.content)
            case "flow":
                for markup in token.meta["run"]:
                    self._markup(markup)
                builder.end_paragraph()
            case "html_block":
                for piece in scan_html(token.content):
                    if isinstance(piece, str):
                        builder.lines(piece)
                    else:
                        self._markup(piece)
                builder.end_paragraph()
            case "esm":
                imports = _IMPORT.findall(token.content)
                self._partials |= {name: _ESCAPED.sub(r"\1", path) for name, _, path in imports}
            case "directive":
                self._inline(token.meta["label"])
                builder.end_paragraph()
            case "directive_open":
                title, name = self._words(self._tokens(token.meta["label"])), token.meta["name"]
                builder.enter(admonition_label(name, title) if name in ADMONITIONS else title, title)
            case "footnote_open":
                builder.enter()
            case "directive_close" | "footnote_close":
                builder.leave()
            case _ if token.nesting == 1:
                attributes = {name: str(value) for name, value in token.attrs.items()}
                builder.open(Tag(token.tag, attributes=attributes), sealed=True)
            case _ if token.nesting == -1:
                builder.close(token.tag, sealed=True)

    def _heading(self, level: int, content: str) -> None:
        tokens = self._tokens(content)
        id_ = self._heading_id(tokens)
        text = self._words(tokens, images=False) or self._words(tokens)
        text = _ID_IN_BRACES.sub("", text)
        if level == 1 and not self._has_heading:
            self._builder.end_paragraph()
            self.title = text
        else:
            # Docusaurus gives an h1 no id, though it takes one from the slugger.
            self._builder.heading(level, text, id_ if level > 1 else "")
        self._has_heading = True

    def _heading_id(self, tokens: list[Token]) -> str:
        last = tokens[-1].meta.get("markup") if tokens else None
        if isinstance(last, Expression) and (comment := _ID_IN_COMMENT.fullmatch(last.source)):
            return comment[1]
        text = _slug_text(tokens)
        explicit = _ID_IN_BRACES.search(text)
        return explicit[1].strip() if explicit else self._slugger.slug(text)

    def _tokens(self, content: str) -> list[Token]:
        return parse_inline(content, self._env, mdx=self._source.mdx)

    def _inline(self, content: str) -> None:
        if is_plain(content):
            self._builder.text(content)
        elif maths := content.startswith("$$") and _DISPLAY_MATHS.fullmatch(content):
            self._builder.maths(maths[1])
        else:
            self._tell(self._tokens(content))

    def _words(self, tokens: list[Token], *, images: bool = True) -> str:
        with self._builder.captured() as texts:
            self._tell(tokens, images=images)
        return " ".join(texts[0].split())

    def _tell(self, tokens: Iterable[Token], *, images: bool = True) -> None:
        builder = self._builder
        for token in tokens:
            match token.type:
                case "text" | "text_special" | "text_directive" | "inline_maths":
                    builder.text(token.content)
                case "code_inline":
                    builder.inline_code(token.content)
                case "softbreak":
                    builder.lines("\n")
                case "hardbreak":
                    builder.text("\n")
                case "markup":
                    self._markup(token.meta["markup"])
                case "image" if images:
                    self._tell(token.children or ())

    def _markup(self, markup: Markup) -> None:
        if isinstance(markup, Expression):
            self._builder.lines(literal(markup.source) or "")
        elif markup:
            if markup.opens:
                if path := self._partials.get(markup.name):
                    self._include(path)
                self._builder.open(markup)
            if markup.closes:
                self._builder.close(markup.name)

    def _include(self, path: str) -> None:
        partial = self._load(self._source.file, path)
        if partial.file in self._chain:
            raise BadPartial(f"it imports {path}, which imports itself")
        self._builder.enter()
        _Reader(partial, self._load, self._builder, self._chain).read()
        self._builder.leave()


def _unwrap(text: str) -> str:
    """Without the fences named `mdx-code-block`, which only hide MDX from translation services."""
    if "mdx-code-block" not in text:
        return text
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        if not fence and (opening := _MDX_CODE_BLOCK.fullmatch(line)):
            fence = opening[1]
        elif fence and line.strip(" ") == fence:
            fence = ""
        else:
            lines.append(line)
    return "\n".join(lines)


def _slug_text(tokens: Iterable[Token]) -> str:
    """The text Docusaurus makes an id of, which is not quite what a reader sees."""
    parts: list[str] = []
    for token in tokens:
        match token.type:
            case "text" | "text_special" | "code_inline" | "inline_maths":
                parts.append(token.content)
            case "text_directive":
                parts.append(token.meta["label"])
            case "softbreak":
                parts.append("\n")
            case "image":
                parts.append(_slug_text(token.children or ()))
            case "markup" if isinstance(token.meta["markup"], Expression):
                parts.append(token.meta["markup"].source)
    return "".join(parts)
