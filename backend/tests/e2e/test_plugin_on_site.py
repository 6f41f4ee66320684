"""What the plugin makes of the widget on a site that Docusaurus built: in a language from right to left, with Askbook
at another origin, in the menu of a phone, beside a search, and as readers see it who set their browsers otherwise.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, Locator, Page, Request, expect

from tests.e2e.conftest import FAILED_REQUEST, opened, shoot
from tests.e2e.on_site import (
    DESKTOP,
    HERE,
    PHONE,
    QUESTION,
    THERE,
    Site,
    answered,
    ask,
    axe,
    button,
    chat,
    field,
    is_same_document,
    marked,
    open_panel,
    panel,
    published_apart,
    quote_of,
    sent,
    sources,
    turns,
    violations,
    visit,
)
from tests.e2e.on_site import data as data
from tests.e2e.on_site import page as page
from tests.e2e.on_site import quoting as quoting
from tests.e2e.on_site import writing as writing

pytestmark = pytest.mark.asyncio(loop_scope="session")


# From right to left -----------------------------------------------------------------------------------------------
# Pages that nobody translated: Docusaurus writes its own words in Arabic, ours are English. The index has only English.

ARABIC: Final[dict[str, Any]] = {"locale": "ar-EG", **DESKTOP}
OPEN: Final = "اسأل الكتاب"
FIELD: Final = "سؤالك"
AGAIN: Final = "الإجابة من جديد"


async def open_in_arabic(page: Page) -> None:
    await button(chat(page), OPEN).click()
    await expect(panel(page).get_by_label(FIELD)).to_be_focused()


async def ask_in_arabic(page: Page) -> Locator:
    await panel(page).get_by_label(FIELD).fill(QUESTION)
    await page.keyboard.press("Enter")
    await expect(turns(page).last.get_by_role("heading", level=3)).to_have_text(QUESTION)
    return turns(page).last


async def test_on_arabic_pages_the_widget_is_arabic_and_at_the_left(browser: Browser, quoting: Site) -> None:
    asked: list[Request] = []
    async with opened(browser, **ARABIC) as page:
        page.on("request", lambda request: asked.append(request) if request.url.endswith("/ask/chat") else None)
        await visit(page, quoting, f"/ar{HERE}")
        await expect(page.locator("html")).to_have_attribute("dir", "rtl")
        launcher = await button(chat(page), OPEN).bounding_box()
        assert launcher is not None
        assert launcher["x"] < 100
        await shoot(page, "site-ar-button")
        await open_in_arabic(page)
        await shoot(page, "site-ar-welcome")
        turn = await ask_in_arabic(page)
        await expect(button(turn, AGAIN)).to_be_visible()

        box = await panel(page).bounding_box()
        assert box is not None
        assert box["x"] < 100
        for name in ("إغلاق", "اسأل"):
            end = await button(panel(page), name).bounding_box()
            assert end is not None
            assert end["x"] < box["x"] + 100
        await expect(turn.locator(".status")).to_have_text("مقتبسة من الكتاب؛ لم يكتبها نموذج")
        # The book is English, and is read from left to right.
        await expect(turn.locator(".prose p").first).to_have_css("direction", "ltr")
        await shoot(page, "site-ar-answer")
    # The index knows no such page, and is asked again without it; of a locale that it does not know it is never told.
    bodies = [sent(request) for request in asked]
    assert [body.get("page") for body in bodies] == [f"/ar{HERE}", None]
    assert [body["scope"] for body in bodies] == [{"version": "current"}] * 2


async def test_a_citation_leads_out_of_the_locale_with_mark_and_conversation(browser: Browser, quoting: Site) -> None:
    async with opened(browser, **ARABIC) as page:
        await visit(page, quoting, f"/ar{HERE}")
        await open_in_arabic(page)
        await expect(button(await ask_in_arabic(page), AGAIN)).to_be_visible()
        quote = await quote_of(sources(page).first)
        await sources(page).first.get_by_role("link").click()

        await expect(page).to_have_url(quoting.address + THERE)
        await expect(page.locator("html")).to_have_attribute("dir", "ltr")
        assert await marked(page) in quote
        assert not await is_same_document(page)
        await expect(turns(page).get_by_role("heading", level=3)).to_have_text([QUESTION])
        await expect(button(panel(page), "Ask")).to_be_visible()
        await shoot(page, "site-ar-cited")
        await page.go_back()
        await expect(page.locator("html")).to_have_attribute("dir", "rtl")
        await expect(turns(page).get_by_role("heading", level=3)).to_have_text([QUESTION])
        await expect(panel(page).get_by_label(FIELD)).to_be_visible()


async def test_this_page_cannot_be_asked_where_only_its_original_is_indexed(browser: Browser, quoting: Site) -> None:
    async with opened(browser, **ARABIC) as page:
        await visit(page, quoting, f"/ar{HERE}")
        await open_in_arabic(page)
        await panel(page).get_by_text("هذه الصفحة", exact=True).click()
        turn = await ask_in_arabic(page)
        await expect(turn.get_by_text("هذه الصفحة ليست ضمن ما يمكن البحث فيه.")).to_be_visible()
        await shoot(page, "site-ar-this-page")
        await button(turn, "اسأل الكتاب كله").click()

        await expect(turn.locator(".sources")).to_be_visible()
        await expect(turns(page)).to_have_count(1)
        await expect(panel(page).get_by_role("group", name="نطاق البحث")).to_be_hidden()
        await shoot(page, "site-ar-whole-book")


async def test_axe_finds_nothing_in_arabic(browser: Browser, writing: Site) -> None:
    script = axe()
    async with opened(browser, **ARABIC) as page:
        await visit(page, writing, f"/ar{HERE}")
        await page.evaluate(script)
        await expect(button(chat(page), OPEN)).to_be_visible()
        assert await violations(page) == []
        await open_in_arabic(page)
        assert await violations(page) == []
        writing.cast("A new one is written **beside** it [1].\n\n```bash\naskbook index site\n```\n\nCows fly.")
        turn = await ask_in_arabic(page)
        await expect(button(turn, AGAIN)).to_be_visible()
        await turn.locator(".chip").hover()
        # An English quote begins at the left, and breaks off at the right.
        for quote in (panel(page).locator(".card blockquote"), sources(page).first.get_by_role("blockquote")):
            await expect(quote).to_be_visible()
            await expect(quote).to_have_css("direction", "ltr")
        assert await violations(page) == []
        await shoot(page, "site-ar-chip")


# At another origin ------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def apart(data: Path) -> AsyncGenerator[Site, None]:
    async with published_apart(data) as site:
        yield site


async def test_askbook_at_another_origin_is_asked_streams_stops_and_is_cited(browser: Browser, apart: Site) -> None:
    async with opened(browser, api=apart.api, **DESKTOP) as page:
        await visit(page, apart)
        await open_panel(page)
        model = apart.cast("An index is **rebuilt** ", "beside the old one [1]. ", "Never said.", gate=2)
        async with page.expect_request(f"{apart.api}/chat") as asked:
            turn = await ask(page)
        await apart.happened(model.waiting)
        await expect(turn.locator(".prose strong")).to_have_text("rebuilt")
        await button(panel(page), "Stop").click()
        await apart.happened(model.stopped)
        await expect(turn.locator(".status")).to_have_text("Stopped. This answer is not complete.")
        assert sent(await asked.value)["page"] == HERE

        apart.cast("A new one is written beside it [1].")
        await answered(page)
        quote = await quote_of(sources(page).first)
        await sources(page).first.get_by_role("link").click()
        await expect(page).to_have_url(re.compile(re.escape(apart.address + THERE)))
        assert quote.endswith(await marked(page))
        assert await is_same_document(page)
        await shoot(page, "site-apart")


async def test_a_reader_of_another_origin_is_known_again(browser: Browser, apart: Site) -> None:
    tokens: list[str | None] = []
    async with opened(browser, api=apart.api, **DESKTOP) as page:
        page.on(
            "request", lambda request: tokens.append(request.headers.get("authorization")) if _asks(request) else None
        )
        await visit(page, apart)
        await open_panel(page)
        model = apart.cast("The old one answers [1].")
        await answered(page)
        await page.reload()
        await expect(turns(page).get_by_role("heading", level=3)).to_have_text([QUESTION])
        await answered(page, "And who notices?")

        assert [message.text for message in model.prompts[-1].history] == [QUESTION, "The old one answers [1]."]
        assert len(tokens) == 2
        assert str(tokens[0]).startswith("Bearer ")
        assert tokens[0] == tokens[1]
        await button(panel(page), "Past conversations").click()
        await expect(panel(page).locator(".thread")).to_have_count(1)


def _asks(request: Request) -> bool:
    return request.method == "POST" and request.url.endswith("/chat")


async def test_a_site_that_askbook_does_not_know_is_told_and_goes_on(browser: Browser, apart: Site) -> None:
    stranger = Site(apart.address.replace("127.0.0.1", "localhost"), apart.api)
    refused = f"{FAILED_REQUEST}|Access to fetch at '{apart.api}/.+blocked by CORS policy"
    async with opened(browser, api=apart.api, said=refused, **DESKTOP) as page:
        await visit(page, stranger)
        await open_panel(page)

        turn = await ask(page)
        await expect(turn.get_by_text("The server cannot be reached.")).to_be_visible()
        await expect(button(turn, "Try again")).to_be_visible()
        await shoot(page, "site-not-allowed")
        await page.get_by_role("link", name="Settings", exact=True).first.click()
        await expect(page.locator("h1")).to_have_text("Settings")
        assert await is_same_document(page)


# In the menu of a phone -------------------------------------------------------------------------------------------


def menu(page: Page) -> Locator:
    return page.locator(".navbar-sidebar")


async def open_menu(page: Page) -> None:
    """To the navbar's own items, which are behind those of the docs."""
    await page.get_by_role("button", name="Toggle navigation bar").tap()
    await page.get_by_role("button", name=re.compile("Back to main menu")).tap()
    await expect(button(menu(page), "Ask")).to_be_in_viewport()


