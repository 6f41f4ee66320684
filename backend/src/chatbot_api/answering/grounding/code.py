"""Which code of an answer is the passages' own, line for line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from chatbot_api.answering.grounding.values import CODE
from chatbot_api.answering.text import units_of
from chatbot_api.models.domain import CodeSpan, Span

_MAX_FENCES: Final = 500
_INDENTED: Final = "\x1f"


def code_spans(text: str, fences: Sequence[Span], codes: Sequence[str]) -> Iterator[CodeSpan]:
    for number, fence in enumerate(fences):
        lines = text[fence.start : fence.end].split("\n")
        _, mark, wanted = _as_lines(lines[1:-1]).partition(_INDENTED)
        known = number < _MAX_FENCES and any(mark + wanted in code for code in codes)
        yield CodeSpan(fence.start, fence.end, known)


@lru_cache(maxsize=256)
def code_of(text: str) -> str:
    """The fenced code of a passage, and what stands in its prose as code."""
    found = []
    for unit in units_of(text):
        if unit.kind == "code":
            found.append(_as_lines(unit.text.split("\n")[1:-1]))
        else:
            found += [_as_lines([code]) for _, code in CODE.findall(unit.text)]
    return "\n".join(found)


def _as_lines(lines: Sequence[str]) -> str:
    """Each line after its indentation relative to the one before; blank lines at the ends left out.

    Code that stands within other code, however deep, then stands within its text but for the first indentation.
    """
    depth = 0
    parts: list[str] = []
    for line in "\n".join(lines).strip("\n").expandtabs(4).split("\n"):
        bare = line.strip()
        indent = len(line) - len(line.lstrip()) if bare else depth
        parts.append(f"{indent - depth}{_INDENTED}{bare}\n")
        depth = indent
    return "".join(parts)
