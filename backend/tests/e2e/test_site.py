"""Our own documentation, built by Docusaurus: everything that can be cited must be there. `make site` builds it."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from chatbot_api.models.domain import Page, Passage
from qdrant_indexer.chunking import passages_of
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.layout import find_layout
from qdrant_indexer.sources.markdown import read_markdown

SITE = Path(__file__).parents[3] / "site"
BUILD = SITE / "build"

pytestmark = pytest.mark.skipif(not BUILD.exists(), reason="site/ is not built; run: make site")


class Ids(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name == "id" and value]


def file_of(path: str) -> Path:
    """Where a server of static files looks."""
    place = BUILD / unquote(path).lstrip("/")
    return next((file for file in (place, place.with_suffix(".html"), place / "index.html") if file.is_file()), place)


def ids_of(file: Path) -> list[str]:
    parser = Ids()
    parser.feed(file.read_text(encoding="utf-8"))
    return parser.found


def cited(pages: Iterator[Page | Skipped]) -> list[Passage]:
    found = list(pages)
    assert [skip for skip in found if isinstance(skip, Skipped)] == []
    return [passage for page in found if isinstance(page, Page) for passage in passages_of(page)]


def test_every_link_that_can_be_cited_from_the_source_exists_in_the_build() -> None:
    passages = cited(read_markdown(find_layout(SITE)))

    assert len({passage.page for passage in passages}) > 15
    ids = {page: ids_of(file_of(page)) for page in {passage.page for passage in passages}}
    lost = [(p.page, p.anchor) for p in passages if p.anchor is not None and ids[p.page].count(p.anchor) != 1]
    assert lost == []
