"""What retrieval alone can tell of a question that the book does not answer, signal by signal, and where to refuse.

    python -m benchmarks.gate DOCS=QUESTIONS.jsonl [DOCS=QUESTIONS.jsonl ...]

Questions of ours about three public sites are in gate_questions/; the sites are not. Beside the questions that a file
calls unanswerable, two kinds are made by rule: the questions of the other sites, and the answerable questions with
every page taken out that is labelled as answering them or related. What decided something is in RETRIEVAL.md.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Literal

import numpy as np

from askbook.evaluation import FORMS, read_questions
from chatbot_api.answering import evidence
from chatbot_api.models.domain import Candidates, Hit, Passage, TitledText
from chatbot_api.services.bm25_service import Bm25Encoder
from chatbot_api.services.local_service import LocalService
from qdrant_indexer.chunking import passages_of
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.layout import find_layout
from qdrant_indexer.sources.markdown import read_markdown

CANDIDATES = 50
REFUSED = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20)
Kind = Literal["answerable", "unanswerable", "left out", "other site"]
SILENT: tuple[Kind, ...] = ("unanswerable", "left out", "other site")
LOCAL = LocalService().model
UNMEASURED = "not measured"


class Book:
    """A site in memory, searched as the embedded engine does."""

    def __init__(self, name: str, passages: Sequence[Passage], vectors: Sequence[Sequence[float]]) -> None:
        self.name = name
        self._passages = passages
        self._vectors = np.array(vectors, dtype=np.float32)
        self._encoder = Bm25Encoder()
        self._postings: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
        for number, passage in enumerate(passages):
            weights = self._encoder.of_passage(passage)
            for index, value in zip(weights.indices, weights.values, strict=True):
                self._postings[index].append((number, value))

    def search(self, text: str, vector: Sequence[float], without: Collection[str] = ()) -> Candidates:
        """`without`: pages that are not in the book, by their source file."""
        kept = [passage.source not in without for passage in self._passages]
        cosines = (self._vectors @ np.array(vector, dtype=np.float32)).tolist()
        near = {number: cosine for number, cosine in enumerate(cosines) if kept[number]}
        shared: defaultdict[int, float] = defaultdict(float)
        for index in self._encoder.of_question(text, None).indices:
            found = [(number, value) for number, value in self._postings.get(index, []) if kept[number]]
            rarity = math.log(1 + (sum(kept) - len(found) + 0.5) / (len(found) + 0.5))
            for number, value in found:
                shared[number] += value * rarity
        return Candidates(self._best(near), self._best(shared))

    def _best(self, scores: dict[int, float]) -> tuple[Hit, ...]:
        order = sorted(scores, key=lambda number: (-scores[number], number))[:CANDIDATES]
        return tuple(Hit(self._passages[number], scores[number]) for number in order)


@dataclass(frozen=True)
class Case:
    site: str
    kind: Kind
    form: str
    text: str
    candidates: Candidates


async def read_book(docs: Path, name: str, model: LocalService) -> Book:
    pages = [page for page in read_markdown(find_layout(docs)) if not isinstance(page, Skipped)]
    passages = [passage for page in pages for passage in passages_of(page)]
    texts = [TitledText(p.label, p.text) for p in passages]
    vectors = [v for start in range(0, len(texts), 64) for v in await model.embed_passages(texts[start : start + 64])]
    return Book(name, passages, vectors)


async def collect(pairs: Sequence[tuple[Path, Path]]) -> list[Case]:
    model = LocalService()
    names = [file.parent.name if file.stem == "questions" else file.stem for _, file in pairs]
    books = [await read_book(docs, name, model) for (docs, _), name in zip(pairs, names, strict=True)]
    cases = []
    for book, (_, file) in zip(books, pairs, strict=True):
        for question in read_questions(file):
            for form in FORMS:
                text: str | None = getattr(question, form)
                if not text:
                    continue
                vector = await model.embed_question(text)
                kind: Kind = "answerable" if question.answerable else "unanswerable"
                cases.append(Case(book.name, kind, form, text, book.search(text, vector)))
                if question.answerable:
                    rest = book.search(text, vector, {page.path for page in question.gold})
                    cases.append(Case(book.name, "left out", form, text, rest))
                for other in books:
                    if other is not book:
                        cases.append(Case(other.name, "other site", form, text, other.search(text, vector)))
    await model.close()
    return cases


# Signals: each high where the book answers --------------------------------------------------------------


def lead_over_fifth(candidates: Candidates) -> float:
    return candidates.dense[0].score - candidates.dense[min(4, len(candidates.dense) - 1)].score


def standard_score(candidates: Candidates) -> float:
    cosines = [hit.score for hit in candidates.dense]
    return float((cosines[0] - fmean(cosines)) / (np.std(cosines) or 1.0))


def best_bm25(candidates: Candidates) -> float:
    return candidates.lexical[0].score if candidates.lexical else 0.0


def agreement(candidates: Candidates) -> float:
    """The share of pages that both sides have among their first three."""
    first = [
        set(list(dict.fromkeys(hit.passage.page for hit in side))[:3])
        for side in (candidates.dense, candidates.lexical)
    ]
    return len(first[0] & first[1]) / 3


def judged(case: Case) -> float:
    """The score of the rule; out of reach where the rule does not judge."""
    if not evidence.is_judged(case.text, case.candidates):
        return math.inf
    return evidence.signals(case.text, case.candidates).score


def judged_by_words(case: Case) -> float:
    if not evidence.is_judged(case.text, case.candidates):
        return math.inf
    return evidence.signals(case.text, case.candidates).coverage


Signal = Callable[[Case], float]
SIGNALS: dict[str, Signal] = {
    "best cosine": lambda case: case.candidates.dense[0].score,
    "mean of the best five cosines": lambda case: fmean(hit.score for hit in case.candidates.dense[:5]),
    "lead over the fifth": lambda case: lead_over_fifth(case.candidates),
    "lead over the mean": lambda case: evidence.signals(case.text, case.candidates).lead,
    "the same in deviations": lambda case: standard_score(case.candidates),
    "best BM25": lambda case: best_bm25(case.candidates),
    "agreement of both sides": lambda case: agreement(case.candidates),
    "coverage by one passage": lambda case: evidence.signals(case.text, case.candidates).coverage,
    "cosine + lead": lambda case: case.candidates.dense[0].score + evidence.signals(case.text, case.candidates).lead,
    "cosine + lead + coverage / 2": lambda case: evidence.signals(case.text, case.candidates).score,
}
RULES: dict[str, Signal] = {"the rule": judged, "the rule by words alone": judged_by_words}


# Measures -----------------------------------------------------------------------------------------------


def auc(answered: Sequence[float], silent: Sequence[float]) -> float:
    """How often an answerable question scores above one of the others (Mann and Whitney)."""
    pairs = [(a > s) + 0.5 * (a == s) for a in answered for s in silent]
    return fmean(pairs) if pairs else math.nan


def at_most(share: float, answered: Sequence[float]) -> float:
    """The greatest threshold under which no more than that share of them is."""
    ordered = sorted(answered)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def below(threshold: float, values: Iterable[float]) -> float:
    return fmean(value < threshold for value in values)


def logistic(rows: Sequence[Sequence[float]], answered: Sequence[bool], weights: Sequence[float]) -> list[float]:
    """Weights of the signals, by Newton's method with a little ridge."""
    x = np.column_stack([np.ones(len(rows)), np.array(rows)])
    y, w, beta = np.array(answered, dtype=float), np.array(weights), np.zeros(x.shape[1])
    ridge = 0.001 * np.eye(len(beta))
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        beta -= np.linalg.solve((x * (w * p * (1 - p))[:, None]).T @ x + ridge, x.T @ (w * (p - y)) + ridge @ beta)
    return [float(value) for value in beta[1:]]


