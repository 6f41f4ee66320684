"""How well the index answers a file of real questions: page-level retrieval, and how long it takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from chatbot_api.answering import evidence
from chatbot_api.answering.fusion import rank_pages
from chatbot_api.errors import SourceError
from chatbot_api.services.rag_service import RagService

FORMS: Final = ("query", "query_long")
METRICS: Final = ("hit@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")
_DEPTH: Final = 10


class Gold(BaseModel):
    """A page that answers the question (grade 2) or is related to it (grade 1), by its source file."""

    path: str
    grade: Literal[1, 2]


class GoldQuestion(BaseModel):
    id: str
    query: str = Field(min_length=1)
    query_long: str | None = None
    answerable: bool = True
    gold: list[Gold] = []


@dataclass(frozen=True, slots=True)
class Evaluation:
    retrieval: Mapping[str, Mapping[str, float]]
    """By form of the question, then by metric; means over the answerable questions that have that form."""
    latency_ms: Mapping[str, float]
    """Of retrieval: embedding the question, searching, fusing."""
    gate: Mapping[str, float]
    """Shares refused by retrieval alone, of the questions the book answers and of those it does not."""
    questions: int

    def as_json(self) -> dict[str, Any]:
        return {
            "retrieval": self.retrieval,
            "latency_ms": self.latency_ms,
            "gate": self.gate,
            "questions": self.questions,
        }


def read_questions(file: Path) -> list[GoldQuestion]:
    """One JSON object a line. Raises `SourceError` naming the line that is not a question."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise SourceError(f"{file} cannot be read: {exc}") from exc
    questions = []
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
        questions.append(question)
    if not questions:
        raise SourceError(f"{file} holds no question")
    return questions


async def evaluate(rag: RagService, questions: Sequence[GoldQuestion]) -> Evaluation:
    """Asks every question in every form, one after the other."""
    manifest = await rag.manifest()
    scores: dict[str, list[dict[str, float]]] = {form: [] for form in FORMS}
    refused: dict[bool, list[bool]] = {True: [], False: []}
    taken: list[float] = []
    await rag.search(await rag.question("warm-up"))  # the model loads with the first question
    for question in questions:
        for form in FORMS:
            text = getattr(question, form)
            if not text:
                continue
            asked = await rag.question(text)
            start = perf_counter()
            candidates = await rag.search(asked)
            ranked = rank_pages(candidates)
            taken.append((perf_counter() - start) * 1000)
            if form == "query":
                refused[question.answerable].append(evidence.says_nothing(candidates, manifest.embedding_model))
            if question.answerable:
                pages = list(dict.fromkeys(page.hits[0].passage.source for page in ranked))
                scores[form].append(score(question.gold, pages))
    return Evaluation(
        retrieval={form: _means(rows) for form, rows in scores.items() if rows},
        latency_ms={"p50": _percentile(taken, 0.5), "p99": _percentile(taken, 0.99)},
        gate={
            "answerable_refused": round(fmean(refused[True] or [0.0]), 4),
            "unanswerable_refused": round(fmean(refused[False] or [0.0]), 4),
        },
        questions=len(questions),
    )


def score(gold: Sequence[Gold], ranked: Sequence[str]) -> dict[str, float]:
    """One question's metrics. `hit@1`, `recall` and `mrr` count pages of grade 2; `ndcg` gives a page of grade g a gain
    of 2^g - 1 and discounts by log2 of its rank plus one (Järvelin and Kekäläinen, 2002)."""
    grades: dict[str, int] = {}
    for page in gold:
        grades[page.path] = max(grades.get(page.path, 0), page.grade)
    answers = {path for path, grade in grades.items() if grade == 2}
    first = next((rank for rank, path in enumerate(ranked[:_DEPTH], 1) if path in answers), None)
    gains = [2 ** grades.get(path, 0) - 1 for path in ranked[:_DEPTH]]
    ideal = sorted((2**grade - 1 for grade in grades.values()), reverse=True)[:_DEPTH]
    return {
        "hit@1": float(first == 1),
        "recall@5": len(answers & set(ranked[:5])) / len(answers),
        "recall@10": len(answers & set(ranked[:10])) / len(answers),
        "mrr@10": 1 / first if first else 0.0,
        "ndcg@10": _discounted(gains) / _discounted(ideal),
    }


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {metric: round(fmean(row[metric] for row in rows), 4) for metric in METRICS}


def _percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 2)


def as_text(result: Evaluation) -> str:
    """The evaluation as a Markdown table."""
    rows = ["| form | " + " | ".join(METRICS) + " |", "|---|" + "---|" * len(METRICS)]
    for form, metrics in result.retrieval.items():
        rows.append(f"| {form} | " + " | ".join(f"{metrics[metric]:.3f}" for metric in METRICS) + " |")
    latency, gate = result.latency_ms, result.gate
    return "\n".join(
        [
            f"{result.questions} questions",
            "",
            *rows,
            "",
            f"retrieval latency: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms",
            f"refused without a model: {gate['answerable_refused']:.1%} of the answerable questions, "
            f"{gate['unanswerable_refused']:.1%} of the unanswerable ones",
        ]
    )


def as_json_text(result: Evaluation) -> str:
    return json.dumps(result.as_json(), indent=2)
