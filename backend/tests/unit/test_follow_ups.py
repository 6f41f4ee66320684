"""Which questions lean on the conversation, and what is searched for instead."""

from __future__ import annotations

import pytest

from chatbot_api.answering import follow_ups
from chatbot_api.models.domain import Message

ASKED = Message("reader", "How do I publish a message to a topic?")
TOLD = Message("assistant", "With `publish` [1].")
HISTORY = (ASKED, TOLD)


@pytest.mark.parametrize(
    "question",
    [
        "Why?",
        "And on Windows?",
        "How do I turn it off?",
        "What about version 2?",
        "Can you give an example?",
        "Does that also work with Docker?",
        "Is there a default?",
        "What are the alternatives?",
        "Which one is faster?",
        "How long does it take?",
        "Wie schalte ich das ab?",
        "und unter Windows?",
        "Et sur Windows ?",
        "¿Y en Windows?",
        "它怎么关闭?",
    ],
)
def test_a_question_that_points_back_or_says_little_leans(question: str) -> None:
    assert follow_ups.leans(question, HISTORY)
    assert not follow_ups.leans(question, ()), "there is nothing to lean on"


@pytest.mark.parametrize(
    "question",
    [
        "How do I publish a message to a topic from Python code?",
        "Which settings does the record section of the configuration have?",
        "How do I install the plugin with npm on Windows 11?",
        "Is it possible to run Askbook without a Gemini key behind a proxy?",
        "Wie installiere ich das Plugin mit npm unter Windows und wo liegt danach die Konfiguration?",
    ],
)
def test_a_question_that_says_what_it_is_about_does_not(question: str) -> None:
    assert not follow_ups.leans(question, HISTORY)


def test_by_rules_the_last_question_that_stood_alone_is_searched_for_too() -> None:
    history = (*HISTORY, Message("reader", "And on Windows?"), Message("assistant", "The same [1]."))

    assert follow_ups.by_rules("Why?", history) == f"Why?\n{ASKED.text}"


def test_where_nothing_stood_alone_the_question_stays_as_it_is() -> None:
    assert follow_ups.by_rules("Why?", (TOLD,)) == "Why?"


def test_the_conversation_goes_to_the_model_as_a_conversation() -> None:
    prompt = follow_ups.prompt("And on Windows?", HISTORY)

    assert prompt.history == HISTORY
    assert prompt.user.endswith("And on Windows?")


@pytest.mark.parametrize(
    ("reply", "standalone"),
    [
        (" How do I publish on Windows?\n", "How do I publish on Windows?"),
        ("Sure!\nHow do I publish on Windows?", ""),
        ("x" * 500, ""),
        ("", ""),
    ],
)
def test_only_a_reply_in_one_line_is_a_question(reply: str, standalone: str) -> None:
    assert follow_ups.as_standalone(reply) == standalone
