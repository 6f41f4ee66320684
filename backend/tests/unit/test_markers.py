from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot_api.answering.markers import Marker, Unmarked, unmarked


@pytest.mark.parametrize(
    ("text", "shown", "markers"),
    [
        ("Nodes talk over topics [1].", "Nodes talk over topics.", [(1, 22)]),
        ("One [1][3] and two [2].", "One and two.", [(1, 3), (3, 3), (2, 11)]),
        ("🤖 talk [1].", "🤖 talk.", [(1, 6)]),
        ("`a[1]` is code [2].", "`a[1]` is code.", [(2, 14)]),
        ("``a`[1]`` too [2]", "``a`[1]`` too", [(2, 13)]),
        ("```py\nx[1]\n``\ny[2]\n```\nSo [3].", "```py\nx[1]\n``\ny[2]\n```\nSo.", [(3, 25)]),
        ("~~~\n[1]\n```\n~~~\n[2]", "~~~\n[1]\n```\n~~~\n", [(2, 16)]),
        ("\\[1] is text, \\` too [4]", "\\[1] is text, \\` too", [(4, 20)]),
        ("[1234] and [x] stay", "[1234] and [x] stay", []),
        ("", "", []),
    ],
)
def test_markers_are_taken_out_but_for_those_in_code(text: str, shown: str, markers: list[tuple[int, int]]) -> None:
    assert unmarked(text) == (shown, [Marker(number, at) for number, at in markers])


_TEXTS = st.lists(
    st.sampled_from(["a", " ", "\n", "`", "``", "```", "```\n", "~~~", "[", "]", "[1]", "[12", "\\", "🤖", "\n\n"]),
    max_size=30,
).map("".join)


@given(_TEXTS, st.integers(1, 4))
def test_pieces_do_not_matter(text: str, size: int) -> None:
    reading = Unmarked()
    told = [reading.feed(text[at : at + size]) for at in range(0, len(text), size)] + [reading.end()]

    assert "".join(told) == reading.text
    assert (reading.text, reading.markers) == unmarked(text)
