"""Pages to passages. Pure: no files, no models."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace

from chatbot_api.answering.visible import visible
from chatbot_api.models.domain import Block, Page, Passage, Section

MAX_TOKENS = 220
"""Where a passage ends, in estimated word pieces: heading sections of this size answered best of all the ways tried,
and the local model reads 256. `docs/adr/0005-passages.md` has the figures."""

_NAMESPACE = uuid.UUID("6b3c1c1e-5d0c-5c56-9d5b-0d8a5f0c7b11")
_PIECES = re.compile(r"[A-Za-z]{1,7}|[0-9]{1,3}|[^\W\dA-Za-z_]|[^\s\w]|_")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)|(?<=[\u3002\uff01\uff1f])")


def estimate_tokens(text: str) -> int:
    """About as many word pieces as a BERT-like tokenizer makes, without its vocabulary. One a character for scripts
    without spaces."""
    return len(_PIECES.findall(text))


def passages_of(page: Page, *, max_tokens: int = MAX_TOKENS) -> list[Passage]:
    """The passages of a page in reading order; at least one, so that every page can be found by its title.

    A heading begins a passage. Within a section, blocks are gathered up to `max_tokens`. Code, tables and formulas are
    never cut, however long; prose is cut between sentences and lists between items. Hidden characters go, but code
    stays as the page has it.
    """
    page = _as_seen(page)
    texts = [
        (section, text) for section in page.sections for text in _gather(_lines_of(section, max_tokens), max_tokens)
    ]
    if not texts:
        texts = [(Section((), None, ()), page.title)]
    seen: dict[str, int] = {}
    passages = []
    for ordinal, (section, text) in enumerate(texts):
        place = [
            page.version,
            page.locale,
            page.path,
            section.anchor,
            page.breadcrumbs,
            page.title,
            section.headings,
            text,
        ]
        name = json.dumps(place, ensure_ascii=False)
        occurrence = seen[name] = seen.get(name, -1) + 1
        passages.append(
            Passage(
                id=str(uuid.uuid5(_NAMESPACE, f"{name}#{occurrence}" if occurrence else name)),
                page=page.path,
                breadcrumbs=page.breadcrumbs,
                title=page.title,
                headings=section.headings,
                anchor=section.anchor,
                text=text,
                ordinal=ordinal,
                version=page.version,
                locale=page.locale,
                tag=page.tag,
                latest=page.latest,
                position=page.position,
                source=page.source,
            )
        )
    return passages


def _as_seen(page: Page) -> Page:
    """A reader copies code, and then every character counts; all else is there to be read."""
    return replace(
        page,
        title=visible(page.title) or page.path,
        breadcrumbs=_names_as_seen(page.breadcrumbs),
        sections=tuple(
            replace(
                section,
                headings=_names_as_seen(section.headings),
                blocks=tuple(
                    seen for block in section.blocks if (seen := _block_as_seen(block)).text or not block.text
                ),
            )
            for section in page.sections
        ),
    )


def _block_as_seen(block: Block) -> Block:
    return replace(
        block,
        text=block.text if block.kind == "code" else visible(block.text),
        language=visible(block.language),
        caption=visible(block.caption),
        within=_names_as_seen(block.within),
    )


def _names_as_seen(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in map(visible, names) if name)


def _lines_of(section: Section, max_tokens: int) -> Iterator[str]:
    """The section's blocks as Markdown, a label where the container changes, long prose in pieces."""
    within: tuple[str, ...] = ()
    for block in section.blocks:
        label = ""
        if block.within != within:
            label = f"**{' / '.join(block.within)}**\n\n" if block.within else ""
            within = block.within
        first, *rest = _pieces(block, max_tokens)
        yield label + first
        yield from rest


def _gather(pieces: Iterable[str], max_tokens: int) -> Iterator[str]:
    held: list[str] = []
    size = 0
    for piece in pieces:
        tokens = estimate_tokens(piece)
        if held and size + tokens > max_tokens:
            yield "\n\n".join(held)
            held, size = [], 0
        held.append(piece)
        size += tokens
    if held:
        yield "\n\n".join(held)


def _pieces(block: Block, max_tokens: int) -> list[str]:
    if block.kind == "code":
        return [fenced(block)]
    if block.kind == "maths":
        return [f"$$\n{block.text}\n$$"]
    if block.kind == "table" or estimate_tokens(block.text) <= max_tokens:
        return [block.text]
    if block.kind == "list":
        parts, glue = re.split(r"\n(?=(?:- |\d+[.)] ))", block.text), "\n"
    else:
        parts, glue = _SENTENCE_END.split(block.text), " "
    return _join_up_to(parts, glue, max_tokens)


def _join_up_to(parts: list[str], glue: str, max_tokens: int) -> list[str]:
    joined: list[str] = []
    size = 0
    for part in parts:
        tokens = estimate_tokens(part)
        if joined and size + tokens <= max_tokens:
            joined[-1] += glue + part
            size += tokens
        else:
            joined.append(part)
            size = tokens
    return joined


def fenced(block: Block) -> str:
    """A code block as Markdown, in a fence longer than any run of backticks within."""
    longest = max((len(run) for run in re.findall(r"`{3,}", block.text)), default=2)
    fence = "`" * (longest + 1)
    caption = f' title="{block.caption}"' if block.caption else ""
    body = block.text if block.text.endswith("\n") or not block.text else block.text + "\n"
    return f"{fence}{block.language}{caption}\n{body}{fence}"
