"""Turns as they cross the wire, for every client to be tested against: `make contract` writes them to `contract/`.

Ids, times and timings are those of nobody, so that a file changes only when what it says does.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import httpx

from chatbot_api import errors
from chatbot_api.answering import notices
from chatbot_api.config import Settings
from chatbot_api.errors import AnswerCutShort, AskbookError, ModelError
from chatbot_api.main import create_app
from chatbot_api.models.domain import Notice
from chatbot_api.routes.errors import problem_of
from chatbot_api.testing import ScriptedGenerator
from tests.integration.test_server import served
from tests.unit.test_main import World

FOLDER: Final = Path(__file__).parents[2] / "contract"
Face = Literal["chat", "chatkit"]
E = TypeVar("E", bound=AskbookError)
FACES: Final[tuple[Face, ...]] = ("chat", "chatkit")
_ASKED: Final = "What does a node publish to a topic?"
_SAID: Final = [
    "A node publishes ",
    "messages to a topic [1]",
    ". An action has a goal [2].\n\n```bash\nact <now>\n",
    "```\n",
]
_TURNS: Final[dict[str, ScriptedGenerator]] = {
    "answered": ScriptedGenerator(_SAID),
    "partial": ScriptedGenerator(
        ["PARTLY_IN_DOCS\nA node publishes messages to a topic [1]. ", "The rest is not said."]
    ),
    "not_in_docs": ScriptedGenerator(["NOT_IN_DOCS"]),
    "failed": ScriptedGenerator(["A node publishes messages to a topic [1]. "], error=AnswerCutShort("cut")),
    "stopped": ScriptedGenerator(["A node publishes messages to a topic [1]. ", "Never said."], gate=1),
}
_LAST_PIECE: Final = re.compile(r'"(?:text|delta)":"\."')
_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_TIME: Final = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)"')
_TIMING: Final = re.compile(r'("(?:embed|search|first_word|total)":)[\d.]+')


async def record() -> dict[str, str]:
    """Every file of the contract by its name."""
    files = {
        "errors.json": _as_text(_errors()),
        "notices.json": _as_text({notice.code: notice.text for notice in every_notice()}),
        "openapi.json": _as_text(create_app(Settings()).openapi()),
    }
    for face in FACES:
        for name, model in _TURNS.items():
            stream, kept = await _turn(face, model, stops=name == "stopped")
            files[f"{face}/{name}.sse"], files[f"{face}/{name}.thread.json"] = stream, kept
    return files


async def _turn(face: Face, model: ScriptedGenerator, *, stops: bool) -> tuple[str, str]:
    """What is told of a turn, and what is kept of it."""
    async with _asking(model) as client:
        asked = {"query": _ASKED, "stream": True} if face == "chat" else _message(_ASKED)
        told = ""
        async with client.stream("POST", f"/{face}", json=asked) as response:
            async for text in response.aiter_text():
                told += text
                if stops and _LAST_PIECE.search(told):
                    break
        thread = (await client.get("/threads")).json()["threads"][0]["id"]
        if stops:
            await model.stopped.wait()
        kept = await _kept(client, face, thread)
        while stops and len(_items(kept)) < 2:  # it is kept after the model was stopped
            await asyncio.sleep(0)  # the server runs beside us
            kept = await _kept(client, face, thread)
    model.stopped.clear()
    neutral = _neutral(told + "\0" + _as_text(kept))
    stream, _, loaded = neutral.partition("\0")
    return stream, loaded


@asynccontextmanager
async def _asking(model: ScriptedGenerator) -> AsyncGenerator[httpx.AsyncClient, None]:
    world = World(model=model)
    await world.fill()
    async with served(world) as client:
        token = (await client.post("/session")).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def _kept(client: httpx.AsyncClient, face: Face, thread: str) -> Any:
    if face == "chat":
        return (await client.get(f"/threads/{thread}")).json()
    asked = {"type": "threads.get_by_id", "params": {"thread_id": thread}}
    return (await client.post("/chatkit", json=asked)).json()


def _items(kept: Any) -> list[Any]:
    return kept["items"] if isinstance(kept["items"], list) else kept["items"]["data"]


def _message(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    sent = {"content": content, "attachments": [], "inference_options": {}}
    return {"type": "threads.create", "params": {"input": sent}}


def _errors() -> list[dict[str, Any]]:
    """Every error that can reach a client, by its code."""
    told = [(code, kind, problem_of(kind.__new__(kind))) for code, kind in sorted(_named(AskbookError).items())]
    return [
        {"code": code, "status": problem.status, "retryable": kind.retryable, "detail": kind.public}
        for code, kind, problem in told
    ]


def every_notice() -> list[Notice]:
    """That an answer can have, each once."""
    constants = [value for value in vars(notices).values() if isinstance(value, Notice)]
    quoted = [notices.quoted_instead(kind.__new__(kind)) for kind in _named(ModelError).values()]
    return list(dict.fromkeys([*constants, *quoted]))


def _named(family: type[E]) -> dict[str, type[E]]:
    kinds = [family]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.code: kind for kind in kinds if kind.__module__ == errors.__name__}


def _neutral(text: str) -> str:
    ids: dict[str, str] = {}
    text = _ID.sub(lambda found: ids.setdefault(found[0], f"{len(ids) + 1:032x}"), text)
    return _TIMING.sub(r"\g<1>0.0", _TIME.sub('"2026-01-01T00:00:00Z"', text))


def _as_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    for name, text in asyncio.run(record()).items():
        file = FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
        print(file.relative_to(FOLDER.parent))  # noqa: T201


if __name__ == "__main__":
    main()
