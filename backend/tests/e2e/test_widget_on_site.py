"""The widget where readers meet it: on our documentation as Docusaurus built it, in a browser, with the real app over
the real index of these pages. Site and app share an origin, the app below `/ask`, as behind a proxy.

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
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, Locator, Page, Request, Route, expect
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from chatbot_api.bootstrap import Services, open_services
from chatbot_api.config import Settings
from chatbot_api.errors import ModelUnavailable
from chatbot_api.main import create_app
from chatbot_api.models.domain import Prompt, Remark, Usage
from chatbot_api.services.chat_service import ChatService
from chatbot_api.services.rag_service import RagService
from chatbot_api.testing import ScriptedGenerator
from tests.e2e.conftest import PATIENCE_SECONDS, SHOTS, listening, opened, shoot
from tests.e2e.film import Film
from tests.e2e.test_site import ROOT, SITE, built, file_of

BUILD: Final = SITE / "build-widget"
API: Final = "/ask"
AXE: Final = [
    place / "node_modules" / "axe-core" / "axe.min.js"
    for place in (Path(os.environ.get("AXE", ROOT)), ROOT / "widget", SITE)
]

HERE: Final = "/docs/guides/add-the-widget"
THERE: Final = "/docs/concepts/generations"
QUESTION: Final = "What happens while an index is rebuilt?"
"""Of which the pages quoted are not the one where it is asked."""

pytestmark = pytest.mark.asyncio(loop_scope="session")


# A site and what answers its questions ----------------------------------------------------------------------------


class Published:
    """An ASGI app: the pages of the build, and the app below a path, which a proxy would take off."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif path.startswith(f"{API}/"):
            below = path.removeprefix(API)
            await self._app({**scope, "path": below, "raw_path": below.encode()}, receive, send)
        else:
            await _page(path)(scope, receive, send)


def _page(path: str) -> Response:
    file = file_of(BUILD, "/", path)
    if not file.is_file():
        return HTMLResponse("Not found", 404)
    if file.suffix != ".html":
        return FileResponse(file)
    html, policy = _html(file)
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})


