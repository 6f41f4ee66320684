"""What sitemaps list, and what the addresses in them tell. Pure: text in, values out."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import unescape
from itertools import islice
from typing import Final, Protocol
from urllib.parse import unquote

SITEMAP: Final = "sitemap.xml"
MAX_SITEMAP_BYTES: Final = 50_000_000
MAX_ADDRESSES: Final = 50_000
"""Of one sitemap; both bounds are those of sitemaps.org."""


@dataclass(frozen=True, slots=True)
class Sitemap:
    addresses: tuple[str, ...] = ()
    """As they are written, in their order."""
    is_index: bool = False
    """Whether they are those of further sitemaps."""
    trouble: str = ""
    """What is wrong with it; empty where nothing is."""


# Addresses are all that we want. Without an XML parser there are no entities that multiply, nothing nests, and there is
# nothing to fetch; the patterns give nothing back once they took it, so that their time grows with the text alone.
_ROOT = re.compile(r"<(urlset|sitemapindex)[\s>]")
_LOCATION = re.compile(r"<loc>\s*+(?:<!\[CDATA\[([^<\]]*+)\]\]>\s*+|([^<]*+))</loc>")


def read_sitemap(text: str) -> Sitemap:
    root = _ROOT.search(text)
    if not root:
        return Sitemap(trouble="it is no sitemap")
    found = _LOCATION.finditer(text, root.end())
    addresses = [(match[1] or unescape(match[2] or "")).strip() for match in islice(found, MAX_ADDRESSES)]
    trouble = "" if f"</{root[1]}" in text else "it breaks off before its end"
    if more := sum(1 for _ in found):
        trouble = f"{more:,} of its addresses were left out: a sitemap lists {MAX_ADDRESSES:,} at most"
    return Sitemap(tuple(filter(None, addresses)), root[1] == "sitemapindex", trouble)


# What addresses tell of versions -----------------------------------------------------------------------


class Placed(Protocol):
    """A page, as far as it matters here: any of `Page`, `PageSummary` and the like."""

    @property
    def path(self) -> str: ...
    @property
    def tag(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def locale(self) -> str: ...


def latest_tags(pages: Iterable[Placed]) -> frozenset[str]:
    """Of each docs instance the tag of the version that readers get when they ask for none.

    Docusaurus serves that one at the instance's own address and the others below it, `current` as `next`: of its
    versions, the latest is not named in its addresses, or else the one that stands highest. Addresses are compared
    within a locale, the first in which the instance is seen.
    """
    locales: dict[str, str] = {}
    instances: dict[str, dict[str, list[Placed]]] = {}
    for page in pages:
        instance = page.tag.removesuffix(f"-{page.version}")
        if locales.setdefault(instance, page.locale) == page.locale:
            instances.setdefault(instance, {}).setdefault(page.tag, []).append(page)
    return frozenset(min(tags.items(), key=lambda item: _height(item[1]))[0] for tags in instances.values())


def _height(pages: Sequence[Placed]) -> tuple[bool, int]:
    """Of a version: whether its addresses name it, and how many folders they have in common."""
    version = pages[0].version
    part = "next" if version == "current" else version
    parts = [unquote(page.path).rstrip("/").split("/") for page in pages]
    return all(part in names for names in parts), len(posixpath.commonprefix([names[:-1] for names in parts]))
