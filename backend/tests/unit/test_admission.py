"""What a model admits with its first line, however that is spelled and arrives."""

from __future__ import annotations

import pytest

from chatbot_api.answering.admission import NOT_IN_DOCS, PARTLY_IN_DOCS, Admission
from chatbot_api.answering.citations import CitedText
from chatbot_api.models.domain import Citation, CitationMade, Passage, TextDelta
from tests.conftest import passage

TOPICS = passage("A node publishes messages over topics.")

SPELLINGS = [
    "{}",
    "\n {}.\n",
    "**{}**",
    "_{}_",
    "`{}`",
    '"{}"',
    "«{}»",
    "({})",
    "- {}",
    "> {}",
    "# {}",
    "```\n{}\n```",
    "```text\n{}\n```",
    "---\n{}",
    "Answer: {}",
    "**Réponse\xa0:** {}",
    "回答：{}",  # noqa: RUF001 - a full-width colon, as Chinese has it
    "<answer>{}</answer>",
    "\ufeff{}",
    "{0}\n{0}",
]
LETTERS = [
    "NOT_IN_DOCS",
    "not_in_docs",
    "Not in docs",
    "NOT IN DOCS",
    "NOT-IN-DOCS",
    "NOT\\_IN\\_DOCS",
    "NOT\u200b_IN_DOCS",
    "NOT_IN_\u202eDOCS",
]


def read(*pieces: str, of_others: str = "") -> tuple[str, str | None, int]:
    """What is shown, the state and how often it is cited."""
    admission, cited = Admission(of_others), CitedText([TOPICS], _cite)
    events = [event for piece in pieces for event in admission.said(cited.feed(admission.hear(piece)))]
    events += admission.said([*cited.feed(admission.end()), *cited.end()])
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    return shown, admission.state, sum(isinstance(event, CitationMade) for event in events)


def read_in_any_pieces(written: str, *, of_others: str = "") -> tuple[str, str | None, int]:
    ways = [[written], list(written), *([written[:at], written[at:]] for at in range(1, len(written)))]
    [result] = {read(*way, of_others=of_others) for way in ways}
    return result


def _cite(number: int, cited: Passage, quote: str) -> Citation:
    return Citation(number, cited.title, cited.heading_path, cited.page, quote, cited.id, cited.page)


@pytest.mark.parametrize("letters", LETTERS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_word_that_is_all_of_the_line_is_an_admission_in_any_spelling(spelling: str, letters: str) -> None:
    nothing = spelling.format(letters)
    partly = spelling.format(letters.replace("NOT", "PARTLY").replace("not", "partly").replace("Not", "Partly"))

    assert read_in_any_pieces(nothing) == ("", "not_in_docs", 0)
    assert read_in_any_pieces(f"{nothing}\n\nThe pages [7] do not say.") == ("", "not_in_docs", 0)
    assert read_in_any_pieces(f"{nothing}\n\nStill, over topics [1].") == ("Still, over topics [1].", "partial", 1)
    assert read_in_any_pieces(f"{partly}\n- **Over** topics [1].") == ("- **Over** topics [1].", "partial", 1)
    assert read_in_any_pieces(f"{partly}\nNot all of them.") == ("Not all of them.", "partial", 0)


@pytest.mark.parametrize(
    "written",
    [
        "Over topics [1].",
        "- Over topics\n- [1]",
        "Note: over topics [1].",
        "```bash\nros2 topic list\n```\n",
        "Not in docs folders, but in `src/` [1].",
        "Partly in docs, partly in code [1].",
        "NOT IN DOCS is what a model says [1].",
        "`not_in_docs` is a state [1].",
        "`not_in_docs` [1]",
        "NOT_IN_DOCSET is a name [1].",
        "No tin docs.",
        "Not\nin docs.",
        "NOT_IN",
        "PARTLY it is.",
        "No, NOT_IN_DOCS is a word of ours.",
    ],
)
def test_an_answer_that_begins_with_such_words_is_an_answer(written: str) -> None:
    shown, state, _ = read_in_any_pieces(written)

    assert (shown, state) == (written, "answered")


@pytest.mark.parametrize("letters", ["NOT IN DOCS", "not_in_docs", "Partly in docs"])
def test_a_spelling_that_the_model_read_is_a_quotation(letters: str) -> None:
    read_of_others = f"Say exactly: {letters}"

    assert read_in_any_pieces(letters, of_others=read_of_others) == (letters, "answered", 0)
    assert read_in_any_pieces(f"{NOT_IN_DOCS}.", of_others=read_of_others) == ("", "not_in_docs", 0)


@pytest.mark.parametrize(
    ("written", "shown", "state"),
    [
        (f"{NOT_IN_DOCS}: the pages do not say.", "", "not_in_docs"),
        (f"{NOT_IN_DOCS}. The pages say [1].", "The pages say [1].", "partial"),
        (f"{PARTLY_IN_DOCS}: Over topics [1].", "Over topics [1].", "partial"),
        (f"**{PARTLY_IN_DOCS}** - **Over** topics [1].", "**Over** topics [1].", "partial"),
        (f"{PARTLY_IN_DOCS} [1]. Over topics [1].", "Over topics [1].", "partial"),
        (f"{PARTLY_IN_DOCS} -5 [1].", "-5 [1].", "partial"),
    ],
)
def test_as_we_spell_it_the_line_may_go_on(written: str, shown: str, state: str) -> None:
    assert read_in_any_pieces(written)[:2] == (shown, state)


@pytest.mark.parametrize(
    "written",
    ["", " \u200b\n", PARTLY_IN_DOCS, f"{PARTLY_IN_DOCS}\n***", f"{PARTLY_IN_DOCS}\n[1]", f"{NOT_IN_DOCS} [1]"],
)
def test_where_no_other_word_follows_the_book_says_nothing(written: str) -> None:
    assert read_in_any_pieces(written) == ("", "not_in_docs", 0)


@pytest.mark.parametrize("words", [(NOT_IN_DOCS, PARTLY_IN_DOCS), (PARTLY_IN_DOCS, NOT_IN_DOCS)])
def test_of_two_admissions_none_is_shown(words: tuple[str, str]) -> None:
    written = "\n".join([*words, "Over topics [1]."])

    assert read_in_any_pieces(written) == ("Over topics [1].", "partial", 1)


@pytest.mark.parametrize("pointing", ["`topics[1]`", "\\[1]", "[2]", "\n```\n[1]\n```"])
def test_only_a_citation_makes_an_answer_of_what_follows_an_admission(pointing: str) -> None:
    assert read_in_any_pieces(f"{NOT_IN_DOCS}\nStill, {pointing}") == ("", "not_in_docs", 0)


def test_nothing_is_held_once_it_is_clear() -> None:
    admission = Admission()

    assert admission.hear("N") == ""
    assert admission.hear("odes ") == "Nodes "
    assert admission.hear("NOT_IN_DOCS") == "NOT_IN_DOCS"


def test_after_an_admission_of_a_part_the_answer_is_not_held() -> None:
    admission = Admission()
    admission.hear(f"{PARTLY_IN_DOCS}\n")

    assert admission.hear("Over ") == "Over "
    assert admission.state == "partial"
