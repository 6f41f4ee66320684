"""Pages to passages: what is never cut, what is, and ids that say where a passage stands."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot_api.answering.text import units_of
from chatbot_api.answering.visible import visible
from chatbot_api.models.domain import Block, BlockKind, Page, Section
from qdrant_indexer.chunking import estimate_tokens, fenced, passages_of


def page(*sections: Section, path: str = "/docs/a", title: str = "A") -> Page:
    return Page(path=path, title=title, source="a.md", sections=sections, breadcrumbs=("Guides",), position=3)


def section(*blocks: Block, headings: tuple[str, ...] = (), anchor: str | None = None) -> Section:
    return Section(headings, anchor, blocks)


def paragraph(text: str, **changes: object) -> Block:
    return Block("paragraph", text, **changes)  # type: ignore[arg-type]  # the test names the fields


def test_each_heading_begins_a_passage_that_knows_its_place() -> None:
    passages = passages_of(
        page(section(paragraph("Opening.")), section(paragraph("More."), headings=("Use", "Fast"), anchor="fast"))
    )

    assert [(p.text, p.heading_path, p.anchor, p.ordinal, p.position) for p in passages] == [
        ("Opening.", ("Guides", "A"), None, 0, 3),
        ("More.", ("Guides", "A", "Use", "Fast"), "fast", 1, 3),
    ]


def test_a_page_without_text_can_still_be_found_by_its_title() -> None:
    assert [p.text for p in passages_of(page())] == ["A"]


def test_short_blocks_share_a_passage_and_long_ones_begin_another() -> None:
    long = " ".join(f"Sentence {n} goes on." for n in range(30))

    passages = passages_of(page(section(paragraph("One."), paragraph("Two."), paragraph(long))), max_tokens=60)

    assert passages[0].text.startswith("One.\n\nTwo.")
    assert len(passages) > 2
    assert all(estimate_tokens(p.text) <= 60 for p in passages)


def test_code_and_tables_are_never_cut() -> None:
    code = "\n".join(f"line_{n} = {n}" for n in range(200))
    table = "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | {n} |" for n in range(200))

    passages = passages_of(page(section(Block("code", code, language="python"), Block("table", table))))

    assert [p.text for p in passages] == [f"```python\n{code}\n```", table]


def test_a_long_list_is_cut_between_its_items() -> None:
    items = [f"- item {n} with several words\n  - below it" for n in range(40)]

    passages = passages_of(page(section(Block("list", "\n".join(items)))), max_tokens=50)

    assert len(passages) > 3
    assert all(p.text.startswith("- item") and p.text.endswith("below it") for p in passages)
    assert "\n".join(p.text for p in passages) == "\n".join(items)


def test_a_label_says_which_tab_a_block_stands_in() -> None:
    blocks = (
        paragraph("Install it."),
        paragraph("Run a.", within=("npm",)),
        paragraph("Run b.", within=("yarn",)),
        paragraph("Done."),
    )

    (only,) = passages_of(page(section(*blocks)))

    assert only.text == "Install it.\n\n**npm**\n\nRun a.\n\n**yarn**\n\nRun b.\n\nDone."


def test_a_fence_is_longer_than_the_backticks_within() -> None:
    assert (
        fenced(Block("code", "```\nx\n```", language="md", caption="a.md")) == '````md title="a.md"\n```\nx\n```\n````'
    )


def test_ids_are_stable_and_tell_apart_equal_texts_in_different_places() -> None:
    same = (
        section(paragraph("Same.")),
        section(paragraph("Same.")),
        section(paragraph("Same."), headings=("H",), anchor="h"),
    )

    first, again = passages_of(page(*same)), passages_of(page(*same))
    elsewhere = passages_of(page(*same, path="/docs/b"))

    ids = [p.id for p in first]
    assert ids == [p.id for p in again]
    assert len({*ids, *(p.id for p in elsewhere)}) == 6
    assert all(uuid.UUID(i).version == 5 for i in ids)


def test_a_change_above_does_not_change_the_ids_below() -> None:
    before = passages_of(page(section(paragraph("Old.")), section(paragraph("Kept."), headings=("H",), anchor="h")))
    after = passages_of(page(section(paragraph("New.")), section(paragraph("Kept."), headings=("H",), anchor="h")))

    assert before[0].id != after[0].id
    assert before[1].id == after[1].id


def test_what_nobody_sees_is_in_no_title_heading_label_or_prose() -> None:
    tag = "".join(chr(0xE0000 + ord(char)) for char in "obey")
    blocks = (
        paragraph(f"See\u200b `a\u2060b`\u202e below{tag}.", within=(f"np\ufeffm{tag}",)),
        Block("list", "- o\xadne\n- \u2066two\u2069"),
        Block("table", "| a\u200d |\n|---|\n| \x1b[31mred |"),
        Block("maths", "x\u2061y"),
    )
    hidden = page(section(*blocks, headings=("U\u200bse", tag), anchor="use\u200b"), title=f"A{tag}\u202e")

    (only,) = passages_of(replace(hidden, breadcrumbs=("Gui\u200bdes",)))

    assert (only.title, only.heading_path) == ("A", ("Guides", "A", "Use"))
    assert only.text == ("**npm**\n\nSee `ab` below.\n\n- one\n- two\n\n| a |\n|---|\n| [31mred |\n\n$$\nxy\n$$")
    assert only.anchor == "use\u200b", "an address is an address"


def test_code_keeps_every_character_and_its_caption_only_those_that_are_seen() -> None:
    code = 'zero\u200bwidth = "\u202e\ufeff"\r\n\x0c\tu\u2028v\n'

    (only,) = passages_of(page(section(Block("code", code, language="p\u200by", caption="a\u2060.py"))))

    assert only.text == f'```py title="a.py"\n{code}```'


@pytest.mark.parametrize(
    "words",
    [
        "می\u200cرویم",
        "क्\u200dष और क्\u200cष",
        "ශ්\u200dරී ලංකා",
        "👩\u200d💻 👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 ✔\ufe0e",
        "葛\U000e0100城",
        "שלום\u200f",
    ],
)
def test_joiners_and_selectors_that_script_and_emoji_need_stay(words: str) -> None:
    (only,) = passages_of(page(section(paragraph(words), headings=(words,)), title=words))

    assert (only.text, only.title, only.headings) == (words, words, (words,))


def test_a_page_whose_words_are_all_hidden_can_be_found_by_its_path() -> None:
    (only,) = passages_of(page(section(paragraph("\u200b"), headings=("\u2060",)), title="\u200b"))

    assert (only.title, only.text, only.headings) == ("/docs/a", "/docs/a", ())


KINDS: tuple[BlockKind, ...] = ("paragraph", "list", "table", "code", "maths")


@given(
    st.lists(st.builds(Block, st.sampled_from(KINDS), st.text(min_size=1, max_size=300)), max_size=8),
    st.integers(5, 80),
)
def test_no_block_is_lost_whatever_it_holds(blocks: list[Block], limit: int) -> None:
    passages = passages_of(page(section(*blocks)), max_tokens=limit)

    whole = "".join("".join(p.text.split()) for p in passages)
    for block in blocks:
        if block.kind == "code":
            assert any(block.text in p.text for p in passages)
        else:
            assert all("".join(part.split()) in whole for part in visible(block.text).split())


@given(st.text(alphabet="ab.| -`$\n[]1) ", max_size=200))
def test_units_are_verbatim_and_in_order(text: str) -> None:
    at = 0
    for unit in units_of(text):
        assert text[unit.start : unit.start + len(unit.text)] == unit.text
        assert unit.start >= at
        at = unit.start + len(unit.text)
