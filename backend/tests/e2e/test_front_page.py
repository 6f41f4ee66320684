"""The page at `/` and the page it cites, in a browser: ask, read, stop, fail, try again."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Locator, Page, Route, expect

from chatbot_api.errors import AnswerCutShort, ModelUnavailable, SearchUnavailable
from chatbot_api.testing import ScriptedGenerator
from tests.conftest import passage
from tests.e2e.conftest import QUEUES, TOPICS, Serve

HEADINGS: Final = "Topics \u203a Queues"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(page: Page, question: str) -> Locator:
    """The turn that the question began."""
    await page.get_by_label("Your question").fill(question)
    await page.keyboard.press("Enter")
    return page.get_by_role("article").last


async def test_an_answer_streams_and_its_citation_leads_to_the_passage_marked_and_in_view(
    page: Page, serve: Serve
) -> None:
    book = await serve(ScriptedGenerator(["Queues **keep** messages ", "[1]", ".\n\n- until `ready`"]))
    await page.goto(book.address)

    turn = await ask(page, "What does a queue keep until a subscriber is ready?")
    await expect(turn.get_by_text("Written by a model from the passages below.")).to_be_visible()
    await expect(turn.locator(".answer")).to_have_text("Queues keep messages\u00a01.until ready")
    await expect(turn.locator(".answer strong")).to_have_text("keep")
    await expect(turn.locator(".answer li code")).to_have_text("ready")
    source = turn.get_by_label("Sources").get_by_role("listitem")
    await expect(source.get_by_role("link")).to_have_text(HEADINGS)
    await expect(source.get_by_role("blockquote")).to_have_text("A queue keeps messages until a subscriber is ready.")
    async with page.expect_popup() as opened:
        await turn.get_by_role("link", name="Source 1: Topics").click()
    read = await opened.value

    await expect(read).to_have_url(f"{book.address}/read/docs/topics?passage={QUEUES.id}#queues")
    await expect(read.get_by_role("heading", level=1)).to_have_text("Topics")
    cited = read.get_by_label("Cited passage")
    await expect(cited).to_contain_text("A queue keeps messages until a subscriber is ready.")
    await expect(cited).to_be_in_viewport()
    await expect(cited.get_by_role("cell", name="the default")).to_be_visible()
    await read.get_by_role("link", name="Ask the book").click()
    await expect(read.get_by_label("Your question")).to_be_focused()


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


async def test_of_a_published_book_citations_open_the_published_page(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["To topics [1]."]), passages=(TOPICS,), site_url="https://book.example")
    await page.goto(book.address)

    turn = await ask(page, "Where does a node publish messages?")

    link = turn.get_by_role("link", name="Source 1: Topics")
    await expect(link).to_have_attribute(
        "href", "https://book.example/docs/topics#publish:~:text=A%20node%20publishes%20messages%20to%20a%20topic."
    )
    await expect(link).to_have_attribute("target", "_blank")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")


async def test_without_a_model_the_book_is_quoted_and_the_page_says_so(page: Page, serve: Serve) -> None:
    book = await serve(passages=(TOPICS,))
    await page.goto(book.address)
    await expect(page.get_by_text("No model writes. 1 passages of 2 pages, indexed on 1 January 2026.")).to_be_visible()

    turn = await ask(page, "npm run topics")

    await expect(turn.get_by_text("Quoted from the book, no model wrote this.")).to_be_visible()
    await expect(turn.locator(".answer pre")).to_contain_text("npm run topics")
    await turn.get_by_role("button", name="Copy", exact=True).click()
    await expect(turn.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == "npm run topics"


async def test_what_the_book_does_not_say_is_told_with_the_nearest_pages(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["NOT_IN_DOCS"]))
    await page.goto(book.address)

    turn = await ask(page, "What goal does an action have?")

    await expect(turn.locator(".answer")).to_have_text("The book does not seem to answer that.")
    nearest = turn.get_by_label("Nearest pages").get_by_role("link", name="Actions")
    await expect(nearest).to_have_attribute("href", "/read/docs/actions")
    await expect(turn.get_by_text("A model read the nearest passages and found no answer.")).to_be_visible()


async def test_when_the_model_fails_the_book_is_quoted_and_the_reason_is_shown(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(error=ModelUnavailable("cause")))
    await page.goto(book.address)

    turn = await ask(page, "Where does a node publish messages?")

    await expect(turn.get_by_text("Quoted from the book, no model wrote this.")).to_be_visible()
    await expect(turn.get_by_text(ModelUnavailable.public)).to_be_visible()


async def test_an_error_before_the_stream_is_a_sentence_and_can_be_tried_again(page: Page, serve: Serve) -> None:
    book = await serve()
    await page.goto(book.address)
    book.index.error = SearchUnavailable("down")

    turn = await ask(page, "Where does a node publish messages?")
    await expect(turn.get_by_text(SearchUnavailable.public)).to_be_visible()
    book.index.error = None
    await turn.get_by_role("button", name="Try again").click()

    await expect(turn.get_by_text("Quoted from the book, no model wrote this.")).to_be_visible()
    await expect(turn.get_by_text(SearchUnavailable.public)).to_be_hidden()
    await expect(page.get_by_role("article")).to_have_count(1)


async def test_an_answer_that_breaks_off_stays_and_is_told_to_be_incomplete(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["Nodes publish. "], error=AnswerCutShort("cut")))
    await page.goto(book.address)

    turn = await ask(page, "Where does a node publish messages?")

    await expect(turn.get_by_text(AnswerCutShort.public)).to_be_visible()
    await expect(turn.get_by_text("This answer is not complete.")).to_be_visible()
    await expect(turn.locator(".answer")).to_have_text("Nodes publish.")
    await expect(turn.get_by_role("button", name="Try again")).to_be_visible()


async def test_a_server_that_is_gone_is_told(page: Page, serve: Serve) -> None:
    book = await serve()
    await page.goto(book.address)
    await page.route("**/chat", lambda route: route.abort("connectionrefused"))

    turn = await ask(page, "Where does a node publish messages?")

    await expect(turn.get_by_text("The server cannot be reached.")).to_be_visible()
    await page.unroute("**/chat")
    await turn.get_by_role("button", name="Try again").click()
    await expect(turn.get_by_label("Sources")).to_be_visible()


async def test_a_question_that_is_refused_can_be_changed(page: Page, serve: Serve) -> None:
    book = await serve()
    await page.goto(book.address)

    turn = await ask(page, "\u200b")

    await expect(turn.get_by_text("has no visible character.")).to_be_visible()
    await turn.get_by_role("button", name="Change the question").click()
    await expect(page.get_by_label("Your question")).to_have_value("\u200b")


async def test_a_question_that_is_too_long_is_not_sent(page: Page, serve: Serve) -> None:
    book = await serve()
    await page.goto(book.address)

    await ask(page, "a" * 4_003)

    await expect(page.locator("#hint")).to_have_text("The question has 4003 characters, 3 too many")
    await expect(page.get_by_role("article")).to_have_count(0)


async def test_before_the_first_index_the_page_names_the_command(page: Page, serve: Serve) -> None:
    book = await serve(passages=())

    await page.goto(book.address)

    await expect(page.get_by_text("This book has not been indexed yet.").get_by_role("code")).to_have_text(
        "askbook index SOURCE"
    )
    await expect(page.get_by_role("button", name="Check again")).to_be_visible()


async def test_stop_stops_the_model_and_keeps_what_was_said(page: Page, serve: Serve) -> None:
    model = ScriptedGenerator(["Nodes publish. ", "More.", "Never said."], gate=2)
    book = await serve(model)
    await page.goto(book.address)

    turn = await ask(page, "Where does a node publish messages?")
    await expect(turn.locator(".answer")).to_contain_text("Nodes publish.")
    await book.happened(model.waiting)
    await page.get_by_role("button", name="Stop").click()
    await book.happened(model.stopped)

    await expect(turn.get_by_text("Stopped. This answer is not complete.")).to_be_visible()
    await expect(turn.locator(".answer")).to_contain_text("Nodes publish.")
    await expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()


async def test_a_follow_up_belongs_to_the_conversation_and_earlier_turns_stay(page: Page, serve: Serve) -> None:
    model = ScriptedGenerator(["To topics [1]."])
    book = await serve(model)
    await page.goto(book.address)

    first = page.get_by_role("article").first
    await ask(page, "Where does a node publish messages?")
    await expect(first.get_by_label("Sources")).to_be_visible()
    second = await ask(page, "And what are topics?")
    await expect(second.get_by_label("Sources")).to_be_visible()

    await expect(first.get_by_role("heading", level=2)).to_have_text("Where does a node publish messages?")
    assert [message.text for message in model.prompts[1].history] == [
        "Where does a node publish messages?",
        "To topics [1].",
    ]


async def test_hostile_markdown_from_a_model_stays_text(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator([HOSTILE, " Yes [1]."]))
    await page.goto(book.address)

    turn = await ask(page, "Where does a node publish messages?")

    await expect(turn.get_by_label("Sources")).to_be_visible()
    assert await _tags(turn.locator(".answer")) <= {"P", "A", "CODE"}
    await expect(turn.locator(".answer a")).to_have_count(1)  # our own


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
    turn = await ask(page, "Where does a node publish messages?")

    await expect(turn.get_by_label("Sources")).to_be_visible()
    await expect(turn.locator(".answer")).to_contain_text('<img src="https://evil.example/x.png" onerror="alert(2)">')
    await expect(turn.locator(".answer .chip")).to_have_text(["1"])
    assert await _tags(turn.locator(".answer")) <= {"P", "SPAN", "CODE"}
    await expect(turn.locator("a, img, script, iframe, b")).to_have_count(0)


async def test_everything_can_be_done_with_the_keyboard(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["Queues keep messages [1]."]))
    await page.goto(book.address)
    field, card = page.get_by_label("Your question"), page.locator(".card")

    await expect(field).to_be_focused()
    await page.keyboard.type("What does a queue keep")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("until a subscriber is ready?")
    await expect(field).to_have_value("What does a queue keep\nuntil a subscriber is ready?")
    await page.keyboard.press("Enter")
    turn = page.get_by_role("article")
    await expect(turn.get_by_label("Sources")).to_be_visible()
    await expect(field).to_be_focused()
    for name in ("Copy answer", HEADINGS, "Source 1: Topics"):
        await page.keyboard.press("Shift+Tab")
        await expect(turn.get_by_text(name).or_(turn.get_by_label(name)).first).to_be_focused()

    await expect(card).to_have_text(f"{HEADINGS}A queue keeps messages until a subscriber is ready.")
    await page.keyboard.press("Escape")
    await expect(card).to_be_hidden()
    async with page.expect_popup() as opened:
        await page.keyboard.press("Enter")
    await expect((await opened.value).get_by_label("Cited passage")).to_be_in_viewport()


async def test_a_finished_answer_is_announced_as_it_would_be_read_aloud(page: Page, serve: Serve) -> None:
    book = await serve(ScriptedGenerator(["Queues keep messages [1].\n\n- a subscriber\n- ready\n\n```sh\nls\n```"]))
    await page.goto(book.address)

    await ask(page, "What does a queue keep?")

    await expect(page.get_by_role("status")).to_have_text(
        "Queues keep messages. a subscriber ready sh ls Written by a model from the passages below."
    )


async def test_a_version_can_be_chosen_where_there_are_several(page: Page, serve: Serve) -> None:
    old = passage("A node publishes messages to a queue.", page="/docs/1.0/topics", version="1.0")
    book = await serve(passages=(TOPICS, old))
    await page.goto(book.address)

    await page.get_by_label("Version").select_option("1.0")
    turn = await ask(page, "Where does a node publish messages?")

    await expect(turn.get_by_label("Sources").get_by_role("link")).to_have_attribute(
        "href", re.compile("^/read/docs/1.0/topics")
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_smallest_screen_needs_no_sideways_scrolling(page: Page, serve: Serve, scheme: Any) -> None:
    wide = "| a | b |\n| --- | --- |\n| `" + "x" * 80 + "` | [1] |\n\n```\n" + "y" * 200 + "\n```\n" + "z" * 90
    book = await serve(ScriptedGenerator([wide]))
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.emulate_media(color_scheme=scheme)
    await page.goto(book.address)

    turn = await ask(page, "Where does a node publish messages?")
    await expect(turn.get_by_label("Sources")).to_be_visible()

    assert await page.evaluate("document.documentElement.scrollWidth") == 320


HOSTILE = (
    "![x](https://evil.example/x.png) [click](javascript:alert(1)) <https://evil.example> "
    '<script>alert(1)</script> <img src="https://evil.example/x.png" onerror="alert(2)"> '
    "<a href='https://evil.example'>here</a> [ref][r] `[1]`"
)


async def _tags(area: Locator) -> set[str]:
    found: list[str] = await area.evaluate("area => [...area.querySelectorAll('*')].map((node) => node.tagName)")
    return set(found)


def _done(text: str, **parts: Any) -> dict[str, Any]:
    answer = {"response": text, "state": "answered", "mode": "generated", "citations": [], "nearest": [], "notice": ""}
    return {**answer, "thread_id": "0" * 32, "message_id": "0" * 32, **parts}
