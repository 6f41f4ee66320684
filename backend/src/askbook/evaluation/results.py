"""What an evaluation found, as it is kept in a file and read again to be compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from askbook.evaluation.questions import Gold
from chatbot_api.errors import SourceError
from chatbot_api.models.domain import Mode, State


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)


class Searched(_Kept):
    """One form of a question, and what the search found."""

    text: str
    pages: Sequence[str]
    """Source files, best first, at most ten."""
    rank: int | None
    """Of the first page that answers, however far down."""
    scores: Mapping[str, float]
    """By metric; empty where the question is not answerable."""
    ms: float
    gate_score: float | None
    """What the gate judges by, high where the book answers; None where words alone were searched."""
    refused: bool
    """Whether retrieval alone said that the book has no answer."""


class Answered(_Kept):
    """A question's answer, held against what is known and against the index."""

    state: State
    mode: Mode
    facts: int
    facts_found: int
    """In the answer's text or in its quotes."""
    facts_cited: int
    """In the passages that it cites: there the reader finds them, whatever the answer's own words are."""
    citations: int
    on_gold_page: int
    with_gold_anchor: int
    """Citations of pages for which the right heading is known."""
    on_gold_anchor: int
    """Those of them that stand under it."""
    faults: Sequence[str]
    """What is wrong with its citations. There must be none, ever."""
    sentences: int
    unsupported: int
    first_word_ms: float
    total_ms: float
    model: str | None
    input_tokens: int
    output_tokens: int
    dollars: float | None
    """None where a model wrote and its prices are not known."""
    notice: str

    @property
    def refused_by(self) -> Literal["retrieval", "model"] | None:
        """Who said that the book has no answer: retrieval, before a model was asked, or the model, having read."""
        if self.state != "not_in_docs":
            return None
        return "retrieval" if self.mode == "search" else "model"


class QuestionResult(_Kept):
    id: str
    answerable: bool
    gold: Sequence[Gold]
    searched: Mapping[str, Searched]
    """By form of the question."""
    answer: Answered | None = None


class IndexFacts(_Kept):
    """Of which index the questions were asked."""

    generation: str
    embedding_model: str
    pages: int
    passages: int
    source_revision: str


class Evaluation(_Kept):
    retrieval: Mapping[str, Mapping[str, float]]
    """By form of the question, then by metric; means over the answerable questions that have that form."""
    latency_ms: Mapping[str, float]
    """Of retrieval: embedding the question, searching, fusing."""
    gate: Mapping[str, float]
    """Shares refused by retrieval alone, of the questions the book answers and of those it does not."""
    questions: int
    index: IndexFacts
    answers: Mapping[str, Any] | None = None
    """Totals; None where nothing was answered."""
    by_question: Sequence[QuestionResult]

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def as_json_text(self) -> str:
        return json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n"


def read_run(file: Path) -> Evaluation:
    """What `--save` or `--json` wrote. Raises `SourceError`."""
    try:
        return Evaluation.model_validate_json(file.read_bytes())
    except OSError as exc:
        raise SourceError(f"{file} cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        wrong = exc.errors()[0]
        place = ".".join(str(part) for part in wrong["loc"])
        raise SourceError(
            f"{file} is no run that askbook eval saved: {f'{place}: ' if place else ''}{wrong['msg']}"
        ) from exc
