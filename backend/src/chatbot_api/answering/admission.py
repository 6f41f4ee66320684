"""The first word of an answer, with which a model says whether the book answers the question at all. Pure."""

from __future__ import annotations

from typing import Final

from chatbot_api.models.domain import State

NOT_IN_DOCS: Final = "NOT_IN_DOCS"
PARTLY_IN_DOCS: Final = "PARTLY_IN_DOCS"
_STATES: Final[dict[str, State]] = {NOT_IN_DOCS: "not_in_docs", PARTLY_IN_DOCS: "partial"}


class Admission:
    """Holds an answer back until it is clear whether it begins with one of these words, and takes that word away, as it
    does with white space before the answer."""

    def __init__(self) -> None:
        self.state: State | None = None
        """None while that is not clear."""
        self._held = ""
        self._begun = False

    def hear(self, piece: str) -> str:
        """What can be shown of the answer by now."""
        if self.state is None:
            self._held = (self._held + piece).lstrip()
            self._decide()
            piece = "" if self.state is None else self._held
        if not self._begun:
            piece = piece.lstrip() if self.state == "answered" else piece.lstrip(" .:\n")
            self._begun = bool(piece)
        return piece

    def end(self) -> str:
        """What was held and is no such word; an answer without a word says nothing about the book."""
        if self.state is not None:
            return ""
        self.state = "answered" if self._held else "not_in_docs"
        return self._held

    def _decide(self) -> None:
        for word, state in _STATES.items():
            if self._held.startswith(word):
                self._held = self._held[len(word) :]
                self.state = state
                return
        if not any(word.startswith(self._held) for word in _STATES):
            self.state = "answered"