async def test_the_menu_of_a_phone_gives_way_to_the_panel_and_back_goes_back(browser: Browser, quoting: Site) -> None:
    async with opened(browser, **PHONE) as page:
        await visit(page, quoting)
        await open_menu(page)
        await shoot(page, "site-390-menu")
        await button(menu(page), "Ask").tap()
        await expect(field(page)).to_be_focused()
        await expect(page.locator(".navbar-sidebar--show")).to_have_count(0)
        await shoot(page, "site-390-from-menu")
        await answered(page)

        await sources(page).first.get_by_role("link").tap()
        await expect(page).to_have_url(quoting.address + THERE)
        assert await marked(page)
        await page.go_back()
        await expect(page).to_have_url(quoting.address + HERE)
        await expect(page.locator("h1")).to_have_text("Add the widget")
        await expect(panel(page)).to_be_hidden()
        await page.go_forward()
        await expect(page.locator("h1")).to_have_text("Generations")
        assert await is_same_document(page)

        await open_menu(page)
        await button(menu(page), "Ask").tap()
        await expect(turns(page)).to_have_count(1)
        await button(panel(page), "Close").tap()
        await expect(page.get_by_role("button", name="Toggle navigation bar")).to_be_focused()


COVERED: Final = """chat => {
    const {left, top, width, height} = chat.shadowRoot.querySelector('.launcher').getBoundingClientRect()
    return document.elementFromPoint(left + width / 2, top + height / 2) !== chat
}"""
"""Whether something lies over the button in the corner."""


