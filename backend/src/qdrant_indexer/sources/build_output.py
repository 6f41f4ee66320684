"""A built site as `Page`s: those of its manifest, or else of its sitemaps. Holds one page at a time.

Files are never searched for: a build also holds redirects, lists of tags, and pages that say there is no such page.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from chatbot_api.errors import SourceError
from chatbot_api.models.domain import Page
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.html import (
    HtmlDocument,
    HtmlHead,
    Kind,
    NoDocument,
    find_alternates,
    read_head,
    read_html,
)
from qdrant_indexer.sources.merge import SiteSources, merge_sections
from qdrant_indexer.sources.sitemap import MAX_SITEMAP_BYTES, SITEMAP, Sitemap, latest_tags, read_sitemap
from qdrant_indexer.sources.slugs import served_path

logger = logging.getLogger(__name__)

MANIFEST = "askbook-manifest.json"
MAX_MANIFEST_BYTES = 50_000_000
MAX_PAGE_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class BuildSite:
    """What a build says of its site; without a manifest that is its address and default locale."""

    site_url: str = ""
    """Scheme and host, without a trailing slash."""
    revision: str = ""
    locales: tuple[str, ...] = ()
    default_locale: str = ""
    last_versions: Mapping[str, str] = field(default_factory=dict)
    """Of each docs instance, the version that readers see without choosing one."""


def is_build(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() or (folder / SITEMAP).is_file()


def read_site(folder: Path) -> BuildSite:
    """Raises `SourceError`, whose text says what to do."""
    root = _root(folder)
    if not (manifests := _read_manifests(root)):
        address = _SITE.match("".join(_open_sitemap(root / SITEMAP).addresses[:1]))
        return BuildSite(site_url=address[0] if address else "", default_locale=_head(root, root / "index.html").locale)
    manifest = manifests[0][1]
    return BuildSite(
        site_url=manifest.site.url.rstrip("/"),
        revision=manifest.revision,
        locales=manifest.site.locales,
        default_locale=manifest.site.default_locale,
        last_versions={plugin: version for (plugin, version), is_last in manifest.versions() if is_last},
    )


def read_build(folder: Path, *, source_dir: Path | None = None) -> Iterator[Page | Skipped]:
    """Every page of the site in reading order, or with the reason why it is none.

    `source_dir` is the folder the site was built from: what HTML cannot hold is taken from there, where a manifest
    names the sources. Raises `SourceError`, whose text says what to do.
    """
    root = _root(folder)
    if manifests := _read_manifests(root):
        return _listed_pages(root, manifests, SiteSources(source_dir) if source_dir else None)
    return _mapped_pages(root)


def _root(folder: Path) -> Path:
    if is_build(folder):
        return folder.resolve()
    built = folder / "build"
    what = f"give {built}" if is_build(built) else "build your site (npm run build) and give the folder that it writes"
    raise SourceError(f"{folder} is no built site, for it holds neither {MANIFEST} nor {SITEMAP}: {what}.")


# By manifest -------------------------------------------------------------------------------------------


class _Wire(BaseModel):
    """Written by docusaurus-plugin-askbook, whose README says what it all means. What we do not use is left out."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class _Site(_Wire):
    url: str
    no_index: bool = False
    """The whole site keeps search engines away. We are none, and its pages are flagged one by one if they are."""
    locale: str
    default_locale: str = ""
    locales: tuple[str, ...] = ()


class _Version(_Wire):
    name: str
    is_last: bool = False


class _Docs(_Wire):
    plugin_id: str
    versions: tuple[_Version, ...] = ()


class _Listed(_Wire):
    kind: Kind
    route: str = Field(pattern=r"^/")
    file: str
    title: str | None = None
    source: str | None = None
    plugin_id: str = "default"
    version: str | None = None
    breadcrumbs: tuple[str, ...] = ()
    position: int | None = None
    unlisted: bool = False
    no_index: bool = False


class _Manifest(_Wire):
    askbook: Literal[1]
    revision: str = ""
    site: _Site
    docs: tuple[_Docs, ...] = ()
    pages: tuple[_Listed, ...]

    def versions(self) -> Iterator[tuple[tuple[str, str], bool]]:
        """By instance and name, and whether it is its instance's last."""
        return (((docs.plugin_id, each.name), each.is_last) for docs in self.docs for each in docs.versions)


def _read_manifests(root: Path) -> list[tuple[str, _Manifest]]:
    """Each with its folder, as a path in the build: the root's own, and those of the other locales."""
    if not (root / MANIFEST).is_file():
        return []
    others = sorted(path.parent.name for path in root.glob(f"*/{MANIFEST}"))
    return [(folder, _read_manifest(root, f"{folder}{MANIFEST}")) for folder in ("", *(f"{name}/" for name in others))]


