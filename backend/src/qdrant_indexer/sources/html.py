"""A page's HTML to its title and sections. Markup in, values out. The only module that imports `selectolax`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from selectolax.lexbor import LexborHTMLParser, LexborNode

from chatbot_api.models.domain import Section
from qdrant_indexer.sources.grammar import Tag
from qdrant_indexer.sources.sections import SectionBuilder, admonition_label

Kind = Literal["doc", "blog", "page"]


@dataclass(frozen=True, slots=True)
class HtmlDocument:
    title: str
    sections: tuple[Section, ...]
    kind: Kind = "page"
    canonical: str = ""
    locale: str = ""
    """As Docusaurus or `<html lang>` names it; empty where neither does."""
    version: str = ""
    """Docusaurus' name of the docs version; empty for a page that has none."""
    docusaurus_tag: str = ""
    breadcrumbs: tuple[str, ...] = ()
    """Labels of the categories above the page, outermost first, where the page shows them."""
    unrendered: frozenset[str] = frozenset()
    """Labels of tabs whose panels only a browser renders."""


@dataclass(frozen=True, slots=True)
class NoDocument:
    reason: str
    kind: Literal["bad", "excluded"]
    """As of `Skipped`."""


@dataclass(slots=True)
class HtmlHead:
    classes: tuple[str, ...] = ()
    """Of `<html>`."""
    language: str = ""
    title: str = ""
    canonical: str = ""
    metas: dict[str, str] = field(default_factory=dict)
    is_redirect: bool = False

    @property
    def locale(self) -> str:
        return self.metas.get("docusaurus_locale") or self.language

    @property
    def version(self) -> str:
        return self.metas.get("docusaurus_version", "")

    @property
    def docusaurus_tag(self) -> str:
        return self.metas.get("docusaurus_tag", "")

    @property
    def is_docusaurus(self) -> bool:
        return "docusaurus_locale" in self.metas or self.metas.get("generator", "").startswith("Docusaurus")

    @property
    def is_noindex(self) -> bool:
        return not {"noindex", "none"}.isdisjoint(re.split(r"[\s,]+", self.metas.get("robots", "").lower()))


def read_html(markup: str, *, heed_noindex: bool = True) -> HtmlDocument | NoDocument:
    """The document a page shows, or why it shows none. One that asks not to be indexed is none, unless told to."""
    tree = LexborHTMLParser(markup)
    head = _head_of(tree)
    if head.is_redirect:
        return NoDocument("it only sends its readers to another page", "excluded")
    if heed_noindex and head.is_noindex:
        return NoDocument("it asks not to be indexed (robots noindex)", "excluded")
    if _NOT_FOUND in head.classes:
        return NoDocument("it shows the site's page for addresses that do not exist", "bad")
    if not (found := _find_content(tree, head)):
        reason = "it has no document, only links or a layout of its own" if head.is_docusaurus else "it has no <main>"
        return NoDocument(reason, "excluded" if head.is_docusaurus else "bad")
    kind, root = found
    ids = Counter(node.id for node in tree.css("[id]"))
    # A post's own h1 stands above its content.
    reader = _Reader(ids, _UNSEEN if head.is_docusaurus else _UNSEEN | _SITE_PARTS, has_title=kind == "blog")
    reader.read(root)
    return HtmlDocument(
        title=reader.title or _title(tree, head),
        sections=reader.sections(),
        kind=kind,
        canonical=head.canonical,
        locale=head.locale,
        version=head.version,
        docusaurus_tag=head.docusaurus_tag,
        breadcrumbs=tuple(filter(None, map(_line, tree.css(_CATEGORIES)))),
        unrendered=frozenset(reader.unrendered),
    )


def read_head(markup: str) -> HtmlHead:
    """What a page says of itself, without reading it."""
    return _head_of(LexborHTMLParser(markup.partition("<body")[0]))


def find_alternates(markup: str) -> list[str]:
    """The addresses of a page in the site's other languages."""
    links = LexborHTMLParser(markup).css("link[hreflang]")
    return [href for link in links if (href := link.attributes.get("href"))]


# The page around the document --------------------------------------------------------------------------

_NOT_FOUND = "plugin-native"
"""Docusaurus' own routes: there is one, and it is shown wherever the router finds no other."""
_CATEGORIES = ".theme-doc-breadcrumbs li:not(.breadcrumbs__item--active)"
_CONTENT: tuple[tuple[Kind, str], ...] = (("doc", "article .theme-doc-markdown"), ("blog", "#__blog-post-container"))
_SUFFIX = re.compile(r"\s+\W\s+\Z")


