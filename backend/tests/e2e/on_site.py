"""Our documentation as Docusaurus built it, published with the real app over the real index of these pages; and what a
reader does there.

`make site` builds the pages, in `site/build-widget`. The index is made by `askbook index`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from dataclasses import field as field_of
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Request, expect
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chatbot_api.bootstrap import Services, open_services
from chatbot_api.config import Settings
from chatbot_api.main import create_app
from chatbot_api.models.domain import Prompt, Remark, Usage
from chatbot_api.services.chat_service import ChatService
from chatbot_api.services.rag_service import RagService
from chatbot_api.testing import ScriptedGenerator
from tests.e2e.conftest import PATIENCE_SECONDS, listening, opened
from tests.e2e.test_site import ROOT, SITE, built, file_of

BUILD: Final = SITE / "build-widget"
API: Final = "/ask"
"""Where the pages were built to look for it."""
AXE: Final = [
    place / "node_modules" / "axe-core" / "axe.min.js"
    for place in (Path(os.environ.get("AXE", ROOT)), ROOT / "widget", SITE)
]

HERE: Final = "/docs/guides/add-the-widget"
THERE: Final = "/docs/concepts/generations"
QUESTION: Final = "What happens while an index is rebuilt?"
"""Of which the pages quoted are not the one where it is asked."""


# A site and what answers its questions ----------------------------------------------------------------------------


class Pages:
    """An ASGI app: the pages of the build, told where Askbook answers."""

    def __init__(self, api: str = API) -> None:
        self.api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"  # it has nothing to begin or end with
        await _page(scope["path"], self.api)(scope, receive, send)


class Proxied:
    """An ASGI app: the pages, and the app below a path, which a proxy would take off."""

    def __init__(self, pages: ASGIApp, app: ASGIApp) -> None:
        self._pages, self._app = pages, app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif path.startswith(f"{API}/"):
            below = path.removeprefix(API)
            await self._app({**scope, "path": below, "raw_path": below.encode()}, receive, send)
        else:
            await self._pages(scope, receive, send)


def _page(path: str, api: str) -> Response:
    file = file_of(BUILD, "/", path)
    if not file.is_file():
        return HTMLResponse("Not found", 404)
    if file.suffix == ".html":
        html, policy = _html(file, api)
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})
    if file.suffix == ".js" and api != API:
        return Response(_told(file, api), media_type="text/javascript")
    return FileResponse(file)


@cache
def _told(file: Path, api: str) -> str:
    """A script, as a build with another `apiUrl` has it. The pages do not know it; the plugin's module does."""
    script = file.read_text(encoding="utf-8")
    return script.replace(f'"{API}/askbook.js"', f'"{api}/askbook.js"').replace(f'"api":"{API}"', f'"api":"{api}"')


@cache
def _html(file: Path, api: str) -> tuple[str, str]:
    """A page, and the strictest policy under which Docusaurus itself works: its inline scripts by their hashes, styles
    in attributes but not in elements. For the widget there is what our guide says: `'self'`, or the other origin."""
    html = file.read_text(encoding="utf-8")
    inline = re.findall(r"<script(?:\s[^>]*)?>(.+?)</script>", html, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in inline]
    ours = ["'self'"] if api == API else ["'self'", api]
    parts = {
        "default-src": "'none'",
        "script-src": " ".join([*ours, *hashes]),
        "style-src": "'self'",
        "style-src-attr": "'unsafe-inline'",
        "img-src": "'self' data:",
        "font-src": "'self' data:",
        "connect-src": " ".join(ours),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return html, "; ".join(f"{name} {value}" for name, value in parts.items())


class Stage:
    """A `Generator` that each test casts anew."""

    model = "scripted"

    def __init__(self) -> None:
        self.now = ScriptedGenerator()

    def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        return self.now.stream(prompt)

    async def check(self) -> Sequence[Remark]:
        return [Remark(self.model)]

    async def close(self) -> None:
        """Holds nothing."""


@dataclass
class Site:
    address: str = ""
    api: str = ""
    """Where Askbook answers, if that is another origin."""
    stage: Stage = field_of(default_factory=Stage)
    loop: asyncio.AbstractEventLoop = field_of(init=False)

    def cast(self, *pieces: str, **how: Any) -> ScriptedGenerator:
        self.stage.now = ScriptedGenerator(pieces, **how)
        return self.stage.now

    async def happened(self, event: asyncio.Event) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(event.wait(), self.loop))


@asynccontextmanager
async def published(data: Path, *, with_model: bool) -> AsyncGenerator[Site, None]:
    """Site and app share an origin."""
    site = Site()
    async with listening(Proxied(Pages(), app_of(data, site, with_model=with_model))) as site.address:
        yield site


@asynccontextmanager
async def published_apart(data: Path) -> AsyncGenerator[Site, None]:
    """The app has an origin of its own, and lets pages of the site's address ask."""
    site, pages = Site(), Pages()
    async with listening(pages) as site.address:
        app = app_of(data, site, with_model=True, cors_origins=(site.address,))
        async with listening(app) as site.api:
            pages.api = site.api
            yield site


