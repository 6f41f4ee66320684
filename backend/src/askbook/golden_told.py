"""A run over a golden file, as Markdown for a pull request and as lines for a terminal. Pure.

Questions, pages and headings were written by others: none of them becomes a mention, a link, HTML or a cell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from askbook.golden import Checked, GoldenRun, Status, worse

_LONGEST: Final = 200
_TABLE: Final = 30_000
_FOLDED: Final = 25_000
"""Bytes, at most, of the two parts that grow. A comment on GitHub takes 65,536 characters."""
_NAMES: Final[Mapping[Status, str]] = {
    "ok": "ok",
    "lost": "lost",
    "moved": "moved",
    "gone": "page gone",
    "answered": "unexpectedly answered",
}


def as_markdown(run: GoldenRun, before: GoldenRun | None = None) -> str:
    """A verdict, a table of what changed, and everything else folded. Short enough for a comment on GitHub."""
    was = {each.question: each.status for each in before.entries} if before else {}
    changed = [each for each in run.entries if each.status != was.get(each.question, "ok")]
    lines = [f"**{verdict(run, before)}**", ""]
    if changed:
        lines += [*_changes(changed, was, compared=before is not None), ""]
    lines += ["<details>", f"<summary>All {len(run.entries)} questions</summary>", ""]
    lines += _fitting(
        [f"- {_NAMES[each.status]}: {_code(each.question)}{_where(each)}" for each in run.entries], _FOLDED
    )
    lines += ["", "</details>", "", f"Asked of {run.pages} pages, {run.passages} passages.{_unread(run)}"]
    return "\n".join(lines) + "\n"


def verdict(run: GoldenRun, before: GoldenRun | None = None) -> str:
    total, now_worse = len(run.entries), worse(run, before)
    broken = total - run.counts["ok"]
    if now_worse:
        counts = [(sum(each.status == status for each in now_worse), name) for status, name in _NAMES.items()]
        told = ", ".join(f"{name} {count}" for count, name in counts if count)
        known = f"; {broken - len(now_worse)} more were not before" if broken > len(now_worse) else ""
        return f"{len(now_worse)} of {total} questions are not answered as recorded: {told}{known}."
    if broken:
        return (
            f"Nothing got worse; {broken} of {total} questions were not answered as recorded before, and are not now."
        )
    return f"All {total} questions are answered as recorded."


def as_text(run: GoldenRun, before: GoldenRun | None = None) -> str:
    width = max(len(name) for name in _NAMES.values())
    lines = []
    for each in run.entries:
        lines.append(f"{_NAMES[each.status]:<{width}}  {_line(each.question)}")
        if each.detail:
            lines.append(f"{'':<{width}}  {_line(_expected(each))}{_line(each.detail)}")
    return "\n".join([*lines, "", verdict(run, before)])


def _changes(changed: Sequence[Checked], was: Mapping[str, Status], *, compared: bool) -> list[str]:
    head = ["question", "expected", *(["before"] if compared else []), "now", "what happened"]
    rows = []
    for each in changed:
        old = [_NAMES[was[each.question]] if each.question in was else "new"] if compared else []
        expected = _code(_place(each)) if each.page else "no answer"
        rows.append(_row([_code(each.question), expected, *old, _NAMES[each.status], _code(each.detail)]))
    return [_row(head), _row(["---"] * len(head)), *_fitting(rows, _TABLE)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    """As many as there is room for, and how many there is none for."""
    sizes = accumulate(len(line.encode()) + 1 for line in lines)
    fitting = sum(size <= room for size in sizes)
    more = ["", f"… and {len(lines) - fitting} more."] if fitting < len(lines) else []
    return [*lines[:fitting], *more]


def _where(each: Checked) -> str:
    return f", from {_code(each.cited[0])}" if each.cited else ""


def _unread(run: GoldenRun) -> str:
    names = ", ".join(map(_code, list(run.bad_pages)[:5]))
    return f" {len(run.bad_pages)} pages could not be read: {names}." if names else ""


def _place(each: Checked) -> str:
    return (each.page or "") + (f"#{each.anchor}" if each.anchor else "")


def _expected(each: Checked) -> str:
    return f"{_place(each)}: " if each.page else ""


def _code(text: str) -> str:
    """As code within a line and a cell: there, nothing in it is read as Markdown, HTML or a name."""
    text = _line(text)
    if not text:
        return ""
    # `\|` is a pipe in every cell; a backslash before it would be read in two ways.
    text = re.sub(r"\\(?=\|)", r"\\ ", text).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    space = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{space}{text}{space}{fence}"


def _line(text: str) -> str:
    """On one line, without what moves a cursor or reverses reading, and not too long."""
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST].rstrip() + "…"
