"""A moving picture of what a reader does and sees, with the pointer that a headless browser does not draw."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw
from playwright.async_api import Locator, Page

_POINTER: Final = ((0, 0), (0, 17), (4, 13), (7, 19.5), (9.5, 18.5), (6.5, 12), (12, 12))
"""CSS pixels, from its tip."""
_STEPS: Final = 8
_STEP_MS: Final = 40
_KEY_MS: Final = 60
_FRAME_MS: Final = 80
_COLOURS: Final = 255


@dataclass(frozen=True, slots=True)
class _Moment:
    page: Image.Image
    pointer: tuple[float, float]
    ms: int


class Film:
    def __init__(self, page: Page, *, scale: float = 1) -> None:
        """`scale`: device pixels for each CSS pixel."""
        self._page = page
        self._scale = scale
        self._moments: list[_Moment] = []
        self._at = (400.0, 330.0)

    async def hold(self, ms: int) -> None:
        shown = Image.open(io.BytesIO(await self._page.screenshot())).convert("RGB")
        self._moments.append(_Moment(shown, self._at, ms))

    async def point_at(self, target: Locator) -> None:
        """Slower at both ends, as a hand moves."""
        box = await target.bounding_box()
        assert box is not None
        (left, top), shown = self._at, self._moments[-1].page
        right, bottom = box["x"] + min(box["width"] / 2, 60), box["y"] + box["height"] / 2
        for step in range(1, _STEPS + 1):
            way = (step / _STEPS) ** 2 * (3 - 2 * step / _STEPS)
            self._at = (left + (right - left) * way, top + (bottom - top) * way)
            self._moments.append(_Moment(shown, self._at, _STEP_MS))
        await self._page.mouse.move(*self._at)

    async def click(self, target: Locator) -> None:
        await self.point_at(target)
        await self.hold(250)
        await self._page.mouse.click(*self._at)

    async def write(self, text: str) -> None:
        for at, letter in enumerate(text):
            await self._page.keyboard.type(letter)
            if at % 2:
                await self.hold(_KEY_MS * 2)

    async def wait_for(self, awaited: Locator) -> None:
        """As long as it takes, and as it went."""
        while not await awaited.count():
            await self.hold(_FRAME_MS)

    def gif(self) -> bytes:
        """Endless."""
        kinds = self._kinds()
        heap = Image.new("RGB", (kinds[0].width, kinds[0].height * len(kinds)))
        for number, shown in enumerate(kinds):
            heap.paste(shown, (0, shown.height * number))
        palette = heap.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        drawn = [self._drawn(moment).quantize(palette=palette, dither=Image.Dither.NONE) for moment in self._moments]
        made = io.BytesIO()
        drawn[0].save(
            made,
            "GIF",
            save_all=True,
            append_images=drawn[1:],
            duration=[moment.ms for moment in self._moments],
            loop=0,
            optimize=False,
        )
        return made.getvalue()

    def _kinds(self) -> list[Image.Image]:
        """Of what looks almost the same, one: the colours of all are in these."""
        held = [moment.page for moment in self._moments if moment.ms >= 1_000]
        return held or [self._moments[0].page]

    def _drawn(self, moment: _Moment) -> Image.Image:
        whole = moment.page.copy()
        x, y = moment.pointer
        outline = [((x + dx) * self._scale, (y + dy) * self._scale) for dx, dy in _POINTER]
        ImageDraw.Draw(whole).polygon(outline, fill="#20292c", outline="#ffffff", width=round(self._scale))
        return whole