def _read_manifest(root: Path, name: str) -> _Manifest:
    file = root / name
    try:
        if not file.resolve().is_relative_to(root):
            raise SourceError(f"{file} is a link that leaves the folder: replace it with the file.")
        if file.stat().st_size > MAX_MANIFEST_BYTES:
            raise SourceError(f"{file} is larger than {MAX_MANIFEST_BYTES // 1_000_000} MB: build the site again.")
        values = json.loads(file.read_bytes())
        written = values.get("askbook") if isinstance(values, dict) else None
        if isinstance(written, int) and written != 1:
            raise SourceError(
                f"{file} is of format {written} and this Askbook reads format 1: "
                "bring Askbook and docusaurus-plugin-askbook to the same release."
            )
        return _Manifest.model_validate(values)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole of it"
        raise SourceError(f"{file} is no manifest ({where}: {first['msg']}): build the site again.") from exc
    except (OSError, ValueError, RecursionError) as exc:
        raise SourceError(f"{file} cannot be read as JSON ({exc}): build the site again.") from exc


def _listed_pages(
    root: Path, manifests: Iterable[tuple[str, _Manifest]], sources: SiteSources | None
) -> Iterator[Page | Skipped]:
    taken: dict[str, str] = {}
    for folder, manifest in manifests:
        positions: Counter[str] = Counter()
        is_last = dict(manifest.versions())
        for listed in _in_reading_order(manifest.pages):
            source = _source(listed, folder)
            if listed.unlisted or listed.no_index:
                reason = "it is marked as unlisted" if listed.unlisted else "it asks not to be indexed"
                yield Skipped(source, reason, "excluded")
                continue
            if other := taken.get(listed.route.rstrip("/")):
                yield Skipped(source, f"its address {listed.route} is already that of {other}", "bad")
                continue
            document = _read_page(root, root / folder / listed.file, heed_noindex=not manifest.site.no_index)
            if isinstance(document, NoDocument):
                # A layout of its own is usual for what is written in React, and a fault in a document.
                kind = document.kind if listed.kind == "page" else "bad"
                yield Skipped(source, f"{document.reason}: {folder}{listed.file}", kind)
                continue
            written = sources.find_sections(listed.source, document) if sources and listed.source else ()
            version = listed.version or "current"
            tag = f"docs-{listed.plugin_id}-{version}" if listed.kind == "doc" else "default"
            yield Page(
                path=listed.route,
                title=_title(listed.title or "", document.title) or listed.route,
                source=source,
                sections=merge_sections(document, written) if written else document.sections,
                version=version,
                locale=manifest.site.locale,
                tag=tag,
                latest=listed.kind != "doc" or is_last.get((listed.plugin_id, version), True),
                breadcrumbs=listed.breadcrumbs,
                position=positions[tag],
            )
            positions[tag] += 1
            taken[listed.route.rstrip("/")] = source


def _in_reading_order(pages: Iterable[_Listed]) -> list[_Listed]:
    """Positions count within a kind, instance and version; those follow each other as they are first named."""
    lists: dict[object, int] = {}
    keys = [(lists.setdefault((page.kind, page.plugin_id, page.version), len(lists)), page) for page in pages]
    return [page for _, page in sorted(keys, key=lambda key: (key[0], key[1].position or 0))]


def _source(listed: _Listed, folder: str) -> str:
    """Of a document in `docs/`, as the Markdown reader names it."""
    if listed.kind == "doc" and listed.plugin_id == "default" and listed.source:
        return listed.source.removeprefix("docs/")
    return listed.source or folder + listed.file


def _title(listed: str, shown: str) -> str:
    """The title Docusaurus knows; as it is shown, where the two differ in nothing but marks such as backticks."""
    return shown if not listed or _letters(listed) == _letters(shown) else listed


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


# By sitemaps -------------------------------------------------------------------------------------------

_SITE = re.compile(r"https?://[^/?#\s]+")
_SAMPLE = 50
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class _Address:
    path: str
    parts: tuple[str, ...]
    """Between its slashes, still encoded. None of them leads upwards."""


@dataclass(frozen=True, slots=True)
class _Mapped:
    path: str
    file: Path
    version: str
    locale: str
    tag: str


def _mapped_pages(root: Path) -> Iterator[Page | Skipped]:
    found = list(_find_mapped(root))
    latest = latest_tags(each for each in found if isinstance(each, _Mapped))
    positions: Counter[tuple[str, str]] = Counter()
    for mapped in found:
        if isinstance(mapped, Skipped):
            yield mapped
            continue
        source = mapped.file.relative_to(root).as_posix()
        document = _read_page(root, mapped.file)
        if isinstance(document, NoDocument):
            yield Skipped(source, document.reason, document.kind)
            continue
        yield Page(
            path=served_path(mapped.path, "/", None),
            title=document.title or mapped.path,
            source=source,
            sections=document.sections,
            version=mapped.version,
            locale=mapped.locale,
            tag=mapped.tag,
            latest=mapped.tag in latest,
            breadcrumbs=document.breadcrumbs,
            position=positions[mapped.tag, mapped.locale],
        )
        positions[mapped.tag, mapped.locale] += 1


