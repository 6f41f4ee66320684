"""The widget where readers meet it: on our documentation as Docusaurus built it, in a browser, with the real app over
the real index of these pages. Site and app share an origin, the app below `/ask`, as behind a proxy.
"""

from __future__ import annotations

import asyncio
import re

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, Page, Request, Route, expect

from chatbot_api.errors import ModelUnavailable
from tests.e2e.conftest import SHOTS, opened, shoot
from tests.e2e.film import Film
from tests.e2e.on_site import (
    COLOURS,
    HERE,
    LETTERS,
    PHONE,
    QUESTION,
    THERE,
    UNCOVERED,
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
            await page.evaluate("CSS.highlights.clear()")  # or the mark before this one could be taken for it
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
    async with opened(browser, **PHONE) as page:
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
    script = axe()
    async with opened(browser, color_scheme=scheme) as page:
        await visit(page, writing)
        await page.evaluate(script)

        async def look() -> None:
            assert await violations(page) == []

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
