"""Asks every question of a file, one after the other, and measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from statistics import fmean
from time import perf_counter

from askbook.evaluation.answers import Book, judge, totals
from askbook.evaluation.questions import FORMS, GoldQuestion
from askbook.evaluation.results import Answered, Evaluation, IndexFacts, QuestionResult, Searched
from askbook.evaluation.retrieval import means, percentiles, rank_of_first, score
from chatbot_api.answering import evidence
from chatbot_api.answering.fusion import rank_pages
from chatbot_api.errors import AnswerCutShort
from chatbot_api.models.domain import Answer, Manifest, TurnDone
from chatbot_api.ports import VectorStore
from chatbot_api.services.rag_service import RagService

_SHOWN = 10


async def evaluate(
    rag: RagService,
    questions: Sequence[GoldQuestion],
    *,
    answered_from: VectorStore | None = None,
    on_asked: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Searches for every question in every form. With the store that `rag` reads, it also has each `query` answered, as
    `POST /chat` does, and holds the answer's citations against the store."""
    manifest = await rag.manifest()
    book = await Book.open(answered_from) if answered_from else None
    await rag.search(await rag.question("warm-up"))  # the model loads with the first question
    results = []
    for number, question in enumerate(questions, 1):
        searched = {
            form: await _search(rag, question, text, manifest) for form in FORMS if (text := getattr(question, form))
        }
        answer = await _answer(rag, question, book) if book else None
        results.append(
            QuestionResult(
                id=question.id,
                answerable=question.answerable,
                gold=question.gold,
                searched=searched,
                answer=answer,
            )
        )
        on_asked(number)
    return _evaluation(results, manifest)


async def _search(rag: RagService, question: GoldQuestion, text: str, manifest: Manifest) -> Searched:
    asked = await rag.question(text)
    start = perf_counter()
    candidates = await rag.search(asked)
    ranked = rank_pages(candidates)
    taken = (perf_counter() - start) * 1000
    pages = list(dict.fromkeys(page.hits[0].passage.source for page in ranked))
    return Searched(
        text=text,
        pages=pages[:_SHOWN],
        rank=rank_of_first(question.gold, pages),
        scores=score(question.gold, pages) if question.answerable else {},
        ms=round(taken, 2),
        gate_score=round(evidence.signals(text, candidates).score, 4) if candidates.dense else None,
        refused=evidence.says_nothing(text, candidates, manifest.embedding_model),
    )


async def _answer(rag: RagService, question: GoldQuestion, book: Book) -> Answered:
    return await judge(question, await answer_of(rag, question.query), book)


async def answer_of(rag: RagService, text: str, *, page: str | None = None) -> Answer:
    async with aclosing(rag.answer(await rag.question(text, page=page), whole=True)) as events:
        async for event in events:
            if isinstance(event, TurnDone):
                return event.answer
    raise AnswerCutShort("the answer's events ended without TurnDone")


def _evaluation(results: Sequence[QuestionResult], manifest: Manifest) -> Evaluation:
    by_form = {form: [result.searched[form] for result in results if form in result.searched] for form in FORMS}
    scores = {form: [each.scores for each in searched if each.scores] for form, searched in by_form.items()}
    refused = {
        answerable: [r.searched["query"].refused for r in results if r.answerable is answerable]
        for answerable in (True, False)
    }
    return Evaluation(
        retrieval={form: means(rows) for form, rows in scores.items() if rows},
        latency_ms=percentiles([each.ms for searched in by_form.values() for each in searched]),
        gate={
            "answerable_refused": round(fmean(refused[True] or [0.0]), 4),
            "unanswerable_refused": round(fmean(refused[False] or [0.0]), 4),
        },
        questions=len(results),
        index=IndexFacts(
            generation=manifest.generation,
            embedding_model=manifest.embedding_model,
            pages=manifest.pages,
            passages=manifest.passages,
            source_revision=manifest.source_revision,
        ),
        answers=totals(results),
        by_question=results,
    )
