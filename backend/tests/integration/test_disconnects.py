"""Readers who leave in the middle of an answer, at every point and in every way, and servers that do: what was said is
kept."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from chatbot_api.chatkit_bridge.items import content_of
from chatbot_api.errors import AnswerCutShort, ModelUnavailable, ThreadsUnavailable
from chatbot_api.models.domain import AnswerItem, Batch, Item, Lease, QuestionItem, Thread
from chatbot_api.routes.streaming import Streams
from chatbot_api.services import thread_database
from chatbot_api.services.thread_service import ThreadService
from tests.crowd import FACES, TOO_LONG, Face, House, Line, Script, Told, hear, house, request
from tests.postgres import Postgres
from tests.postgres import postgres as postgres

T = TypeVar("T")

READERS: Final = 200
AT_ONCE: Final = 25

Database = Literal["SQLite", "PostgreSQL"]
DATABASES: Final[tuple[Database, ...]] = ("SQLite", "PostgreSQL")


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> Database:
    return request.param  # type: ignore[no-any-return]  # one of the two


@pytest.fixture
async def new_threads(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], ThreadService]:
    """Makes another one over the same conversations. The house closes it. No machine is too slow for it."""
    monkeypatch.setattr(thread_database, "_WAIT_SECONDS", TOO_LONG)
    url = None
    if database == "PostgreSQL":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = SecretStr(postgres.new_database())
        await ThreadService(url, tmp_path).migrate()
    return lambda: ThreadService(url, tmp_path, timeout=TOO_LONG)


# Two hundred readers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What one reader does with one answer."""

    leaves: Literal["in the question", "at once", "at the start", "in the text", "at the end", "never"]
    after: int = 0
    """Characters of the text."""
    reset: bool = False
    stalls: Literal["", "and leaves", "and outlasts the model"] = ""
    """Whether it reads no more before it leaves."""

    def is_reached(self, told: Told) -> bool:
        match self.leaves:
            case "at the start":
                return told.asked
            case "in the text":
                return len(told.text) >= self.after
            case "at the end":
                return told.ended
            case _:
                return False


STAYS: Final = Plan("never")
BEFORE: Final = "What is a topic?"
SCRIPTED: Final = ("code=answer_cut_short", "code=model_unavailable", "code=thread_busy")


def plan(chance: random.Random) -> tuple[Plan, Script]:
    leaves: Any = chance.choices(
        ["in the question", "at once", "at the start", "in the text", "at the end", "never"], [1, 2, 4, 10, 2, 3]
    )[0]
    stalls: Any = ""
    if leaves in ("at the start", "in the text") and chance.random() < 0.2:
        stalls = chance.choice(["and leaves", "and outlasts the model"])
    sentences = range(300 if stalls else chance.randint(2, 20))
    text = "".join(f"Node {n} publishes message {chance.randint(1, 10**9)} to a topic [1]. " for n in sentences)
    size = 400 if stalls else chance.randint(1, 60)
    script = Script(
        [text[at : at + size] for at in range(0, len(text), size)],
        error=chance.choices([None, AnswerCutShort("cut")], [5, 1])[0],
        ahead=math.inf if stalls else chance.choice([200, 400, math.inf]),
        turns=chance.randint(0, 3),
    )
    if not stalls and chance.random() < 0.08:
        script = Script([], error=ModelUnavailable("down"))
    return Plan(leaves, chance.randint(1, min(len(text), 1_500)), chance.random() < 0.5, stalls), script


async def ask(house: House, face: Face, token: str, question: str, plan: Plan, thread_id: str = "") -> Told:
    script = house.writers.scripts[question]
    line = Line(house, face, Told(question), script)
    await line.connect(slow=plan.stalls != "")
    line.ask(token, thread_id, part=0.9 if plan.leaves == "in the question" else 1)
    if plan.leaves not in ("in the question", "at once"):
        async with aclosing(line.frames()) as frames:
            async for _ in frames:
                if plan.is_reached(line.told):
                    break
    if plan.stalls and not line.told.is_refused:
        await line.server_waits()
        if plan.stalls == "and outlasts the model":
            await script.over.wait()
    await line.leave(reset=plan.reset)
    return line.told


