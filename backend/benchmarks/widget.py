"""The widget in a browser: how long its tasks are while a long answer streams into it on a slow machine, and what a
hundred turns leave in memory. Needs what the browser tests need: `make site`, Debian's chromium."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, CDPSession, Page, async_playwright, expect
from tests.e2e.conftest import CHROMIUM, launched, listening, opened
from tests.e2e.on_site import (
    BUILD,
    HERE,
    QUESTION,
    Pages,
    Proxied,
    Site,
    answered,
    app_of,
    button,
    chat,
    field,
    index_documentation,
    open_panel,
    panel,
)
from tests.e2e.test_site import ROOT

from chatbot_api.models.domain import Prompt, Usage
from chatbot_api.testing import ScriptedGenerator

WORDS: Final = 2_000
PAUSE_SECONDS: Final = 0.005
"""Between two words: faster than models write, and slow enough for the browser to draw between them."""
SLOWED: Final = 4
ROUNDS: Final = 5
TURNS: Final = 100
EVERY: Final = 10
WINDOW: Final = {"width": 1440, "height": 900}

_PASSAGE: Final = re.compile(r'<passage number="\d+".*?>\n(.*?)\n</passage>', re.DOTALL)
_SENTENCE: Final = re.compile(r"\b[A-Z][^.|<>#*`\[\]\n]{40,160}\.")


# A model that has much to say -------------------------------------------------------------------------------------


class Writer(ScriptedGenerator):
    """Says so many words about the passages it is given, one after the other, and takes its time."""

    def __init__(self, words: int, pause: float) -> None:
        super().__init__()
        self._words = words
        self._pause = pause

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        passages = _PASSAGE.findall(prompt.user)
        if not passages:  # asked how to search, not what to answer
            return
        for word in re.findall(r"\S+\s*", answer_of(self._words, passages)):
            yield word
            await asyncio.sleep(self._pause)


def answer_of(words: int, passages: Sequence[str]) -> str:
    """Markdown of every kind. Of the sentences, most stand in the passages they point to, and some in none."""
    text = ""
    for part in parts_about(passages):
        if sum(any(map(str.isalpha, word)) for word in text.split()) >= words:
            break
        text += part
    return text


def parts_about(passages: Sequence[str]) -> Iterator[str]:
    said = cycle([(number, found) for number, text in enumerate(passages, 1) for found in _SENTENCE.findall(text)])

    def cited() -> str:
        number, sentence = next(said)
        return f"{sentence[:-1]} [{number}]."

    for at in count(1):
        yield f"{' '.join(cited() for _ in range(3))}\n\n## Part {at}\n\n"
        yield f"{cited()} The **{at}th valve** turns blue *before* noon on every day that ends. {cited()}\n\n"
        yield "".join(f"- {cited()}\n" for _ in range(5)) + "\n"
        yield f"Nobody has ever counted the {at * 7} doors of that house. {cited()} {cited()}\n\n"
        yield "".join(f"{item}. {cited()}\n" for item in range(1, 4)) + "\n"
        rows = "".join(f"| {cited()} | {cited()} |\n" for _ in range(4))
        yield f"| This | That |\n| --- | --- |\n{rows}\n"
        lines = "".join(f"    machine.set('option_{at}_{line}', {line * at})\n" for line in range(6))
        yield f"```python\ndef start(machine):\n{lines}```\n\n"


# The app, the site, the browser -----------------------------------------------------------------------------------


@asynccontextmanager
async def asked(data: Path, model: ScriptedGenerator, *, on_site: bool) -> AsyncGenerator[str, None]:
    """The address of the documentation with the widget, or of the app's own front page."""

    site = Site()
    site.stage.now = model
    app = app_of(data, site, with_model=True)
    async with listening(Proxied(Pages(), app) if on_site else app) as address:
        yield address


