"""A file of questions whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, Field, ValidationError

from chatbot_api.errors import SourceError

FORMS: Final = ("query", "query_long")


class Gold(BaseModel):
    """A page that answers the question (grade 2) or is related to it (grade 1), by its source file."""

    path: str
    grade: Literal[1, 2]
    anchor: str | None = None
    """The id of the heading that the answer stands under; None where that does not matter."""


class Fact(BaseModel):
    """What a right answer must tell."""

    snippet: str = Field(min_length=1)
    """Verbatim words of the page that tell it."""
    fact: str = ""
    path: str = ""


class GoldQuestion(BaseModel):
    id: str
    query: str = Field(min_length=1)
    query_long: str | None = None
    answerable: bool = True
    gold: list[Gold] = []
    facts: list[Fact] = []


def read_questions(file: Path) -> list[GoldQuestion]:
    """One JSON object a line. Raises `SourceError` naming the line that is not a question."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise SourceError(f"{file} cannot be read: {exc}") from exc
    questions: dict[str, GoldQuestion] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            question = GoldQuestion.model_validate_json(line)
        except ValidationError as exc:
            wrong = exc.errors()[0]
            place = ".".join(str(part) for part in wrong["loc"])
            raise SourceError(f"{file}, line {number}: {place or 'not JSON'}: {wrong['msg']}") from exc
        if question.answerable and not any(gold.grade == 2 for gold in question.gold):
            raise SourceError(f"{file}, line {number}: an answerable question needs a gold page of grade 2")
        if question.id in questions:
            raise SourceError(f"{file}, line {number}: another question has the id {question.id!r}")
        questions[question.id] = question
    if not questions:
        raise SourceError(f"{file} holds no question")
    return list(questions.values())
