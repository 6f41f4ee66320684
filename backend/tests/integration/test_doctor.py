"""What the doctor finds, over real parts: Gemini's client against its wire, the embedded engine, a real folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from askbook.doctor import Finding, examine
from chatbot_api.bootstrap import open_indexing, open_services
from chatbot_api.config import Settings
from qdrant_indexer.indexing import Origin, index
from qdrant_indexer.pace import Ledger, Pace
from qdrant_indexer.sources.choose import open_source
from qdrant_indexer.vector_cache import VectorCache
from tests.gemini_server import GeminiServer, call_of


@dataclass
class Setup:
    folder: Path
    gemini: GeminiServer

    def settings(self, **changes: Any) -> Settings:
        """Models whose end is not announced: these tests hold on any day."""
        gemini = {
            "gemini_api_key": "test-key",
            "gemini_base_url": self.gemini.url,
            "gemini_embedding_model": "gemini-embedding-2",
            "gemini_embedding_dimensions": 128,
            "gemini_answer_fallback_models": "gemini-3.5-flash",
        }
        return Settings(**{"data_dir": self.folder / "data", **gemini, **changes})

    async def indexed(self, **changes: Any) -> None:
        settings = self.settings(**changes)
        place = str(self.folder / "docs")
        with (
            open_source(place, Path(":memory:")) as source,
            VectorCache(Path(":memory:")) as cache,
            Ledger(Path(":memory:")) as ledger,
        ):
            async with open_indexing(settings) as services:
                await index(
                    source.pages,
                    origin=Origin(place, fingerprint=source.fingerprint()),
                    embedder=services.embedder,
                    vector_index=services.vector_index,
                    cache=cache,
                    pace=Pace(services.embedder.quota, ledger),
                )

    async def findings(self, **changes: Any) -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        async with open_services(self.settings(**changes)) as services:
            async for finding in examine(services):
                found.setdefault(finding.subject, []).append(finding)
        return found


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "topics.md").write_text("# Topics\n\nA node publishes to a topic.\n", encoding="utf-8")
    async with GeminiServer() as server:
        yield Setup(tmp_path, server)


def statuses(found: dict[str, list[Finding]]) -> dict[str, str]:
    return {subject: findings[-1].status for subject, findings in found.items()}


async def test_a_setup_in_order_has_nothing_to_mend_and_spends_no_quota(setup: Setup) -> None:
    await setup.indexed()
    setup.gemini.requests.clear()

    found = await setup.findings()

    assert statuses(found) == dict.fromkeys(
        ("disk", "engine", "index", "source", "embedder", "answers", "threads", "cors"), "ok"
    ), found
    assert {call_of(request) for request in setup.gemini.requests} == {"models"}


async def test_a_key_that_is_not_known_is_told_with_its_setting(setup: Setup) -> None:
    found = await setup.findings(gemini_api_key="AIza-unknown")

    assert statuses(found)["embedder"] == statuses(found)["answers"] == "wrong"
    assert "the key is unknown or has expired" in found["embedder"][0].detail
    assert found["embedder"][0].mend == "check GEMINI_API_KEY"
    assert "AIza-unknown" not in str(found)


async def test_a_model_that_is_retired_is_told_and_a_fallback_that_is_too_is_a_warning(setup: Setup) -> None:
    gone = await setup.findings(gemini_answer_model="gemini-1.5-flash")
    fallback = await setup.findings(gemini_answer_fallback_models="gemini-1.5-flash")

    assert (gone["answers"][0].status, gone["answers"][0].mend) == ("wrong", "choose another")
    assert "retired" in gone["answers"][0].detail
    assert [finding.status for finding in fallback["answers"]] == ["ok", "warning"]


async def test_a_model_that_ends_soon_is_a_warning(setup: Setup) -> None:
    found = await setup.findings(gemini_answer_model="gemini-2.5-flash")

    assert found["answers"][0].status == "warning"
    assert "2026-12-01" in found["answers"][0].detail
    assert found["answers"][0].mend == "set GEMINI_ANSWER_MODEL=gemini-3.5-flash-lite"


async def test_an_index_of_another_dimension_is_told_with_what_mends_it(setup: Setup) -> None:
    await setup.indexed()

    found = await setup.findings(gemini_embedding_dimensions=256)

    assert found["index"][0].status == "wrong"
    assert "128 dimensions" in found["index"][0].detail
    assert "askbook index SOURCE" in found["index"][0].mend


async def test_a_source_that_has_changed_is_told(setup: Setup) -> None:
    await setup.indexed()
    (setup.folder / "docs" / "topics.md").write_text("# Topics\n\nChanged.\n", encoding="utf-8")

    changed = await setup.findings()
    (setup.folder / "docs" / "topics.md").unlink()
    (setup.folder / "docs").rmdir()
    gone = await setup.findings()

    assert (changed["source"][0].status, gone["source"][0].status) == ("warning", "warning")
    assert changed["source"][0].mend == f"run: askbook index {setup.folder / 'docs'}"


async def test_a_clock_that_is_wrong_is_told(setup: Setup) -> None:
    setup.gemini.date = "Tue, 24 Nov 2020 12:00:00 GMT"

    found = await setup.findings()

    assert "clock" in found["embedder"][-1].detail
    assert found["embedder"][-1].status == "warning"


async def test_a_database_of_conversations_that_is_not_there_is_told_without_its_password(setup: Setup) -> None:
    found = await setup.findings(database_url="postgresql://askbook:hunter2@127.0.0.1:1/askbook")

    assert (found["threads"][0].status, found["threads"][0].mend) == (
        "wrong",
        "check DATABASE_URL: is it there, and does it take the name and the password?",
    )
    assert "hunter2" not in str(found)


async def test_a_site_that_may_not_ask_is_told_with_the_setting_that_lets_it(setup: Setup) -> None:
    closed = await setup.findings(site_url="https://book.example/docs")
    opened = await setup.findings(site_url="https://book.example/docs", cors_origins="https://book.example")

    assert (closed["cors"][0].status, closed["cors"][0].mend) == ("warning", "set CORS_ORIGINS=https://book.example")
    assert opened["cors"][0].status == "ok"


async def test_a_server_that_is_not_there_is_told_and_the_rest_is_looked_at_all_the_same(setup: Setup) -> None:
    found = await setup.findings(qdrant_host="http://127.0.0.1:1")

    assert (statuses(found)["engine"], statuses(found)["embedder"]) == ("wrong", "ok")
    assert "nothing listens at QDRANT_HOST" in found["engine"][0].detail
