"""The text of an answer without its markers `[n]`, for faces that show citations in another way. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_MAYBE_FENCE: Final = re.compile(r" {0,3}(?:`{0,2}|~{0,2})$")
_MARKER: Final = re.compile(r"\[(\d{1,3})\]")
_MAYBE_MARKER: Final = re.compile(r"\[\d{0,3}$")
_SPECIAL: Final = re.compile(r"[\\`\[\n]")


@dataclass(frozen=True, slots=True)
class Marker:
    number: int
    at: int
    """Where it stood, in characters of the text without markers."""


class Unmarked:
    """Reads an answer as `CitedText` gives it out, in whatever pieces: outside code, `[n]` is always a marker, code
    spans close on their line, and code fences begin at the margin. The spaces before a marker go with it."""

    def __init__(self) -> None:
        self.text = ""
        self.markers: list[Marker] = []
        self._held = ""
        self._spaces = ""
        self._fence = ""
        self._line_start = True

    def feed(self, piece: str) -> str:
        """What can be shown after this piece."""
        return self._read(piece, final=False)

    def end(self) -> str:
        return self._read("", final=True)

    def _read(self, piece: str, *, final: bool) -> str:
        self._held += piece
        before = len(self.text)
        while self._held and self._step(final):
            pass
        return self.text[before:]

    def _step(self, final: bool) -> bool:
        """Handles the next run of the held text; False where more must arrive first."""
        if self._fence:
            return self._code_line(final)
        if self._line_start:
            if opening := _FENCE.match(self._held):
                line, newline, _ = self._held.partition("\n")
                if not newline and not final:
                    return False
                self._fence = opening[1]
                self._show(len(line + newline))
                return True
            if _MAYBE_FENCE.match(self._held) and not final:
                return False
        special = _SPECIAL.search(self._held)
        if special is None or special.start():
            self._show(special.start() if special else len(self._held))
            return True
        match self._held[0]:
            case "\\":
                if len(self._held) == 1 and not final:
                    return False
                self._show(2)
            case "`":
                return self._code_span(final)
            case "[":
                if marker := _MARKER.match(self._held):
                    self._spaces = ""
                    self.markers.append(Marker(int(marker[1]), len(self.text)))
                    self._held = self._held[marker.end() :]
                    self._line_start = False
                    return True
                if _MAYBE_MARKER.match(self._held) and not final:
                    return False
                self._show(1)
            case _:
                self._show(1)
        return True

    def _code_line(self, final: bool) -> bool:
        line, newline, _ = self._held.partition("\n")
        closing = line.strip()
        closes = self._line_start and len(closing) >= len(self._fence) and not closing.strip(self._fence[0])
        if not newline and not final and self._line_start and not closing.strip(self._fence[0]):
            return False  # it may be the closing fence
        if closes:
            self._fence = ""
        self._show(len(line + newline))
        return True

    def _code_span(self, final: bool) -> bool:
        run = len(self._held) - len(self._held.lstrip("`"))
        line, newline, _ = self._held.partition("\n")
        closing = re.search(rf"(?<!`)`{{{run}}}(?!`)", line[run:])
        undecided = not newline and not final
        if undecided and (closing is None or run + closing.end() == len(line)):
            return False
        self._show(run + closing.end() if closing else run)
        return True

    def _show(self, length: int) -> None:
        shown = self._spaces + self._held[:length]
        self._held = self._held[length:]
        self._line_start = shown.endswith("\n")
        body = shown if self._fence else shown.rstrip(" ")
        self._spaces = shown[len(body) :]
        self.text += body


def unmarked(text: str) -> tuple[str, list[Marker]]:
    reading = Unmarked()
    reading.feed(text)
    reading.end()
    return reading.text, reading.markers
