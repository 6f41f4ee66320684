"""Everything that can break on the way to Gemini and Qdrant, through the real clients and real sockets: each question
still ends, in time, in the right way, and without a word of what a vendor said."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from chatbot_api.bootstrap import open_indexing
from chatbot_api.config import Settings
from chatbot_api.main import create_app
from chatbot_api.models.domain import Block, Page, Section
from qdrant_indexer.indexing import Origin, index
from qdrant_indexer.pace import Ledger, Pace
from qdrant_indexer.vector_cache import VectorCache
from tests import faults
from tests.faults import FAULTS, Fault
from tests.gemini_server import GeminiServer
from tests.qdrant_server import VENDOR_WORDS, QdrantServer

GEMINI_KEY: Final = "AIza-a-key-that-nobody-may-see"
QDRANT_KEY: Final = "qdrant-key-that-nobody-may-see"
GEMINI: Final[dict[str, Any]] = {
    "gemini_api_key": GEMINI_KEY,
    "gemini_embedding_dimensions": faults.DIMENSIONS,
}
DEADLINE: Final = 20.0
"""Seconds. What hangs is given a limit of two at most; for all else the limits are wide, so that a slow machine meets
none of them."""
BOOK: Final = [
    Page(
        "/docs/topics", "Topics", "topics.md", (Section((), None, (Block("paragraph", "Nodes publish to topics."),)),)
    ),
    Page("/docs/actions", "Actions", "actions.md", (Section((), None, (Block("paragraph", "Actions have goals."),)),)),
]


class Lines(logging.Handler):
    """All that is logged, with its tracebacks, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += logging.Formatter().format(record) + "\n"


@pytest.fixture
async def gemini() -> AsyncIterator[GeminiServer]:
    async with GeminiServer(key=GEMINI_KEY, answer=("Nodes publish ", "to topics [1].")) as server:
        yield server


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of an embedded index, which no fault of another part changes."""
    folder = tmp_path_factory.mktemp("filled")

    async def run() -> None:
        async with GeminiServer(key=GEMINI_KEY) as server:
            await fill(Settings(data_dir=folder, **(GEMINI | {"gemini_base_url": server.url})))

    asyncio.run(run())
    return folder


@pytest.fixture
async def qdrant() -> AsyncIterator[QdrantServer]:
    async with QdrantServer(key=QDRANT_KEY) as server:
        yield server


def settings(fault: Fault, gemini: GeminiServer, qdrant: QdrantServer, folder: Path) -> Settings:
    values: dict[str, Any] = {
        "data_dir": folder,
        **GEMINI,
        "gemini_base_url": gemini.url,
        "embed_timeout_seconds": 20,
        "first_word_timeout_seconds": 20,
        "answer_timeout_seconds": 30,
        "qdrant_timeout_seconds": 20,
        "log_level": "debug",
    }
    if fault.part == "search":
        values |= {"qdrant_host": qdrant.url, "qdrant_api_key": QDRANT_KEY}
    return Settings(**values)


def broken(chosen: Settings, fault: Fault, gemini: GeminiServer, qdrant: QdrantServer) -> Settings:
    secure = {"gemini_base_url": gemini.url, "qdrant_host": qdrant.url}
    changes = {
        name: secure[name].replace("http:", "https:") if value == "https" else value
        for name, value in fault.settings.items()
    }
    return Settings(**{**chosen.model_dump(), **changes})


async def fill(chosen: Settings) -> None:
    with VectorCache(Path(":memory:")) as cache, Ledger(Path(":memory:")) as ledger:
        async with open_indexing(chosen) as services:
            await index(
                lambda: BOOK,
                origin=Origin("book"),
                embedder=services.embedder,
                vector_index=services.vector_index,
                cache=cache,
                pace=Pace(None, ledger),
            )


@asynccontextmanager
async def served(chosen: Settings, lines: Lines) -> AsyncGenerator[httpx.AsyncClient, None]:
    app = create_app(chosen)
    root = logging.getLogger()
    root.addHandler(lines)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            yield client
    finally:
        root.removeHandler(lines)


def events(body: str) -> list[tuple[str, Any]]:
    frames = [dict(line.split(": ", 1) for line in frame.split("\n")) for frame in body.strip().split("\n\n")]
    return [(frame["event"], json.loads(frame["data"])) for frame in frames]


@pytest.mark.filterwarnings("ignore:TIRED is not a valid FinishReason:UserWarning")  # the SDK's, about a new reason
@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")  # of the test server's own storage
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.part}: {fault.what}")
async def test_every_fault_ends_in_time_in_the_right_way_and_tells_nothing_it_should_not(
    fault: Fault, stream: bool, gemini: GeminiServer, qdrant: QdrantServer, filled: Path, tmp_path: Path
) -> None:
    lines = Lines()
    chosen = settings(fault, gemini, qdrant, tmp_path if fault.part == "search" else filled)
    if fault.part == "search":
        await fill(chosen)
    fault.breaks(gemini, qdrant)

    async with asyncio.timeout(DEADLINE), served(broken(chosen, fault, gemini, qdrant), lines) as client:
        response = await client.post("/chat", json={"query": "Where do nodes publish?", "stream": stream})

    reason = fault.reason.public if fault.reason else ""
    if not fault.mode:
        problem = response.json()
        assert (response.status_code, problem["detail"]) == (503, reason)
        assert problem["code"] == (fault.reason.code if fault.reason else "")
        assert int(response.headers["Retry-After"]) > 0
    elif stream and fault.ends != "done":
        kind, problem = events(response.text)[-1]
        assert (kind, problem["code"]) == ("error", fault.ends)
    else:
        kind, answer = events(response.text)[-1] if stream else ("done", response.json())
        assert (kind, response.status_code) == ("done", 200)
        assert (answer["state"], answer["mode"]) == ("answered", fault.mode)
        assert answer["citations"]
        assert reason in answer["notice"] if reason else answer["notice"] == ""
        assert fault.reason.code in answer["notice_codes"] if fault.reason else answer["notice_codes"] == []
    if fault.reason is not None:
        assert "cause=" in lines.text, "the log has the cause"
    for secret in (faults.VENDOR, VENDOR_WORDS, GEMINI_KEY, QDRANT_KEY):
        assert secret not in response.text
        assert secret not in str(response.headers)
        assert secret not in lines.text


def test_the_documentation_tells_the_same_table() -> None:
    told = faults.PAGE.read_text(encoding="utf-8")

    assert len(FAULTS) >= 40
    assert told.endswith(faults.as_markdown()), "run: make faults"