@asynccontextmanager
async def reading(browser: Browser, address: str, *, on_site: bool) -> AsyncGenerator[Page, None]:
    """A reader with the panel open."""
    async with opened(browser, viewport=WINDOW, reduced_motion="no-preference") as page:
        await page.goto(address + (HERE if on_site else "/"), wait_until="networkidle")
        if on_site:
            await open_panel(page)
        await expect(field(page)).to_be_focused()
        yield page


# A long answer on a slow machine ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stream:
    """Milliseconds."""

    told: list[float]
    """Tasks of 50 ms and more, as the page itself hears of them. Chromium tells it of none without a script in it."""
    longest: float
    """Of all tasks, as the trace has them."""
    longest_on_processor: float
    """The same, without the time in which the machine did something else."""
    last_on_processor: float
    """The same, from the last word on."""
    shown: dict[str, int]


PREPARE: Final = """() => {
    const long = []
    const hear = (list) => list.getEntries().forEach((task) => long.push([task.startTime, task.duration]))
    new PerformanceObserver(hear).observe({type: 'longtask'})
    window.over = new Promise((resolve) => {
        document.addEventListener('askbook-answer', () => {
            performance.mark('answered')
            // What is drawn under an answer and what is read out come a moment after it.
            setTimeout(() => { performance.mark('over'); resolve(long) }, 2000)
        }, {once: true})
    })
}"""
SHOWN: Final = """() => {
    const turn = document.querySelector('askbook-chat').shadowRoot.querySelector('.turn')
    const count = (what) => turn.querySelectorAll(what).length
    return {
        words: turn.querySelector('.prose').textContent.split(/\\s+/).length, markers: count('.prose .chip'),
        lists: count('.prose ol, .prose ul'), tables: count('table'), 'blocks of code': count('.code'),
        'marks of what no passage bears out': count('.unsupported'), sources: count('.sources li'),
    }
}"""


async def streamed(browser: Browser, address: str, *, on_site: bool) -> Stream:
    async with reading(browser, address, on_site=on_site) as page:
        await field(page).fill(QUESTION)
        await page.evaluate(PREPARE)
        protocol = await page.context.new_cdp_session(page)
        await protocol.send("Emulation.setCPUThrottlingRate", {"rate": SLOWED})
        await browser.start_tracing(
            page=page, categories=["disabled-by-default-devtools.timeline", "blink.user_timing"]
        )
        await page.evaluate("performance.mark('asked')")
        await page.keyboard.press("Enter")
        told = await page.evaluate("over")  # and nothing else until then: what we ask of a page are tasks, too
        trace = json.loads(await browser.stop_tracing())["traceEvents"]
        await protocol.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        since = await page.evaluate("performance.getEntriesByName('asked')[0].startTime")
        shown = await page.evaluate(SHOWN)
    whole, end = tasks_between(trace, "asked", "over"), tasks_between(trace, "answered", "over")
    return Stream(
        [took for begun, took in told if begun >= since],
        max(task["dur"] for task in whole) / 1000,
        max(task["tdur"] for task in whole) / 1000,
        max(task["tdur"] for task in end) / 1000,
        shown,
    )


def tasks_between(trace: list[dict[str, Any]], first: str, last: str) -> list[dict[str, Any]]:
    """Tasks of the page's main thread that end after one mark and begin before the other."""
    marks = {event["name"]: event for event in trace if event["cat"] == "blink.user_timing"}
    begin, end = marks[first], marks[last]
    return [
        event
        for event in trace
        if event["name"] == "RunTask"
        and "dur" in event
        and (event["pid"], event["tid"]) == (begin["pid"], begin["tid"])
        and event["ts"] + event["dur"] > begin["ts"]
        and event["ts"] < end["ts"]
    ]


# A hundred turns --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Memory:
    turns: int
    heap_mb: float
    nodes: int
    listeners: int


