"""What a model admits with its first word, however that arrives."""

from __future__ import annotations

import pytest

from chatbot_api.answering.admission import NOT_IN_DOCS, PARTLY_IN_DOCS, Admission


def heard(*pieces: str) -> tuple[str, str | None]:
    admission = Admission()
    shown = "".join([admission.hear(piece) for piece in pieces]) + admission.end()
    return shown, admission.state


@pytest.mark.parametrize(
    ("written", "shown", "state"),
    [
        ("Over topics [1].", "Over topics [1].", "answered"),
        ("\n  Over topics [1].", "Over topics [1].", "answered"),
        (NOT_IN_DOCS, "", "not_in_docs"),
        (f"\n {NOT_IN_DOCS}.", "", "not_in_docs"),
        (f"{PARTLY_IN_DOCS}\nOver topics [1].", "Over topics [1].", "partial"),
        (f"{PARTLY_IN_DOCS}: Over topics [1].", "Over topics [1].", "partial"),
        ("PARTLY it is.", "PARTLY it is.", "answered"),
        ("NOT_IN", "NOT_IN", "answered"),
        ("No, NOT_IN_DOCS is a word of ours.", "No, NOT_IN_DOCS is a word of ours.", "answered"),
        ("", "", "not_in_docs"),
    ],
)
def test_the_first_word_decides_and_is_not_shown(written: str, shown: str, state: str) -> None:
    assert heard(written) == heard(*written) == (shown, state)


def test_nothing_is_held_once_it_is_clear() -> None:
    admission = Admission()

    assert admission.hear("N") == ""
    assert admission.hear("odes ") == "Nodes "
    assert admission.hear("NOT_IN_DOCS") == "NOT_IN_DOCS"
