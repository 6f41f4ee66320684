"""What is known of Gemini's models, by family: how each is asked, how much it reads, when it goes. Pure.

As of November 2026, from Google's pages on embeddings, thinking and deprecations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from pydantic import SecretStr

from chatbot_api.models.domain import Quota, Remark, TitledText

FREE_PLAN: Final = (100, 30_000, 1_000)
"""Texts a minute, tokens a minute and texts a day that may be embedded without paying."""
_PACIFIC_MIDNIGHT: Final = 8
"""Daily quotas are refilled at midnight in California: 8:00 UTC in winter, an hour earlier in summer."""
_SOON: Final = 90
"""Days before a model's end from which on its owner is warned."""
_CHARACTERS_PER_TOKEN: Final = 6
"""More than any text has, so that what is cut here is never what the service would have read."""

Thinking = int | Literal["MINIMAL", "LOW"]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a family of embedding models is told what a text is for. Another scheme is another vector space."""

    name: str
    tokens: int
    """How much of a text it reads. The rest is dropped without a word."""
    question: Callable[[str], dict[str, Any]]
    passage: Callable[[TitledText], dict[str, Any]]

    def cut(self, text: str) -> str:
        return text[: self.tokens * _CHARACTERS_PER_TOKEN]


def scheme_of(model: str) -> Scheme:
    if model.startswith(("gemini-embedding-001", "gemini-embedding-exp")):
        return Scheme("task-type", 2_048, _typed_question, _typed_passage)
    return Scheme("text-prefix", 8_192, _prefixed_question, _prefixed_passage)


def content(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [{"text": text}]}


def _typed_question(text: str) -> dict[str, Any]:
    return {"content": content(text), "taskType": "QUESTION_ANSWERING"}


def _typed_passage(text: TitledText) -> dict[str, Any]:
    title = {"title": text.title} if text.title else {}
    return {"content": content(text.text), "taskType": "RETRIEVAL_DOCUMENT", **title}


def _prefixed_question(text: str) -> dict[str, Any]:
    return {"content": content(f"task: question answering | query: {text}")}


def _prefixed_passage(text: TitledText) -> dict[str, Any]:
    return {"content": content(f"title: {text.title or 'none'} | text: {text.text}")}


def quota_of(
    model: str,
    key: SecretStr,
    *,
    texts_per_minute: int | None,
    tokens_per_minute: int | None,
    texts_per_day: int | None,
    dollars_per_million_tokens: float,
) -> Quota:
    """What the owner said of the plan; where nothing was said, the free plan, as a presumption."""
    told = (texts_per_minute, tokens_per_minute, texts_per_day)
    presumed = all(limit is None for limit in told)
    minute, tokens, day = FREE_PLAN if presumed else tuple(limit or 0 for limit in told)
    return Quota(
        minute,
        tokens,
        day,
        dollars_per_million_tokens,
        day_begins=_PACIFIC_MIDNIGHT,
        tokens_per_text=scheme_of(model).tokens,
        presumed=presumed,
        account=f"{model}/{hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:8]}",
    )


_THINKING: Final[tuple[tuple[str, Thinking], ...]] = (
    ("gemini-2.5-pro", 128),
    ("gemini-2.5-", 0),
    ("gemini-3.1-flash-lite", "MINIMAL"),
    ("gemini-3.5-flash", "MINIMAL"),
    ("gemini-3.6-flash", "MINIMAL"),
    ("gemini-3", "LOW"),
)


def least_thinking(model: str) -> Thinking | None:
    """The least that a model can be asked to think: a budget of tokens or a level. None for a model of no family known
    here: a setting that it does not have would fail the request."""
    return next((least for family, least in _THINKING if model.startswith(family)), None)


_ENDS: Final = {
    "gemini-2.5-flash": date(2026, 12, 1),
    "gemini-3.1-flash-lite": date(2027, 5, 7),
    "gemini-embedding-001": date(2028, 5, 14),
}
"""When a model ends, at the earliest."""


def remark_on(model: str, today: date, *, setting: str, instead: str) -> Remark:
    """What its owner should know of a model that answers."""
    end = _ENDS.get(model)
    if end is None:
        return Remark(f"{model} answers")
    if (end - today).days > _SOON:
        return Remark(f"{model} answers; its end is announced for {end} at the earliest")
    when = f"ends on {end}" if end >= today else f"was to end on {end}"
    return Remark(f"{model} answers, but {when}", f"set {setting}={instead}")