def _find_mapped(root: Path) -> Iterator[_Mapped | Skipped]:
    """What the sitemaps name, each page once, with what its head says of it."""
    taken: set[tuple[str, ...]] = set()
    for file, sitemap in _sitemaps(root):
        if sitemap.trouble:
            yield Skipped(file.relative_to(root).as_posix(), sitemap.trouble, "bad")
        base = _base(file.parent, list(filter(None, map(_parse, sitemap.addresses[:_SAMPLE]))))
        for text in sitemap.addresses:
            address = _parse(text)
            page = _file_of(file.parent, address, base) if address else None
            if not address or not page:
                yield Skipped(text[:_LONGEST_NAME], f"{SITEMAP} names it, and the build has no such page", "bad")
            elif address.parts not in taken:
                taken.add(address.parts)
                head = _head(root, page)
                version, tag = head.version or "current", head.docusaurus_tag or "default"
                yield _Mapped(address.path, page, version, head.locale or "en", tag)


def _sitemaps(root: Path) -> Iterator[tuple[Path, Sitemap]]:
    """Each once. Docusaurus writes one into the folder of each locale, and links none to another."""
    candidates = [root / SITEMAP, *sorted(root.glob(f"*/{SITEMAP}"))]
    with suppress(_Unreadable):
        for link in find_alternates(_read_text(root, root / "index.html")):
            candidates += _named_by(root, link, SITEMAP)
    seen: set[Path] = set()
    for file in candidates:
        if not _is_file(file) or (real := file.resolve()) in seen:
            continue
        seen.add(real)
        sitemap = _open_sitemap(file) if real.is_relative_to(root) else Sitemap(trouble=_LEAVES)
        if sitemap.is_index:
            for link in sitemap.addresses:
                candidates += _named_by(root, link)
            sitemap = Sitemap(trouble=sitemap.trouble)
        yield file, sitemap


def _open_sitemap(file: Path) -> Sitemap:
    if file.stat().st_size > MAX_SITEMAP_BYTES:
        return Sitemap(trouble=f"it is larger than {MAX_SITEMAP_BYTES // 1_000_000} MB")
    return read_sitemap(file.read_text("utf-8", "replace"))


def _named_by(root: Path, link: str, *below: str) -> list[Path]:
    """What a link may name in the build, whatever the base URL is."""
    address = _parse(link)
    names = [unquote(part) for part in address.parts] if address else []
    return [root.joinpath(*names[base:], *below) for base in range(len(names))]


def _parse(link: str) -> _Address | None:
    try:
        path = urlsplit(link).path or "/"
    except ValueError:
        return None
    parts = tuple(part for part in path.split("/") if part)
    names = map(unquote, parts)
    return None if any(name in (".", "..") or "/" in name or "\0" in name for name in names) else _Address(path, parts)


def _base(folder: Path, sample: list[_Address]) -> int:
    """How many parts of each address are the base URL, which no sitemap tells: with it the most files are found."""
    deepest = max((len(address.parts) for address in sample), default=0)
    return max(
        range(deepest + 1), key=lambda base: len({_file_of(folder, address, base) for address in sample} - {None})
    )


def _file_of(folder: Path, address: _Address, base: int) -> Path | None:
    """What a host serves at an address: that depends on the site's `trailingSlash`."""
    parts = address.parts[base:]
    if len(address.parts) < base:
        return None
    for names in ([unquote(part) for part in parts], parts):
        page = folder.joinpath(*names)
        files = [page / "index.html"]
        if names:
            files.insert(address.path.endswith("/"), page.with_name(f"{page.name}.html"))
            files += [page] if page.suffix == ".html" else []
        if file := next(filter(_is_file, files), None):
            return file
    return None


# Files -------------------------------------------------------------------------------------------------

_LEAVES = "it lies outside the folder"


class _Unreadable(Exception):
    """A file that gives no text; the text says why."""


def _read_page(root: Path, file: Path, *, heed_noindex: bool = True) -> HtmlDocument | NoDocument:
    try:
        return read_html(_read_text(root, file), heed_noindex=heed_noindex)
    except _Unreadable as exc:
        return NoDocument(str(exc), "bad")
    except Exception as exc:
        # A fault of ours: this page's, and no other's.
        logger.exception("page failed file=%s", file.name)
        return NoDocument(f"Askbook failed to read it: {type(exc).__name__}", "bad")


def _head(root: Path, file: Path) -> HtmlHead:
    try:
        return read_head(_read_text(root, file))
    except _Unreadable:
        return HtmlHead()


def _read_text(root: Path, file: Path) -> str:
    """Raises `_Unreadable`."""
    try:
        real = file.resolve(strict=True)
        if not real.is_relative_to(root):
            raise _Unreadable(_LEAVES)
        if not real.is_file():
            raise _Unreadable("it is not a file")
        if real.stat().st_size > MAX_PAGE_BYTES:
            raise _Unreadable(f"it is larger than {MAX_PAGE_BYTES // 1_000_000} MB")
        return real.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as exc:
        raise _Unreadable("it is not in the build") from exc
    except UnicodeDecodeError as exc:
        raise _Unreadable("it is not UTF-8 text") from exc
    except (OSError, RuntimeError, ValueError) as exc:
        # A loop of links, or a name that no file can have.
        raise _Unreadable("it cannot be read") from exc


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
