"""The picture of the README, taken anew: `python -m tests.e2e.picture`. What it shows is what `make demo` serves."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright, expect

from tests.e2e.conftest import launched, listening, opened
from tests.e2e.on_site import Site, app_of, index_documentation
from tests.e2e.test_site import ROOT

PICTURE: Final = ROOT / "docs" / "askbook.png"
QUESTION: Final = "How does Askbook make sure that a citation is true?"
MOST_BYTES: Final = 250_000


async def take(data: Path) -> None:
    await index_documentation(data)
    size = {"width": 840, "height": 580}
    async with (
        async_playwright() as playwright,
        launched(playwright) as browser,
        listening(app_of(data, Site(), with_model=False)) as address,
        opened(browser, viewport=size, device_scale_factor=2) as page,
    ):
        await page.goto(address)
        await page.get_by_label("Your question").fill(QUESTION)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Answer again")).to_be_visible()
        await page.get_by_role("link", name="Source 1").first.hover()
        await expect(page.get_by_role("link", name="Open the passage")).to_be_visible()
        taken = await page.screenshot()
    assert len(taken) < MOST_BYTES, f"{len(taken)} bytes are too many for a README"
    PICTURE.write_bytes(taken)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(take(Path(name)))
