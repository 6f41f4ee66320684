"""Which tokenizer, which fusion: retrieval over any set of questions, every variant in one run.

    python -m benchmarks.retrieval DOCS=QUESTIONS.jsonl [DOCS=QUESTIONS.jsonl ...]

Page level, means over the answerable questions of all sets; the results that decided something are in RETRIEVAL.md.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev

from qdrant_edge import Bm25, Bm25Config, TokenizerType

from askbook.evaluation import FORMS, METRICS, Gold, read_questions, score
from chatbot_api.answering import fusion
from chatbot_api.models.domain import Candidates, Hit, Passage, TitledText
from chatbot_api.services.local_service import LocalService
from qdrant_indexer.chunking import passages_of
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.layout import find_layout
from qdrant_indexer.sources.markdown import read_markdown

CANDIDATES = 50
TOKENIZERS = {
    "word": TokenizerType.Word,
    "multilingual": TokenizerType.Multilingual,
    "code": TokenizerType.Code,
}


@dataclass(frozen=True)
class Asked:
    form: str
    gold: Sequence[Gold]
    dense: tuple[Hit, ...]
    lexical: Mapping[str, tuple[Hit, ...]]
    """By tokenizer."""


async def ask_all(docs: Path, questions: Path) -> list[Asked]:
    pages = [page for page in read_markdown(find_layout(docs)) if not isinstance(page, Skipped)]
    passages = [passage for page in pages for passage in passages_of(page)]
    model = LocalService()
    texts = [TitledText(p.label, p.text) for p in passages]
    vectors = [v for start in range(0, len(texts), 64) for v in await model.embed_passages(texts[start : start + 64])]
    search = {name: bm25(passages, tokenizer) for name, tokenizer in TOKENIZERS.items()}
    asked = []
    for question in read_questions(questions):
        for form in FORMS:
            text = getattr(question, form)
            if text and question.answerable:
                vector = await model.embed_question(text)
                near = best(passages, [sum(map(float.__mul__, vector, other)) for other in vectors])
                asked.append(Asked(form, question.gold, near, {name: find(text) for name, find in search.items()}))
    await model.close()
    return asked


def bm25(passages: Sequence[Passage], tokenizer: TokenizerType) -> Callable[[str], tuple[Hit, ...]]:
    encoder = Bm25(Bm25Config(avg_len=128, tokenizer=tokenizer, language="english"))
    postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, passage in enumerate(passages):
        weights = encoder.embed_document(f"{passage.label}\n{passage.text}")
        for index, value in zip(weights.indices, weights.values, strict=True):
            postings[index].append((number, value))

    def find(text: str) -> tuple[Hit, ...]:
        scores: Counter[int] = Counter()
        for index in encoder.embed_query(text).indices:
            found = postings.get(index, [])
            rarity = math.log((len(passages) - len(found) + 0.5) / (len(found) + 0.5) + 1)
            for number, value in found:
                scores[number] += value * rarity  # type: ignore[assignment]  # a Counter of floats
        return tuple(Hit(passages[number], value) for number, value in scores.most_common(CANDIDATES))

    return find


def best(passages: Sequence[Passage], scores: Sequence[float]) -> tuple[Hit, ...]:
    order = sorted(range(len(scores)), key=lambda number: -scores[number])[:CANDIDATES]
    return tuple(Hit(passages[number], scores[number]) for number in order)


def reciprocal_ranks(k: int) -> Callable[[Candidates], list[str]]:
    def rank(candidates: Candidates) -> list[str]:
        scores: defaultdict[str, float] = defaultdict(float)
        for side in (candidates.dense, candidates.lexical):
            pages = dict.fromkeys(hit.passage.source for hit in side)
            for place, page in enumerate(pages, 1):
                scores[page] += 1 / (k + place)
        return sorted(scores, key=lambda page: -scores[page])

    return rank


def distribution_based(candidates: Candidates) -> list[str]:
    """The engine's own DBSF: each side's scores mapped from three deviations around its mean to 0..1, and added."""
    scores: defaultdict[str, float] = defaultdict(float)
    for side in (candidates.dense, candidates.lexical):
        values = [hit.score for hit in side]
        low, span = (fmean(values) - 3 * pstdev(values), 6 * pstdev(values) or 1.0) if values else (0.0, 1.0)
        best: dict[str, float] = {}
        for hit in side:
            value = min(1.0, max(0.0, (hit.score - low) / span))
            best[hit.passage.source] = max(best.get(hit.passage.source, 0.0), value)
        for page, value in best.items():
            scores[page] += value
    return sorted(scores, key=lambda page: -scores[page])


def weighted(dense_weight: float, evidence: tuple[float, ...]) -> Callable[[Candidates], list[str]]:
    def rank(candidates: Candidates) -> list[str]:
        ranked = fusion.rank_pages(candidates, dense_weight=dense_weight, page_evidence=evidence)
        return [page.hits[0].passage.source for page in ranked]

    return rank


def line(label: str, asked: Sequence[Asked], rank: Callable[[Asked], list[str]]) -> str:
    cells = []
    for form in FORMS:
        rows = [score(one.gold, rank(one)) for one in asked if one.form == form]
        cells += [f"{fmean(row[metric] for row in rows):.3f}" for metric in METRICS if metric != "recall@10"]
    return f"| {label} | " + " | ".join(cells) + " |"


async def main(pairs: Sequence[str]) -> None:
    asked = [one for pair in pairs for one in await ask_all(*map(Path, pair.split("=")))]
    names = [metric for metric in METRICS if metric != "recall@10"]
    print("| variant | " + " | ".join(f"{form} {name}" for form in FORMS for name in names) + " |")
    print("|---|" + "---|" * len(names) * len(FORMS))
    default = weighted(fusion.DENSE_WEIGHT, fusion.PAGE_EVIDENCE)
    print(line("vectors alone", asked, lambda one: default(Candidates(dense=one.dense))))
    for name in TOKENIZERS:
        print(line(f"BM25 alone, {name}", asked, lambda one, n=name: default(Candidates(lexical=one.lexical[n]))))  # type: ignore[misc]
    for name in TOKENIZERS:
        plain = weighted(0.5, (1.0,))
        print(line(f"sum 0.5, {name}", asked, lambda one, n=name, r=plain: r(Candidates(one.dense, one.lexical[n]))))  # type: ignore[misc]
    for label, rank in {
        **{f"reciprocal ranks, k {k}, code": reciprocal_ranks(k) for k in (10, 60)},
        "distribution-based, code": distribution_based,
        **{f"sum {w}, code": weighted(w, (1.0,)) for w in (0.4, 0.6, 0.7)},
        **{
            f"sum {w}, page evidence {e}, code": weighted(w, e)
            for w in (0.5, 0.6, 0.65)
            for e in ((1.0, 0.2, 0.2), (1.0, 0.3, 0.15), (1.0, 0.5, 0.25))
        },
    }.items():
        print(line(label, asked, lambda one, r=rank: r(Candidates(one.dense, one.lexical["code"]))))  # type: ignore[misc]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
