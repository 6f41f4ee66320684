"""Heading ids and addresses, as Docusaurus makes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_indexer.sources.slugs import (
    BadPath,
    Slugger,
    doc_id,
    doc_slug,
    is_index,
    permalink,
    served_path,
    split_prefix,
)


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Hello, World!", "hello-world"),
        ("a   b", "a---b"),
        ("x ", "x-"),
        ("snake_case-and.dots", "snake_case-anddots"),
        ("expr {1 + 1} end", "expr-1--1-end"),
        ("Über Größe ²", "über-größe-"),
        ("日本語 テスト", "日本語-テスト"),
        ("cafe\u0301", "cafe\u0301"),
        ("👍 done", "-done"),
        ("İ", "i\u0307"),
        ("Foo\nbar", "foobar"),
        ("a\u00a0b", "ab"),
        ("", ""),
    ],
)
def test_a_slug_keeps_letters_marks_digits_and_connectors(text: str, slug: str) -> None:
    assert Slugger().slug(text) == slug


def test_a_slug_is_given_once() -> None:
    slugger = Slugger()

    slugs = [slugger.slug(text) for text in ("Hello World", "hello world", "Hello World-1", "hello world")]

    assert slugs == ["hello-world", "hello-world-1", "hello-world-1-1", "hello-world-2"]


@given(st.lists(st.text()))
def test_slugs_of_one_file_never_repeat(texts: list[str]) -> None:
    slugger = Slugger()

    slugs = [slugger.slug(text) for text in texts]

    assert len(set(slugs)) == len(slugs)


@pytest.mark.parametrize(
    ("name", "number", "rest"),
    [
        ("01-intro", 1, "intro"),
        ("003 - spaced", 3, "spaced"),
        ("10_y", 10, "y"),
        ("1--x", 1, "x"),
        ("2.name", 2, "name"),
        ("2021-11-foo", None, "2021-11-foo"),
        ("7.0-foo", None, "7.0-foo"),
        ("1-2-3", None, "1-2-3"),
        ("intro", None, "intro"),
        ("1-", None, "1-"),
        ("42", None, "42"),
    ],
)
def test_a_number_prefix_is_neither_a_date_nor_a_version(name: str, number: int | None, rest: str) -> None:
    assert split_prefix(name) == (number, rest)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("guides/index.md", True),
        ("guides/README.mdx", True),
        ("01-guides/01-Guides.md", True),
        ("guides/guides.md", True),
        ("01-guides/guides.md", False),
        ("index.md", True),
        ("guides/other.md", False),
    ],
)
def test_a_folder_is_represented_by_index_readme_or_its_namesake(source: str, expected: bool) -> None:
    assert is_index(source) is expected


def test_an_id_is_the_stripped_folders_and_the_front_matters_id_or_the_stripped_name() -> None:
    assert doc_id("01-guides/02-install.md") == "guides/install"
    assert doc_id("01-guides/02-install.md", "set-up") == "guides/set-up"
    assert doc_id("01-guides/02-install.md", strip=False) == "01-guides/02-install"
    assert doc_id("intro.md") == "intro"


def test_an_id_with_a_slash_is_refused() -> None:
    with pytest.raises(BadPath, match="slash"):
        doc_slug("a.md", "b/c")


@pytest.mark.parametrize(
    ("source", "slug", "expected"),
    [
        ("01-a/02-b/page.md", None, "/a/b/page"),
        ("a/page.md", "/elsewhere", "/elsewhere"),
        ("a/page.md", "/", "/"),
        ("a/page.md", "other", "/a/other"),
        ("a/b/page.md", "../up-one", "/a/up-one"),
        ("a/b/page.md", "../../../../far", "/far"),
        ("a/page.md", "./same/", "/a/same/"),
        ("a/b/page.md", "..", "/a/"),
        ("a/index.md", None, "/a/"),
        ("a/README.md", None, "/a/"),
        ("01-a/01-A.md", None, "/a/"),
        ("index.md", None, "/"),
        ("a/index.md", "named", "/a/named"),
        ("CaseDir/UPPER.md", None, "/CaseDir/UPPER"),
        ("With Space/some file.md", None, "/With Space/some file"),
        ("2021-11-x/7.0-foo.md", None, "/2021-11-x/7.0-foo"),
    ],
)
def test_a_slug_comes_from_the_front_matter_or_from_the_path(source: str, slug: str | None, expected: str) -> None:
    assert doc_slug(source, None, slug) == expected


def test_prefixes_that_are_not_parsed_stay_in_folder_and_name() -> None:
    assert doc_slug("01-a/02-b.md", strip=False) == "/01-a/02-b"


def test_the_front_matters_id_names_the_last_part_of_the_address() -> None:
    assert doc_slug("a/page.md", "my-id") == "/a/my-id"


@pytest.mark.parametrize("slug", ["/a?b", "/a#b", "/a/../b", "/.", "/a\\b"])
def test_a_slug_that_is_no_path_is_refused(slug: str) -> None:
    with pytest.raises(BadPath, match="not a path"):
        doc_slug("a.md", None, slug)


@pytest.mark.parametrize(
    ("base_url", "route", "slug", "expected"),
    [
        ("/", "docs", "/a/b", "/docs/a/b"),
        ("/", "docs", "/", "/docs/"),
        ("/project/", "/", "/a", "/project/a"),
        ("/", "/", "/", "/"),
        ("/project/", "/docs/", "/a/", "/project/docs/a/"),
    ],
)
def test_an_address_joins_base_route_and_slug_with_single_slashes(
    base_url: str, route: str, slug: str, expected: str
) -> None:
    assert permalink(base_url, route, slug) == expected


@pytest.mark.parametrize(
    ("link", "trailing_slash", "expected"),
    [
        ("/docs/a", None, "/docs/a"),
        ("/docs/a/", None, "/docs/a/"),
        ("/docs/a", True, "/docs/a/"),
        ("/docs/a/", True, "/docs/a/"),
        ("/docs/a/", False, "/docs/a"),
        ("/", False, "/"),
        ("/base/", False, "/base/"),
        ("/docs/With Space/é", None, "/docs/With%20Space/%C3%A9"),
        ("/docs/%C3%A9", None, "/docs/%C3%A9"),
        ("/docs/a(b),c", None, "/docs/a(b),c"),
    ],
)
def test_a_served_path_obeys_the_trailing_slash_and_is_encoded(
    link: str, trailing_slash: bool | None, expected: str
) -> None:
    assert served_path(link, "/base/", trailing_slash) == expected
