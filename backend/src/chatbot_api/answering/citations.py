"""The citation contract: a model may point at passages it was given; nothing else it writes becomes a link. Pure.

`CitedText` reads what a model writes, in whatever pieces it arrives, and gives out Markdown of which this holds:

- Outside code, every unescaped `[` begins a marker `[n]` of ours, and `n` is the number of a citation we made.
- Outside code, there is no image, no HTML, no link, and no web or mail address that is not in the passages. In code,
  there is no address on the web of whose host the passages know nothing.
- Code spans close on their line and within their cell, and code fences begin at the margin, so that every renderer
  agrees on what is code.
- No character is hidden, but for those that scripts and emoji need.
- No long run of what the model was told by us.

Pieces do not matter: the same text cut anywhere gives the same events' text and citations.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from chatbot_api.answering import addresses, prompts
from chatbot_api.answering.addresses import Addresses
from chatbot_api.answering.support import best_quote
from chatbot_api.answering.unsaid import Unsaid
from chatbot_api.answering.visible import Visible, visible
from chatbot_api.models.domain import Citation, CitationMade, Passage, TextDelta

_SPECIAL: Final = re.compile(rf"[\\`\[\]<!~@&\n]|{addresses.START.pattern}", re.IGNORECASE)
_POINTER: Final = re.compile(r"\^?\s*\d{1,3}(?:\s*[,;]\s*\d{1,3})*\s*")
_FENCE: Final = re.compile(r"(`{3,}|~{3,})([^`\n]*)\n")
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_NO_ENTITY: Final = re.compile(r"&#?[A-Za-z0-9]{0,32};?")
_PAIRED: Final = re.compile(r"\\.|`+|[\[\]()]|\n\n", re.DOTALL)
_PIPE: Final = re.compile(r"(?<!\\)\|")
_DELIMITERS: Final = re.compile(r"[\s>|:+*.)\d-]*-[\s>|:+*.)\d-]*")
_CONTAINERS: Final = " >\t-*+.)0123456789"
_ESCAPED: Final = re.compile(r"\\(.)")
_UNFINISHED: Final = re.compile(r"[\w.+-]@[\w.-]*$|&#?[A-Za-z0-9]{0,32}$")
_MAX_SPAN: Final = 400
_MAX_LINK: Final = 2_000
_MAX_DEPTH: Final = 16
_MAX_DOMAIN: Final = 255
_MAX_SPACES: Final = 100
_FEED: Final = 4_096
_TAIL: Final = 100
_NO_SPACE_BEFORE: Final = ".,;:!?)"
_AFTER_ADDRESS: Final = re.compile(r"[)\]}>\"'.,;:!?*_|~]*")

_Event = TextDelta | CitationMade


class CitedText:
    """Made for one answer over the passages that the model was given, numbered from 1 in their order."""

    def __init__(
        self,
        passages: Sequence[Passage],
        cite: Callable[[int, Passage, str], Citation],
        *,
        secret: str = prompts.SYSTEM,
    ) -> None:
        """`cite(number, passage, quote)` makes the citation that a reader sees under that number."""
        self._passages = passages
        self._cite = cite
        self._addresses = Addresses([passage.text for passage in passages])
        self._visible = Visible()
        self._unsaid = Unsaid(secret, [passage.text for passage in passages])
        self._held = ""
        self._awaited = ""
        self._shown: list[str] = []
        self._length = 0
        self._events: list[_Event] = []
        self._numbers: dict[int, int] = {}
        self._citations: list[Citation] = []
        self._fence: _Fence | None = None
        self._line_start = True
        self._line = ""
        self._in_table = self._may_be_header = self._was_header = False
        self._spaces = ""
        self._ticks = False
        self._after_marker = self._after_address = False
        self._vanished = False
        self._last_marker: tuple[int, int] | None = None
        self._recent = ""
        self._tail = ""

    @property
    def text(self) -> str:
        return "".join(self._shown)

    @property
    def citations(self) -> tuple[Citation, ...]:
        return tuple(self._citations)

    @property
    def withheld(self) -> bool:
        """Whether the rest is not shown because the model began to repeat what it was told."""
        return self._unsaid.stopped

    def feed(self, piece: str) -> list[_Event]:
        """What can be said after this piece; the rest is held until it is clear what it is."""
        self._read(self._visible.feed(piece))
        return self._take()

    def end(self) -> list[_Event]:
        """What was held. Nothing may be fed afterwards."""
        self._read(self._visible.end())
        self._advance(final=True)
        if self._fence is None:
            self._end_line()
        taken = self._take()
        if self._fence is not None:
            closing = TextDelta(("" if self._line_start else "\n") + self._fence.marker)
            self._fence = None
            self._shown.append(closing.text)
            taken = _joined([*taken, closing])
        return taken

    # Reading -------------------------------------------------------------------------------------------

    def _read(self, text: str) -> None:
        for start in range(0, len(text), _FEED):
            piece = text[start : start + _FEED]
            self._held += piece
            if not self._awaited or len(self._held) >= _MAX_LINK or any(char in piece for char in self._awaited):
                self._advance(final=False)

    def _advance(self, *, final: bool) -> None:
        self._awaited = ""
        while self._held and not self.withheld:
            step = self._read_fenced(final) if self._fence is not None else self._read_text(final)
            if not step:
                return

    def _read_text(self, final: bool) -> bool:
        """Handles the next run of the held text; False where more must arrive first."""
        held = self._held
        if self._line_start:
            indent = len(held) - len(held.lstrip(" "))
            if indent >= _MAX_SPACES:
                self._consume(indent, held[:indent])
                self._line_start = False
                return True
            head = held[indent : indent + 3]
            if not final and (not head or (head in ("`", "``", "~", "~~") and indent + len(head) == len(held))):
                return False
            if head in ("```", "~~~"):
                return self._open_fence(indent, final)
        special = _SPECIAL.search(held)
        if special is None:
            ready = len(held) if final else len(held) - addresses.possible_start(held)
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
            case "@":
                return self._at(final)
            case "&":
                return self._entity(final)
            case "\n":
                self._end_line()
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
        if self._ticks or run >= _MAX_SPAN:
            self._consume(run, "\\`" * run)
            self._ticks = not self._held  # of a run so long, the rest may be to come
            return True
        if run == len(self._held) and not final:
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
            self._span(line[: closing + run], run)
        return True

    def _span(self, span: str, run: int) -> None:
        """A code span, whole. A table would cut it at its `|`, and what follows would no longer be code."""
        if "|" in span:
            if self._in_table or self._line.lstrip(_CONTAINERS).startswith("|"):
                if "\\\\|" in span:  # renderers differ in what is escaped
                    self._consume(run, "\\`" * run)
                    return
                self._consume(len(span), self._addresses.tamed(_PIPE.sub(r"\\|", span)), code=True)
                return
            self._may_be_header = True
        self._consume(len(span), self._addresses.tamed(span), code=True)

    def _bracket(self, start: int, final: bool) -> bool:
        """`[` at `start`: a pointer, a link or image to unwrap, or a bracket that only looks like one."""
        held = self._held
        window = held[: start + _MAX_LINK]
        close, open_end = _closing(window, start, "[]")
        if close is None:
            if open_end and not final and len(window) < start + _MAX_LINK:
                self._awaited = "]\n["
                return False
            self._consume(start + 1, held[:start] + "\\[")
            return True
        if close + 1 == len(held) and not final:
            return False
        inner = held[start + 1 : close]
        end = close + 1
        if held[end : end + 1] == "(":
            target = held[end : end + _MAX_LINK]
            length, open_end = _closing(target, 0, "()")
            if length is None and open_end and not final and len(target) < _MAX_LINK:
                self._awaited = ")\n("
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
            label, open_end = _closing(held[: end + _MAX_LINK], end, "[]")
            if label is None and open_end and not final and len(held) < end + _MAX_LINK:
                self._awaited = "]\n["
                return False
            if label is not None and not _POINTER.fullmatch(held[end + 1 : label]):
                self._held = inner + held[label + 1 :]
                return True
        self._consume(start + 1, held[:start] + "\\[")
        return True

    def _at(self, final: bool) -> bool:
        """`@`: what stands before and behind it may be a mail address, which renderers make a link of."""
        end = min(addresses.DOMAIN.match(self._held, 1).end(), _MAX_DOMAIN)  # type: ignore[union-attr]  # may be empty
        if end == len(self._held) and end < _MAX_DOMAIN and not final:
            return False
        other = addresses.START.search(self._held, 1, end)
        end = other.start() if other else end
        local = re.search(r"[\w.+-]+$", self._tail) if not self._spaces else None
        domain = self._held[1:end].rstrip(".-_")
        mail = local is not None and "." in domain and not domain[-1].isdigit()
        if local is None or not mail or self._addresses.holds(f"{local[0]}@{domain}"):
            self._consume(end, self._held[:end])
            self._after_address = mail or self._after_address
        else:
            self._consume(1 + len(domain), "")
            self._vanished = True
        return True

    def _entity(self, final: bool) -> bool:
        """`&`: a character by its name or number is that character, so that nothing hides in it."""
        named = _ENTITY.match(self._held)
        if named:
            told = html.unescape(named[0])
            shown = "\\" + told if told == named[0] else _literal(told)
            self._consume(named.end(), shown)
            return True
        end = _NO_ENTITY.match(self._held).end()  # type: ignore[union-attr]  # it begins with `&`
        if end == len(self._held) and not final:
            return False
        self._consume(end, self._held[:end])
        return True

    def _address(self, start: str, final: bool) -> bool:
        found = addresses.ADDRESS.match(self._held, 0, _MAX_LINK)
        length = found.end() if found else len(start)
        if length == len(self._held) and length < _MAX_LINK and not final:
            return False
        address = self._held[:length].rstrip(addresses.TRAILING)
        known = len(address) > len(start) and self._addresses.holds(address)
        self._consume(len(address) or length, address if known else "")
        self._after_address = known or self._after_address
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
        self._spaces = ""
        self._in_table = self._was_header = False
        self._fence = _Fence(opening[1], indent)
        self._consume(opening.end(), f"{opening[1]}{info}\n")
        return True

    def _read_fenced(self, final: bool) -> bool:
        fence = self._fence
        if fence is None:
            return False
        line, newline, _ = self._held.partition("\n")
        if self._line_start and not newline and not final:
            begun = line.lstrip(" ")
            if len(line) - len(begun) < _MAX_SPACES and not begun.strip(fence.marker[0]).strip():
                if len(begun) > _MAX_SPAN:  # it closes, or it is no code that anybody wrote
                    self._held = self._held[: len(line) - len(begun) + _MAX_SPAN]
                return False  # it may be the closing fence, or indentation to take away
        if self._line_start and fence.closed_by(line):
            self._fence = None
            self._consume(len(line), fence.marker)
            return True
        ready = len(line) if newline or final else _complete(line)
        if not newline and not ready:
            return False
        at = min(fence.indent, len(line) - len(line.lstrip(" "))) if self._line_start else 0
        self._consume(ready + len(newline), self._addresses.tamed(line[at:ready]) + newline)
        self._line_start = bool(newline)
        return True

    # Writing -------------------------------------------------------------------------------------------

    def _consume(self, length: int, shown: str, *, code: bool = False) -> None:
        self._held = self._held[length:]
        if shown:
            self._write(shown, code=code)

    def _write(self, shown: str, *, code: bool = False) -> None:
        self._ticks = False
        if self._fence is None:
            if self._after_marker and shown[0] in "(:":
                shown = "\\" + shown
            if self._vanished and self._spaces and (shown[0].isspace() or shown[0] in _NO_SPACE_BEFORE):
                self._spaces = ""
            shown = self._parted(shown, code=code)
        self._after_marker = self._vanished = False
        shown = self._spaces + shown
        body = shown.rstrip(" ") if self._fence is None and not code else shown
        self._spaces = shown[len(body) :][:_MAX_SPACES]
        self._line_start = shown.endswith("\n") or (self._line_start and not shown.strip(" "))
        if body:
            self._last_marker = None
            self._emit(body, code=code)

    def _parted(self, shown: str, *, code: bool) -> str:
        """With a space where the words before, once something between has gone, would make an address or an entity of
        these, or where these would go on with an address of the passages."""
        if self._spaces:
            self._after_address = False
        if self._after_address:
            end = _AFTER_ADDRESS.match(shown).end()  # type: ignore[union-attr]  # may be empty
            if end < len(shown):
                self._after_address = False
                return shown if shown[end].isspace() else f"{shown[:end]} {shown[end:]}"
        if self._spaces or code or not self._tail:
            return shown
        escape = 1 if shown[0] == "\\" else 0
        first = shown[escape : escape + 1]
        if _UNFINISHED.search(self._tail) and re.match(r"[\w.#;-]", first) and not (escape and first == "#"):
            return " " + shown
        before = self._tail[-8:]
        for start in addresses.START.finditer(before + shown[escape : escape + 8]):
            if start.start() < len(before) < start.end():
                at = start.end() - 1 - len(before)
                return f"{shown[:at]} {shown[at:]}" if at else " " + shown
        return shown

    def _end_line(self) -> None:
        """Sees whether a table begins or ends here, and spoils one whose header has a code span across cells."""
        line = self._line
        looks_so = bool(_DELIMITERS.fullmatch(line))
        if looks_so and self._was_header:
            self._write("\\|")
            looks_so = False
        self._in_table = looks_so or (self._in_table and bool(line.strip()))
        self._was_header, self._may_be_header = self._may_be_header, False

    def _emit(self, text: str, *, code: bool = False) -> None:
        self._length += len(text)
        self._events.append(TextDelta(text))
        self._recent = (self._recent + text)[-600:]
        if code or self._fence is not None:
            self._tail = ""
            self._line += "`"
            return
        self._tail = (self._tail + _ESCAPED.sub(lambda found: found[1].replace("&", "\0"), text))[-_TAIL:]
        _, newline, after = text.rpartition("\n")
        self._line = after if newline else (self._line + text)[:_MAX_SPAN]

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
        sentence = self._recent
        if self._after_address and not self._spaces:
            self._spaces = " "
        if self._spaces:
            self._emit(self._spaces)
            self._spaces = ""
        at = self._length
        self._emit(f"[{number}]")
        self._last_marker = (number, self._length)
        self._after_marker, self._after_address, self._vanished, self._line_start = True, False, False, False
        if new:
            passage = self._passages[given - 1]
            citation = replace(self._cite(number, passage, best_quote(sentence, passage.text)), number=number)
            self._events.append(CitationMade(citation, at))

    def _take(self) -> list[_Event]:
        """The events so far, neighbouring text joined, up to what is not to be said."""
        taken: list[_Event] = []
        for event in _joined(self._events):
            if isinstance(event, CitationMade):
                self._citations.append(event.citation)
                taken.append(event)
                continue
            text = self._unsaid.passed(event.text)
            if text:
                self._shown.append(text)
                taken.append(TextDelta(text))
            if self._unsaid.stopped:
                self._held = ""
                break
        self._events = []
        return taken


def _joined(events: Sequence[_Event]) -> list[_Event]:
    joined: list[_Event] = []
    for is_text, group in groupby(events, key=lambda event: isinstance(event, TextDelta)):
        if is_text:
            joined.append(TextDelta("".join(event.text for event in group if isinstance(event, TextDelta))))
        else:
            joined.extend(group)
    return joined


class _Fence:
    def __init__(self, marker: str, indent: int) -> None:
        self.marker = marker
        self.indent = indent

    def closed_by(self, line: str) -> bool:
        line = line.strip()
        return len(line) >= len(self.marker) and not line.strip(self.marker[0])


def _literal(text: str) -> str:
    """Markdown that shows these characters as they are."""
    return "".join(
        " " if char == "\n" else f"\\{char}" if char.isascii() and not char.isalnum() and not char.isspace() else char
        for char in visible(text)
    )


def _complete(line: str) -> int:
    """How much of a line of code cannot be the beginning of an address any more."""
    last = max(addresses.IN_CODE.finditer(line), key=re.Match.start, default=None)
    if last is not None and last.end() == len(line) and last.end() - last.start() < _MAX_LINK:
        return last.start()
    return len(line) - addresses.possible_start(line)


def _closing_run(line: str, run: int) -> int | None:
    """Where a run of exactly `run` backticks closes the one that the line begins with."""
    for match in re.finditer(r"`+", line[run:]):
        if len(match.group()) == run:
            return run + match.start()
    return None


def _closing(text: str, start: int, pair: str) -> tuple[int | None, bool]:
    """Where the bracket at `start` closes, as CommonMark pairs them, or None and whether more text might."""
    depth = 0
    at = start
    while found := _PAIRED.search(text, at):
        mark = found[0]
        at = found.end()
        if mark == "\n\n":
            return None, False
        if mark[0] == "`" and pair == "[]":
            closing = _closing_run(text[found.start() :].split("\n", 1)[0], len(mark))
            at = found.start() + closing + len(mark) if closing is not None else at
        elif mark == pair[0]:
            depth += 1
            if depth > _MAX_DEPTH:
                return None, False
        elif mark == pair[1]:
            depth -= 1
            if depth == 0:
                return found.start(), True
    return None, True
