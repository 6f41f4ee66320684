"""Values and fixtures that several suites share."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

import pytest

from chatbot_api.config import Settings
from chatbot_api.models.domain import Manifest, Passage
from tests.postgres import postgres as postgres


def passage(
    text: str = "A node publishes messages to a topic.",
    *,
    page: str = "/docs/topics",
    title: str = "Topics",
    headings: tuple[str, ...] = (),
    anchor: str | None = None,
    ordinal: int = 0,
    version: str = "current",
    locale: str = "en",
    position: int = 0,
) -> Passage:
    return Passage(
        id=str(uuid5(NAMESPACE_URL, f"{version}{locale}{page}{ordinal}{text}")),
        page=page,
        breadcrumbs=(),
        title=title,
        headings=headings,
        anchor=anchor,
        text=text,
        ordinal=ordinal,
        version=version,
        locale=locale,
        tag=f"docs-default-{version}",
        latest=version == "current",
        position=position,
        source=page.removeprefix("/docs/") + ".md",
    )


def manifest(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "generation": "20260101T000000000000-aaaaaaaa",
        "built_at": datetime(2026, 1, 1, tzinfo=UTC),
        "embedding_model": "hash",
        "dimensions": 64,
        "has_vectors": True,
        "lexical": {"tokenizer": "words"},
        "passages": 0,
        "pages": 0,
    }
    return Manifest(**{**values, **changes})  # type: ignore[arg-type]  # the test names the fields


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of the machine it runs on."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
