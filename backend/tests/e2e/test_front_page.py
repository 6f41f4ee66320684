"""The page at `/`, which is the widget, and the page it cites, in a browser: ask, read, stop, fail, try again."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, Locator, Page, Route, expect

from chatbot_api.errors import AnswerCutShort, AnswerTooLong, IndexMissing, ModelUnavailable, SearchUnavailable
from chatbot_api.testing import ScriptedGenerator
from tests.conftest import passage
from tests.e2e.conftest import QUEUES, TOPICS, Serve, opened, shoot
from tests.e2e.on_site import button, sent

BY_MODEL: Final = "Written by a model from the passages below"
QUOTED: Final = "Quoted from the book; no model wrote this"
WHERE: Final = "Where does a node publish messages?"
KEEP: Final = "What does a queue keep until a subscriber is ready?"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(page: Page, question: str) -> Locator:
    """The turn that the question began."""
    await field(page).fill(question)
    await page.keyboard.press("Enter")
    return page.get_by_role("article").last


async def answered(page: Page, question: str) -> Locator:
    """The same, with its answer complete."""
    turn = await ask(page, question)
    await expect(button(turn, "Answer again")).to_be_visible()
    return turn


def field(page: Page) -> Locator:
    return page.get_by_label("Your question")


def chip(turn: Locator) -> Locator:
    return turn.get_by_role("link", name="Source 1: Topics")


# Asking and reading -------------------------------------------------------------------------------------------


async def test_an_answer_streams_and_its_citation_leads_to_the_passage_marked_and_in_view(
    page: Page, serve: Serve
) -> None:
    model = ScriptedGenerator(["Queues **keep** messages ", "[1]", ".\n\n- until `ready`\n- ", "and longer"], gate=3)
    book = await serve(model)
    await page.goto(book.address)

    turn = await ask(page, KEEP)
    await book.happened(model.waiting)
    await expect(turn.locator(".status")).to_have_text("Writing the answer")
    await expect(turn.locator(".prose strong")).to_have_text("keep")
    await expect(turn.locator(".prose li code")).to_have_text("ready")
    async with page.expect_popup() as popup:
        await chip(turn).click()
    read = await popup.value

    await expect(read).to_have_url(f"{book.address}/read/docs/topics?passage={QUEUES.id}#queues")
    await expect(read.get_by_role("heading", level=1)).to_have_text("Topics")
    cited = read.get_by_label("Cited passage")
    await expect(cited).to_contain_text("A queue keeps messages until a subscriber is ready.")
    await expect(cited).to_be_in_viewport()
    await expect(cited.get_by_role("cell", name="the default")).to_be_visible()
    await shoot(read, "read")
    await read.get_by_role("link", name="Ask the book").click()
    await expect(field(read)).to_be_focused()
    await button(page, "Stop").click()


async def test_a_citation_shows_its_words_in_place_and_in_the_list(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["Queues **keep** messages [1].\n\n- until `ready`"]))
    await page.goto(book.address)
    card = page.locator(".card")

    turn = await answered(page, KEEP)
    await expect(turn.locator(".prose")).to_have_text("Queues keep messages\u00a01.until ready")
    await expect(turn.locator(".status")).to_have_text(BY_MODEL)
    await expect(turn.get_by_role("heading", level=4)).to_have_text("Sources")
    source = turn.locator(".sources li")
    await expect(source.get_by_role("link")).to_have_text("TopicsQueues")
    await expect(source.get_by_role("blockquote")).to_have_text("A queue keeps messages until a subscriber is ready.")
    await expect(card).to_be_hidden()
    await chip(turn).hover()
    await expect(card.get_by_role("blockquote")).to_have_text("A queue keeps messages until a subscriber is ready.")
    await shoot(page, "light")
    await page.emulate_media(color_scheme="dark")
    await shoot(page, "dark")
    async with page.expect_popup() as popup:
        await card.get_by_role("link", name="Open the passage").click()

    await expect((await popup.value).get_by_label("Cited passage")).to_be_in_viewport()


async def test_the_passage_comes_into_view_where_the_browser_does_not_find_the_quoted_words(
    page: Page, serve: Serve
) -> None:
    book = await serve()

    await page.goto(f"{book.address}/read/docs/topics?passage={QUEUES.id}#:~:text=words%20that%20are%20not%20there")

    await expect(page.get_by_label("Cited passage")).to_be_in_viewport()


async def test_a_passage_that_is_gone_is_told(page: Page, serve: Serve) -> None:
    book = await serve()

    await page.goto(f"{book.address}/read/docs/topics?passage=00000000-0000-0000-0000-000000000000")

    await expect(page.get_by_text("The cited passage is no longer on this page")).to_be_visible()
    await expect(page.locator(".label")).to_have_text("npm")


async def test_of_a_published_book_citations_open_the_published_page(browser: Browser, serve: Serve) -> None:
    published = "https://book.example"
    book = await serve(ScriptedGenerator(["To topics [1]."]), passages=(TOPICS,), site_url=published)
    async with opened(browser, elsewhere=published) as page:
        await page.goto(book.address)

        turn = await answered(page, WHERE)
        await expect(chip(turn)).to_have_attribute(
            "href", f"{published}/docs/topics#publish:~:text=A%20node%20publishes%20messages%20to%20a%20topic."
        )
        await expect(chip(turn)).to_have_attribute("rel", "noopener noreferrer")
        async with page.expect_popup() as popup:
            await chip(turn).click()

        await expect(await popup.value).to_have_url(f"{published}/docs/topics#publish")
        await expect(page).to_have_url(f"{book.address}/")


async def test_without_a_model_the_book_is_quoted_and_the_page_says_so(page: Page, serve: Serve) -> None:
    book = await serve(passages=(TOPICS,))
    await page.goto(book.address)

    turn = await answered(page, "npm run topics")

    await expect(turn.locator(".status")).to_have_text(QUOTED)
    await expect(turn.locator(".prose pre")).to_contain_text("npm run topics")
    await shoot(page, "quoted")
    await button(turn, "Copy").click()
    await expect(turn.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == "npm run topics"


async def test_of_a_book_with_several_versions_and_languages_the_one_that_is_chosen_is_asked(
    browser: Browser, serve: Serve
) -> None:
    old = passage("A node of the first version shouts.", page="/docs/1.0/topics", version="1.0")
    french = passage("Un n\u0153ud publie des messages.", page="/fr/docs/topics", locale="fr")
    book = await serve(passages=[TOPICS, old, french])
    async with opened(browser, viewport={"width": 800, "height": 700}) as page:
        await page.goto(book.address)
        await expect(page.get_by_text("3 passages of 2 pages")).to_be_visible()
        await page.get_by_label("Language").select_option(label="French")
        async with page.expect_request("**/chat") as asked:
            await ask(page, WHERE)
        assert sent(await asked.value)["scope"] == {"locale": "fr"}
        await page.get_by_label("Language").select_option(label="default")
        await page.get_by_label("Version").select_option("1.0")
        await expect(button(page.get_by_role("article"), "Answer again")).to_be_visible()

        turn = await answered(page, "What does a node do?")

        await expect(turn.locator(".prose")).to_contain_text("shouts")
        await shoot(page, "several-versions")


async def test_what_the_book_does_not_say_is_told_with_the_nearest_pages(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["NOT_IN_DOCS"]))
    await page.goto(book.address)

    turn = await answered(page, "What goal does an action have?")

    await expect(turn.locator(".prose")).to_contain_text("Not in this book")
    await expect(turn.get_by_role("heading", name="Pages that come closest")).to_be_visible()
    nearest = turn.locator(".nearest").get_by_role("link", name="Actions")
    await expect(nearest).to_have_attribute("href", f"{book.address}/read/docs/actions")
    await shoot(page, "not-in-docs")


async def test_an_answer_is_copied_as_markdown_with_addresses(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["**To** topics [1]."]), passages=(TOPICS,))
    await page.goto(book.address)

    turn = await answered(page, WHERE)
    await button(turn, "Copy the answer").click()

    await expect(page.locator("[aria-live=polite]")).to_have_text("Copied")
    fragment = "publish:~:text=A%20node%20publishes%20messages%20to%20a%20topic."
    assert await page.evaluate("navigator.clipboard.readText()") == (
        "**To** topics [1].\n\n"
        f'[1]: <{book.address}/read/docs/topics?passage={TOPICS.id}#{fragment}> "Topics \u203a Publish"\n'
    )


# What goes wrong ----------------------------------------------------------------------------------------------


async def test_when_the_model_fails_the_book_is_quoted_and_the_reason_is_shown_once(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(error=ModelUnavailable("cause")))
    await page.goto(book.address)

    turn = await answered(page, WHERE)

    await expect(turn.locator(".status")).to_have_text("Quoted from the book; the model is not reachable")
    await expect(turn.get_by_text(ModelUnavailable.public)).to_have_count(0)


async def test_what_an_answer_lacks_is_told_above_it_and_how_it_ends_below_in_the_readers_language(
    browser: Browser, serve: Serve
) -> None:
    said = ["PARTLY_IN_DOCS\nA node publishes messages to a topic [1].\n\n", "1. Then it"]
    book = await serve(ScriptedGenerator(said, error=AnswerTooLong("MAX_TOKENS")), passages=(TOPICS,))
    async with opened(browser, locale="de-CH") as page:
        await page.goto(book.address)
        await page.get_by_label("Ihre Frage").fill(WHERE)
        await page.keyboard.press("Enter")
        turn = page.get_by_role("article")
        await expect(button(turn, "Neu beantworten")).to_be_visible()

        above, below = await turn.locator(".notes").all()
        await expect(turn.locator(".status")).to_have_text("Von einem Modell aus den Stellen unten geschrieben")
        await expect(above).to_have_text("Nur ein Teil davon steht im Buch")
        await expect(below).to_have_text("Die Antwort endet hier, weil sie die zulässige Länge erreicht hat.")
        places = [
            await part.evaluate("part => part.getBoundingClientRect().y")
            for part in (above, turn.locator(".prose"), below)
        ]
        assert places[0] < places[1] < places[2]
        await shoot(page, "lacking")


async def test_an_error_before_the_stream_is_a_sentence_and_can_be_tried_again(page: Page, serve: Serve) -> None:
    book = await serve()
    await page.goto(book.address)
    book.index.error = SearchUnavailable("down")

    turn = await ask(page, WHERE)
    await expect(turn.get_by_text(SearchUnavailable.public)).to_be_visible()
    await expect(button(turn, "Use the search of this site")).to_have_count(0)
    await shoot(page, "error")
    book.index.error = None
    await button(turn, "Try again").click()

    await expect(turn.get_by_text(QUOTED)).to_be_visible()
    await expect(turn.get_by_text(SearchUnavailable.public)).to_be_hidden()
    await expect(page.get_by_role("article")).to_have_count(1)


async def test_an_answer_that_breaks_off_stays_and_is_told_to_be_incomplete(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["Nodes publish. "], error=AnswerCutShort("cut")))
    await page.goto(book.address)

    turn = await ask(page, WHERE)

    await expect(turn.get_by_text(AnswerCutShort.public)).to_be_visible()
    await expect(turn.locator(".status")).to_have_text("This answer is not complete.")
    await expect(turn.locator(".prose")).to_have_text("Nodes publish.")
    await expect(button(turn, "Try again")).to_be_visible()
    await shoot(page, "broken-off")


async def test_a_server_that_is_gone_is_told_and_asked_again_when_it_is_back(page: Page, serve: Serve) -> None:
    book = await serve()
    for path in ("chat", "health"):
        await page.route(f"**/{path}", lambda route: route.abort("connectionrefused"))
    await page.goto(book.address)
    note, gone = page.locator("#index-note"), "The server cannot be reached."

    await expect(note.get_by_text(gone)).to_be_visible()
    turn = await ask(page, WHERE)
    await expect(turn.get_by_text(gone)).to_be_visible()
    await page.unroute_all()
    await button(note, "Check again").click()
    await expect(note).to_be_hidden()
    await button(turn, "Try again").click()

    await expect(turn.locator(".sources")).to_be_visible()


async def test_a_question_that_is_refused_can_be_changed(page: Page, serve: Serve) -> None:
    book = await serve()
    await page.goto(book.address)

    turn = await ask(page, "\u200b")
    await expect(turn.get_by_text("has no visible character.")).to_be_visible()
    await button(turn, "Change the question").click()

    await expect(field(page)).to_have_value("\u200b")
    await expect(field(page)).to_be_focused()


async def test_a_question_that_is_too_long_is_not_sent(page: Page, serve: Serve) -> None:
    book = await serve()
    await page.goto(book.address)

    await ask(page, "a" * 4_003)

    await expect(page.get_by_text("The question is 3 characters too long.")).to_be_visible()
    await expect(page.get_by_role("article")).to_have_count(0)


async def test_before_the_first_index_the_page_names_the_command(page: Page, serve: Serve) -> None:
    book = await serve(passages=())
    indexed = await serve()

    await page.goto(book.address)

    note = page.locator("#index-note")
    await expect(note.get_by_text("This book has not been indexed yet.").get_by_role("code")).to_have_text(
        "askbook index SOURCE"
    )
    await shoot(page, "no-index")
    turn = await ask(page, WHERE)
    await expect(turn.get_by_text(IndexMissing.public)).to_be_visible()
    book.index.published = indexed.index.published
    await button(note, "Check again").click()
    await expect(note).to_be_hidden()
    await expect(field(page)).to_be_focused()
    await button(turn, "Try again").click()
    await expect(turn.get_by_text(QUOTED)).to_be_visible()


async def test_stop_stops_the_model_and_keeps_what_was_said(page: Page, serve: Serve) -> None:
    model = ScriptedGenerator(["Nodes publish. ", "More.", "Never said."], gate=2)
    book = await serve(model)
    await page.goto(book.address)

    turn = await ask(page, WHERE)
    await expect(turn.locator(".prose")).to_contain_text("Nodes publish.")
    await book.happened(model.waiting)
    await shoot(page, "writing")
    await button(page, "Stop").click()
    await book.happened(model.stopped)

    await expect(turn.locator(".status")).to_have_text("Stopped. This answer is not complete.")
    await expect(turn.locator(".prose")).to_contain_text("Nodes publish.")
    await expect(button(page, "Ask")).to_be_visible()


# Conversations ------------------------------------------------------------------------------------------------


async def test_a_follow_up_belongs_to_the_conversation_and_earlier_turns_stay(page: Page, serve: Serve) -> None:
    model = ScriptedGenerator(["To topics [1]."])
    book = await serve(model)
    await page.goto(book.address)

    await answered(page, WHERE)
    await answered(page, "And what are topics?")

    await expect(page.get_by_role("heading", level=3)).to_have_text([WHERE, "And what are topics?"])
    assert [message.text for message in model.prompts[1].history] == [WHERE, "To topics [1]."]


async def test_a_page_that_is_loaded_again_finds_the_conversation_and_what_was_thought_of_it(
    page: Page, serve: Serve
) -> None:
    model = ScriptedGenerator(["To topics [1]."])
    book = await serve(model)
    await page.goto(book.address)

    turn = await answered(page, WHERE)
    async with page.expect_response("**/feedback"):
        await button(turn, "Helpful").click()
    await turn.get_by_label("What was good, or missing? (optional)").fill("Clear.")
    async with page.expect_response("**/feedback"):
        await button(turn, "Send").click()
    await expect(turn.get_by_text("Thank you")).to_be_visible()
    await page.reload()

    await expect(turn.locator(".prose")).to_have_text("To topics\u00a01.")
    await expect(chip(turn)).to_be_visible()
    await expect(button(turn, "Helpful")).to_have_attribute("aria-pressed", "true")
    await expect(button(turn, "Not helpful")).to_have_attribute("aria-pressed", "false")
    await answered(page, "And what are topics?")
    assert [message.text for message in model.prompts[1].history] == [WHERE, "To topics [1]."]


async def test_answering_again_replaces_the_answer(page: Page, serve: Serve) -> None:
    model = ScriptedGenerator(["Before [1]."])
    book = await serve(model)
    await page.goto(book.address)

    turn = await answered(page, WHERE)
    model.pieces = ["After [1]."]
    await button(turn, "Answer again").click()
    await expect(turn.locator(".prose")).to_have_text("After\u00a01.")
    await expect(button(turn, "Answer again")).to_be_visible()
    await page.reload()

    await expect(page.locator(".prose")).to_have_text(["After\u00a01."])
    assert list(model.prompts[1].history) == []


async def test_a_new_conversation_knows_nothing_of_the_last(page: Page, serve: Serve) -> None:
    model = ScriptedGenerator(["To topics [1]."])
    book = await serve(model)
    await page.goto(book.address)

    await answered(page, WHERE)
    await button(page, "New conversation").click()
    await expect(page.get_by_role("article")).to_have_count(0)
    await expect(field(page)).to_be_focused()
    await answered(page, "And what are topics?")

    assert list(model.prompts[1].history) == []


async def test_past_conversations_are_listed_opened_and_deleted(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["To topics [1]."]))
    await page.goto(book.address)

    await answered(page, WHERE)
    await button(page, "New conversation").click()
    await answered(page, "And what are topics?")
    await button(page, "Past conversations").click()
    threads = page.locator(".thread-title")
    await expect(threads).to_have_text(["And what are topics?", WHERE])
    await shoot(page, "past")
    await threads.last.click()
    await expect(page.get_by_role("heading", level=3)).to_have_text([WHERE])
    await expect(field(page)).to_be_focused()

    await button(page, "Past conversations").click()
    await button(page, f"Delete \u201c{WHERE}\u201d").click()
    await button(page, "Delete").and_(page.locator(":visible")).click()
    await expect(threads).to_have_text(["And what are topics?"])
    await button(page, "Back to the conversation").click()
    await expect(page.get_by_role("article")).to_have_count(0)  # the deleted one was open
    await page.reload()
    await button(page, "Past conversations").click()
    await expect(threads).to_have_text(["And what are topics?"])


# What is not trusted ------------------------------------------------------------------------------------------


async def test_hostile_markdown_from_a_model_stays_text(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator([HOSTILE, " Yes [1]."]))
    await page.goto(book.address)

    turn = await answered(page, WHERE)

    assert await _tags(turn.locator(".prose")) <= {"P", "A", "CODE", "SPAN"}
    await expect(turn.locator(".prose a")).to_have_count(1)  # our own


async def test_the_page_itself_makes_nothing_of_hostile_markdown_or_addresses(page: Page, serve: Serve) -> None:
    """Whatever a server between might send."""
    book = await serve()
    await page.goto(book.address)
    citation = {
        "number": 1,
        "title": "<img src=x onerror=alert(1)>",
        "heading_path": ["<b>x</b>"],
        "url": "javascript:alert(1)",
        "quote": "<script>alert(1)</script>",
        "passage_id": "x",
    }
    nearest = {"title": "Elsewhere", "heading_path": [], "url": "data:text/html,x"}
    done = _done(f"{HOSTILE} Yes [1][7].", citations=[citation], nearest=[nearest])

    async def answer(route: Route) -> None:
        events = [("delta", {"text": f"{HOSTILE} Yes [1][7]."}), ("citation", {"at": 0, **citation}), ("done", done)]
        body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
        await route.fulfill(content_type="text/event-stream", body=body)

    await page.route("**/chat", answer)
    turn = await answered(page, WHERE)

    await expect(turn.locator(".prose")).to_contain_text('<img src="https://evil.example/x.png" onerror="alert(2)">')
    await expect(turn.locator(".prose .chip")).to_have_text(["1"])
    assert await _tags(turn.locator(".prose")) <= {"P", "SPAN", "CODE"}
    await expect(turn.locator("a, img, script, iframe, b")).to_have_count(0)


# For everybody ------------------------------------------------------------------------------------------------


async def test_everything_can_be_done_with_the_keyboard(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["Queues keep messages [1]."]))
    await page.goto(book.address)
    card, turn = page.locator(".card"), page.get_by_role("article")

    await expect(field(page)).to_be_focused()
    await page.keyboard.type("What does a queue keep")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("until a subscriber is ready?")
    await expect(field(page)).to_have_value("What does a queue keep\nuntil a subscriber is ready?")
    await page.keyboard.press("Enter")
    await expect(button(turn, "Answer again")).to_be_visible()
    await expect(field(page)).to_be_focused()
    actions = [button(turn, name) for name in ("Not helpful", "Helpful", "Answer again", "Copy the answer")]
    for reached in (*actions, turn.locator(".sources a"), chip(turn)):
        await page.keyboard.press("Shift+Tab")
        await expect(reached).to_be_focused()
    await expect(card.get_by_role("blockquote")).to_have_text("A queue keeps messages until a subscriber is ready.")
    await shoot(page, "keyboard")
    await page.keyboard.press("Escape")
    await expect(card).to_be_hidden()
    async with page.expect_popup() as popup:
        await page.keyboard.press("Enter")

    await expect((await popup.value).get_by_label("Cited passage")).to_be_in_viewport()


async def test_a_finished_answer_is_announced_as_it_would_be_read_aloud(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["Queues keep messages [1].\n\n- a subscriber\n- ready\n\n```sh\nls\n```"]))
    await page.goto(book.address)

    await ask(page, KEEP)

    await expect(page.locator("[aria-live=polite]")).to_have_text(
        re.compile(rf"^{BY_MODEL} Queues keep messages ?\. a subscriber ready ls$")
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_smallest_screen_needs_no_sideways_scrolling(page: Page, serve: Serve, scheme: Any) -> None:
    wide = "| a | b |\n| --- | --- |\n| `" + "x" * 80 + "` | [1] |\n\n```\n" + "y" * 200 + "\n```\n" + "z" * 90
    book = await serve(ScriptedGenerator([wide]))
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.emulate_media(color_scheme=scheme)
    await page.goto(book.address)
    await shoot(page, f"320-{scheme}-empty")

    turn = await answered(page, WHERE)
    await shoot(page, f"320-{scheme}")

    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    overflow = "area => area.scrollWidth - area.clientWidth"
    assert await page.locator(".scroll").evaluate(overflow) == 0
    await page.set_viewport_size({"width": 1000, "height": 700})
    await expect(turn).to_be_visible()
    await shoot(page, f"wide-{scheme}")


async def test_a_reader_of_arabic_is_addressed_in_arabic_from_right_to_left(browser: Browser, serve: Serve) -> None:
    arabic = passage(
        "تنشر العقدة الرسائل على موضوع. للمواضيع أسماء.",
        page="/ar/docs/topics",
        title="المواضيع",
        headings=("النشر",),
        locale="ar",
    )
    book = await serve(ScriptedGenerator(["تنشر العقدة **الرسائل** على موضوع [1].\n\n- `topic`"]), passages=(arabic,))
    async with opened(browser, locale="ar-EG") as page:
        await page.goto(book.address)
        await expect(page.get_by_label("سؤالك")).to_be_focused()
        await shoot(page, "arabic-empty")
        await page.get_by_label("سؤالك").fill("أين تنشر العقدة الرسائل؟")
        await page.keyboard.press("Enter")

        turn = page.get_by_role("article")
        await expect(turn.locator(".status")).to_have_text("كتبها نموذج استنادًا إلى المقاطع أدناه")
        await expect(turn.get_by_role("heading", level=4)).to_have_text("المصادر")
        await expect(turn.locator(".prose p")).to_have_css("direction", "rtl")
        await turn.locator(".chip").hover()
        await expect(page.locator(".card")).to_contain_text("تنشر العقدة الرسائل على موضوع.")
        await shoot(page, "arabic")


HOSTILE: Final = (
    "![x](https://evil.example/x.png) [click](javascript:alert(1)) <https://evil.example> "
    '<script>alert(1)</script> <img src="https://evil.example/x.png" onerror="alert(2)"> '
    "<a href='https://evil.example'>here</a> [ref][r] `[1]`"
)


async def _tags(area: Locator) -> set[str]:
    found: list[str] = await area.evaluate("area => [...area.querySelectorAll('*')].map((node) => node.tagName)")
    return set(found)


def _done(text: str, **parts: Any) -> dict[str, Any]:
    answer = {"response": text, "state": "answered", "mode": "generated", "citations": [], "nearest": [], "notice": ""}
    grounding: dict[str, Any] = {"unsupported": [], "code": []}
    return {**answer, "grounding": grounding, "thread_id": "0" * 32, "message_id": "0" * 32, **parts}
