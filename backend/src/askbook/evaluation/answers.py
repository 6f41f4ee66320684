"""An answer held against the known facts and pages, and its citations against the index."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from askbook.evaluation.questions import Gold, GoldQuestion
from askbook.evaluation.results import Answered, QuestionResult
from askbook.evaluation.retrieval import percentiles, share
from chatbot_api.answering.text import units_of
from chatbot_api.models.domain import Answer, Citation, PageSummary, Passage
from chatbot_api.models.paths import normal_path
from chatbot_api.ports import VectorStore

_TARGET: Final = re.compile(r"(?<=\])(?:\([^)\n]*\)|\[[^\]\n]*\])")
_OURS: Final = re.compile(r"(?<!\\)\[\d+\]")
_TAG: Final = re.compile(r"</?[a-z][^>]*>", re.IGNORECASE)
_MARK: Final = re.compile(r"^\s*(?:[-+*]|\d+[.)])\s|[*_`~\\|#>\[\]!]", re.MULTILINE)


class Book:
    """The pages of an index, to look citations up in."""

    def __init__(self, store: VectorStore, pages: Sequence[PageSummary]) -> None:
        self._store = store
        self._pages = {normal_path(page.path): page for page in pages}
        self._passages: dict[str, Sequence[Passage]] = {}

    @classmethod
    async def open(cls, store: VectorStore) -> Self:
        return cls(store, await store.pages())

    async def passages(self, path: str) -> Sequence[Passage]:
        """Empty for a page that is not there."""
        path = normal_path(path)
        page = self._pages.get(path)
        if page is None:
            return ()
        if path not in self._passages:
            self._passages[path] = await self._store.passages(page)
        return self._passages[path]


async def judge(question: GoldQuestion, answer: Answer, book: Book) -> Answered:
    pages = [await book.passages(citation.page) for citation in answer.citations]
    cited = [_cited(citation, page) for citation, page in zip(answer.citations, pages, strict=True)]
    told = [plain(_OURS.sub("", answer.text)), *(plain(citation.quote) for citation in answer.citations)]
    quoted = [plain(passage.text) for passage in cited if passage]
    snippets = [plain(fact.snippet) for fact in question.facts]
    placed = [_places(passage, page, question.gold) for passage, page in zip(cited, pages, strict=True)]
    anchored = [under for _, under in placed if under is not None]
    usage = answer.usage
    unsupported = len(answer.grounding.unsupported)
    return Answered(
        state=answer.state,
        mode=answer.mode,
        facts=len(snippets),
        facts_found=sum(any(snippet in text for text in told) for snippet in snippets),
        facts_cited=sum(any(snippet in text for text in quoted) for snippet in snippets),
        citations=len(answer.citations),
        on_gold_page=sum(on_page for on_page, _ in placed),
        with_gold_anchor=len(anchored),
        on_gold_anchor=sum(anchored),
        faults=[
            fault for citation, page in zip(answer.citations, pages, strict=True) for fault in faults_of(citation, page)
        ],
        sentences=max(unsupported, sum(unit.kind in ("sentence", "item") for unit in units_of(answer.text))),
        unsupported=unsupported,
        first_word_ms=answer.timings.first_word,
        total_ms=answer.timings.total,
        model=usage.model if usage else None,
        input_tokens=usage.input_tokens if usage else 0,
        output_tokens=usage.output_tokens if usage else 0,
        dollars=usage.dollars if usage else 0.0 if answer.mode != "generated" else None,
        notice=answer.notice,
    )


def faults_of(citation: Citation, page: Sequence[Passage]) -> list[str]:
    """What a reader who follows the citation would not find, of `page`, the passages of the page that it names."""
    if not page:
        return [f"{citation.url}: the page is not in the index"]
    faults = []
    address = urlsplit(citation.url)
    anchor = unquote(address.fragment.partition(":~:")[0])
    if not normal_path(unquote(address.path)).endswith(normal_path(citation.page)):
        faults.append(f"{citation.url}: it leads to another page than {citation.page}")
    if anchor and anchor not in {passage.anchor for passage in page}:
        faults.append(f"{citation.url}: the page has no heading {anchor!r}")
    passage = _cited(citation, page)
    if passage is None:
        faults.append(f"{citation.url}: the page has no passage {citation.passage_id}")
    elif not citation.quote or citation.quote not in passage.text:
        faults.append(f"{citation.url}: the quote is not verbatim in the passage")
    return faults


def plain(text: str) -> str:
    """The words as they are compared: without links' targets, marks of Markdown and HTML, case, and runs of space."""
    text = _TAG.sub(" ", html.unescape(_TARGET.sub("", text)))
    return " ".join(_MARK.sub("", text).casefold().split())


