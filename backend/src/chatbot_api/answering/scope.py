"""What a reader asked to be searched, held against what there is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from chatbot_api.errors import UnknownPage, UnknownScope
from chatbot_api.models.domain import PageSummary, Scope, WantedScope
from chatbot_api.models.paths import ancestors, normal_path

_NAMED = 10


class Catalog:
    """The pages of one generation, ready to be looked up."""

    def __init__(self, pages: Sequence[PageSummary], default_locale: str) -> None:
        self.versions = sorted({page.version for page in pages if page.version})
        self.locales = sorted({page.locale for page in pages})
        self._default_locale = default_locale if default_locale in self.locales else None
        self._by_path = {normal_path(page.path): page for page in pages}
        self._prefixes = {prefix for path in self._by_path for prefix in ancestors(path)}
        self._tags = {page.tag: page for page in pages}
        self._latest = {page.tag for page in pages if page.latest}

    def resolve(self, wanted: WantedScope, page: str | None) -> tuple[Scope, PageSummary | None]:
        """The scope in the index's terms, and the page the reader is on.

        Without a version or locale of its own, a question is about those of the reader's page, else about the latest
        versions and the default locale; pages that it names bring their own. Raises `UnknownPage` or `UnknownScope`,
        naming what there is.
        """
        here = self.page(page) if page else None
        last = self.page(wanted.up_to) if wanted.up_to else None
        prefix = normal_path(wanted.path_prefix) if wanted.path_prefix else None
        if prefix is not None and prefix not in self._prefixes:
            raise UnknownScope(f"scope.path_prefix {wanted.path_prefix!r} holds no page. {self._similar(prefix)}")
        named = tuple(dict.fromkeys(self.page(path).path for path in wanted.pages))
        locale = _known("locale", wanted.locale, self.locales)
        if locale is None and (last or not named):
            stand = last or here
            locale = stand.locale if stand else self._default_locale
        version = _known("version", wanted.version, self.versions)
        if last and (version or last.version, locale) != (last.version, last.locale):
            raise UnknownScope(
                f"scope.up_to {wanted.up_to!r} is a page of another version or locale than scope asks for."
            )
        tags = {last.tag} if last else self._tags_for(version, here, everywhere=bool(named))
        scope = Scope(
            tags=None if tags >= self._tags.keys() else tuple(sorted(tags)),
            locale=locale,
            path_prefix=prefix,
            up_to_position=last.position if last else None,
            pages=named or None,
        )
        return scope, here

    def within(self, wanted: WantedScope) -> list[PageSummary]:
        """The pages of that version and locale. Raises `UnknownScope`."""
        scope, _ = self.resolve(wanted, None)
        return [
            page
            for page in self._by_path.values()
            if (scope.tags is None or page.tag in scope.tags) and scope.locale in (None, page.locale)
        ]

    def find(self, path: str) -> PageSummary | None:
        return self._by_path.get(normal_path(path))

    def page(self, path: str) -> PageSummary:
        """Raises `UnknownPage`, naming pages that are called much the same."""
        found = self.find(path)
        if found is None:
            raise UnknownPage(f"page {path!r} is not in the index. {self._similar(normal_path(path))}")
        return found

    def _tags_for(self, version: str | None, here: PageSummary | None, *, everywhere: bool) -> set[str]:
        """Of each docs instance one version: the one asked for, the reader's, or the latest; or all of them."""
        if version is not None:
            return {tag for tag, page in self._tags.items() if page.version == version}
        if everywhere:
            return set(self._tags)
        if here is None:
            return set(self._latest)
        others = {tag for tag in self._latest if _instance(self._tags[tag]) != _instance(here)}
        return {here.tag, *others}

    def _similar(self, path: str) -> str:
        paths = list(self._by_path)
        close = get_close_matches(path, paths, n=_NAMED, cutoff=0.5) or paths[:_NAMED]
        return f"Known pages{'' if len(close) == len(paths) else ' include'}: {', '.join(close)}."


def _instance(page: PageSummary) -> str:
    """`docs-community-2.0` is version 2.0 of the instance `docs-community`."""
    return page.tag.removesuffix(f"-{page.version}")


def _known(name: str, value: str | None, known: Sequence[str]) -> str | None:
    if value is not None and value not in known:
        raise UnknownScope(f"scope.{name} {value!r} is not in the index. Known: {', '.join(known)}.")
    return value
