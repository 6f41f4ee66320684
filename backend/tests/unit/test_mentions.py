"""Pages that a reader may mean by the first letters of their names, and `GET /entities`, which lists them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot_api.answering.mentions import mentioned
from chatbot_api.config import Settings
from chatbot_api.errors import SearchUnavailable
from chatbot_api.models.domain import PageSummary
from tests.chatkit_client import Site
from tests.conftest import passage


def page(title: str, *above: str, path: str = "", position: int = 0) -> PageSummary:
    return PageSummary(
        path=path or f"/docs/{position}",
        breadcrumbs=above,
        title=title,
        source="x.md",
        version="current",
        locale="en",
        tag="docs-default-current",
        latest=True,
        position=position,
    )


BOOK = [
    page("Introduction", position=0),
    page("The node graph", "Basics", position=1),
    page("Topics", "Basics", "Node communication", position=2),
    page("Nodes", "Basics", position=3),
    page("Managed nodes", "Advanced", position=4),
    page("Anode and cathode", "Hardware", position=5),
    page("Diagnostics", "Advanced", path="/docs/tools/node-doctor", position=6),
    page("Node lifecycle", "Advanced", position=7),
]


def titles(typed: str, limit: int = 50) -> list[str]:
    return [found.title for found in mentioned(BOOK, typed, limit)]


def test_titles_that_begin_so_come_first_then_words_then_what_stands_below_then_letters_anywhere() -> None:
    assert titles("node") == [
        *("Nodes", "Node lifecycle"),
        *("The node graph", "Managed nodes"),
        "Topics",
        *("Anode and cathode", "Diagnostics"),
    ]


def test_within_a_rank_pages_are_in_reading_order_and_then_by_path() -> None:
    pages = [page("Node", path=path, position=position) for path, position in (("/b", 2), ("/z", 1), ("/a", 2))]

    assert [found.path for found in mentioned(pages, "node", 50)] == ["/z", "/a", "/b"]


@pytest.mark.parametrize("typed", ["", "  ", "\t\n"])
def test_nothing_typed_lists_the_first_pages_of_the_book(typed: str) -> None:
    assert titles(typed, 3) == ["Introduction", "The node graph", "Topics"]


@pytest.mark.parametrize("typed", ["NODE LIFE", " node   life ", "Node\u00a0Life", "node lifecycle"])
def test_case_and_the_number_of_spaces_do_not_matter(typed: str) -> None:
    assert titles(typed) == ["Node lifecycle"]


@pytest.mark.parametrize("typed", ["STRASS", "straß"])
def test_letters_that_two_cases_spell_differently_are_the_same(typed: str) -> None:
    pages = [page("Straßen"), page("Nodes")]

    assert [found.title for found in mentioned(pages, typed, 50)] == ["Straßen"]


def test_a_page_is_found_by_its_path_and_by_what_it_stands_under() -> None:
    assert titles("tools/node-d") == ["Diagnostics"]
    assert titles("hard") == ["Anode and cathode"]
    assert titles("communication") == ["Topics"]


def test_the_letters_are_letters_and_no_pattern() -> None:
    assert titles(".*") == []
    assert titles("%") == []
    assert titles("[n") == []


def test_what_fits_nowhere_is_not_listed_and_the_best_are_kept() -> None:
    assert titles("zebra") == []
    assert titles("node", 1) == ["Nodes"]
    assert titles("node", 0) == []


@given(st.text(max_size=12), st.integers(0, 10))
def test_whatever_is_typed_every_page_found_has_it_and_no_page_comes_twice(typed: str, limit: int) -> None:
    found = mentioned(BOOK, typed, limit)

    letters = " ".join(typed.casefold().split())
    assert len({each.path for each in found}) == len(found) <= limit
    for each in found:
        assert letters in f"{' '.join((each.title, *each.breadcrumbs))} {each.path}".casefold()


# Over HTTP --------------------------------------------------------------------------------------------


@pytest.fixture
async def site() -> Site:
    old = passage("Old.", page="/docs/1.0/topics", title="Topics of old", version="1.0", position=1)
    german = passage("Themen.", page="/de/docs/themen", title="Themen", locale="de", position=1)
    nodes = passage("A node.", page="/docs/ä b", title="Nodes", position=2)
    site = Site(book=[passage("Topics.", position=1), nodes, old, german])
    await site.fill()
    return site


def entities(site: Site, **params: Any) -> Any:
    with site.client() as client:
        response = client.get("/entities", params=params)
    return (
        response.json()["entities"] if response.status_code == 200 else (response.status_code, response.json()["code"])
    )


def test_an_entity_has_the_whole_contract_and_needs_no_token(site: Site) -> None:
    site.settings = Settings(site_url="https://book.example")

    assert entities(site, q="n") == [
        {"id": "/docs/ä b", "title": "Nodes", "group": "", "url": "https://book.example/docs/%C3%A4%20b"}
    ]


def test_without_a_word_about_it_they_are_of_the_latest_version_and_the_default_locale(site: Site) -> None:
    assert [each["title"] for each in entities(site)] == ["Topics", "Nodes"]
    assert [each["title"] for each in entities(site, version="1.0")] == ["Topics of old"]
    assert [each["title"] for each in entities(site, locale="de")] == ["Themen"]
    assert entities(site, q="nodes", locale="de") == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"version": "9"}, "unknown_scope"),
        ({"locale": "fr"}, "unknown_scope"),
        ({"version": ""}, "invalid_request"),
        ({"q": "x" * 201}, "invalid_request"),
        ({"limit": 0}, "invalid_request"),
        ({"limit": 51}, "invalid_request"),
        ({"limit": "many"}, "invalid_request"),
    ],
)
def test_what_cannot_be_listed_is_refused(site: Site, params: dict[str, Any], code: str) -> None:
    assert entities(site, **params) == (422, code)


def test_odd_letters_find_nothing_and_do_no_harm(site: Site) -> None:
    for typed in ("\0", "\u202e", "🤖", "'; DROP", "\u200b"):
        assert entities(site, q=typed) == []


def test_an_index_that_cannot_be_read_is_503(site: Site) -> None:
    site.index.error = SearchUnavailable("down")

    assert entities(site) == (503, "search_unavailable")
    assert entities(Site()) == (503, "index_missing")
