"""The citation contract: a model may point at passages it was given; nothing else it writes becomes a link. Pure.

`CitedText` reads what a model writes, in whatever pieces it arrives, and gives out Markdown of which this holds:

- Outside code, every unescaped `[` begins a marker `[n]` of ours, and `n` is the number of a citation we made.
- Outside code, there is no image, no HTML, no link, and no web address that is not in the passages.
- Code spans close on their line and code fences begin at the margin, so that every renderer agrees on what is code.

Pieces do not matter: the same text cut anywhere gives the same events' text and citations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from chatbot_api.answering.support import best_quote
from chatbot_api.models.domain import Citation, CitationMade, Passage, TextDelta

_SPECIAL: Final = re.compile(r"[\\`\[\]<!~]|https?://|ftp://|www\.|\n", re.IGNORECASE)
_ADDRESS_STARTS: Final = ("https://", "http://", "ftp://", "www.")
_ADDRESS: Final = re.compile(r"[^\s<>\"'`\[\]()\\]+")
_POINTER: Final = re.compile(r"\^?\s*\d{1,3}(?:\s*[,;]\s*\d{1,3})*\s*")
_FENCE: Final = re.compile(r"(`{3,}|~{3,})([^`\n]*)\n")
_MAX_SPAN: Final = 400
_MAX_LINK: Final = 2_000
_FEED: Final = 4_096
_NO_SPACE_BEFORE: Final = ".,;:!?)"

_Event = TextDelta | CitationMade


class CitedText:
    """Made for one answer over the passages that the model was given, numbered from 1 in their order."""

    def __init__(self, passages: Sequence[Passage], cite: Callable[[int, Passage, str], Citation]) -> None:
        """`cite(number, passage, quote)` makes the citation that a reader sees under that number."""
        self._passages = passages
        self._cite = cite
        self._source = "\n".join(passage.text for passage in passages)
        self._held = ""
        self._out: list[str] = []
        self._length = 0
        self._events: list[_Event] = []
        self._numbers: dict[int, int] = {}
        self._citations: list[Citation] = []
        self._fence: _Fence | None = None
        self._line_start = True
        self._spaces = ""
        self._after_marker = False
        self._vanished = False
        self._last_marker: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        return "".join(self._out)

    @property
    def citations(self) -> tuple[Citation, ...]:
        return tuple(self._citations)

    def feed(self, piece: str) -> list[_Event]:
        """What can be said after this piece; the rest is held until it is clear what it is."""
        for start in range(0, len(piece), _FEED):
            self._held += piece[start : start + _FEED]
            self._advance(final=False)
        return self._take()

    def end(self) -> list[_Event]:
        """What was held. Nothing may be fed afterwards."""
        self._advance(final=True)
        if self._fence is not None:
            self._write(("" if self._line_start else "\n") + self._fence.marker)
            self._fence = None
        return self._take()

    # Reading -------------------------------------------------------------------------------------------

    def _advance(self, *, final: bool) -> None:
        while self._held:
            step = self._read_fenced(final) if self._fence is not None else self._read_text(final)
            if not step:
                return

    def _read_text(self, final: bool) -> bool:
        """Handles the next run of the held text; False where more must arrive first."""
        held = self._held
        if self._line_start:
            indent = len(held) - len(held.lstrip(" "))
            head = held[indent : indent + 3]
            if not final and (not head or (head in ("`", "``", "~", "~~") and indent + len(head) == len(held))):
                return False
            if head in ("```", "~~~"):
                return self._open_fence(indent, final)
        special = _SPECIAL.search(held)
        if special is None:
            ready = len(held) if final else len(held) - _possible_address(held)
            if not ready:
                return False
            self._consume(ready, held[:ready])
            return True
        if special.start():
            self._consume(special.start(), held[: special.start()])
            return True
        match held[0]:
            case "\\":
                return self._escape(final)
            case "`":
                return self._code_span(final)
            case "[":
                return self._bracket(0, final)
            case "!":
                if len(held) == 1 and not final:
                    return False
                if held[1:2] == "[":
                    return self._bracket(1, final)
                self._consume(1, "!")
            case "<":
                self._consume(1, "\\<")
            case "]" | "~":
                self._consume(1, held[0])
            case "\n":
                self._consume(1, "\n")
            case _:
                return self._address(special.group(), final)
        return True

    def _escape(self, final: bool) -> bool:
        if len(self._held) == 1:
            if not final:
                return False
            self._consume(1, "\\\\")
        elif self._held[1].isalnum() or self._held[1].isspace():
            self._consume(1, "\\\\")
        else:
            self._consume(2, self._held[:2])
        return True

    def _code_span(self, final: bool) -> bool:
        run = len(self._held) - len(self._held.lstrip("`"))
        if run == len(self._held) and not final and run < _MAX_SPAN:
            return False
        window = self._held[: run + _MAX_SPAN]
        line = window.split("\n", 1)[0]
        closing = _closing_run(line, run)
        undecided = len(line) == len(window) < run + _MAX_SPAN and not final
        if closing is None:
            if undecided:
                return False
            self._consume(run, "\\`" * run)
        elif closing + run == len(self._held) and undecided:
            return False  # the closing run may go on
        else:
            self._consume(closing + run, self._held[: closing + run])
        return True

    def _bracket(self, start: int, final: bool) -> bool:
        """`[` at `start`: a pointer, a link or image to unwrap, or a bracket that only looks like one."""
        held = self._held
        window = held[: start + _MAX_LINK]
        close = _closing_bracket(window, start)
        paragraph_over = "\n\n" in window
        if close is None:
            if not final and not paragraph_over and len(window) < start + _MAX_LINK:
                return False
            self._consume(start + 1, held[:start] + "\\[")
            return True
        if close + 1 == len(held) and not final:
            return False
        inner = held[start + 1 : close]
        end = close + 1
        if held[end : end + 1] == "(":
            target = held[end : end + _MAX_LINK]
            length = _closing_parenthesis(target)
            if length is None and not final and "\n\n" not in target and len(target) < _MAX_LINK:
                return False
            if length is not None:
                end += length + 1
                if not _POINTER.fullmatch(inner):
                    self._held = inner + held[end:]
                    return True
        if _POINTER.fullmatch(inner):
            self._consume(end, "")
            for digits in re.findall(r"\d+", inner):
                self._point(int(digits))
            return True
        if held[end : end + 1] == "[" and end == close + 1:
            label = _closing_bracket(held[: end + _MAX_LINK], end)
            if label is None and not final and len(held) < end + _MAX_LINK and "\n\n" not in held:
                return False
            if label is not None and not _POINTER.fullmatch(held[end + 1 : label]):
                self._held = inner + held[label + 1 :]
                return True
        self._consume(start + 1, held[:start] + "\\[")
        return True

    def _address(self, start: str, final: bool) -> bool:
        found = _ADDRESS.match(self._held, 0, _MAX_LINK)
        length = found.end() if found else len(start)
        if length == len(self._held) and length < _MAX_LINK and not final:
            return False
        address = self._held[:length].rstrip(".,;:!?*_")
        known = len(address) > len(start) and address in self._source
        self._consume(len(address) or length, address if known else "")
        self._vanished = self._vanished or not known
        return True

    def _open_fence(self, indent: int, final: bool) -> bool:
        opening = _FENCE.match(self._held, indent)
        if opening is None:
            if not final and "\n" not in self._held and len(self._held) < _MAX_SPAN:
                return False
            run = len(self._held) - indent - len(self._held[indent:].lstrip(self._held[indent]))
            mark = self._held[indent]
            self._line_start = False
            self._consume(indent + run, f"\\{mark}" * run)
            return True
        info = re.sub(r"[^\w+#. =\"'{},/:-]", "", opening[2]).strip()
        self._consume(opening.end(), f"{opening[1]}{info}\n")
        self._fence = _Fence(opening[1], indent)
        return True

    def _read_fenced(self, final: bool) -> bool:
        fence = self._fence
        if fence is None:
            return False
        line, newline, _ = self._held.partition("\n")
        if not newline and not final:
            if self._line_start or not line:
                return False  # it may be the closing fence, or indentation to take away
            self._consume(len(line), line)
            return True
        if self._line_start and fence.closed_by(line):
            self._fence = None
            self._consume(len(line), fence.marker)
            return True
        shown = line[min(fence.indent, len(line) - len(line.lstrip(" "))) :] if self._line_start else line
        self._consume(len(line) + len(newline), shown + newline)
        return True

    # Writing -------------------------------------------------------------------------------------------

    def _consume(self, length: int, shown: str) -> None:
        self._held = self._held[length:]
        if shown:
            self._write(shown)

    def _write(self, shown: str) -> None:
        if self._fence is None:
            if self._after_marker and shown[0] in "(:":
                shown = "\\" + shown
            if self._vanished and self._spaces and (shown[0].isspace() or shown[0] in _NO_SPACE_BEFORE):
                self._spaces = ""
        self._after_marker = self._vanished = False
        shown = self._spaces + shown
        body = shown.rstrip(" ") if self._fence is None else shown
        self._spaces = shown[len(body) :]
        self._line_start = shown.endswith("\n") or (self._line_start and not shown.strip(" "))
        if body:
            self._last_marker = None
            self._emit(body)

    def _emit(self, text: str) -> None:
        self._out.append(text)
        self._length += len(text)
        self._events.append(TextDelta(text))

    def _point(self, given: int) -> None:
        if not 1 <= given <= len(self._passages):
            self._vanished = True
            return
        number = self._numbers.get(given)
        new = number is None
        if number is None:
            number = self._numbers[given] = len(self._numbers) + 1
        if self._last_marker == (number, self._length):
            return  # [1][1] says no more than [1]
        sentence = self.text[-600:]
        if self._spaces:
            self._emit(self._spaces)
            self._spaces = ""
        at = self._length
        self._emit(f"[{number}]")
        self._last_marker = (number, self._length)
        self._after_marker, self._vanished, self._line_start = True, False, False
        if new:
            passage = self._passages[given - 1]
            citation = replace(self._cite(number, passage, best_quote(sentence, passage.text)), number=number)
            self._citations.append(citation)
            self._events.append(CitationMade(citation, at))

    def _take(self) -> list[_Event]:
        """The events so far, neighbouring text joined."""
        taken: list[_Event] = []
        for event in self._events:
            if isinstance(event, TextDelta) and taken and isinstance(taken[-1], TextDelta):
                taken[-1] = TextDelta(taken[-1].text + event.text)
            else:
                taken.append(event)
        self._events = []
        return taken


class _Fence:
    def __init__(self, marker: str, indent: int) -> None:
        self.marker = marker
        self.indent = indent

    def closed_by(self, line: str) -> bool:
        line = line.strip()
        return len(line) >= len(self.marker) and not line.strip(self.marker[0])


def _possible_address(text: str) -> int:
    """How many characters at the end might be the beginning of an address."""
    tail = text[-8:].lower()
    return max((n for n in range(1, len(tail) + 1) if any(a.startswith(tail[-n:]) for a in _ADDRESS_STARTS)), default=0)


def _closing_run(line: str, run: int) -> int | None:
    """Where a run of exactly `run` backticks closes the one that the line begins with."""
    for match in re.finditer(r"`+", line[run:]):
        if len(match.group()) == run:
            return run + match.start()
    return None


def _closing_bracket(text: str, start: int) -> int | None:
    """The `]` that belongs to the `[` at `start`, as CommonMark pairs them; None within this paragraph."""
    depth = 0
    at = start
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if char == "`":
            run = len(text) - at - len(text[at:].lstrip("`"))
            closing = _closing_run(text[at:].split("\n", 1)[0], run)
            at += closing + run if closing is not None else run
            continue
        if text.startswith("\n\n", at):
            return None
        depth += (char == "[") - (char == "]")
        if depth == 0:
            return at
        at += 1
    return None


def _closing_parenthesis(text: str) -> int | None:
    depth = 0
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if text.startswith("\n\n", at):
            return None
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return at
        at += 1
    return None
