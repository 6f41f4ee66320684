"""The embedded engine: building, opening and asking a generation of many passages, everything but the embedding."""

from __future__ import annotations

import asyncio
import math
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from chatbot_api.answering import context
from chatbot_api.answering.fusion import rank_pages
from chatbot_api.models.domain import Entry, Manifest, Passage, Scope, SearchQuery
from chatbot_api.services.edge_service import EdgeIndex, EdgeStore

DIMENSIONS = 384
QUESTIONS = 300
WORDS = [f"{a}{b}{c}" for a in ("ro", "ma", "ti", "ke", "su") for b in ("bo", "la", "ne", "vi") for c in "dkmnprst"]


def entries(count: int, chance: random.Random) -> list[Entry]:
    made = []
    for number in range(count):
        passage = Passage(
            id=str(UUID(int=number + 1)),
            page=f"/docs/part-{number // 1000}/page-{number // 10}",
            breadcrumbs=(),
            title=f"Page {number // 10}",
            headings=(f"Part {number % 10}",),
            anchor=f"part-{number % 10}",
            text=" ".join(chance.choices(WORDS, k=80)),
            ordinal=number % 10,
            version="current",
            locale="en",
            tag="docs-default-current",
            latest=True,
            position=number // 10,
            source=f"page-{number // 10}.md",
        )
        made.append(Entry(passage, unit(chance)))
    return made


def unit(chance: random.Random) -> list[float]:
    vector = [chance.gauss(0, 1) for _ in range(DIMENSIONS)]
    norm = math.sqrt(sum(value * value for value in vector))
    return [value / norm for value in vector]


async def measure(count: int) -> dict[str, float]:
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = EdgeIndex(folder)
        manifest = Manifest("g1", datetime.now(UTC), "m", DIMENSIONS, True, index.lexical, count, count // 10)
        made = entries(count, chance)
        begun = time.perf_counter()
        async with index.writing(), index.generation(manifest) as generation:
            for start in range(0, count, 256):
                await generation.put(made[start : start + 256])
            await generation.publish()
        built = time.perf_counter() - begun
        store = EdgeStore(folder)
        begun = time.perf_counter()
        await store.manifest()
        opened = time.perf_counter() - begun
        figures = {"build, s": built, "open, s": opened}
        for label, scope in (("", Scope()), (" in a scope of 1,000", Scope(path_prefix="/docs/part-1"))):
            taken = []
            for _ in range(QUESTIONS):
                query = SearchQuery(" ".join(chance.choices(WORDS, k=8)), unit(chance), scope)
                begun = time.perf_counter()
                context.choose(rank_pages(await store.search(query)), 8)
                taken.append((time.perf_counter() - begun) * 1000)
            taken.sort()
            figures[f"ask{label}, ms p50"] = taken[len(taken) // 2]
            figures[f"ask{label}, ms p99"] = taken[math.ceil(len(taken) * 0.99) - 1]
        await store.close()
    return figures


async def main(counts: list[int]) -> None:
    results = [await measure(count) for count in counts]
    print("### Embedded engine, 384 dimensions\n")
    print("| passages | " + " | ".join(results[0]) + " |\n|---|" + "---|" * len(results[0]))
    for count, figures in zip(counts, results, strict=True):
        print(f"| {count:,} | " + " | ".join(f"{value:.2f}" for value in figures.values()) + " |")


if __name__ == "__main__":
    asyncio.run(main([int(argument) for argument in sys.argv[1:]] or [2_000, 10_000, 50_000]))
