"""The page's modules by themselves, in a browser: events out of bytes, nodes out of Markdown."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, Page

from tests.e2e.conftest import opened, served

pytestmark = pytest.mark.asyncio(loop_scope="session")

READ = """async ({text, size}) => {
  const { readEvents } = await import('/static/sse.js')
  const bytes = new TextEncoder().encode(text)
  const stream = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size))
      controller.close()
    },
  })
  const events = []
  for await (const event of readEvents(stream)) events.push([event.name, event.data])
  return events
}"""

RENDER = """async ({text, numbers, unfinished}) => {
  const { render } = await import('/static/markdown.js')
  const area = document.createElement('div')
  const chipOf = (number) => {
    if (!numbers.includes(number)) return null
    const chip = document.createElement('sup')
    chip.textContent = number
    return chip
  }
  area.append(render(text, chipOf, { unfinished }))
  return area.innerHTML.replaceAll('&nbsp;', '~').replaceAll(' data-copy=""', '').replaceAll(' type="button"', '')
}"""

GROW = """async (pieces) => {
  const { morph } = await import('/static/dom.js')
  const { render } = await import('/static/markdown.js')
  const area = document.createElement('div')
  document.body.append(area)
  let text = ''
  let first
  for (const piece of pieces) {
    text += piece
    morph(area, render(text, () => null, { unfinished: true }))
    if (!first) {
      first = area.firstChild.firstChild
      getSelection().setBaseAndExtent(first, 2, first, 7)
    }
  }
  const fresh = document.createElement('div')
  fresh.append(render(text, () => null, { unfinished: true }))
  return [String(getSelection()), area.innerHTML === fresh.innerHTML]
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def at_home(browser: Browser) -> AsyncGenerator[Page, None]:
    async with served() as book, opened(browser) as page:
        await page.goto(book.address)
        yield page


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
async def test_events_are_the_same_however_the_bytes_are_cut(at_home: Page, newline: str, size: int) -> None:
    text = (
        "\ufeff: a comment\n\nevent: delta\ndata: häßlich 日本 😀\n\n\n:\n"
        "data:two\ndata:  lines\nid: 7\nunknown\n\nevent: empty\n\ndata\n\nevent: lost\ndata: never ended"
    )

    events = await at_home.evaluate(READ, {"text": text.replace("\n", newline), "size": size})

    assert events == [["delta", "häßlich 日本 😀"], ["message", "two\n lines"], ["message", ""]]


async def rendered(page: Page, text: str, *, unfinished: bool = False) -> Any:
    return await page.evaluate(RENDER, {"text": text, "numbers": [1, 2], "unfinished": unfinished})


def code(label: str, text: str) -> str:
    head = f'<div class="code-head"><span>{label}</span><button class="quiet">Copy</button></div>'
    return f'<div class="code">{head}<pre><code>{text}</code></pre></div>'


def table(head: str, body: str) -> str:
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


MARKED = '<p class="markers"><sup>1</sup></p>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("One\ntwo [1].", "<p>One\ntwo~<sup>1</sup>.</p>"),
        ("a [1][2] [9]", "<p>a~<sup>1</sup><sup>2</sup> [9]</p>"),
        (r"\[1] \<b> \` \\ \*a\*", "<p>[1] &lt;b&gt; ` \\ *a*</p>"),
        ("`[1] <b>` ``a`b``", "<p><code>[1] &lt;b&gt;</code> <code>a`b</code></p>"),
        ("[a](http://x.example) ![b](y)", "<p>[a](http://x.example) ![b](y)</p>"),
        ("**a *b*** _c_", "<p><strong>a <em>b</em></strong> <em>c</em></p>"),
        ("snake_case_name 2 * 3 * 4", "<p>snake_case_name 2 * 3 * 4</p>"),
        ("***a*** ~~b~~ ~c~ **open", "<p><strong><em>a</em></strong> <del>b</del> ~c~ **open</p>"),
        ("*a **b** c*", "<p><em>a <strong>b</strong> c</em></p>"),
        ("a **`b**c`**", "<p>a <strong><code>b**c</code></strong></p>"),
        ("# A [1] #\ntext", "<h3>A~<sup>1</sup></h3><p>text</p>"),
        ("- a\n  - b\n    - c\n- d", "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ul>"),
        ("- a\n[1]", f"<ul><li>a</li></ul>{MARKED}"),
        ("1. a\n  - b\n    - c\n2. d", '<ol start="1"><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ol>'),
        ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
        ("- a\nlazy\n\nend", "<ul><li>a\nlazy</li></ul><p>end</p>"),
        ("- a\n1. b", '<ul><li>a</li></ul><ol start="1"><li>b</li></ol>'),
        ("3) c", '<ol start="3"><li>c</li></ol>'),
        ("> a\n> - b", "<blockquote><p>a</p><ul><li>b</li></ul></blockquote>"),
        (
            "T:\n| a |\n| :-: |\n| `x\\|y` |",
            "<p>T:</p>" + table("<tr><th>a</th></tr>", "<tr><td><code>x|y</code></td></tr>"),
        ),
        ("| a | b |\n|---|---|\n[1]", table("<tr><th>a</th><th>b</th></tr>", "") + MARKED),
        ('```bash title="a.sh"\n$ ls [1] <b>\n```\n[1]', code("a.sh", "$ ls [1] &lt;b&gt;") + MARKED),
        ("````py\n```\n````", code("py", "```")),
        ("$$\nx\\_1 < 2\n$$", '<pre class="maths"><code>x_1 &lt; 2</code></pre>'),
        ("**npm**\n\nRun it", '<p class="label"><strong>npm</strong></p><p>Run it</p>'),
        ("- **a**\n- b", "<ul><li><strong>a</strong></li><li>b</li></ul>"),
        ("a\n\n---\n\nb  \nc", "<p>a</p><hr><p>b  <br>c</p>"),
    ],
)
async def test_markdown_becomes_nodes(at_home: Page, text: str, html: str) -> None:
    assert await rendered(at_home, text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a **b", "<p>a <strong>b</strong></p>"),
        ("a **", "<p>a </p>"),
        ("| a |", table("<tr><th>a</th></tr>", "")),
        ("```py\nx", code("py", "x")),
    ],
)
async def test_what_is_still_open_is_shown_as_it_will_be(at_home: Page, text: str, html: str) -> None:
    assert await rendered(at_home, text, unfinished=True) == html


@pytest.mark.parametrize(
    "text",
    ["*a " * 30_000, "> " * 20_000, "- " * 20_000, "`" * 50_000, "[" * 50_000, "**a _b " * 15_000, "|-" * 30_000],
)
async def test_no_text_is_too_strange(at_home: Page, text: str) -> None:
    assert await rendered(at_home, text)


async def test_a_selection_in_what_is_finished_survives_what_comes(at_home: Page) -> None:
    selected, equal = await at_home.evaluate(
        GROW, ["Some words", " and more **bold", "** here\n", "\n- item", " one\n- two"]
    )

    assert (selected, equal) == ("me wo", True)
