"""Questions and answers as they are kept: also as they were kept before."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from chatbot_api.models.domain import AnswerItem, Notice
from chatbot_api.services.item_json import as_item, as_json

AT = datetime(2026, 1, 1, tzinfo=UTC)
ANSWER = AnswerItem(
    "a1", "q1", AT, "done", "Text.", "answered", "extractive", notices=(Notice("words", "Words alone."),)
)


def test_a_notice_is_kept_with_its_code() -> None:
    assert as_item(as_json(ANSWER)) == ANSWER


def test_of_an_answer_kept_before_notices_had_codes_the_words_are_known() -> None:
    kept = json.loads(as_json(ANSWER))
    del kept["notices"]
    kept["notice"] = "Words alone."

    answer = as_item(json.dumps(kept))

    assert isinstance(answer, AnswerItem)
    assert (answer.notice, answer.notices) == ("Words alone.", (Notice("", "Words alone."),))


def test_of_an_answer_kept_before_notices_had_codes_an_empty_one_is_none() -> None:
    kept = json.loads(as_json(ANSWER))
    del kept["notices"]
    kept["notice"] = ""

    answer = as_item(json.dumps(kept))

    assert isinstance(answer, AnswerItem)
    assert answer.notices == ()
