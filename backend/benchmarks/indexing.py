"""Index runs over many pages, with an embedder that costs nothing: reading, writing, memory, and a run without changes.

python -m benchmarks.indexing [PAGES ...]
"""

from __future__ import annotations

import asyncio
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chatbot_api.models.domain import Remark, TitledText, Vector
from chatbot_api.services.edge_service import EdgeIndex
from qdrant_indexer.chunking import passages_of
from qdrant_indexer.indexing import Origin, index
from qdrant_indexer.pace import Ledger, Pace
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.fingerprint import fingerprint
from qdrant_indexer.sources.layout import SiteLayout, find_layout
from qdrant_indexer.sources.markdown import read_markdown
from qdrant_indexer.vector_cache import VectorCache

SECTIONS = 8


class FreeEmbedder:
    """384 numbers that depend on the text and took no time."""

    model = "free"
    dimensions = 384
    batch_size = 256
    quota = None

    async def embed_question(self, text: str) -> Vector:
        chance = random.Random(text)
        return [chance.random() / 10 for _ in range(self.dimensions)]

    async def embed_passages(self, texts: Sequence[TitledText]) -> list[Vector]:
        return [await self.embed_question(text.text) for text in texts]

    async def check(self) -> Sequence[Remark]:
        return ()

    async def close(self) -> None:
        """Holds nothing."""


def write_book(folder: Path, pages: int) -> None:
    for page in range(pages):
        sections = "\n".join(
            f"## Part {part}\n\nMachine {page} has a part {part}, set with `option_{page}_{part}`. "
            + f"It turns {page * part} times a minute, unless the valve {part} is closed, and then it rests. " * 4
            + f"\n\n- one of {part}\n- two of {page}\n\n```yaml\nmachine: {page}\nparts:\n  - {part}\n```\n"
            for part in range(SECTIONS)
        )
        (folder / f"page-{page}.md").write_text(f"# Machine {page}\n\n{sections}\n", encoding="utf-8")


async def run(layout: SiteLayout, data: Path) -> float:
    begun = time.perf_counter()
    with VectorCache(data / "vectors.sqlite") as cache, Ledger(data / "quotas.sqlite") as ledger:
        await index(
            lambda: read_markdown(layout),
            origin=Origin("book", fingerprint=fingerprint(layout.docs_dir, (".md",), settings=layout)),
            embedder=FreeEmbedder(),
            vector_index=EdgeIndex(data / "index"),
            cache=cache,
            pace=Pace(None, ledger),
        )
    return time.perf_counter() - begun


def measure(pages: int) -> None:
    """In a process of its own, so that its memory is its own."""
    with tempfile.TemporaryDirectory() as name:
        docs, data = Path(name, "docs"), Path(name, "data")
        docs.mkdir()
        write_book(docs, pages)
        layout = find_layout(docs)
        begun = time.perf_counter()
        passages = sum(len(passages_of(page)) for page in read_markdown(layout) if not isinstance(page, Skipped))
        reading = time.perf_counter() - begun
        first = asyncio.run(run(layout, data))
        again = asyncio.run(run(layout, data))
        (docs / "page-0.md").write_text("# Machine 0\n\nIt was replaced.\n", encoding="utf-8")
        changed = asyncio.run(run(layout, data))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = (pages / reading, first, again, changed, peak)
    print(f"| {pages:,} | {passages:,} | " + " | ".join(f"{figure:,.2f}" for figure in figures) + " |")


def main(counts: Sequence[int]) -> None:
    print("### Index runs over Markdown, embedding not counted\n")
    print("| pages | passages | read, pages/s | first run, s | nothing changed, s | one page changed, s | peak MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for count in counts:
        subprocess.run([sys.executable, "-m", "benchmarks.indexing", "--one", str(count)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(int(sys.argv[2]))
    else:
        main([int(argument) for argument in sys.argv[1:]] or [2_000, 10_000])
