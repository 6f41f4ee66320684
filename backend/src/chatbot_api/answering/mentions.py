"""Pages that a reader may mean by the first letters of their names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatbot_api.models.domain import PageSummary


def mentioned(pages: Iterable[PageSummary], typed: str, limit: int) -> Sequence[PageSummary]:
    """Best first: titles that begin so, then those with a word that does, then what stands under such a name, then
    those that hold the letters anywhere; within each in reading order. Nothing typed: the book's first pages."""
    letters = " ".join(typed.casefold().split())
    ranked = [(rank, page) for page in pages if (rank := _rank(page, letters)) is not None]
    return [page for _, page in sorted(ranked, key=lambda each: (each[0], each[1].position, each[1].path))[:limit]]


def _rank(page: PageSummary, letters: str) -> int | None:
    title = page.title.casefold()
    above = " ".join(page.breadcrumbs).casefold()
    if title.startswith(letters):
        return 0
    for rank, name in ((1, title), (2, above)):
        if f" {letters}" in f" {name}":
            return rank
    return 3 if letters in title or letters in page.path.casefold() else None