@cache
def _html(file: Path) -> tuple[str, str]:
    """A page, and the strictest policy under which Docusaurus itself works: its inline scripts by their hashes, styles
    in attributes but not in elements. For the widget there is `'self'`, as our guide says."""
    html = file.read_text(encoding="utf-8")
    inline = re.findall(r"<script(?:\s[^>]*)?>(.+?)</script>", html, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in inline]
    parts = {
        "default-src": "'none'",
        "script-src": " ".join(["'self'", *hashes]),
        "style-src": "'self'",
        "style-src-attr": "'unsafe-inline'",
        "img-src": "'self' data:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
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
    address: str
    stage: Stage
    loop: asyncio.AbstractEventLoop

    def cast(self, *pieces: str, **how: Any) -> ScriptedGenerator:
        self.stage.now = ScriptedGenerator(pieces, **how)
        return self.stage.now

    async def happened(self, event: asyncio.Event) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(event.wait(), self.loop))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the index of the documentation."""
    built(BUILD)
    folder = tmp_path_factory.mktemp("widget-on-site")
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
    return folder


@asynccontextmanager
async def published(data: Path, *, with_model: bool) -> AsyncGenerator[Site, None]:
    site = Site("", Stage(), asyncio.get_running_loop())

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
        log_level="error",
    )
    async with listening(Published(create_app(settings, opener))) as site.address:
        yield site


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
    async with opened(browser, viewport={"width": 1440, "height": 900}) as page:
        yield page


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
    assert "script-src 'self' 'sha256-" in answer.headers["content-security-policy"]
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


# Asking ---------------------------------------------------------------------------------------------------------


async def test_a_question_is_answered_from_the_book_on_the_page_where_it_came_up(page: Page, quoting: Site) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if request.url.endswith("/ask/chat") else None)
    await visit(page, quoting)
    await open_panel(page)
    await expect(panel(page).get_by_text("How do I index my own site?")).to_be_visible()
    await shoot(page, "site-welcome")

    turn = await answered(page)

    await expect(turn.locator(".status")).to_have_text("Quoted from the book; no model wrote this")
    await expect(sources(page).first.get_by_role("link")).to_have_attribute("data-go", re.compile(f"^{THERE}"))
    body = sent(asked[0])
    assert body["page"] == HERE
    assert body["scope"] == {"version": "current", "locale": "en"}
    await shoot(page, "site-answer")


async def test_the_button_in_the_navbar_and_a_suggestion_ask_too(page: Page, quoting: Site) -> None:
    await visit(page, quoting)
    await button(page.get_by_role("navigation", name="Main"), "Ask").click()
    await button(panel(page), "What does it need to run?").click()

    await expect(sources(page)).not_to_have_count(0)


async def test_an_answer_streams_and_stops_where_the_reader_stops_it(page: Page, writing: Site) -> None:
    model = writing.cast("An index is **rebuilt** ", "beside the old one [1]. ", "Never said.", gate=2)
    await visit(page, writing)
    await open_panel(page)

    turn = await ask(page)
    await writing.happened(model.waiting)
    await expect(turn.locator(".status")).to_have_text("Writing the answer")
    await expect(turn.locator(".prose strong")).to_have_text("rebuilt")
    await shoot(page, "site-writing")
    await button(panel(page), "Stop").click()
    await writing.happened(model.stopped)

    await expect(turn.locator(".status")).to_have_text("Stopped. This answer is not complete.")
    await expect(turn.locator(".prose")).to_contain_text("beside the old one")
    await expect(button(panel(page), "Ask")).to_be_visible()
    await shoot(page, "site-stopped")


async def test_a_follow_up_belongs_to_the_conversation_which_a_reload_finds(page: Page, writing: Site) -> None:
    model = writing.cast("The old one answers [1].")
    await visit(page, writing)
    await open_panel(page)

    await answered(page)
    await answered(page, "And who notices?")
    # The last prompt is for the answer; the one before it asked how to search.
    assert [message.text for message in model.prompts[-1].history] == [QUESTION, "The old one answers [1]."]
    await page.reload()

    await expect(turns(page).get_by_role("heading", level=3)).to_have_text([QUESTION, "And who notices?"])
    await expect(turns(page).last.locator(".chip")).to_have_text("1")
    assert not await is_same_document(page)
    await shoot(page, "site-reloaded")
    await answered(page, "And then?")
    assert len(model.prompts[-1].history) == 4


async def test_marked_words_are_asked_about(page: Page, writing: Site) -> None:
    writing.cast("It is one element [1].")
    await visit(page, writing)
    words = page.get_by_text("The widget is a button in the corner").first
    await words.select_text()
    async with page.expect_request("**/ask/chat") as asked:
        await button(chat(page), "Ask about this").click()
        await expect(panel(page).get_by_role("group", name="Selected text")).to_contain_text("The widget is a button")
        await shoot(page, "site-selection")
        turn = await answered(page, "What is that?")

    assert sent(await asked.value)["selection"].startswith("The widget is a button in the corner")
    await expect(turn.get_by_label("Selected text")).to_have_text(re.compile("^The widget is a button"))


# Citations --------------------------------------------------------------------------------------------------------


async def test_a_citation_shows_the_words_it_stands_on(page: Page, writing: Site) -> None:
    writing.cast("A new one is written beside it [1].")
    await visit(page, writing)
    await open_panel(page)
    turn, card = await answered(page), panel(page).locator(".card")

    await turn.locator(".chip").hover()
    await expect(card).to_be_visible()
    quote = await sources(page).first.get_by_role("blockquote").inner_text()
    await expect(card.get_by_role("blockquote")).to_have_text(quote)
    await shoot(page, "site-chip")
    await card.get_by_role("link", name="Open the passage").click()

    await expect(page).to_have_url(re.compile(re.escape(THERE)))
    assert LETTERS.sub("", quote).endswith(await marked(page))


async def test_citations_lead_to_marked_passages_without_loading_the_site_anew(page: Page, quoting: Site) -> None:
    await visit(page, quoting)
    await open_panel(page)
    await answered(page)

    # Another page; then a row of a table far down on the same one.
    for number, place in ((0, THERE), (1, f"{THERE}#when-it-goes-wrong")):
        source = sources(page).nth(number)
        await source.get_by_role("link").click()
        await expect(page).to_have_url(quoting.address + place)
        await expect(page.locator("h1")).to_have_text("Generations")
        found = await marked(page)
        assert len(found) > 20
        assert found in await quote_of(source)
        await expect(panel(page)).to_be_visible()
        await shoot(page, f"site-cited-{number}")
    assert await page.evaluate("scrollY") > 300
    assert await page.evaluate(COLOURS) > 4.5

    await page.go_back()
    await expect(page).to_have_url(quoting.address + THERE)
    await page.go_back()
    await expect(page).to_have_url(quoting.address + HERE)
    await expect(page.locator("h1")).to_have_text("Add the widget")
    await expect(turns(page)).to_have_count(1)
    await expect(panel(page)).to_be_visible()
    assert await is_same_document(page)
    await shoot(page, "site-back")


async def test_a_tab_that_hides_the_passage_is_chosen(page: Page, quoting: Site) -> None:
    await visit(page, quoting)
    await open_panel(page)
    await answered(page, "How do I serve a model with vLLM?")

    await sources(page).first.get_by_role("link").click()

    assert await marked(page) in await quote_of(sources(page).first)
    await expect(page.get_by_role("tab", name="vLLM")).to_have_attribute("aria-selected", "true")
    await shoot(page, "site-tab")


async def test_a_fold_that_hides_the_passage_is_opened(page: Page, writing: Site) -> None:
    writing.cast("It shows what the index holds: text, lists, tables, code and formulas [1].")
    await visit(page, writing)
    await open_panel(page)
    turn = await answered(page, "Why does the reading view look plainer than the site?")

    await turn.locator(".chip").click()

    assert "whattheindexholds" in (await marked(page)).lower()
    await expect(page.locator("article details")).to_have_attribute("open", "")
    await shoot(page, "site-fold")


@pytest.mark.parametrize("width", [800, 1024, 1280])
async def test_the_panel_makes_way_for_the_passage_until_the_reader_writes(
    browser: Browser, quoting: Site, width: int
) -> None:
    async with opened(browser, viewport={"width": width, "height": 768}) as page:
        await visit(page, quoting)
        await open_panel(page)
        await answered(page)
        whole = await panel(page).bounding_box()
        assert whole is not None

        for source in (sources(page).first, sources(page).last):
            await source.get_by_role("link").click()
            assert await marked(page) in await quote_of(source)
            await page.wait_for_function(UNCOVERED)
            await expect(source.get_by_role("link")).to_be_in_viewport()
        await shoot(page, f"site-{width}-cited")
        lowered = await panel(page).bounding_box()
        assert lowered is not None
        assert lowered["height"] < whole["height"]
        await field(page).click()
        assert await panel(page).bounding_box() == whole


async def test_a_page_that_is_reached_by_the_site_itself_is_the_one_asked_from(page: Page, quoting: Site) -> None:
    await visit(page, quoting)
    await open_panel(page)
    await page.get_by_role("navigation", name="Docs sidebar").get_by_role("link", name="Generations").click()
    await expect(page.locator("h1")).to_have_text("Generations")
    async with page.expect_request("**/ask/chat") as asked:
        await answered(page)

    assert sent(await asked.value)["page"] == THERE
    assert await is_same_document(page)


async def test_what_the_readme_plays(browser: Browser, quoting: Site) -> None:
    """Leaves `askbook.gif` among the pictures; the one in `docs/` was made by it."""
    scale = 1.25
    async with opened(browser, viewport={"width": 1024, "height": 640}, device_scale_factor=scale) as page:
        await visit(page, quoting, "/docs/")
        film = Film(page, scale=scale)
        await film.hold(1_000)
        await film.click(button(page.get_by_role("navigation", name="Main"), "Ask"))
        await expect(field(page)).to_be_focused()
        await film.hold(600)
        await film.write(QUESTION)
        await film.hold(400)
        await page.keyboard.press("Enter")
        await film.wait_for(button(turns(page).last, "Answer again"))
        await film.hold(2_200)
        chips = turns(page).last.locator(".chip")
        await film.point_at(chips.first)
        await expect(panel(page).locator(".card")).to_be_visible()
        await film.hold(2_400)
        await film.click(chips.first)
        await marked(page)
        await page.wait_for_function(UNCOVERED)
        await film.hold(3_600)
    SHOTS.mkdir(exist_ok=True)
    made = film.gif()
    (SHOTS / "askbook.gif").write_bytes(made)

    assert made.startswith(b"GIF89a")
    assert len(made) < 700_000


# How it looks -------------------------------------------------------------------------------------------------


async def test_the_panel_is_as_dark_as_the_site(page: Page, quoting: Site) -> None:
    background = "element => getComputedStyle(element).backgroundColor"
    await visit(page, quoting)
    await open_panel(page)
    await answered(page)
    light = await panel(page).evaluate(background)
    toggle, html = (
        page.get_by_role("button", name=re.compile("^Switch between dark and light mode")),
        page.locator("html"),
    )
    for mode in ("light", "dark"):  # from what the system has
        await toggle.click()
        await expect(html).to_have_attribute("data-theme-choice", mode)

    await expect(panel(page)).not_to_have_css("background-color", light)
    dark = re.findall(r"\d+", await panel(page).evaluate(background))
    assert max(map(int, dark[:3])) < 80
    await shoot(page, "site-dark")
    await sources(page).first.get_by_role("link").click()
    assert await marked(page)
    await shoot(page, "site-dark-cited")
    assert await page.evaluate(COLOURS) > 4.5


async def test_a_phone_has_the_panel_over_the_page_and_the_passage_without_it(browser: Browser, quoting: Site) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    async with opened(browser, **phone) as page:
        await visit(page, quoting)
        await shoot(page, "site-390-button")
        await button(chat(page), "Ask the book").tap()
        await expect(panel(page)).to_be_visible()
        await answered(page)
        await shoot(page, "site-390-answer")
        box = await panel(page).bounding_box()
        assert box is not None
        assert (box["x"], box["width"]) == (0, 390)
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        assert await panel(page).locator(".scroll").evaluate("area => area.scrollWidth - area.clientWidth") == 0

        quote = await quote_of(sources(page).nth(1))
        await sources(page).nth(1).get_by_role("link").tap()
        assert await marked(page) in quote
        await expect(panel(page)).to_be_hidden()
        await shoot(page, "site-390-cited")
        assert await is_same_document(page)
        await button(chat(page), "Ask the book").tap()
        await expect(turns(page)).to_have_count(1)


# When something is down -------------------------------------------------------------------------------------------


async def test_a_server_that_is_gone_is_told_and_asked_again(page: Page, quoting: Site) -> None:
    await visit(page, quoting)
    await open_panel(page)
    await page.route("**/ask/**", lambda route: route.abort("connectionrefused"))

    turn = await ask(page)
    await expect(turn.get_by_text("The server cannot be reached.")).to_be_visible()
    await shoot(page, "site-down")
    await page.unroute_all()
    await button(turn, "Try again").click()

    await expect(turn.locator(".sources")).to_be_visible()
    await expect(turns(page)).to_have_count(1)


async def test_a_server_that_was_never_there_leaves_the_page_as_it_is(page: Page, quoting: Site) -> None:
    await page.route("**/ask/**", lambda route: route.abort("connectionrefused"))
    await visit(page, quoting)

    await expect(page.locator("[data-askbook-open]").first).to_be_hidden()
    await expect(chat(page)).to_have_count(0)
    await page.get_by_role("link", name="Settings", exact=True).first.click()
    await expect(page.locator("h1")).to_have_text("Settings")
    await shoot(page, "site-never-there")


async def test_a_model_that_is_down_is_told_and_the_book_quoted(page: Page, writing: Site) -> None:
    writing.cast(error=ModelUnavailable("down"))
    await visit(page, writing)
    await open_panel(page)

    turn = await answered(page)

    await expect(turn.locator(".status")).to_have_text("Quoted from the book; the model is not reachable")
    await expect(turn.get_by_text(ModelUnavailable.public)).to_have_count(0)
    await expect(turn.locator(".prose.quoted")).to_contain_text("An index can be rebuilt while readers keep asking.")
    await turn.locator(".status").scroll_into_view_if_needed()
    await shoot(page, "site-model-down")


async def test_a_slow_network_keeps_nobody_from_reading_and_writing(page: Page, quoting: Site) -> None:
    """Each answer of the server is held until the test has seen that page and panel work without it."""
    held = {name: asyncio.Event() for name in ("askbook-panel.js", "config", "session", "chat")}

    async def hold(route: Route) -> None:
        await held[route.request.url.rpartition("/")[2]].wait()
        await route.continue_()

    for name in held:
        await page.route(f"**/ask/{name}", hold)
    await visit(page, quoting)
    await button(chat(page), "Ask the book").click()
    await page.get_by_role("link", name="Settings", exact=True).first.click()  # the page does not wait
    await expect(page.locator("h1")).to_have_text("Settings")
    held["askbook-panel.js"].set()

    turn = await ask(page)
    await expect(turn).to_have_attribute("aria-busy", "true")
    await expect(button(panel(page), "Stop")).to_be_visible()
    await field(page).fill("Written meanwhile")
    await shoot(page, "site-slow")
    for event in held.values():
        event.set()

    await expect(turn.locator(".sources")).to_be_visible()
    await expect(field(page)).to_have_value("Written meanwhile")


# For everybody ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(browser: Browser, writing: Site, scheme: str) -> None:
    axe = next((file for file in AXE if file.exists()), None)
    if axe is None:
        pytest.skip("needs axe-core: AXE=folder, where it was installed by npm")
    async with opened(browser, color_scheme=scheme) as page:
        await visit(page, writing)
        await page.evaluate(axe.read_text(encoding="utf-8"))

        async def look() -> None:
            found = await page.evaluate("""async () => {
                const {violations} = await axe.run('askbook-chat', {resultTypes: ['violations']})
                return violations.map(({id, nodes}) => [id, nodes.map((node) => node.failureSummary)])
            }""")
            assert found == []

        await expect(button(chat(page), "Ask the book")).to_be_visible()
        await look()
        await open_panel(page)
        await look()
        writing.cast("A new one is written **beside** it [1].\n\n```bash\naskbook index site\n```\n\nCows fly.")
        turn = await answered(page)
        await turn.locator(".chip").hover()
        await expect(panel(page).locator(".card")).to_be_visible()
        await look()
        writing.cast(error=ModelUnavailable("down"))
        await answered(page, "What happens when the model is down?")
        await look()
        await page.route("**/ask/chat", lambda route: route.abort())
        await expect((await ask(page, "And now?")).get_by_text("The server cannot be reached.")).to_be_visible()
        await look()
        await button(panel(page), "Past conversations").click()
        await expect(panel(page).locator(".thread").first).to_be_visible()
        await look()