async def test_the_button_in_the_corner_stays_below_the_menu_of_a_phone(browser: Browser, quoting: Site) -> None:
    async with opened(browser, **PHONE) as page:
        await visit(page, quoting)
        await expect(button(chat(page), "Ask the book")).to_be_visible()
        assert not await chat(page).evaluate(COVERED)
        await page.get_by_role("button", name="Toggle navigation bar").tap()
        await expect(page.get_by_role("button", name=re.compile("Back to main menu"))).to_be_in_viewport()

        await shoot(page, "site-390-menu-button")
        assert await chat(page).evaluate(COVERED)


# Beside a search --------------------------------------------------------------------------------------------------

ALGOLIA: Final = """
    const search = document.createElement('button')
    search.className = 'DocSearch DocSearch-Button'
    search.textContent = 'Search'
    const modal = document.createElement('dialog')
    modal.className = 'DocSearch-Modal'
    modal.style = 'position: fixed; inset: 0; z-index: 201; width: 100%; height: 100%; max-width: none; ' +
        'max-height: none; border: 0; background: #555c; text-align: center; padding-top: 60px'
    modal.innerHTML = '<input aria-label="Search the site" style="width: 560px; font-size: 24px">'
    const open = () => {
        modal.show()
        modal.firstChild.focus()
    }
    search.onclick = open
    modal.onkeydown = (event) => {
        if (event.key === 'Escape') modal.close()
    }
    document.querySelector('.navbar').append(search)
    document.body.append(modal)
"""
LOCAL: Final = """
    const search = document.createElement('input')
    search.className = 'navbar__search-input'
    search.ariaLabel = 'Search the site'
    search.oninput = () => (search.dataset.searched = search.value)
    const open = () => search.focus()
    document.querySelector('.navbar').append(search)
"""
SHORTCUT: Final = """
    document.addEventListener('keydown', (event) => {
        if (!event.ctrlKey || event.key !== 'k') return
        event.preventDefault()
        open()
    })
"""