def _head_of(tree: LexborHTMLParser) -> HtmlHead:
    head = HtmlHead()
    if tree.root:
        attributes = _attributes(tree.root)
        head.classes, head.language = tuple(attributes.get("class", "").split()), attributes.get("lang", "")
    for node in tree.head.iter() if tree.head else ():
        attributes = _attributes(node)
        if node.tag == "title":
            head.title = head.title or _line(node)
        elif node.tag == "link" and attributes.get("rel") == "canonical":
            head.canonical = attributes.get("href", "")
        elif node.tag == "meta":
            name = attributes.get("name") or attributes.get("property", "")
            head.metas.setdefault(name.lower(), attributes.get("content", ""))
            if attributes.get("http-equiv", "").lower() == "refresh":
                head.is_redirect |= "url" in attributes.get("content", "").lower()
    return head


def _find_content(tree: LexborHTMLParser, head: HtmlHead) -> tuple[Kind, LexborNode] | None:
    for kind, selector in _CONTENT:
        if root := tree.css_first(selector):
            return kind, root
    if head.is_docusaurus and "mdx-page" not in head.classes:
        return None
    main = tree.css_first("main, [role=main]")
    articles = main.css("article") if main else tree.css("article")
    root = articles[0] if len(articles) == 1 else main
    return ("page", root) if root else None


def _title(tree: LexborHTMLParser, head: HtmlHead) -> str:
    """Where the content has no h1: a post's own, or that of the tab without the name of the site."""
    if heading := tree.css_first("article header h1"):
        return _line(heading)
    site = tree.css_first(".navbar__title")
    ending = _line(site) if site else ""
    if ending and head.title.endswith(ending) and (title := _SUFFIX.sub("", head.title.removesuffix(ending))):
        return title
    return head.title.rpartition(" | ")[0] or head.title


# The document ------------------------------------------------------------------------------------------

_UNSEEN = frozenset({"button", "noscript", "svg"})
"""Besides what the builder leaves out."""
_SITE_PARTS = frozenset({"footer", "form", "nav"})
"""What stands beside the text in `<main>` on sites of other makers."""
_MARKS = ("data-footnote-ref", "data-footnote-backref")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_DEEPEST = 200
_INVISIBLE = "\u200b\u2060\ufeff"
_UNSEEN_PARTS = (
    "hash-link",
    "headerlink",
    "admonitionIcon_",
    "cardContainer_",
    "playgroundHeader_",
    "playgroundPreview_",
    "tableOfContentsInline_",
    "themedComponent--dark",
)
"""Beginnings of class names: links of headings to themselves, icons, cards that tell of other pages, what stands around
the editor of live code, contents, the second image of two for two colour modes. CSS modules end in a hash."""


