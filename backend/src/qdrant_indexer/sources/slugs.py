"""Docusaurus' naming rules: heading ids, number prefixes, document paths. Pure; opens no file and reads no Markdown."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import quote

import regex

_NOT_IN_IDS = regex.compile(r"[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\- ]")
_DATE_OR_VERSION = re.compile(r"[0-9]+[-_.][0-9]+")
_NUMBER_PREFIX = re.compile(r"([0-9]+)\s*[-_.]+\s*([^-_.\s].*)")
_AS_IN_URLS = ";,/?:@&=+$!~*'()#%"
"""What JavaScript's `encodeURI` leaves alone, and `%`, because a slug may be written encoded."""


class BadPath(ValueError):
    """A document that Docusaurus gives no address; the text says why."""


class Slugger:
    """The heading ids of one file, as github-slugger 1.5 makes them: each is given once."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def slug(self, text: str) -> str:
        plain = slug = _NOT_IN_IDS.sub("", text.lower()).replace(" ", "-")
        while slug in self._given:
            self._given[plain] += 1
            slug = f"{plain}-{self._given[plain]}"
        self._given[slug] = 0
        return slug


def split_prefix(name: str) -> tuple[int | None, str]:
    """`02-install` is (2, `install`); a name without a number prefix is (None, itself)."""
    match = None if _DATE_OR_VERSION.match(name) else _NUMBER_PREFIX.fullmatch(name)
    return (int(match[1]), match[2]) if match else (None, name)


def strip_prefixes(path: str) -> str:
    return "/".join(split_prefix(part)[1] for part in path.split("/"))


def is_index(source: str) -> bool:
    """Whether the file stands for its folder: `index`, `readme`, or named like the folder."""
    folder, file = posixpath.split(source)
    return posixpath.splitext(file)[0].lower() in ("index", "readme", posixpath.basename(folder).lower())


def local_id(source: str, own_id: str | None, *, strip: bool = True) -> str:
    """The last part of a document's id: the front matter's, or the file's name."""
    stem = posixpath.splitext(posixpath.basename(source))[0]
    name = own_id if own_id is not None else split_prefix(stem)[1] if strip else stem
    if "/" in name:
        raise BadPath(f"its id {name!r} must not hold a slash")
    return name


def doc_id(source: str, own_id: str | None = None, *, strip: bool = True) -> str:
    folder = posixpath.dirname(source)
    return posixpath.join(strip_prefixes(folder) if strip else folder, local_id(source, own_id, strip=strip))


def doc_slug(source: str, own_id: str | None = None, own_slug: str | None = None, *, strip: bool = True) -> str:
    """The document's path below its version: always from `/`, with a trailing slash where it stands for a folder."""
    slug = own_slug or ""
    if not slug.startswith("/"):
        folder = posixpath.dirname(source)
        folder = f"/{strip_prefixes(folder) if strip else folder}/".replace("//", "/")
        if not slug and is_index(source):
            return folder
        slug = _resolve(folder, slug if own_slug is not None else local_id(source, own_id, strip=strip))
    if any(mark in slug for mark in "?#\\") or {".", ".."} & set(slug.split("/")):
        raise BadPath(f"its slug {slug!r} is not a path")
    return slug


def permalink(base_url: str, route_base_path: str, slug: str) -> str:
    """The address Docusaurus keeps in its own metadata: unencoded, before `trailingSlash`."""
    return re.sub("/+", "/", f"/{base_url}/{route_base_path}/{slug}")


def served_path(link: str, base_url: str, trailing_slash: bool | None) -> str:
    """The path as the site serves it: after `trailingSlash`, encoded as in the sitemap."""
    if trailing_slash is not None and link not in ("/", base_url):
        link = link.rstrip("/") + "/" * trailing_slash
    return quote(link, safe=_AS_IN_URLS)


def _resolve(folder: str, slug: str) -> str:
    path = posixpath.normpath(folder + slug)
    return path if path == "/" or not re.search(r"(^|/)\.{0,2}$", slug) else path + "/"
