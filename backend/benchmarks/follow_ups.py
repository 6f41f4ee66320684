"""What follow-ups find without a model, and what they cost questions that lean on nothing.

    python -m benchmarks.follow_ups DATA_DIR=QUESTIONS.jsonl [DATA_DIR=QUESTIONS.jsonl ...]

Each answerable question is asked first, then each of the follow-ups: its pages are the ones to be found again. Then
each question is asked after another one of the same site, which it does not lean on.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from statistics import fmean

from askbook.evaluation import GoldQuestion, read_questions
from chatbot_api.answering.fusion import rank_pages
from chatbot_api.bootstrap import open_services
from chatbot_api.config import Settings
from chatbot_api.models.domain import Message
from chatbot_api.services.rag_service import RagService

FOLLOW_UPS = (
    "Why?",
    "How do I turn that off?",
    "And in Docker?",
    "Can you give an example?",
    "What is the default for it?",
    "Does this work with the latest version too?",
    "Where is it set?",
    "What else can I do about it?",
    "How do I test whether it works?",
    "Is there another way?",
)


async def recall(rag: RagService, text: str, before: str, wanted: GoldQuestion) -> float:
    """At 5, of the pages that answer `wanted`; asked after `before`, if that is anything."""
    history = (Message("reader", before), Message("assistant", "See [1].")) if before else ()
    ranked = rank_pages(await rag.search(await rag.question(text, history=history)))
    found = list(dict.fromkeys(page.hits[0].passage.source for page in ranked))[:5]
    answers = {gold.path for gold in wanted.gold if gold.grade == 2}
    return len(answers & set(found)) / len(answers)


async def measure(data: Path, questions: list[GoldQuestion]) -> list[float]:
    async with open_services(Settings(data_dir=data)) as services:
        rag = services.rag
        wanted = [question for question in questions if question.answerable]
        pairs = list(zip(wanted, wanted[7:] + wanted[:7], strict=True))
        return [
            fmean([await recall(rag, text, "", question) for question in wanted for text in FOLLOW_UPS]),
            fmean([await recall(rag, text, question.query, question) for question in wanted for text in FOLLOW_UPS]),
            fmean([await recall(rag, question.query, "", question) for question in wanted]),
            fmean([await recall(rag, question.query, other.query, question) for question, other in pairs]),
        ]


async def main(sets: list[str]) -> None:
    print("### Recall at 5\n")
    print("| set | follow-up alone | after its question | question alone | after another question |")
    print("|---|---|---|---|---|")
    for data, _, questions in (each.partition("=") for each in sets):
        figures = await measure(Path(data), read_questions(Path(questions)))
        print(f"| {Path(questions).parent.name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
