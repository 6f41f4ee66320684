"""Which part of a book with versions, languages and several handbooks a question is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chatbot_api.answering.scope import Catalog
from chatbot_api.errors import UnknownPage, UnknownScope
from chatbot_api.models.domain import PageSummary, Scope, WantedScope


def page(
    path: str,
    version: str,
    *,
    instance: str = "docs-default",
    latest: bool = False,
    locale: str = "en",
    position: int = 0,
) -> PageSummary:
    return PageSummary(
        path=path,
        breadcrumbs=(),
        title=path,
        source=path,
        version=version,
        locale=locale,
        tag=f"{instance}-{version}" if instance else "default",
        latest=latest,
        position=position,
    )


NEXT = page("/docs/next/a", "current")
LAST = page("/docs/a", "2.0", latest=True, position=3)
OLD = page("/docs/1.0/a/", "1.0", position=1)
OTHER = page("/community/a", "current", instance="docs-community", latest=True)
OTHER_OLD = page("/community/1.0/a", "1.0", instance="docs-community")
POST = page("/blog/a", "", instance="", latest=True)
GERMAN = replace(LAST, path="/de/docs/a", locale="de")
BOOK = Catalog([NEXT, LAST, OLD, OTHER, OTHER_OLD, POST, GERMAN], "en")


def tags(wanted: WantedScope | None = None, page: str | None = None) -> set[str] | None:
    found = BOOK.resolve(wanted or WantedScope(), page)[0].tags
    return None if found is None else set(found)


LATEST = {"docs-default-2.0", "docs-community-current", "default"}


def test_without_a_wish_readers_get_the_latest_of_everything_in_the_default_locale() -> None:
    scope, here = BOOK.resolve(WantedScope(), None)

    assert (set(scope.tags or ()), scope.locale, here) == (LATEST, "en", None)


def test_a_reader_of_an_old_version_gets_that_version_and_the_latest_of_the_other_handbooks() -> None:
    assert tags(page="/docs/1.0/a") == {"docs-default-1.0", "docs-community-current", "default"}
    assert tags(page="/community/1.0/a") == {"docs-community-1.0", "docs-default-2.0", "default"}


def test_a_reader_of_a_page_without_a_version_gets_the_latest_of_everything() -> None:
    assert tags(page="/blog/a") == LATEST


def test_a_version_that_is_named_is_searched_in_every_handbook_that_has_it() -> None:
    assert tags(WantedScope(version="1.0"), page="/docs/a") == {"docs-default-1.0", "docs-community-1.0"}


def test_the_readers_page_names_the_language_unless_the_reader_does() -> None:
    assert BOOK.resolve(WantedScope(), "/de/docs/a")[0].locale == "de"
    assert BOOK.resolve(WantedScope(locale="en"), "/de/docs/a")[0].locale == "en"


def test_up_to_a_page_means_its_own_handbook_version_and_language() -> None:
    scope, _ = BOOK.resolve(WantedScope(up_to="/docs/1.0/a"), "/de/docs/a")

    assert scope == Scope(tags=("docs-default-1.0",), locale="en", up_to_position=1)


def test_a_book_of_one_version_needs_no_filter() -> None:
    scope, _ = Catalog([LAST], "en").resolve(WantedScope(), None)

    assert scope == Scope(locale="en")


def test_a_default_locale_that_is_not_indexed_is_no_bound() -> None:
    assert Catalog([GERMAN], "en").resolve(WantedScope(), None)[0].locale is None


@pytest.mark.parametrize("path", ["/docs/1.0/a", "/docs/1.0/a/", "docs/1.0/a", "/docs/1.0/a?x=1#y", " /docs/1.0/a "])
def test_a_page_is_known_however_its_path_is_written(path: str) -> None:
    assert BOOK.page(path) == OLD


@pytest.mark.parametrize(
    ("wanted", "error", "named"),
    [
        (WantedScope(version="3.0"), UnknownScope, "Known: 1.0, 2.0, current"),
        (WantedScope(locale="fr"), UnknownScope, "Known: de, en"),
        (WantedScope(path_prefix="/doc"), UnknownScope, "/docs/a"),
        (WantedScope(up_to="/docs/b"), UnknownPage, "/docs/a"),
        (WantedScope(up_to="/docs/a", version="1.0"), UnknownScope, "another version"),
        (WantedScope(up_to="/docs/a", locale="de"), UnknownScope, "another version or locale"),
    ],
)
def test_what_is_not_there_is_refused_naming_what_is(wanted: WantedScope, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        BOOK.resolve(wanted, None)


def test_a_prefix_holds_the_pages_below_it_and_itself() -> None:
    assert BOOK.resolve(WantedScope(path_prefix="/docs/1.0/"), None)[0].path_prefix == "/docs/1.0"
    assert BOOK.resolve(WantedScope(path_prefix="/"), None)[0].path_prefix == "/"


def test_pages_that_are_named_bring_their_version_and_locale() -> None:
    scope, _ = BOOK.resolve(WantedScope(pages=("/docs/1.0/a/", "/de/docs/a", "/docs/1.0/a")), "/docs/a")

    assert scope == Scope(tags=None, locale=None, pages=("/docs/1.0/a/", "/de/docs/a"))


def test_a_version_that_is_asked_for_holds_for_named_pages_too() -> None:
    scope, _ = BOOK.resolve(WantedScope(pages=("/docs/a",), version="1.0", locale="en"), None)

    assert scope.tags == ("docs-community-1.0", "docs-default-1.0")
    assert (scope.locale, scope.pages) == ("en", ("/docs/a",))


def test_a_named_page_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownPage, match="/docs/nowhere"):
        BOOK.resolve(WantedScope(pages=("/docs/nowhere",)), None)