def app_of(data: Path, site: Site, *, with_model: bool, cors_origins: tuple[str, ...] = ()) -> ASGIApp:
    @asynccontextmanager
    async def opener(settings: Settings) -> AsyncGenerator[Services, None]:
        site.loop = asyncio.get_running_loop()
        async with open_services(settings) as real:
            if not with_model:
                yield real
                return
            rag = RagService(real.embedder, real.store, site.stage)
            yield replace(real, rag=rag, chat=ChatService(rag, real.threads), generator=site.stage)

    # What the environment says is of no account here.
    settings = Settings(
        _env_file=None,
        data_dir=data,
        qdrant_host=None,
        database_url=None,
        embedder="local",
        answers="extractive",
        site_url="",
        cors_origins=cors_origins,
        log_level="error",
    )
    return create_app(settings, opener)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the index of the documentation, which is made once, though each module that imports this has it anew."""
    built(BUILD)
    folder = tmp_path_factory.getbasetemp() / "on-site"
    if not folder.exists():
        folder.mkdir()
        await index_documentation(folder)
    return folder


async def index_documentation(folder: Path) -> None:
    """As its owner does it."""
    settings = {"DATA_DIR": str(folder), "EMBEDDER": "local", "ANSWERS": "extractive"}
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "askbook", "index", str(SITE)),
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **settings},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def quoting(data: Path) -> AsyncGenerator[Site, None]:
    """Without a model, as Askbook is at first."""
    async with published(data, with_model=False) as site:
        yield site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def writing(data: Path) -> AsyncGenerator[Site, None]:
    async with published(data, with_model=True) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncGenerator[Page, None]:
    """As wide as a desktop's: the panel covers no more of the text than the ends of lines."""
    async with opened(browser, **DESKTOP) as page:
        yield page


DESKTOP: Final[dict[str, Any]] = {"viewport": {"width": 1440, "height": 900}}
PHONE: Final[dict[str, Any]] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


# What a reader does -------------------------------------------------------------------------------------------


def chat(page: Page) -> Locator:
    return page.locator("askbook-chat")


def panel(page: Page) -> Locator:
    return chat(page).locator(".panel")


def field(page: Page) -> Locator:
    return panel(page).get_by_label("Your question")


def button(within: Page | Locator, name: str) -> Locator:
    return within.get_by_role("button", name=name, exact=True)


def turns(page: Page) -> Locator:
    return panel(page).get_by_role("article")


def sources(page: Page) -> Locator:
    return turns(page).last.locator(".sources li")


async def visit(page: Page, site: Site, path: str = HERE) -> None:
    """The page, marked: if its document is loaded anew, the mark is gone."""
    answer = await page.goto(site.address + path)
    assert answer is not None
    allowed = re.sub(r" 'sha256-\S+'", "", answer.headers["content-security-policy"])
    assert f"script-src 'self' {site.api}".rstrip() + ";" in allowed
    await expect(page.locator("html")).to_have_attribute("data-has-hydrated", "true")
    await page.evaluate("window.marked = true")


async def is_same_document(page: Page) -> bool:
    return bool(await page.evaluate("window.marked === true"))


async def open_panel(page: Page) -> None:
    await button(chat(page), "Ask the book").click()
    await expect(field(page)).to_be_focused()


async def ask(page: Page, question: str = QUESTION) -> Locator:
    """The turn that the question began."""
    await field(page).fill(question)
    await page.keyboard.press("Enter")
    await expect(turns(page).last.get_by_role("heading", level=3)).to_have_text(question)
    return turns(page).last


async def answered(page: Page, question: str = QUESTION) -> Locator:
    turn = await ask(page, question)
    await expect(button(turn, "Answer again")).to_be_visible()
    return turn


def sent(request: Request) -> dict[str, Any]:
    assert isinstance(request.post_data_json, dict)
    return request.post_data_json


LETTERS: Final = re.compile(r"[\W_]+")
COLOURS: Final = """() => {
    const {color, backgroundColor} = getComputedStyle(document.querySelector('article p'), '::highlight(askbook)')
    const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255)
            .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
    }
    const [a, b] = [light(color), light(backgroundColor)]
    return Math.max(a, b) / Math.min(a, b)
}"""
"""The contrast of what is marked."""
MARKED: Final = """() => {
    const [range] = CSS.highlights.get('askbook') ?? []
    if (!range || range.collapsed) return null
    const {left, top} = range.getClientRects()[0] ?? {}
    const element = range.startContainer.parentElement
    const seen = document.elementFromPoint(left + 2, top + 2)
    return element.contains(seen) ? String(range) : null
}"""
"""The words that are marked on the page, if they can be seen: in the window, and with nothing above them."""

UNCOVERED: Final = """() => {
    const [range] = CSS.highlights.get('askbook')
    const lines = [...range.getClientRects()].filter(({width, height}) => width > 4 && height > 4)
    const seen = ({left, right, top, bottom}) => [left + 2, right - 2].every((x) =>
        document.querySelector('article').contains(document.elementFromPoint(x, (top + bottom) / 2)))
    return lines.length > 0 && lines.every(seen)
}"""
"""Whether both ends of every marked line can be seen."""


async def marked(page: Page) -> str:
    words = await page.wait_for_function(MARKED, timeout=PATIENCE_SECONDS * 1000)
    return LETTERS.sub("", str(await words.json_value()))


async def quote_of(source: Locator) -> str:
    return LETTERS.sub("", await source.get_by_role("blockquote").inner_text())


def axe() -> str:
    """The script of axe-core."""
    file = next((file for file in AXE if file.exists()), None)
    if file is None:
        pytest.skip("needs axe-core: AXE=folder, where it was installed by npm")
    return file.read_text(encoding="utf-8")


async def violations(page: Page) -> list[object]:
    """What axe has to say about the widget, once its script was evaluated on the page."""
    found = await page.evaluate("""async () => {
        const {violations} = await axe.run('askbook-chat', {resultTypes: ['violations']})
        return violations.map(({id, nodes}) => [id, nodes.map((node) => node.failureSummary)])
    }""")
    return list(found)
