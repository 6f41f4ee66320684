"""Two processes over one database: what holds in one holds in both, whatever happens to either."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import psycopg
import pytest
import pytest_asyncio

from tests.crowd import FACES, Face, Told, hear, request
from tests.loopback import Received, Reply
from tests.openai_server import DONE, OpenAIServer, chunk
from tests.postgres import Postgres
from tests.postgres import postgres as postgres

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVE: Final = ["-m", "uvicorn", "--factory", "chatbot_api.main:create_app", "--port", "0"]
SOON: Final = ["--timeout-graceful-shutdown", "1"]
TOO_LONG: Final = 120
"""Seconds after which something will never happen."""


# The model --------------------------------------------------------------------------------------------


class Desk(OpenAIServer):
    """Writes the beginning of each answer at once, and its end when it may."""

    def __init__(self) -> None:
        super().__init__(key=None)
        self._may: dict[str, asyncio.Event] = {}

    def hold(self, question: str) -> asyncio.Event:
        return self._may.setdefault(question, asyncio.Event())

    def script_for(self, received: Received) -> Reply:
        if received.path != "/v1/chat/completions":
            return super().script_for(received)
        may = self._may.get(received.body["messages"][-1]["content"].rsplit("\n", 1)[-1])
        end = (chunk("So it is."), chunk(None, finish="stop"), DONE)
        return Reply(
            (chunk("A node publishes "), chunk("messages to a topic [1]. "), *([may] if may else []), *end), 200
        )


# Processes --------------------------------------------------------------------------------------------


@dataclass
class Api:
    """A running process."""

    process: Process
    client: httpx.AsyncClient
    log: list[str]

    async def get(self, path: str, token: str) -> httpx.Response:
        return await self.client.get(path, headers=signed(token))

    async def items(self, thread_id: str, token: str) -> list[tuple[str, str]]:
        """Kinds and words of what was said."""
        kept = (await self.get(f"/threads/{thread_id}", token)).json()
        return [(item["kind"], item.get("text") or item["response"]) for item in kept["items"]]

    async def ask(self, face: Face, token: str, question: str, thread_id: str = "") -> Told:
        async with self.telling(face, token, question, thread_id) as telling:
            return await telling.to_end()

    @asynccontextmanager
    async def telling(
        self, face: Face, token: str, question: str, thread_id: str = ""
    ) -> AsyncGenerator[Telling, None]:
        asked = request(face, question, thread_id)
        async with self.client.stream("POST", f"/{face}", json=asked, headers=signed(token)) as response:
            yield Telling(face, Told(question, token, response.status_code), response)


class Telling:
    def __init__(self, face: Face, told: Told, response: httpx.Response) -> None:
        self.told = told
        self._face = face
        self._response = response
        self._lines = response.aiter_lines()

    async def until(self, reached: Callable[[Told], object]) -> Told:
        if self.told.status != 200:
            await self._response.aread()
            self.told.error = self._response.json()["code"]
            return self.told
        frame: list[str] = []
        async for line in self._lines:
            if line:
                frame.append(line)
                continue
            hear(self._face, self.told, "\n".join(frame))
            frame = []
            if reached(self.told):
                break
        return self.told

    async def to_end(self) -> Told:
        return await self.until(lambda _: False)


@asynccontextmanager
async def started(folder: Path, environment: Mapping[str, str]) -> AsyncGenerator[Api, None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *SERVE, *SOON, cwd=folder, env={**inherited(), **environment}, stderr=PIPE
    )
    log: list[str] = []
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(read(process, log, address))
    try:
        async with asyncio.timeout(TOO_LONG):
            await address
        async with httpx.AsyncClient(base_url=address.result(), timeout=TOO_LONG) as client:
            yield Api(process, client, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def read(process: Process, log: list[str], address: asyncio.Future[str]) -> None:
    """What a process logs, which begins with its address."""
    assert process.stderr is not None
    async for line in process.stderr:
        log.append(line.decode())
        if found := re.search(r"Uvicorn running on (http://\S+)", log[-1]):
            address.set_result(found[1])
    if not address.done():
        address.set_exception(RuntimeError("".join(log)))


async def askbook(folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "askbook", *arguments, cwd=folder, env={**inherited(), **environment}, stdout=PIPE
    )
    await run.communicate()
    assert run.returncode == 0


def inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}


def signed(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass
class World:
    desk: Desk
    folder: Path
    environment: dict[str, str]
    database: str
    apis: list[Api] = field(default_factory=list)

    async def reader(self) -> str:
        return str((await self.apis[0].client.post("/session")).json()["token"])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World, None]:
    folder = tmp_path_factory.mktemp("processes")
    docs = folder / "book" / "docs"
    docs.mkdir(parents=True)
    (docs.parent / "docusaurus.config.js").write_text("module.exports = {};\n", encoding="utf-8")
    (docs / "topics.md").write_text("# Topics\n\nA node publishes messages to a topic.\n", encoding="utf-8")
    database = postgres.new_database()
    async with Desk() as desk:
        environment = {
            "DATA_DIR": str(folder / "data"),
            "SESSION_SECRET": uuid4().hex,
            "OPENAI_BASE_URL": desk.url,
            "OPENAI_ANSWER_MODEL": "gpt-5.4",
            "OPENAI_EMBEDDING_MODEL": "nomic-embed-text",
            "OPENAI_EMBEDDING_DIMENSIONS": "768",
            "FIRST_WORD_TIMEOUT_SECONDS": str(TOO_LONG),
        }
        served = {**environment, "DATABASE_URL": database}
        await asyncio.gather(
            askbook(folder, environment, "index", str(docs.parent)), askbook(folder, served, "migrate")
        )
        async with started(folder, served) as one, started(folder, served) as other:
            yield World(desk, folder, served, database, [one, other])
        for api in (one, other):
            assert [line for line in api.log if "ERROR" in line or "Traceback" in line] == []


@pytest_asyncio.fixture(loop_scope="module")
async def third(world: World) -> AsyncGenerator[Api, None]:
    async with started(world.folder, world.environment) as api:
        yield api


# Turns ------------------------------------------------------------------------------------------------


def question() -> str:
    return f"What does node {uuid4().hex} publish to a topic?"


ANSWER: Final = "A node publishes messages to a topic [1]. So it is."


@pytest.mark.parametrize("face", FACES)
async def test_of_two_questions_at_once_in_a_thread_one_is_answered(world: World, face: Face) -> None:
    token = await world.reader()
    first = await world.apis[0].ask(face, token, question())
    asked = [question(), question()]
    may = [world.desk.hold(each) for each in asked]

    asking = [
        asyncio.create_task(api.ask(face, token, text, first.thread_id))
        for api, text in zip(world.apis, asked, strict=True)
    ]
    [refused], [answered] = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    for each in may:
        each.set()

    assert refused.result().is_refused
    assert (await answered).ended
    said = [
        ("question", first.question),
        ("answer", ANSWER),
        ("question", (await answered).question),
        ("answer", ANSWER),
    ]
    for api in world.apis:
        assert await api.items(first.thread_id, token) == said


@pytest.mark.parametrize("face", FACES)
async def test_a_question_waits_for_the_answer_that_ends_in_another_process(world: World, face: Face) -> None:
    token = await world.reader()
    one, other = world.apis
    first, then = question(), question()
    may = world.desk.hold(first)

    async with one.telling(face, token, first) as telling:
        told = await telling.until(lambda told: told.text)
        asking = asyncio.create_task(other.ask(face, token, then, told.thread_id))
        may.set()
        await telling.to_end()
    answered = await asking

    assert (told.ended, answered.ended) == (True, True)
    said = [("question", first), ("answer", ANSWER), ("question", then), ("answer", ANSWER)]
    assert await one.items(told.thread_id, token) == said


async def test_questions_through_either_process_come_back_in_order_from_both(world: World) -> None:
    token = await world.reader()
    thread_id, said = "", []
    for number in range(6):
        text = question()
        told = await world.apis[number % 2].ask(FACES[number // 2 % 2], token, text, thread_id)
        thread_id = told.thread_id
        said += [("question", text), ("answer", ANSWER)]

    for api in world.apis:
        assert await api.items(thread_id, token) == said


async def test_a_thread_is_its_readers_in_both(world: World) -> None:
    mine, theirs = await world.reader(), await world.reader()
    told = await world.apis[0].ask("chat", mine, question())
    path = f"/threads/{told.thread_id}"

    for api in world.apis:
        assert (await api.get(path, mine)).status_code == 200
        assert (await api.get(path, theirs)).status_code == 404
        assert (await api.client.delete(path, headers=signed(theirs))).status_code == 404
        refused = await api.client.post(
            "/chatkit", json=request("chatkit", "Mine?", told.thread_id), headers=signed(theirs)
        )
        assert refused.status_code == 404
        assert (await api.get("/threads", theirs)).json()["threads"] == []


# While an answer is written in another process --------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
async def test_a_name_that_is_given_meanwhile_stays(world: World, face: Face) -> None:
    token = await world.reader()
    one, other = world.apis
    asked = question()
    may = world.desk.hold(asked)

    async with one.telling(face, token, asked) as telling:
        told = await telling.until(lambda told: told.text)
        renaming = {"type": "threads.update", "params": {"thread_id": told.thread_id, "title": "Renamed"}}
        await other.client.post("/chatkit", json=renaming, headers=signed(token))
        may.set()
        await telling.to_end()

    assert told.ended
    for api in world.apis:
        assert (await api.get(f"/threads/{told.thread_id}", token)).json()["title"] == "Renamed"
    assert await one.items(told.thread_id, token) == [("question", asked), ("answer", ANSWER)]


@pytest.mark.parametrize("face", FACES)
async def test_a_thread_that_is_deleted_meanwhile_stays_deleted(world: World, face: Face) -> None:
    token = await world.reader()
    one, other = world.apis
    asked = question()
    may = world.desk.hold(asked)

    async with one.telling(face, token, asked) as telling:
        told = await telling.until(lambda told: told.text)
        await other.client.delete(f"/threads/{told.thread_id}", headers=signed(token))
        may.set()
        await telling.to_end()

    assert told.ended
    for api in world.apis:
        assert (await api.get(f"/threads/{told.thread_id}", token)).status_code == 404
        assert (await api.get("/threads", token)).json()["threads"] == []
    assert in_database(world, "SELECT count(*) FROM items WHERE thread_id = %s", told.thread_id) == [(0,)]


def in_database(world: World, statement: str, *values: object) -> list[Any]:
    with psycopg.connect(world.database) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


# Processes that end -----------------------------------------------------------------------------------


async def left_in_the_middle(world: World, api: Api, face: Face, token: str, how: signal.Signals) -> Told:
    """By the process."""
    asked = question()
    world.desk.hold(asked)
    async with api.telling(face, token, asked) as telling:
        told = await telling.until(lambda told: told.text)
        api.process.send_signal(how)
        with pytest.raises(httpx.RemoteProtocolError):
            await telling.to_end()
    await api.process.wait()
    return told


@pytest.mark.parametrize("face", FACES)
async def test_a_killed_process_takes_no_question_with_it_and_keeps_its_thread_no_longer_than_its_lease(
    world: World, third: Api, face: Face
) -> None:
    token = await world.reader()
    other = world.apis[1]
    told = await left_in_the_middle(world, third, face, token, signal.SIGKILL)

    assert await other.items(told.thread_id, token) == [("question", told.question)]
    assert (await other.ask(face, token, "What is a topic?", told.thread_id)).is_refused
    [(seconds,)] = in_database(
        world, "SELECT extract(epoch FROM lease_until - now()) FROM threads WHERE id = %s", told.thread_id
    )
    assert 60 < seconds < 900
    in_database(world, "UPDATE threads SET lease_until = now() - interval '1 second' WHERE id = %s", told.thread_id)
    assert (await other.ask(face, token, "What is a topic?", told.thread_id)).ended
    said = [("question", told.question), ("question", "What is a topic?"), ("answer", ANSWER)]
    assert await other.items(told.thread_id, token) == said


async def test_a_process_that_is_told_to_stop_keeps_what_was_said(world: World, third: Api) -> None:
    token = await world.reader()
    told = await left_in_the_middle(world, third, "chat", token, signal.SIGTERM)

    [asked, answer] = await world.apis[0].items(told.thread_id, token)
    assert asked == ("question", told.question)
    assert answer[1].startswith(told.text.strip())
    assert (await world.apis[0].ask("chat", token, "What is a topic?", told.thread_id)).ended


# Processes that begin ---------------------------------------------------------------------------------


async def test_two_processes_that_begin_together_with_no_file_both_keep_conversations(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "index").symlink_to(world.folder / "data" / "index")
    environment = {**world.environment, "DATA_DIR": str(tmp_path)}
    del environment["DATABASE_URL"], environment["SESSION_SECRET"]
    async with AsyncExitStack() as stack:
        both = [stack.enter_async_context(started(world.folder, environment)) for _ in range(2)]
        one, other = await asyncio.gather(*both)

        tolds = await asyncio.gather(ask_anew(one), ask_anew(other))

        for told in tolds:
            assert told.ended
            for api in (one, other):
                assert await api.items(told.thread_id, told.token) == [("question", told.question), ("answer", ANSWER)]
    for api in (one, other):
        assert [line for line in api.log if "INFO" not in line] == []


async def ask_anew(api: Api) -> Told:
    token = str((await api.client.post("/session")).json()["token"])
    return await api.ask("chat", token, question())
