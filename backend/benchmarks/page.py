"""What the widget costs a page that has it, as Lighthouse scores it: the built documentation with it and without, from
one server on this machine. Needs what the browser tests need, and Lighthouse, which `make bench` does not install."""

from __future__ import annotations

import asyncio
import gzip
import json
import mimetypes
import os
import statistics
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Final

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests.e2e.conftest import CHROMIUM, listening
from tests.e2e.on_site import API, BUILD, HERE, Proxied
from tests.e2e.test_site import ROOT, SITE, file_of

from chatbot_api.bootstrap import Services
from chatbot_api.config import Settings
from chatbot_api.main import create_app
from chatbot_api.testing import MemoryIndex, over

RUNS: Final = 7
BUILDS: Final = {"without": SITE / "build", "with": BUILD}
PRESETS: Final = {"A phone, slowed by Lighthouse": (), "A desktop": ("--preset=desktop",)}
FIGURES: Final = {
    "FCP, ms": "first-contentful-paint",
    "LCP, ms": "largest-contentful-paint",
    "TBT, ms": "total-blocking-time",
    "CLS": "cumulative-layout-shift",
    "Speed Index, ms": "speed-index",
}
SCORE: Final = "score"
OURS: Final = "long tasks laid to the widget's script, ms"
"""Lighthouse names one script for each task of 50 ms and more."""
LIGHTHOUSE: Final = Path(__file__).parent / "lighthouse" / "node_modules" / "lighthouse" / "cli" / "index.js"
INSTALL: Final = "npm ci --prefix backend/benchmarks/lighthouse"
# The last one: no name is looked up, whoever asks.
CHROME_FLAGS: Final = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'"
)


# A host of pages --------------------------------------------------------------------------------------------------


class Packed:
    """An ASGI app: a build as hosts of static files serve one, compressed and with names that stand for their content
    kept for good."""

    def __init__(self, build: Path) -> None:
        self._build = build

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._file(scope["path"])(scope, receive, send)

    def _file(self, path: str) -> Response:
        file = file_of(self._build, "/", path)
        if not file.is_file():
            return Response("Not found", 404)
        body, headers = packed(file)
        lasts = "public, max-age=31536000, immutable" if path.startswith("/assets/") else "public, max-age=600"
        return Response(body, headers={**headers, "Cache-Control": lasts})


@cache
def packed(file: Path) -> tuple[bytes, dict[str, str]]:
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if kind.startswith(("image/", "font/")) and kind != "image/svg+xml":
        return file.read_bytes(), {"Content-Type": kind}
    packing = {"Content-Type": kind, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return gzip.compress(file.read_bytes(), 9), packing


@asynccontextmanager
async def hosted(build: Path, data: Path) -> AsyncGenerator[str, None]:
    @asynccontextmanager
    async def opener(settings: Settings) -> AsyncGenerator[Services, None]:
        yield over(settings, MemoryIndex())

    settings = Settings(_env_file=None, data_dir=data, site_url="", log_level="error")
    async with listening(Proxied(Packed(build), GZipMiddleware(create_app(settings, opener)))) as address:
        yield address


# Lighthouse -------------------------------------------------------------------------------------------------------


async def audited(address: str, options: tuple[str, ...], *, has_widget: bool) -> dict[str, float]:
    command = (
        *("node", str(LIGHTHOUSE), address + HERE, "--quiet", "--output=json", "--only-categories=performance"),
        *("--no-enable-error-reporting", f"--chrome-flags={CHROME_FLAGS}", *options),
    )
    environment = {**os.environ, "CHROME_PATH": str(CHROMIUM)}
    run = await asyncio.create_subprocess_exec(*command, env=environment, stdout=-1, stderr=-1)
    out, err = await run.communicate()
    if run.returncode:
        raise SystemExit(f"Lighthouse failed:\n{err.decode()}")
    report = json.loads(out)
    asked = [item["url"] for item in report["audits"]["network-requests"]["details"]["items"]]
    if has_widget != (f"{address}{API}/askbook.js" in asked):
        raise SystemExit(f"{HERE} does not load what it should; build the site again: make site")
    figures = {label: float(report["audits"][audit]["numericValue"]) for label, audit in FIGURES.items()}
    long = report["audits"]["long-tasks"]["details"]["items"]
    ours = sum(task["duration"] for task in long if task["url"].startswith(f"{address}{API}/"))
    return {SCORE: round(report["categories"]["performance"]["score"] * 100), **figures, OURS: ours}


async def measure(addresses: dict[str, str]) -> dict[tuple[str, str], list[dict[str, float]]]:
    """By preset and build; in turn, so that all meet the same noise, and each as often first as second."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for number in range(RUNS):
        for preset, options in PRESETS.items():
            for name in list(addresses)[:: -1 if number % 2 else 1]:
                figures = await audited(addresses[name], options, has_widget=name == "with")
                found.setdefault((preset, name), []).append(figures)
    return found


def tell(found: dict[tuple[str, str], list[dict[str, float]]]) -> None:
    print(f"### Lighthouse, a page of the documentation with the widget and without ({RUNS} runs each, in turn)")
    for preset in PRESETS:
        print(f"\n{preset}:\n")
        print("| | " + " | ".join(f"{name}, median | min | max" for name in BUILDS) + " |")
        print("|---" * (1 + 3 * len(BUILDS)) + "|")
        for label in (SCORE, *FIGURES, OURS):
            cells = []
            for name in BUILDS:
                values = [figures[label] for figures in found[preset, name]]
                form = ".4f" if label == "CLS" else ".0f"
                cells += [f"{value:{form}}" for value in (statistics.median(values), min(values), max(values))]
            print(f"| {label} | {' | '.join(cells)} |")


async def main() -> None:
    if not CHROMIUM.exists():
        raise SystemExit(f"There is no {CHROMIUM}; install Debian's chromium.")
    for build in BUILDS.values():
        if not build.is_dir():
            raise SystemExit(f"{build.relative_to(ROOT)} is not built; in the root of the repository, run: make site")
    if not LIGHTHOUSE.is_file():
        raise SystemExit(f"Lighthouse is not installed; in the root of the repository, run: {INSTALL}")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        async with hosted(BUILDS["without"], data) as without, hosted(BUILDS["with"], data) as with_widget:
            found = await measure({"without": without, "with": with_widget})
    tell(found)


if __name__ == "__main__":
    asyncio.run(main())