def _cited(citation: Citation, page: Sequence[Passage]) -> Passage | None:
    return next((passage for passage in page if passage.id == citation.passage_id), None)


def _places(passage: Passage | None, page: Sequence[Passage], gold: Sequence[Gold]) -> tuple[bool, bool | None]:
    """Whether a cited passage is on a gold page, and whether it is under a gold heading; None where the page has no
    gold heading."""
    here = [each for each in gold if passage is not None and each.path == passage.source]
    anchors = [each.anchor for each in here if each.anchor]
    if passage is None or not anchors:
        return bool(here), None
    return True, any(is_under(passage, anchor, page) for anchor in anchors)


def is_under(passage: Passage, anchor: str, page: Sequence[Passage]) -> bool:
    """At the heading, or at one below it."""
    heading = next((each.headings for each in page if each.anchor == anchor), None)
    return heading is not None and passage.headings[: len(heading)] == heading


def totals(results: Sequence[QuestionResult]) -> dict[str, Any] | None:
    """Over all answers, with pages, facts and refusals over those whose question the book answers."""
    answers = [result.answer for result in results if result.answer]
    answerable = [result.answer for result in results if result.answer and result.answerable]
    others = [result.answer for result in results if result.answer and not result.answerable]
    if not answers:
        return None
    return {
        "facts": {
            "found": share(sum(a.facts_found for a in answerable), sum(a.facts for a in answerable)),
            "cited": share(sum(a.facts_cited for a in answerable), sum(a.facts for a in answerable)),
            "of": sum(a.facts for a in answerable),
        },
        "citations": {
            "of": sum(a.citations for a in answers),
            "faulty": sum(len(a.faults) for a in answers),
            "on_gold_page": share(sum(a.on_gold_page for a in answerable), sum(a.citations for a in answerable)),
            "on_gold_anchor": share(
                sum(a.on_gold_anchor for a in answerable), sum(a.with_gold_anchor for a in answerable)
            ),
        },
        "unsupported_sentences": share(sum(a.unsupported for a in answers), sum(a.sentences for a in answers)),
        "unanswerable_recognised": share(_refused(others), len(others)),
        "answerable_refused": share(_refused(answerable), len(answerable)),
        "unanswerable": {"count": len(others), "recognised": _refused(others), **_by_gate(others)},
        "answerable": {"count": len(answerable), "refused": _refused(answerable), **_by_gate(answerable)},
        "states": dict(Counter(a.state for a in answers)),
        "modes": dict(Counter(a.mode for a in answers)),
        "first_word_ms": percentiles([a.first_word_ms for a in answers if a.first_word_ms] or [0.0]),
        "total_ms": percentiles([a.total_ms for a in answers]),
        "tokens": {"input": sum(a.input_tokens for a in answers), "output": sum(a.output_tokens for a in answers)},
        "dollars": _dollars(answers),
    }


def _refused(answers: Sequence[Answered]) -> int:
    return sum(answer.refused_by is not None for answer in answers)


def _by_gate(answers: Sequence[Answered]) -> dict[str, int]:
    gates = Counter(answer.refused_by for answer in answers)
    return {"by_retrieval": gates["retrieval"], "by_model": gates["model"]}


def _dollars(answers: Sequence[Answered]) -> float | None:
    """None where one of them is not known: a part of a sum would look like the sum."""
    known = [answer.dollars for answer in answers if answer.dollars is not None]
    return round(sum(known), 6) if len(known) == len(answers) else None
