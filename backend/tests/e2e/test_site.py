"""Sites as Docusaurus builds them: everything that can be cited must be there, and everything right must be citable.

`make e2e` builds them: our own documentation, and the plugin's fixture with each `trailingSlash` in two locales.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from chatbot_api.models.domain import Page, Passage
from qdrant_indexer.chunking import passages_of
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.build_output import read_build
from qdrant_indexer.sources.layout import find_layout
from qdrant_indexer.sources.markdown import read_markdown

ROOT = Path(__file__).parents[3]
SITE = ROOT / "site"
FIXTURE = ROOT / "docusaurus-plugin" / "fixture"
BUILDS = [(SITE / "build", "/", SITE)] + [
    (FIXTURE / "build" / slash, "/lamp/", FIXTURE) for slash in ("undefined", "true", "false")
]


def built(folder: Path) -> Path:
    if not folder.exists():
        pytest.skip(f"{folder.relative_to(ROOT)} is not built; run: make e2e")
    return folder


class Ids(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name == "id" and value]


def file_of(build: Path, base: str, path: str) -> Path:
    """Where a server of static files looks."""
    place = build / unquote(path).removeprefix(base).lstrip("/")
    candidates = (place, place.with_name(f"{place.name}.html"), place / "index.html")
    return next((file for file in candidates if file.is_file()), place)


def ids_of(file: Path) -> list[str]:
    parser = Ids()
    parser.feed(file.read_text(encoding="utf-8"))
    return parser.found


def cited(pages: Iterator[Page | Skipped]) -> list[Passage]:
    found = list(pages)
    assert [skip for skip in found if isinstance(skip, Skipped) and skip.kind == "bad"] == []
    return [passage for page in found if isinstance(page, Page) for passage in passages_of(page)]


def lost(passages: list[Passage], build: Path, base: str) -> list[tuple[str, str | None]]:
    """What a citation would name and a browser would not find, or find twice."""
    ids = {page: ids_of(file_of(build, base, page)) for page in {passage.page for passage in passages}}
    return [(p.page, p.anchor) for p in passages if p.anchor is not None and ids[p.page].count(p.anchor) != 1]


@pytest.mark.parametrize(("build", "base", "source"), BUILDS, ids=lambda value: getattr(value, "name", ""))
def test_every_link_that_can_be_cited_from_a_build_exists_in_it(build: Path, base: str, source: Path) -> None:
    passages = cited(read_build(built(build), source_dir=source))

    assert len({passage.page for passage in passages}) > 10
    assert lost(passages, build, base) == []


def test_every_link_that_can_be_cited_from_the_source_exists_in_the_build() -> None:
    passages = cited(read_markdown(find_layout(SITE)))

    assert len({passage.page for passage in passages}) > 15
    assert lost(passages, built(SITE / "build"), "/") == []


@pytest.mark.parametrize("slash", ["undefined", "true", "false"])
def test_every_page_that_readers_may_find_is_found_in_its_version_and_language(slash: str) -> None:
    pages = [page for page in read_build(built(FIXTURE / "build" / slash)) if isinstance(page, Page)]

    english = {page.path.rstrip("/") for page in pages if page.locale == "en"}
    assert english >= {
        *(
            "/lamp/club/welcome",
            "/lamp/next",
            "/lamp/next/lighting/oil",
            "/lamp/next/care",
            "/lamp/next/clean-the-glass",
        ),
        *("/lamp/next/spare%20parts", "/lamp", "/lamp/stand", "/lamp/letters/2024/03/04/new-glass", "/lamp/about"),
    }
    assert not any("secret" in path or "aside" in path or "/1.0/" in path for path in english)
    assert {page.path.rstrip("/") for page in pages if page.locale == "fr"} >= {"/lamp/fr/next/remplir-l'%C3%A9t%C3%A9"}
    assert {(page.tag, page.latest) for page in pages} == {
        ("docs-default-current", False),
        ("docs-default-2.0", True),
        ("docs-club-current", True),
        ("default", True),
    }
    assert all(page.path.endswith("/") for page in pages) is (slash == "true")


def test_code_of_the_documentation_is_the_same_in_source_and_build() -> None:
    def shown(text: str) -> str:
        """Docusaurus takes away the comments that say which lines are marked."""
        return "\n".join(line for line in text.rstrip("\n").splitlines() if "highlight-" not in line)

    def code(pages: Iterator[Page | Skipped]) -> dict[str, list[str]]:
        return {
            page.path: [shown(b.text) for s in page.sections for b in s.blocks if b.kind == "code"]
            for page in pages
            if isinstance(page, Page)
        }

    written = code(read_markdown(find_layout(SITE)))

    assert sum(map(len, written.values())) > 50
    assert code(read_build(built(SITE / "build"), source_dir=SITE)) == written