@dataclass
class Reader:
    """Asks one question after the other, in the same thread where it learns of one."""

    token: str
    plans: list[tuple[str, Plan]]
    """By the question."""
    tolds: list[Told] = field(default_factory=list)

    async def come(self, house: House, face: Face) -> None:
        thread_id = ""
        for question, plan in self.plans:
            told = await ask(house, face, self.token, question, plan, thread_id)
            while told.is_refused:  # on a slow machine it takes its time to notice that a reader has left
                told = await ask(house, face, self.token, question, plan, thread_id)
            self.tolds.append(told)
            thread_id = thread_id or told.thread_id


async def invited(house: House, chance: random.Random) -> list[Reader]:
    """Their scripts are written."""
    async with house.client() as client:
        readers = [Reader(token, []) for token in await tokens(client, READERS)]
    for number, reader in enumerate(readers):
        for turn in range(chance.choice([1, 1, 2])):
            question = f"What does a node publish to topic {number} at {turn}?"
            chosen, house.writers.scripts[question] = plan(chance)
            reader.plans.append((question, chosen))
    return readers


async def tokens(client: httpx.AsyncClient, count: int) -> list[str]:
    return [response.json()["token"] for response in await together(client.post("/session") for _ in range(count))]


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """As many at once as there are places."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(call: Coroutine[Any, Any, T]) -> T:
        async with places, asyncio.timeout(TOO_LONG):
            return await call

    return await asyncio.gather(*map(one, calls))


async def all_come(house: House, face: Face, readers: Sequence[Reader]) -> None:
    await together(reader.come(house, face) for reader in readers)
    await house.quiet()


def conversation(items: Sequence[Any]) -> dict[str, tuple[Any, Any]]:
    """Questions with their answers, None where there is none, by what was asked. Fails where they are out of order."""
    found: dict[str, tuple[Any, Any]] = {}
    for item in items:
        if item["kind"] == "question":
            assert item["text"] not in found, "a question was kept twice"
            found[item["text"]] = (item, None)
        else:
            text, (question, other) = list(found.items())[-1]
            assert other is None, "a question has two answers"
            assert item["question_id"] == question["id"], "an answer does not follow its question"
            found[text] = (question, item)
    return found


def shown(answer: Any, face: Face) -> str:
    """What a reader sees of an answer that was kept."""
    if face == "chat":
        return str(answer["response"])
    return content_of(answer["response"], (), (), answer["notice"], answer["outcome"]).text


def judge(told: Told, plan: Plan, script: Script, answer: Any, face: Face) -> str:
    """How an answer was kept. Fails where that is less than the reader was told."""
    if told.text.strip():
        assert answer is not None, f"an answer was lost of which the reader saw {len(told.text)} characters"
        assert shown(answer, face).startswith(told.text.strip())
    if told.ended:  # ChatKit is told the end of an answer that breaks off, too
        assert answer["outcome"] == "done" or (face == "chatkit" and answer["outcome"] == "failed")
        assert shown(answer, face) == told.text.strip()
    if told.error:
        assert answer["outcome"] == "failed"
    if plan.leaves == "never":
        assert told.ended or told.error
    if answer is None:
        return "none"
    assert answer["outcome"] != "failed" or isinstance(script.error, AnswerCutShort)
    return str(answer["outcome"])


async def look(client: httpx.AsyncClient, house: House, face: Face, reader: Reader, figures: Counter[str]) -> None:
    """Through the public door, at what was kept of a reader; each of its threads can be gone on with."""
    signed = {"Authorization": f"Bearer {reader.token}"}
    threads = [thread["id"] for thread in (await client.get("/threads", headers=signed)).json()["threads"]]
    kept: dict[str, tuple[Any, Any]] = {}
    for thread_id in threads:
        again = {"query": "What does a node publish again?", "thread_id": thread_id}
        answered = (await client.post("/chat", json=again, headers=signed)).json()
        assert (answered.get("thread_id"), answered.get("notice")) == (thread_id, ""), answered
        kept |= conversation((await client.get(f"/threads/{thread_id}", headers=signed)).json()["items"])
        assert kept.pop(again["query"])[1]["outcome"] == "done"
    assert kept.keys() <= {question for question, _ in reader.plans} | {BEFORE}
    for told, (question, plan) in zip(reader.tolds, reader.plans, strict=True):
        figures["asked"] += 1
        figures["left"] += plan.leaves != "never"
        figures["told of the question"] += told.asked
        figures["saw text"] += bool(told.text.strip())
        if told.asked:
            assert question in kept, "a question was lost"
            assert told.thread_id in threads
        if plan.leaves == "in the question":
            assert question not in kept
        if question in kept:
            figures["questions kept"] += 1
            outcome = judge(told, plan, house.writers.scripts[question], kept[question][1], face)
            figures[f"answer {outcome}"] += 1


@pytest.mark.parametrize("face", FACES)
async def test_nothing_that_a_reader_was_told_is_lost(
    new_threads: Callable[[], ThreadService], database: Database, face: Face
) -> None:
    chance = random.Random(f"{face} {database}")  # noqa: S311 - no secret
    figures: Counter[str] = Counter()
    async with house(new_threads()) as here:
        readers = await invited(here, chance)
        await all_come(here, face, [Reader(readers[0].token, [(BEFORE, STAYS)])])  # opens what the first one opens
        before = asyncio.all_tasks()
        with abandoned_generators() as abandoned:
            await all_come(here, face, readers)

        assert [line for line in here.log.lines if not any(cause in line for cause in SCRIPTED)] == []
        assert asyncio.all_tasks() <= before
        assert here.writers.open == 0
        assert abandoned == []
        assert await here.connections_in_use() == 0
        async with here.client() as client:
            await together(look(client, here, face, reader, figures) for reader in readers)
    assert figures["told of the question"] > READERS / 2
    assert figures["saw text"] > READERS / 2
    assert min(figures[f"answer {outcome}"] for outcome in ("done", "stopped", "failed")) > READERS / 20


@contextmanager
def abandoned_generators() -> Iterator[list[str]]:
    """Names of those that nobody closed."""
    names: list[str] = []
    hooks = sys.get_asyncgen_hooks()

    def found(generator: Any) -> None:
        names.append(generator.__qualname__)
        assert hooks.finalizer is not None
        hooks.finalizer(generator)

    sys.set_asyncgen_hooks(finalizer=found)
    try:
        yield names
    finally:
        sys.set_asyncgen_hooks(*hooks)


# Every frame ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
async def test_a_reader_can_leave_at_any_frame(tmp_path: Path, face: Face) -> None:
    async with house(ThreadService(None, tmp_path)) as here, here.client() as client:
        for frame in itertools.count():
            reader = Reader((await tokens(client, 1))[0], [(f"What does node {frame} publish to a topic?", STAYS)])
            told = Told(reader.plans[0][0], reader.token)
            here.writers.scripts[told.question] = Script(
                ["A node publishes ", "messages to a topic [1]. ", "So it is."]
            )
            stayed = await leaves_at(here, face, told, frame)
            await here.idle()

            reader.tolds.append(told)
            reader.plans = [(told.question, STAYS if stayed else Plan("in the text"))]
            await look(client, here, face, reader, Counter())
            if stayed:
                break

    assert frame > 5
    assert here.log.lines == []


async def leaves_at(here: House, face: Face, told: Told, frame: int) -> bool:
    """Whether the answer ended before. By hand, as a server of ASGI 2.4 does it: what is written is stopped at once."""
    frames = 0
    body = json.dumps(request(face, told.question)).encode()
    sent = iter([{"type": "http.request", "body": body}])

    async def receive() -> Any:
        for message in sent:
            return message
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        nonlocal frames
        if message.get("body"):
            frames += 1
            if frames > frame:
                raise OSError("the reader left")
            hear(face, told, message["body"].decode().strip())

    headers = {"authorization": f"Bearer {told.token}", "content-type": "application/json", "host": "askbook"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"/{face}",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    async with asyncio.timeout(TOO_LONG):
        await here.app(scope, receive, send)
    return frames <= frame


# A reader who does not read ---------------------------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
async def test_an_answer_that_nobody_reads_is_written_to_its_end_and_kept(
    new_threads: Callable[[], ThreadService], face: Face
) -> None:
    sentences = [f"Node {n} publishes messages to a topic [1].\n" * 10 for n in range(100)]
    async with house(new_threads()) as here, here.client() as client:
        [token] = await tokens(client, 1)
        here.writers.scripts["Which nodes?"] = Script(sentences)
        line = Line(here, face, Told("Which nodes?"))
        await line.connect(slow=True)
        line.ask(token)
        await line.server_waits()
        async with asyncio.timeout(TOO_LONG):
            await asyncio.wait(here.streams._tasks)

        assert len(here.handlers) == 1, "the answer is still being sent"
        client.headers["Authorization"] = f"Bearer {token}"
        [answer] = await kept_answers(client)
        assert (answer["outcome"], answer["response"].count("\n")) == ("done", 999)
        await line.leave(reset=True)


async def kept_answers(client: httpx.AsyncClient) -> list[Any]:
    threads = (await client.get("/threads")).json()["threads"]
    kept = [(await client.get(f"/threads/{thread['id']}")).json() for thread in threads]
    return [item for thread in kept for item in thread["items"] if item["kind"] == "answer"]


# A server that stops ----------------------------------------------------------------------------------

STREAMS: Final = 20


def waits_in_the_middle() -> Script:
    return Script(["A node publishes messages to a topic [1]. ", "And ", "so ", "on."], ahead=40)


async def begun(here: House, face: Face, count: int) -> list[Line]:
    """Answers of which the beginning was read, each to a reader of its own."""
    async with here.client() as client:
        signed = await tokens(client, count)
    lines = []
    for number, token in enumerate(signed):
        question = f"What does node {number} publish to a topic?"
        here.writers.scripts[question] = waits_in_the_middle()
        line = Line(here, face, Told(question, token=token))
        await line.connect()
        line.ask(token)
        lines.append(line)
    for line in lines:
        async with aclosing(line.frames()) as frames:
            async for _ in frames:
                if line.told.text:
                    break
    return lines


@pytest.mark.parametrize("face", FACES)
async def test_a_server_that_stops_keeps_what_was_said(new_threads: Callable[[], ThreadService], face: Face) -> None:
    async with house(new_threads(), patience=0) as here:
        lines = await begun(here, face, STREAMS)
        await here.stop()
        for line in lines:
            await line.leave(reset=False)

    assert here.writers.open == 0
    assert here.threads._opening is None, "the database was opened again"
    assert [line for line in here.log.lines if " uvicorn." not in line] == []
    async with house(new_threads()) as here, here.client() as client:
        for told in [line.told for line in lines]:
            client.headers["Authorization"] = f"Bearer {told.token}"
            items = (await client.get(f"/threads/{told.thread_id}")).json()["items"]
            answer = conversation(items)[told.question][1]
            assert answer["outcome"] == "stopped"
            assert shown(answer, face).startswith(told.text.strip())
            again = await client.post("/chat", json={"query": "What is a topic?", "thread_id": told.thread_id})
            assert again.json().get("thread_id") == told.thread_id, again.text


async def test_a_server_that_stops_leaves_no_thread_taken_by_an_answer_that_was_not_streamed(
    new_threads: Callable[[], ThreadService],
) -> None:
    async with house(new_threads(), patience=0) as here, here.client() as client:
        signed = [{"Authorization": f"Bearer {token}"} for token in await tokens(client, STREAMS)]
        script = here.writers.scripts["What is a topic?"] = waits_in_the_middle()
        asked = [client.post("/chat", json={"query": "What is a topic?"}, headers=headers) for headers in signed]
        asking = [asyncio.create_task(each) for each in asked]
        async with asyncio.timeout(TOO_LONG):
            while here.writers.open < STREAMS:
                await script.begun.wait()
                await asyncio.sleep(0)
        await here.stop()
        await asyncio.gather(*asking, return_exceptions=True)

    assert here.writers.open == 0
    assert here.threads._opening is None, "the database was opened again"
    async with house(new_threads()) as here, here.client() as client:
        for headers in signed:
            [thread] = (await client.get("/threads", headers=headers)).json()["threads"]
            asked_again = {"query": "What is an action?", "thread_id": thread["id"]}
            again = await client.post("/chat", json=asked_again, headers=headers)
            assert again.json().get("thread_id") == thread["id"], again.text


class KeepsWhenItMay(ThreadService):
    """Holds whoever keeps an answer."""

    def __init__(self, url: SecretStr | None, data_dir: Path) -> None:
        super().__init__(url, data_dir)
        self.keeping = asyncio.Event()
        self.may = asyncio.Event()

    async def end_turn(
        self, thread: Thread, lease: Lease, answer: AnswerItem | None, *, replaced: Sequence[str] = ()
    ) -> None:
        self.keeping.set()
        await self.may.wait()
        await super().end_turn(thread, lease, answer, replaced=replaced)


@pytest.mark.parametrize("face", FACES)
async def test_a_server_that_stops_does_not_interrupt_the_keeping_of_what_a_reader_left(
    tmp_path: Path, face: Face
) -> None:
    threads = KeepsWhenItMay(None, tmp_path)
    async with house(threads) as here:
        [line] = await begun(here, face, 1)
        [handler] = here.handlers

        await line.leave(reset=True)
        await threads.keeping.wait()
        handler.cancel()
        stopping = asyncio.create_task(here.streams.close())
        for _ in range(5):  # until both have come where they can
            await asyncio.sleep(0)
        threads.may.set()
        await stopping
        await here.quiet()

        async with here.client() as client:
            client.headers["Authorization"] = f"Bearer {line.told.token}"
            [answer] = await kept_answers(client)
    assert answer["outcome"] == "stopped"
    assert shown(answer, face).startswith(line.told.text.strip())


async def test_a_stream_that_begins_while_the_server_stops_ends_its_turn() -> None:
    happened: list[str] = []

    async def events() -> AsyncGenerator[bytes, None]:
        happened.append("begun")
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            happened.append("ended")

    streams = Streams(keep_alive_seconds=60)
    streams.response(events())

    await streams.close()

    assert happened == ["begun", "ended"]


# Databases in trouble ---------------------------------------------------------------------------------


class Slow(ThreadService):
    async def begin_turn(self, thread: Thread, lease: Lease, question: QuestionItem | None, *, new: bool) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        await super().begin_turn(thread, lease, question, new=new)


async def test_a_slow_database_is_no_busy_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot_api.services.chat_service._WAIT_FOR_THREAD", 0.0)
    async with house(Slow(None, tmp_path)) as here, here.client() as client:
        answered = await client.post("/chat", json={"query": "What is a topic?"})

    assert (answered.status_code, answered.json()["notice"]) == (200, "")


class Forgetful(ThreadService):
    """Reads nothing at first."""

    reads = False

    async def list_items(
        self, thread_id: str, *, owner: str, limit: int, after: str | None = None, newest_first: bool = False
    ) -> Batch[Item]:
        if not self.reads:
            raise ThreadsUnavailable("down for a moment")
        return await super().list_items(thread_id, owner=owner, limit=limit, after=after, newest_first=newest_first)


async def test_a_thread_that_could_not_be_read_can_be_gone_on_with(tmp_path: Path) -> None:
    threads = Forgetful(None, tmp_path)
    async with house(threads) as here, here.client() as client:
        client.headers["Authorization"] = f"Bearer {(await tokens(client, 1))[0]}"
        first = (await client.post("/chat", json={"query": "What is a topic?"})).json()
        asked = {"query": "What is an action?", "thread_id": first["thread_id"]}
        unread = (await client.post("/chat", json=asked)).json()
        threads.reads = True
        read = await client.post("/chat", json=asked)

    assert "will not be remembered" in unread["notice"]
    assert (read.status_code, read.json().get("notice")) == (200, "")