def searched(page: Page) -> Locator:
    return page.get_by_label("Search the site")


@pytest.mark.parametrize("search", [ALGOLIA, LOCAL], ids=["algolia", "local"])
async def test_the_shortcuts_of_search_and_widget_work_side_by_side(page: Page, quoting: Site, search: str) -> None:
    await visit(page, quoting)
    await page.evaluate(search + SHORTCUT)
    await expect(button(chat(page), "Ask the book")).to_be_visible()
    await page.keyboard.press("Control+i")
    await expect(field(page)).to_be_focused()
    await page.keyboard.type("Words for Askbook")
    await page.keyboard.press("Control+k")
    await expect(searched(page)).to_be_focused()
    await shoot(page, "site-search-algolia" if search == ALGOLIA else "site-search-local")
    await page.keyboard.type("Words for the search")
    await page.keyboard.press("Escape")

    await expect(searched(page)).to_have_value("Words for the search")
    await expect(field(page)).to_have_value("Words for Askbook")
    await expect(panel(page)).to_be_visible()
    await page.keyboard.press("Control+i")
    await expect(panel(page)).to_be_hidden()


@pytest.mark.parametrize("search", [ALGOLIA, LOCAL], ids=["algolia", "local"])
async def test_without_askbook_its_button_opens_the_search(page: Page, quoting: Site, search: str) -> None:
    await page.route("**/ask/**", lambda route: route.abort("connectionrefused"))
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/ask/askbook.js")):
        await visit(page, quoting)
        await page.evaluate(search + SHORTCUT)
    await expect(chat(page)).to_have_count(0)
    await page.evaluate("document.querySelector('[data-askbook-open]').dataset.askbookOpen = 'How do I begin?'")
    await button(page.get_by_role("navigation", name="Main"), "Ask").click()

    await expect(searched(page)).to_be_focused()
    if search == LOCAL:
        await expect(searched(page)).to_have_attribute("data-searched", "How do I begin?")


# As Docusaurus wrote it -------------------------------------------------------------------------------------------


async def test_react_finds_every_page_as_it_was_built(browser: Browser, quoting: Site) -> None:
    """What it does not, it says in the console, where `opened` hears it."""
    async with opened(browser, color_scheme="dark", **DESKTOP) as page:
        await visit(page, quoting)
        await open_panel(page)
        await answered(page)
        for path in ("/", HERE, THERE, "/docs/reference/configuration", "/ar/", f"/ar{THERE}"):
            await visit(page, quoting, path)
            await expect(turns(page)).to_have_count(1)  # the panel is there before the next page
            await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await shoot(page, "site-dark-restored")


# As readers set their browsers ------------------------------------------------------------------------------------

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "zoomed": {"viewport": {"width": 720, "height": 450}, "device_scale_factor": 2},
    "forced": {"forced_colors": "active", **DESKTOP},
    "forced-dark": {"forced_colors": "active", "color_scheme": "dark", **DESKTOP},
    "moving": {"reduced_motion": "no-preference", **DESKTOP},
}


@pytest.mark.parametrize("name", SETTINGS)
async def test_every_control_is_there_however_the_browser_is_set(browser: Browser, writing: Site, name: str) -> None:
    async with opened(browser, **SETTINGS[name]) as page:
        await visit(page, writing)
        await expect(button(chat(page), "Ask the book")).to_be_in_viewport(ratio=1)
        # Where colours are forced, backgrounds are all the same and shadows are gone.
        await expect(button(chat(page), "Ask the book")).not_to_have_css("border-top-width", "0px")
        await shoot(page, f"site-{name}-button")
        await open_panel(page)
        await shoot(page, f"site-{name}-welcome")
        writing.cast("A new one is written **beside** it [1].\n\n```bash\naskbook index site\n```\n\nCows fly.")
        turn = await answered(page)
        await expect(panel(page)).to_be_in_viewport(ratio=1)
        for control in ("New conversation", "Past conversations", "Close", "Ask"):
            await expect(button(panel(page), control)).to_be_in_viewport(ratio=1)
        await expect(panel(page).get_by_text("This page", exact=True)).to_be_in_viewport(ratio=1)
        assert await panel(page).locator(".scroll").evaluate("area => area.scrollWidth - area.clientWidth") == 0
        await shoot(page, f"site-{name}-answer")
        await button(turn, "Answer again").scroll_into_view_if_needed()
        await shoot(page, f"site-{name}-after")
        await sources(page).first.get_by_role("link").click()
        assert await marked(page)
        await shoot(page, f"site-{name}-cited")
