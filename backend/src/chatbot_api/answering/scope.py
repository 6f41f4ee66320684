"""What a reader asked to be searched, held against what there is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from chatbot_api.errors import UnknownPage, UnknownScope
from chatbot_api.models.domain import PageSummary, Scope

_NAMED = 10


@dataclass(frozen=True, slots=True)
class WantedScope:
    """As the reader sent it."""

    version: str | None = None
    locale: str | None = None
    path_prefix: str | None = None
    up_to: str | None = None
    """A page: only it and what comes before it in the reading order."""


def resolve(wanted: WantedScope, page: str | None, pages: Sequence[PageSummary]) -> tuple[Scope, PageSummary | None]:
    """The scope in the index's terms, and the page the reader is on.

    Without a version or locale of its own, a question is about those of the reader's page. Raises `UnknownPage` or
    `UnknownScope` with a sentence that names what there is.
    """
    here = _find(page, pages) if page else None
    version = _known("version", wanted.version, [p.version for p in pages]) or (here.version if here else None)
    locales = {p.locale for p in pages}
    locale = _known("locale", wanted.locale, sorted(locales)) or (here.locale if here else None)
    if locale is None and len(locales) == 1:
        (locale,) = locales
    prefix = normal_path(wanted.path_prefix) if wanted.path_prefix else None
    if prefix and not any(is_below(p.path, prefix) for p in pages):
        raise UnknownScope(f"scope.path_prefix {wanted.path_prefix!r} holds no page. {_similar(prefix, pages)}")
    position = None
    if wanted.up_to:
        last = _find(wanted.up_to, pages)
        position = last.position
        version, locale = version or last.version, locale or last.locale
    return Scope(version=version, locale=locale, path_prefix=prefix, up_to_position=position), here


def normal_path(path: str) -> str:
    """Without query, hash and trailing slash: `/docs/intro/?x#y` is `/docs/intro`."""
    path = path.strip().split("#", 1)[0].split("?", 1)[0]
    return "/" + path.strip("/")


def is_below(path: str, prefix: str) -> bool:
    path = normal_path(path)
    return prefix == "/" or path == prefix or path.startswith(prefix + "/")


def _find(path: str, pages: Sequence[PageSummary]) -> PageSummary:
    wanted = normal_path(path)
    for page in pages:
        if normal_path(page.path) == wanted:
            return page
    raise UnknownPage(f"page {path!r} is not in the index. {_similar(wanted, pages)}")


def _known(name: str, value: str | None, known: Sequence[str]) -> str | None:
    if value is not None and value not in known:
        raise UnknownScope(f"scope.{name} {value!r} is not in the index. Known: {', '.join(sorted(set(known)))}.")
    return value


def _similar(path: str, pages: Sequence[PageSummary]) -> str:
    paths = [page.path for page in pages]
    close = get_close_matches(path, paths, n=_NAMED, cutoff=0.5) or paths[:_NAMED]
    return f"Known pages{'' if len(close) == len(paths) else ' include'}: {', '.join(close)}."
