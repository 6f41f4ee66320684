"""Answers without a model: verbatim stretches, markers in their place, nothing that comes alive."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chatbot_api.answering.extractive import as_paragraph, extracts
from chatbot_api.answering.text import inert, plain, units_of
from chatbot_api.models.domain import Hit
from tests.conftest import passage

LONG = "Robots are old. " * 30
CODE = "```bash\nrobot pub /chat hello\n```"


def test_the_part_of_a_long_passage_that_speaks_of_the_question_is_quoted() -> None:
    book = passage(f"{LONG}\n\nA node publishes messages to a topic.\n\n{CODE}\n\n{LONG}")

    (extract,) = extracts("How does a node publish to a topic?", [Hit(book, 1.0)])

    assert "A node publishes messages to a topic." in extract.text
    assert CODE in extract.text
    assert extract.text in book.text
    assert len(extract.text) <= 700
    assert extract.quote == "A node publishes messages to a topic."


def test_the_three_best_passages_speak_in_their_order() -> None:
    hits = [Hit(passage(f"Topic {n}.", page=f"/docs/{n}"), 1.0 / n) for n in range(1, 6)]

    assert [extract.text for extract in extracts("topic", hits)] == ["Topic 1.", "Topic 2.", "Topic 3."]


@pytest.mark.parametrize(
    ("text", "paragraph"),
    [
        ("A sentence.", "A sentence. [2]"),
        (CODE, f"{CODE}\n\n[2]"),
        ("- one\n- two", "- one\n- two\n\n[2]"),
        ("| a |\n| --- |\n| b |", "| a |\n| --- |\n| b |\n\n[2]"),
        ("$$\na_{ij} = b_i * c_j * [d]\n$$", "$$\na_{ij} = b_i * c_j * [d]\n$$\n\n[2]"),
        ("$$\n[a](b)\n$$", "$$\n\\[a](b)\n$$\n\n[2]"),
        ("See [1] and [a](b).", "See \\[1] and \\[a](b). [2]"),
    ],
)
def test_a_marker_stands_where_it_does_not_disturb(text: str, paragraph: str) -> None:
    (extract,) = extracts("one sentence", [Hit(passage(text), 1.0)])

    shown, at = as_paragraph(extract, 2)

    assert shown == paragraph
    assert shown[at:] == "[2]"


NASTY = st.sampled_from(
    [
        "[",
        "](",
        ")",
        "`",
        "``",
        "```",
        "```\n",
        "~~~",
        "\n",
        "<",
        "a>",
        "!",
        "[a](b)",
        "<b>",
        " ",
        "\\",
        "x",
        "*",
        "_",
        "**",
    ]
)


@given(st.lists(NASTY, max_size=30).map("".join))
@settings(max_examples=1500, deadline=None)
def test_nothing_in_the_book_comes_alive(text: str) -> None:
    strict = MarkdownIt("commonmark").enable("table")

    for token in [t for block in strict.parse(inert(text)) for t in [block, *(block.children or [])]]:
        assert token.type not in ("link_open", "image", "html_inline", "html_block", "em_open"), inert(text)


def test_an_item_is_quoted_without_its_mark() -> None:
    (extract,) = extracts("verbatim quote", [Hit(passage("1. It exists.\n2. The quote is verbatim."), 1.0)])

    assert extract.quote == "The quote is verbatim."


def test_a_label_is_not_quoted_without_what_it_labels() -> None:
    text = f"Install it.\n\n**npm**\n\n{CODE}\n\n**yarn**\n\nUse yarn."

    assert [(unit.kind, unit.text) for unit in units_of(text)] == [
        ("sentence", "Install it."),
        ("code", CODE),
        ("sentence", "Use yarn."),
    ]


def test_plain_text_is_what_a_browser_shows() -> None:
    assert plain("Set `min_score`\n  to 1.") == "Set min_score to 1."


def test_a_table_is_quoted_by_the_row_that_answers() -> None:
    table = (
        "| Setting | Meaning |\n| --- | --- |\n| `port` | Where it listens. |\n| `host` | Which setting of address. |"
    )

    (extract,) = extracts("Which port does it listen on?", [Hit(passage(table), 1.0)])

    assert extract.quote == "| `port` | Where it listens. |"