def select(cases: Iterable[Case], form: str, kind: Kind, sites: Collection[str]) -> list[Case]:
    return [case for case in cases if case.form == form and case.kind == kind and case.site in sites]


# Tables -------------------------------------------------------------------------------------------------


def table_of_auc(cases: Sequence[Case], sites: Sequence[str], form: str) -> None:
    columns = [(kind, site) for kind in SILENT for site in sites if select(cases, form, "answerable", [site])]
    print(f"\nArea under the ROC curve, {form}:\n")
    print("| signal | " + " | ".join(f"{kind}, {site}" for kind, site in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, signal in SIGNALS.items():
        cells = [
            auc(*([signal(c) for c in select(cases, form, k, [site])] for k in ("answerable", kind)))
            for kind, site in columns
        ]
        print(f"| {name} | " + " | ".join("-" if math.isnan(cell) else f"{cell:.2f}" for cell in cells) + " |")


def table_of_roc(cases: Sequence[Case], sites: Sequence[str], form: str) -> None:
    print(f"\nRecognised where that share of the answerable is refused, all sites, {form}:\n")
    print("| signal | of the | " + " | ".join(f"{share:.0%}" for share in REFUSED) + " |")
    print("|---|---|" + "---|" * len(REFUSED))
    for name, signal in {**SIGNALS, **RULES}.items():
        answered = [signal(case) for case in select(cases, form, "answerable", sites)]
        for kind in SILENT:
            silent = [signal(case) for case in select(cases, form, kind, sites)]
            cells = [f"{below(at_most(share, answered), silent):.2f}" for share in REFUSED] if silent else ["-"]
            print(f"| {name} | {kind} | " + " | ".join(cells) + " |")


def table_of_transfer(cases: Sequence[Case], sites: Sequence[str], form: str) -> None:
    """Each site with weights and threshold found on the others."""
    print(f"\nWeights and the threshold for 5 % from the other sites, {form}:\n")
    print("| site | weights | refused | " + " | ".join(SILENT) + " |")
    print("|---|---|---|" + "---|" * len(SILENT))
    for site in sites:
        others = [other for other in sites if other != site]
        weights = fitted(cases, others)
        answered = [weighted(case, weights) for case in select(cases, form, "answerable", others)]
        if not answered:
            continue
        threshold = at_most(0.05, answered)
        cells = []
        for kind in ("answerable", *SILENT):
            values = [weighted(case, weights) for case in select(cases, form, kind, [site])]
            cells.append(f"{below(threshold, values):.2f}" if values else "-")
        shown = " : ".join(f"{weight / weights[0]:.1f}" for weight in weights)
        print(f"| {site} | {shown} | " + " | ".join(cells) + " |")


def fitted(cases: Sequence[Case], sites: Sequence[str]) -> list[float]:
    """Every site and kind counts the same, the made kinds half; as many answerable as others."""
    rows, answered, weights = [], [], []
    for site in sites:
        for kind, worth in (("answerable", 2.0), ("unanswerable", 1.0), ("left out", 0.5), ("other site", 0.5)):
            chosen = [case for case in cases if case.site == site and case.kind == kind]
            for case in chosen:
                signals = evidence.signals(case.text, case.candidates)
                rows.append([signals.nearest, signals.lead, signals.coverage])
                answered.append(kind == "answerable")
                weights.append(worth * 10 / len(chosen))
    return logistic(rows, answered, weights)


def weighted(case: Case, weights: Sequence[float]) -> float:
    if not evidence.is_judged(case.text, case.candidates):
        return math.inf
    found = evidence.signals(case.text, case.candidates)
    return weights[0] * found.nearest + weights[1] * found.lead + weights[2] * found.coverage


def table_of_the_rule(cases: Sequence[Case], sites: Sequence[str]) -> None:
    print("\nRefused by `evidence.says_nothing`:\n")
    print("| form, vectors | of the | " + " | ".join(sites) + " | all |")
    print("|---|---|" + "---|" * (len(sites) + 1))
    for form in FORMS:
        for model in (LOCAL, UNMEASURED):
            for kind in ("answerable", *SILENT):
                cells = []
                for among in (*([site] for site in sites), sites):
                    chosen = select(cases, form, kind, among)
                    refused = sum(evidence.says_nothing(c.text, c.candidates, model) for c in chosen)
                    cells.append(f"{refused}/{len(chosen)}" if chosen else "-")
                print(f"| {form}, {model} | {kind} | " + " | ".join(cells) + " |")


def time_taken(cases: Sequence[Case]) -> None:
    taken = []
    for case in cases:
        start = perf_counter()
        evidence.says_nothing(case.text, case.candidates, LOCAL)
        taken.append((perf_counter() - start) * 1000)
    p50, p99 = np.percentile(taken, [50, 99])
    print(f"\nTime of one decision: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


async def main(arguments: Sequence[str]) -> None:
    pairs = [(Path(docs), Path(file)) for docs, _, file in (argument.partition("=") for argument in arguments)]
    cases = await collect(pairs)
    sites = list(dict.fromkeys(case.site for case in cases))
    for form in FORMS:
        table_of_auc(cases, sites, form)
        table_of_roc(cases, sites, form)
        table_of_transfer(cases, sites, form)
    table_of_the_rule(cases, sites)
    time_taken(cases)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
