"""What `askbook index SOURCE` reads: one of the readers, and what is known of the book before a page is read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from chatbot_api.models.domain import Page
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.build_output import BuildSite, is_build, read_build, read_site
from qdrant_indexer.sources.fingerprint import fingerprint
from qdrant_indexer.sources.layout import SiteLayout, find_layout, is_site
from qdrant_indexer.sources.markdown import read_markdown

_WRITTEN: Final = (".md", ".mdx", ".json", ".yml", ".yaml")
_BUILT: Final = (".html", ".xml", ".json")


class Source(Protocol):
    """A book that can be read. Opening one raises `SourceError`, whose text says what to do."""

    @property
    def site_url(self) -> str:
        """Where the book is published; empty where the source does not say."""
        ...

    @property
    def default_locale(self) -> str: ...

    def revision(self) -> str:
        """The commit it was made from; empty where that is not known."""
        ...

    def fingerprint(self) -> str:
        """A hash of everything that reading depends on."""
        ...

    def pages(self) -> Iterator[Page | Skipped]: ...


@contextmanager
def open_source(
    place: str, fetched: Path, on_fetched: Callable[[int, int], None] = lambda *_: None
) -> Generator[Source, None, None]:
    """An address is a published site, whose pages are kept in the file `fetched`; a folder with a manifest or a sitemap
    is a built one; any other is one of Markdown. Fetching reports how many pages of how many it has brought."""
    if place.startswith(("http://", "https://")):
        from qdrant_indexer.sources.live import PageCache, fetch_live

        with PageCache(fetched) as cache:
            yield fetch_live(place, cache, on_progress=on_fetched)
    elif is_build(Path(place)):
        yield BuiltSource(Path(place), read_site(Path(place)))
    else:
        yield MarkdownSource(find_layout(Path(place)))


@dataclass(frozen=True, slots=True)
class MarkdownSource:
    layout: SiteLayout

    @property
    def site_url(self) -> str:
        return self.layout.site_url

    @property
    def default_locale(self) -> str:
        return self.layout.locale

    def revision(self) -> str:
        return _commit(self.layout.docs_dir)

    def fingerprint(self) -> str:
        return fingerprint(self.layout.site_dir or self.layout.docs_dir, _WRITTEN, settings=self.layout)

    def pages(self) -> Iterator[Page | Skipped]:
        return read_markdown(self.layout)


@dataclass(frozen=True, slots=True)
class BuiltSource:
    folder: Path
    site: BuildSite

    @property
    def site_url(self) -> str:
        return self.site.site_url

    @property
    def default_locale(self) -> str:
        return self.site.default_locale or "en"

    def revision(self) -> str:
        return self.site.revision

    def fingerprint(self) -> str:
        built = fingerprint(self.folder, _BUILT, settings="build", leave_out=())
        return built if self._written is None else built + fingerprint(self._written, _WRITTEN, settings="source")

    def pages(self) -> Iterator[Page | Skipped]:
        return read_build(self.folder, source_dir=self._written)

    @property
    def _written(self) -> Path | None:
        """The site that the build stands in, as Docusaurus puts it there."""
        return self.folder.resolve().parent if is_site(self.folder.resolve().parent) else None


def _commit(folder: Path) -> str:
    try:
        found = subprocess.run(  # noqa: S603 - a fixed command over a folder the owner named
            ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
