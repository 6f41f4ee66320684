"""The picture of the README, taken anew: `python -m tests.e2e.picture`. What it shows is quoted from `site/`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright, expect

from chatbot_api.models.domain import Page as BookPage
from qdrant_indexer.chunking import passages_of
from qdrant_indexer.sources.layout import find_layout
from qdrant_indexer.sources.markdown import read_markdown
from tests.e2e.conftest import launched, opened, served

ROOT: Final = Path(__file__).parents[3]
PICTURE: Final = ROOT / "docs" / "askbook.png"
PAGE: Final = "/docs/concepts/citations"
QUESTION: Final = "How does Askbook make sure that a citation is true?"
MOST_BYTES: Final = 250_000


async def take() -> None:
    pages = [page for page in read_markdown(find_layout(ROOT / "site")) if isinstance(page, BookPage)]
    # Of the opening alone: the fake embedder is no match for the whole book.
    opening = next(passage for page in pages if page.path == PAGE for passage in passages_of(page))
    size = {"width": 840, "height": 580}
    async with (
        async_playwright() as playwright,
        launched(playwright) as browser,
        served(passages=[opening]) as book,
        opened(browser, viewport=size, device_scale_factor=2) as page,
    ):
        await page.goto(book.address)
        await page.get_by_label("Your question").fill(QUESTION)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Answer again")).to_be_visible()
        await page.get_by_role("link", name="Source 1").hover()
        await expect(page.get_by_role("link", name="Open the passage")).to_be_visible()
        taken = await page.screenshot()
    assert len(taken) < MOST_BYTES, f"{len(taken)} bytes are too many for a README"
    PICTURE.write_bytes(taken)


if __name__ == "__main__":
    asyncio.run(take())
