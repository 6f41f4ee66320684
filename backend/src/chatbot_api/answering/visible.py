"""Characters that nobody sees, taken out of what the index holds, a model reads and an answer says. Pure.

Hidden characters carry instructions to a model, hide data in an answer, turn the order of a line around or speak to a
terminal. What script and emoji need stays: a joiner, direction mark or variation selector, one, after a character that
can bear it.
"""

from __future__ import annotations

import re
from typing import Final

_SEPARATORS: Final = re.compile("[\x0b\x0c\x85\u2028\u2029]")
_JOINERS: Final = "\u200c-\u200f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_HIDDEN: Final = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    "]"
)
_STRAY: Final = re.compile(
    f"(?<![^\\x00-\\xff\\s{_JOINERS}])(?<![^\\x00-\\xff\\s{_JOINERS}]\ufe0f(?=\u200d))"
    f"(?<![0-9#*\xa9\xae](?=[\ufe0e\ufe0f]))[{_JOINERS}]"
    "|(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SUSPECT: Final = re.compile(f"{_SEPARATORS.pattern}|{_HIDDEN.pattern}|[\r{_JOINERS}]|{_SURROGATE.pattern}")
_UNSEEN: Final = re.compile(f"{_SEPARATORS.pattern}|{_HIDDEN.pattern}|\r|{_SURROGATE.pattern}")


class Visible:
    """Made for one text that arrives in pieces; where it is cut does not matter."""

    def __init__(self) -> None:
        self._before = ""
        self._half = ""
        self._after_return = False

    def feed(self, piece: str) -> str:
        piece = self._half + piece
        self._half = ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]  # half of a character: JSON can say so
        return self._cleaned(piece)

    def end(self) -> str:
        piece, self._half = self._half, ""
        return self._cleaned(piece)

    def _cleaned(self, piece: str) -> str:
        if not piece:
            return ""
        after_return, self._after_return = self._after_return, piece[-1] == "\r"
        if after_return and piece[0] == "\n":
            piece = piece[1:]
        if _SUSPECT.search(piece):
            if _SURROGATE.search(piece):
                piece = piece.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            piece = piece.replace("\r\n", "\n").replace("\r", "\n")
            piece = _HIDDEN.sub("", _SEPARATORS.sub(" ", piece))
            piece = self._without_stray(piece)
        self._before = (self._before + piece)[-2:]
        return piece

    def _without_stray(self, piece: str) -> str:
        text, at = self._before + piece, len(self._before)
        kept = []
        for stray in _STRAY.finditer(text, at):
            kept.append(text[at : stray.start()])
            at = stray.end()
        return "".join([*kept, text[at:]])


def visible(text: str) -> str:
    """The text as a reader can see it; lines end in `\\n`."""
    cleaner = Visible()
    return cleaner.feed(text) + cleaner.end()


def visible_stretches(text: str) -> list[str]:
    """What stands between the characters that `visible` would take out or replace, each stretch verbatim."""
    return [stretch for part in _UNSEEN.split(text) for stretch in _STRAY.split(part)]
