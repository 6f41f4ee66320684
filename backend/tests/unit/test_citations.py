"""The citation contract, over texts that models write and texts that nobody should."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatbot_api.answering.citations import CitedText
from chatbot_api.models.domain import Citation, CitationMade, Passage, TextDelta

PASSAGES = [
    Passage(
        id=f"00000000-0000-0000-0000-00000000000{n}",
        page=f"/docs/page-{n}",
        breadcrumbs=(),
        title=f"Page {n}",
        headings=(),
        anchor=None,
        text=text,
        ordinal=0,
        version="current",
        locale="en",
        tag="docs-default-current",
        latest=True,
        position=n,
        source=f"page-{n}.md",
    )
    for n, text in enumerate(
        (
            "A node publishes messages to a topic. Topics have names.",
            "Open http://localhost:5000/status to see it. Nothing else is served.",
            "```bash\nrun --fast\n```",
        ),
        1,
    )
]


def cite(number: int, passage: Passage, quote: str) -> Citation:
    return Citation(
        number,
        passage.title,
        passage.heading_path,
        f"https://book.example{passage.page}",
        quote,
        passage.id,
        passage.page,
    )


def told(*pieces: str) -> tuple[str, tuple[Citation, ...]]:
    cited = CitedText(PASSAGES, cite)
    events = [event for piece in pieces for event in cited.feed(piece)] + cited.end()
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == cited.text
    for event in events:
        if isinstance(event, CitationMade):
            marker = f"[{event.citation.number}]"
            assert cited.text[event.at : event.at + len(marker)] == marker
    assert [event.citation for event in events if isinstance(event, CitationMade)] == list(cited.citations)
    return cited.text, cited.citations


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Nodes talk over topics [1].", "Nodes talk over topics [1]."),
        ("Second first [2]. Then the first [1].", "Second first [1]. Then the first [2]."),
        ("Both [1, 2] and [1][2].", "Both [1][2] and [1][2]."),
        ("Twice [1][1].", "Twice [1]."),
        ("An invented one [9].", "An invented one."),
        ("An invented one [9] amid words.", "An invented one amid words."),
        ("A footnote [^1].", "A footnote [1]."),
        ("A pointer with a target [1](https://evil.example).", "A pointer with a target [1]."),
        ("A [link](https://evil.example) to unwrap.", "A link to unwrap."),
        ("A [link](/docs/made-up) to unwrap.", "A link to unwrap."),
        ("A [reference][ref].\n\n[ref]: https://evil.example", "A reference.\n\n\\[ref]:"),
        ("An ![image](https://evil.example/?q=secret) of it.", "An image of it."),
        ("Nested [[a](b)](c).", "Nested a."),
        ("An <https://evil.example> autolink.", "An \\<> autolink."),
        ("Some <b>HTML</b>.", "Some \\<b>HTML\\</b>."),
        ("Go to https://evil.example/x now.", "Go to now."),
        ("Go to www.evil.example.", "Go to."),
        ("Open http://localhost:5000/status.", "Open http://localhost:5000/status."),
        ("Code `a[1]` stays.", "Code `a[1]` stays."),
        ("```python\nx = a[1]  # [l](u)\n```\nDone [1].", "```python\nx = a[1]  # [l](u)\n```\nDone [1]."),
        ("An unclosed ` tick [l](u).", "An unclosed \\` tick l."),
        ("An unclosed fence\n```\nx[1]", "An unclosed fence\n```\nx[1]\n```"),
        ("[1]: /evil", "[1]\\: /evil"),
        ("[1](" + "x" * 2100 + ")", "[1]\\(" + "x" * 2100 + ")"),
        ("Optional [things] stay.", "Optional \\[things] stay."),
        ("Escaped \\[1] stays escaped.", "Escaped \\[1] stays escaped."),
        ("1. Step\n   ```\n   x\n   ```", "1. Step\n```\nx\n```"),
        ("", ""),
    ],
)
def test_what_a_model_writes_and_what_a_reader_sees(written: str, shown: str) -> None:
    assert told(written)[0] == shown


def test_a_citation_quotes_the_words_that_support_its_sentence() -> None:
    _, citations = told("Every topic has a name [1]. Messages are published to it [1].")

    assert [citation.quote for citation in citations] == ["Topics have names."]


def test_citations_are_numbered_in_the_order_of_their_appearance() -> None:
    _, citations = told("Run it fast [3]. Nodes publish [1].")

    assert [(c.number, c.page) for c in citations] == [(1, "/docs/page-3"), (2, "/docs/page-1")]


NASTY = st.sampled_from(
    [
        "[",
        "]",
        "(",
        ")",
        "`",
        "```",
        "~~~",
        "\n",
        "\n\n",
        "!",
        "<",
        ">",
        "\\",
        "[1]",
        "[2]",
        "[9]",
        "[1, 3]",
        "http://",
        "https://evil.example",
        "www.",
        "h",
        "ht",
        " ",
        "   ",
        ":",
        "[a](b)",
        "![x](/y)",
        "^",
        "a",
        "1",
        "http://localhost:5000/status",
        "\u202e",
        "\U0001f600",
        "|",
        "-",
        "*",
        "_",
        '"',
        "'",
        "](",
    ]
)
WRITTEN = st.lists(NASTY | st.text(max_size=3), max_size=40).map("".join)


@given(WRITTEN, st.data())
@settings(max_examples=400, deadline=None)
def test_it_does_not_matter_where_the_stream_is_cut(written: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(written)), max_size=8)) if written else [])
    pieces = [written[start:end] for start, end in zip([0, *cuts], [*cuts, len(written)], strict=True)]

    assert told(*pieces) == told(written)
    assert told(*written) == told(written)


@given(WRITTEN)
@example("```[`[[1]`")  # backticks that are escaped open no code
@settings(max_examples=1500, deadline=None)
def test_nothing_but_our_own_markers_can_become_a_link(written: str) -> None:
    from markdown_it import MarkdownIt

    shown, citations = told(written)
    numbers = {citation.number for citation in citations}

    strict = MarkdownIt("commonmark").enable("table")
    for token in [t for block in strict.parse(shown) for t in [block, *(block.children or [])]]:
        assert token.type not in ("link_open", "image", "html_inline", "html_block"), (written, shown)
        if token.type == "text":
            for address in re.findall(r"(?i)(?:https?://|www\.)\S*", token.content):
                assert address.startswith("http://localhost:5000/status"), (written, shown)
    prose = re.sub(r"(?ms)^(```+|~~~+).*?^\1[^\n]*$|(?<!\\)`[^`\n]+`|(?<!\\)``[^\n]+?``", "", shown)
    for marker in re.findall(r"(?<!\\)\[(\d+)\]", prose):
        assert int(marker) in numbers, (written, shown)