async def remembered(browser: Browser, address: str, *, anew: bool) -> list[Memory]:
    """After every so many turns, in one conversation or each in its own. The panel is closed after each."""
    async with reading(browser, address, on_site=True) as page:
        protocol = await page.context.new_cdp_session(page)
        await protocol.send("Performance.enable")
        found = [await held(protocol, 0)]
        for turn in range(1, TURNS + 1):
            shown = await answered(page, f"{QUESTION} And {turn} times?")
            await shown.locator(".chip").first.hover()
            await expect(panel(page).locator(".card")).to_be_visible()
            await page.keyboard.press("Escape")
            if anew:
                await panel(page).locator("[data-do=anew]").click()
            await panel(page).locator("[data-do=close]").click()
            await button(chat(page), "Ask the book").click()
            await expect(field(page)).to_be_focused()
            if turn % EVERY == 0:
                found.append(await held(protocol, turn))
        return found


async def held(protocol: CDPSession, turns: int) -> Memory:
    for _ in range(3):  # what only a destroyed object held goes with the next round
        await protocol.send("HeapProfiler.collectGarbage")
        await asyncio.sleep(0.2)
    told = await protocol.send("Performance.getMetrics")
    values = {metric["name"]: metric["value"] for metric in told["metrics"]}
    return Memory(turns, values["JSHeapUsedSize"] / 1e6, int(values["Nodes"]), int(values["JSEventListeners"]))


# What is told -----------------------------------------------------------------------------------------------------


async def main() -> None:
    if not CHROMIUM.exists():
        raise SystemExit(f"There is no {CHROMIUM}; install Debian's chromium.")
    if not BUILD.is_dir():
        raise SystemExit(f"{BUILD.relative_to(ROOT)} is not built; in the root of the repository, run: make site")
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        await index_documentation(data)
        async with async_playwright() as playwright, launched(playwright) as browser:
            await tell_streams(browser, data)
            print()
            await tell_memory(browser, data)


async def tell_streams(browser: Browser, data: Path) -> None:
    streams: dict[str, list[Stream]] = {}
    for on_site, place in ((True, "on a page of the documentation"), (False, "on the front page")):
        async with asked(data, Writer(WORDS, PAUSE_SECONDS), on_site=on_site) as address:
            streams[place] = [await streamed(browser, address, on_site=on_site) for _ in range(ROUNDS)]
    print(f"### An answer of {WORDS:,} words, streamed word by word, {SLOWED} times slowed ({ROUNDS} rounds)\n")
    print(", ".join(f"{number} {what}" for what, number in streams["on the front page"][0].shown.items()) + ".\n")
    print("| longest task, ms | median | max |\n|---|---|---|")
    for place, rounds in streams.items():
        for label, values in (
            (f"{place}, on the processor", [s.longest_on_processor for s in rounds]),
            (f"{place}, from the last word on", [s.last_on_processor for s in rounds]),
            (f"{place}, by the clock", [s.longest for s in rounds]),
            (f"{place}, of which it is told (50 and more)", [max(s.told, default=0) for s in rounds]),
        ):
            print(f"| {label} | {statistics.median(values):.0f} | {max(values):.0f} |")
    for place, rounds in streams.items():
        print(f"\nTasks of 50 ms and more {place}, round by round: {', '.join(str(len(s.told)) for s in rounds)}.")


async def tell_memory(browser: Browser, data: Path) -> None:
    async with asked(data, Writer(100, 0), on_site=True) as address:
        one = await remembered(browser, address, anew=False)
        each = await remembered(browser, address, anew=True)
    print(f"### Memory of a page over {TURNS} turns of 100 words, garbage collected\n")
    print("| turns | one conversation: heap, MB | nodes | listeners | each its own: heap, MB | nodes | listeners |")
    print("|---|---|---|---|---|---|---|")
    for a, b in zip(one, each, strict=True):
        figures = " | ".join(f"{m.heap_mb:.2f} | {m.nodes:,} | {m.listeners}" for m in (a, b))
        print(f"| {a.turns} | {figures} |")


if __name__ == "__main__":
    asyncio.run(main())
