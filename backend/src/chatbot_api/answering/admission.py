"""The first line of an answer, with which a model says whether the book answers the question at all. Pure.

Models write these words in bold, in quotes, in code, in small letters or after `Answer:`. So the word counts in any
spelling where it is all of the line. As we spell it, it stands in nothing of others that a model reads (`prompts`), so
it is ours also where the line goes on. In another spelling, with more on its line, it is prose: "Not in docs folders,
but in …"; and where that spelling stands in what the model read, it is a quotation, which nobody can force on a reader
as a refusal.

A model that says "not in the book" and then points at passages contradicts itself. What points can be checked, so the
answer is shown, as one in part; what does not point stays unsaid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from chatbot_api.answering.visible import Visible
from chatbot_api.models.domain import CitationMade, State, TextDelta

NOT_IN_DOCS: Final = "NOT_IN_DOCS"
PARTLY_IN_DOCS: Final = "PARTLY_IN_DOCS"
_STATES: Final[dict[str, State]] = {"NOT": "not_in_docs", "PARTLY": "partial"}

_MARKS: Final = r"[\W_]{0,80}"
_LABEL: Final = r"(?:[^\W\d_\u0900-\uffff]{1,12}|[^\W\d_]{1,4})[^\w \n]{0,4}?[:\uff1a>]"
"""`Answer:`, `<answer>`. A word of a script that has no spaces is short: until it is longer, an answer is held."""
_BETWEEN: Final = r"(?:[^\w\n]|_){0,3}"
_WORD: Final = re.compile(
    r"(?:(?:`{3,}|~{3,})\w{1,12}[ \t]*\n)?"  # a fence with a language
    rf"(?:{_MARKS}{_LABEL})?{_MARKS}"
    rf"(?P<word>(?P<first>NOT|PARTLY){_BETWEEN}IN{_BETWEEN}DOCS)(?!_*[^\W_])",
    re.IGNORECASE,
)
_AS_WE_SPELL_IT: Final = re.compile(r"(?:NOT|PARTLY)\\?_IN\\?_DOCS")
_MISSING: Final = (
    *(word[at:] for word in (NOT_IN_DOCS, PARTLY_IN_DOCS) for at in range(len(word) + 1)),
    f":{NOT_IN_DOCS}",
    f"\n{NOT_IN_DOCS}",
)
"""What could still come to make one of these words of the beginning of an answer."""

_FENCE: Final = re.compile(r"`{3}|~{3}")
_CLOSING_FENCE: Final = re.compile(r"\s*(?:`{3,}|~{3,})[ \t]*(?:\n|\Z)")
_LINE_END: Final = re.compile(r"(?:</\w{0,12}(?:>|\Z)|[^\w\n]|_)*(?:\n|\Z)")
_POINTER: Final = re.compile(r"\[[\d\s,;^]*(?:\]|\Z)")
_GOING_ON: Final = re.compile(r"(?:[^\w\s\[]|_)*(?:[ \t]*\[[\d\s,;^]*\])*[ \t]*(?:[-:.,;\u2013\u2014]+\s+)?")


class Admission:
    """Holds an answer back until it is clear whether it begins with one of these words, and takes the word away with
    the marks around it."""

    def __init__(self, read: str = "") -> None:
        """`read`: what the model read of others."""
        self.state: State | None = None
        """What the answer is by now, None while that is not clear. What is not in the book may turn out to be."""
        self._read = read
        self._visible = Visible()
        self._held = ""
        self._admitted: State | None = None
        self._clear = False
        self._unsaid: list[TextDelta | CitationMade] = []

    def hear(self, piece: str) -> str:
        """What of the answer can be read by now, in the characters that a reader can see."""
        return self._heard(self._visible.feed(piece), final=False)

    def end(self) -> str:
        """What was held and is no such word. Without any other word, an answer says nothing about the book."""
        return self._heard(self._visible.end(), final=True)

    def said(self, events: Sequence[TextDelta | CitationMade]) -> Sequence[TextDelta | CitationMade]:
        """What of all that was read can be shown by now: after "not in the book" nothing, until it is cited."""
        if self.state != "not_in_docs":
            return events
        self._unsaid += events
        if not any(isinstance(event, CitationMade) for event in events):
            return ()
        self.state = "partial"
        unsaid, self._unsaid = self._unsaid, []
        return unsaid

    def _heard(self, text: str, *, final: bool) -> str:
        if self._clear:
            return text
        self._held = (self._held + text).lstrip()
        while word := _WORD.match(self._held):
            rest = self._after(word)
            if rest is None:
                break
            if not _says_something(rest):
                if final or word["first"].upper() == "NOT":
                    self.state = "not_in_docs"
                return ""
            self.state = self._admitted = _STATES[word["first"].upper()]
            self._held = rest.lstrip()
        if not final and any(_WORD.fullmatch(self._held + missing) for missing in _MISSING):
            return ""
        self._clear = True
        self.state = self._admitted or ("answered" if self._held else "not_in_docs")
        return self._held

    def _after(self, word: re.Match[str]) -> str | None:
        """What follows an admission; None where the word is none."""
        after = self._held[word.end() :]
        line = _LINE_END.match(after)
        ours = _AS_WE_SPELL_IT.fullmatch(word["word"])
        if not ours and (line is None or word["word"] in self._read):
            return None
        if line is not None:
            rest = after[line.end() :]
            return _CLOSING_FENCE.sub("", rest, count=1) if _FENCE.search(self._held, 0, word.start("word")) else rest
        return after[_GOING_ON.match(after).end() :]  # type: ignore[union-attr]  # may be empty


def _says_something(text: str) -> bool:
    return re.search(r"[^\W_]", _POINTER.sub("", text)) is not None
