"""A browser, and the real app behind a socket with fakes for the index and the model."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import uvicorn

from chatbot_api.bootstrap import Services
from chatbot_api.config import Settings
from chatbot_api.main import create_app
from chatbot_api.models.domain import Entry, Passage
from chatbot_api.testing import HashEmbedder, MemoryIndex, ScriptedGenerator, over
from tests.conftest import manifest, passage

CHROMIUM: Final = Path("/usr/bin/chromium")
SHOTS: Final = Path(__file__).parent / "shots"
"""Pictures of what a reader sees, for who looks after the tests ran. Git does not keep them."""
PATIENCE_SECONDS: Final = 30
"""After which what never comes is a failure. Nothing that works is waited for so long."""

try:
    from playwright.async_api import Browser, Page, Playwright, async_playwright, expect
except ImportError:
    MISSING = "playwright is not installed"
else:
    MISSING = "" if CHROMIUM.exists() else f"there is no {CHROMIUM}"
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)

# Of its own accord Chromium asks its maker's servers for this and that; here it asks only ours.
_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Chromium writes this for every status of 400 and above, and for a request that found no server.
FAILED_REQUEST: Final = "Failed to load resource"

TOPICS: Final = passage(
    "A node publishes messages to a topic. Topics have names.\n\n**npm**\n\n```bash\nnpm run topics\n```",
    headings=("Publish",),
    anchor="publish",
)
# Long enough for the cited passage to be out of view at first.
FILLER: Final = tuple(
    passage(f"Paragraph {n} says nothing of use. " * 20, headings=(f"Part {n}",), anchor=f"part-{n}", ordinal=n)
    for n in range(1, 12)
)
QUEUES: Final = passage(
    "A queue keeps messages until a subscriber is ready.\n\n| Size | Meaning |\n| --- | --- |\n| `10` | the default |",
    headings=("Queues",),
    anchor="queues",
    ordinal=12,
)
ACTIONS: Final = passage("An action has a goal and sends feedback.", page="/docs/actions", title="Actions", position=1)
BOOK: Final = (TOPICS, *FILLER, QUEUES, ACTIONS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if MISSING:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=f"needs Debian's chromium and playwright: {MISSING}"))


@dataclass
class Book:
    """The app at `address`, with what it stands on."""

    index: MemoryIndex
    model: ScriptedGenerator | None
    address: str = ""
    loop: asyncio.AbstractEventLoop = field(init=False)

    async def happened(self, event: asyncio.Event) -> None:
        """Waits for an event of the app, which lives in another thread."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(event.wait(), self.loop))


@asynccontextmanager
async def served(
    model: ScriptedGenerator | None = None, *, passages: Sequence[Passage] = BOOK, site_url: str = ""
) -> AsyncGenerator[Book, None]:
    """The app at work. Without a model, answers are quoted."""
    book = Book(await _indexed(passages), model)

    @asynccontextmanager
    async def opener(settings: Settings) -> AsyncGenerator[Services, None]:
        book.loop = asyncio.get_running_loop()
        yield over(settings, book.index, model)

    app = create_app(Settings(site_url=site_url, log_level="error"), opener)
    async with listening(app) as book.address:
        yield book


@asynccontextmanager
async def listening(app: Any) -> AsyncGenerator[str, None]:
    """The address at which an ASGI app answers, from another thread."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    server = _Server(app, lambda: loop.call_soon_threadsafe(ready.set))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    await ready.wait()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join)


@asynccontextmanager
async def launched(playwright: Playwright) -> AsyncGenerator[Browser, None]:
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
    yield browser
    await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, *, elsewhere: str = "", api: str = "", said: str = FAILED_REQUEST, **chosen: Any
) -> AsyncGenerator[Page, None]:
    """A page in a fresh profile. Whatever it opens must keep to one origin and to the content security policy, set
    no cookie. `elsewhere` is a site that may be opened, and is not really there; `api` is another origin that may be
    asked; of errors and warnings, the console may have those that begin as the pattern `said`."""
    usual: dict[str, Any] = {
        "viewport": {"width": 1000, "height": 700},
        "reduced_motion": "reduce",
        "timezone_id": "UTC",
        "permissions": ["clipboard-read", "clipboard-write"],
    }
    context = await browser.new_context(**{**usual, **chosen})
    if elsewhere:
        await context.route(f"{elsewhere}/**", lambda route: route.fulfill(body="Elsewhere."))
    wrong: list[str] = []
    origins: set[str] = set()
    context.on("console", lambda line: _note(wrong, line.type, line.text, said))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("request", lambda request: origins.add("/".join(request.url.split("/")[:3])))
    page = await context.new_page()
    yield page
    cookies = await context.cookies()
    await context.close()

    assert wrong == []
    assert len(origins - {elsewhere, api}) == 1, f"more than our own server was asked: {origins}"
    assert cookies == []


async def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}.png")


Serve = Callable[..., Awaitable[Book]]


@pytest_asyncio.fixture(loop_scope="session")
async def serve() -> AsyncGenerator[Serve, None]:
    """`await serve(...)` is `served(...)` until the test is over."""
    async with AsyncExitStack() as stack:

        async def start(model: ScriptedGenerator | None = None, **chosen: Any) -> Book:
            return await stack.enter_async_context(served(model, **chosen))

        yield start


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncGenerator[Browser, None]:
    async with async_playwright() as playwright, launched(playwright) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncGenerator[Page, None]:
    async with opened(browser) as page:
        yield page


class _Server(uvicorn.Server):
    def __init__(self, app: Any, ready: Callable[[], object]) -> None:
        super().__init__(uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=5))
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self._ready()


async def _indexed(passages: Sequence[Passage]) -> MemoryIndex:
    embedder, index = HashEmbedder(), MemoryIndex()
    if passages:
        async with index.generation(manifest(passages=len(passages), pages=2)) as generation:
            await generation.put([Entry(p, await embedder.embed_question(p.text)) for p in passages])
            await generation.publish()
    return index


def _note(wrong: list[str], kind: str, text: str, said: str) -> None:
    if kind in ("error", "warning") and not re.match(said, text):
        wrong.append(text)