class _Reader:
    """Tells a builder what stands in a document, as the Markdown reader does of its source."""

    def __init__(self, ids: Mapping[str | None, int], unseen: frozenset[str], *, has_title: bool = False) -> None:
        self.title = ""
        self.unrendered: set[str] = set()
        self._ids = ids
        self._unseen = unseen
        self._builder = SectionBuilder()
        self._has_heading = has_title
        self._has_images = True
        self._tab_labels: Iterator[str] = iter(())
        self._hidden = 0
        self._depth = 0

    def sections(self) -> tuple[Section, ...]:
        return self._builder.sections()

    def read(self, node: LexborNode) -> None:
        """All that stands in an element."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self._builder.lines(node.text())
        else:
            for child in node.iter(include_text=True):
                if (text := child.text_content) is None:
                    self._element(child, child.tag or "")
                elif text.strip(_INVISIBLE) or not text:
                    self._builder.lines(text)
        self._depth -= 1

    def _element(self, node: LexborNode, tag: str) -> None:
        attributes = _attributes(node)
        classes = attributes.get("class", "").split()
        if tag in self._unseen or tag.startswith("-") or any(name.startswith(_UNSEEN_PARTS) for name in classes):
            return
        hidden = "hidden" in attributes
        self._hidden += hidden
        builder = self._builder
        match tag:
            case "a" if any(mark in attributes for mark in _MARKS):
                pass
            case "br" | "hr":
                builder.open(Tag(tag))
            case "img":
                if self._has_images:
                    builder.open(Tag("img", attributes={"alt": attributes.get("alt", "")}))
            case "input":
                if attributes.get("type") == "checkbox":
                    builder.text("[x]" if "checked" in attributes else "[ ]")
            case "code":
                builder.inline_code(_verbatim(node).replace("\n", " "))
            case "pre":
                self._code(node, classes)
            case "span" if "katex-display" in classes:
                builder.maths(_tex(node))
            case "span" if "katex" in classes:
                builder.text(f"${_tex(node)}$")
            case "div" if "theme-code-block" in classes:
                self._code(node, classes)
            case "div" if "theme-admonition" in classes:
                self._admonition(node, classes)
            case "div" if "tabs-container" in classes:
                self._tabs(node)
            case "div" if attributes.get("role") == "tabpanel":
                builder.enter(next(self._tab_labels, ""))
                self.read(node)
                builder.leave()
            case "section" if "data-footnotes" in attributes:
                self._footnotes(node)
            case _ if tag in _HEADINGS:
                self._heading(node, _HEADINGS[tag], attributes.get("id", ""))
            case _:
                builder.open(Tag(tag, attributes={"start": attributes.get("start", "")}), sealed=True)
                self.read(node)
                builder.close(tag, sealed=True)
        self._hidden -= hidden

    def _heading(self, node: LexborNode, level: int, id_: str) -> None:
        with self._without_images():
            text = self._words(node)
        text = text or self._words(node)
        if level == 1 and not self._has_heading:
            self._builder.end_paragraph()
            self.title = text
        else:
            can_be_cited = self._ids[id_] == 1 and not self._hidden
            self._builder.heading(level, text, id_ if can_be_cited else "")
        self._has_heading = True

    def _code(self, node: LexborNode, classes: list[str]) -> None:
        pre = node if node.tag == "pre" else node.css_first("pre")
        if pre is None:
            return
        inner = pre.css("code")
        body = inner[0] if len(inner) == 1 else pre
        code = _verbatim(body)
        is_ours = "theme-code-block" in classes or "prism-code" in classes
        if not is_ours and not (code := code.strip("\n")).strip():
            return
        code = code and code.removesuffix("\n") + "\n"
        title = node.css_first("[class^=codeBlockTitle_]")
        self._builder.code(code, _language(node) or _language(body), _line(title) if title else "")

    def _admonition(self, node: LexborNode, classes: list[str]) -> None:
        parts = list(node.iter())
        title = ""
        if parts and _has_class(parts[0], "admonitionHeading_"):
            title = self._words(parts.pop(0))
        kind = next((name[len(_ADMONITION) :] for name in classes if name.startswith(_ADMONITION)), "")
        title = "" if title == kind else title
        self._builder.enter(admonition_label(kind, title), title)
        for part in parts:
            self._element(part, part.tag or "")
        self._builder.leave()

    def _tabs(self, node: LexborNode) -> None:
        tabs: list[LexborNode] = []
        rest: list[LexborNode] = []
        for part in node.iter():
            if _role(part) == "tablist":
                tabs += part.iter()
            else:
                rest.append(part)
        labels = [self._words(tab) for tab in tabs]
        panels = sum(_role(panel) == "tabpanel" for part in rest for panel in part.iter())
        if panels < len(labels):
            # Lazy tabs: the panel of the chosen one, or none.
            chosen = [label for tab, label in zip(tabs, labels, strict=True) if _is_chosen(tab)][:panels]
            self.unrendered.update(set(labels).difference(chosen))
            labels = chosen
        around, self._tab_labels = self._tab_labels, iter(labels)
        for part in rest:
            self._element(part, part.tag or "")
        self._tab_labels = around

    def _footnotes(self, node: LexborNode) -> None:
        for note in node.css("li[id]"):
            self.read(note)
            self._builder.end_paragraph()

    def _words(self, node: LexborNode) -> str:
        with self._builder.captured() as texts:
            self.read(node)
        return " ".join(texts[0].split())

    @contextmanager
    def _without_images(self) -> Iterator[None]:
        had, self._has_images = self._has_images, False
        yield
        self._has_images = had


_ADMONITION = "theme-admonition-"
_LANGUAGE = "language-"


def _attributes(node: LexborNode) -> dict[str, str]:
    return {name: value or "" for name, value in node.attributes.items()}


def _line(node: LexborNode) -> str:
    return " ".join(node.text().split())


def _role(node: LexborNode) -> str | None:
    return node.attributes.get("role")


def _is_chosen(tab: LexborNode) -> bool:
    return tab.attributes.get("aria-selected") == "true"


def _has_class(node: LexborNode, beginning: str) -> bool:
    return any(name.startswith(beginning) for name in _attributes(node).get("class", "").split())


def _language(node: LexborNode | None) -> str:
    """The first is as the fence names it, the next as Docusaurus does. A fence that names none becomes `text`."""
    names = _attributes(node).get("class", "").split() if node else ()
    language = next((name[len(_LANGUAGE) :] for name in names if name.startswith(_LANGUAGE)), "")
    return "" if language == "text" else language


def _verbatim(node: LexborNode) -> str:
    """Every character of the text; the lines of code end in `<br>`."""
    for line_end in node.css("br"):
        line_end.replace_with("\n")
    return node.text()


def _tex(node: LexborNode) -> str:
    source = node.css_first('annotation[encoding="application/x-tex"]')
    return source.text() if source else node.text()
