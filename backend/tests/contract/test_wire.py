"""The bytes in `contract/` are what crosses the wire today, and what they say holds together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chatkit.types import Thread, ThreadStreamEvent
from pydantic import TypeAdapter

from chatbot_api.models.chat_models import ChatResponse, CitationModel, ConversationModel, Problem
from tests.recordings import FOLDER, record

TURNS = ("answered", "partial", "not_in_docs", "failed", "stopped")
EVENTS: TypeAdapter[ThreadStreamEvent] = TypeAdapter(ThreadStreamEvent)
PROGRESS = {"searching", "reading", "writing"}


def told(name: str) -> Iterator[tuple[str, Any]]:
    for block in (FOLDER / f"chat/{name}.sse").read_text(encoding="utf-8").strip().split("\n\n"):
        event, data = block.split("\n")
        yield event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_it_is_what_is_said_today() -> None:
    """After a change that is meant: `make contract`, and look at what it changes."""
    now = await record()

    kept = {str(file.relative_to(FOLDER)): file.read_text(encoding="utf-8") for file in FOLDER.rglob("*.*")}
    assert kept.keys() == now.keys()
    assert {name for name in now if kept[name] != now[name]} == set()


@pytest.mark.parametrize("name", TURNS)
def test_every_chatkit_frame_is_one_of_the_sdks_own_types(name: str) -> None:
    text = (FOLDER / f"chatkit/{name}.sse").read_text(encoding="utf-8")

    frames = text.removesuffix("\n\n").split("\n\n")
    for frame in frames:
        assert frame.startswith("data: {")
        EVENTS.validate_json(frame.removeprefix("data: "))
    Thread.model_validate_json((FOLDER / f"chatkit/{name}.thread.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TURNS)
def test_every_event_of_a_turn_is_whole(name: str) -> None:
    events = list(told(name))

    assert events[0][0] == "start"
    for event, data in events:
        match event:
            case "progress":
                assert data["step"] in PROGRESS
            case "citation":
                CitationModel.model_validate(data)
            case "done":
                ChatResponse.model_validate(data)
            case "error":
                Problem.model_validate(data)
            case _:
                assert event in ("start", "sources", "delta")
    ConversationModel.model_validate_json((FOLDER / f"chat/{name}.thread.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TURNS)
def test_a_turn_says_what_is_kept_of_it(name: str) -> None:
    """What a reader saw, and finds again after a reload."""
    events = list(told(name))
    kept = json.loads((FOLDER / f"chat/{name}.thread.json").read_text(encoding="utf-8"))
    said = "".join(data["text"] for event, data in events if event == "delta")
    *_, (last, answer) = events

    question, item = kept["items"]
    assert question["kind"] == "question"
    assert item["outcome"] == {"failed": "failed", "stopped": "stopped"}.get(name, "done")
    if last == "done":
        assert (item["response"], item["state"]) == (answer["response"], name)
        assert said.strip() in ("", answer["response"])
    else:
        assert item["response"].strip() == said.strip()
