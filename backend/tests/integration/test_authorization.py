"""Who may do what with whose conversation: one table of every operation and every kind of reader."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import httpx
import jwt
import pytest
from chatkit.types import ChatKitReq
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount, Route

from chatbot_api.config import Settings
from chatbot_api.main import create_app
from chatbot_api.testing import ScriptedGenerator
from tests.chatkit_client import Site, Told, door, message

Who = Literal["own", "foreign", "expired", "forged", "missing"]
WHOS: Final[tuple[Who, ...]] = get_args(Who)
Outcome = Literal["done", "not found", "refused", "begun anew", "nothing of it"]
SECRET: Final = "known" * 8
"""That of `chatbot_api.testing.over`."""
QUESTION: Final = "Does my okapi publish to a topic?"
SAID: Final = "An okapi publishes messages to a topic [1]."
COMMENT: Final = "My okapi thanks you."
WORD: Final = "okapi"
"""In everything that the victim asked, was told and said of it, and in nothing else."""


@dataclass(frozen=True, slots=True)
class Victim:
    """Whose conversation it is."""

    reader: str
    token: str
    thread: str
    question: str
    answer: str

    def fill(self, text: str) -> str:
        """An operation as it is written in the table, about this conversation."""
        names = {"THREAD": self.thread, "QUESTION": self.question, "ANSWER": self.answer}
        for name, value in names.items():
            text = text.replace(name, value)
        return text


# The table --------------------------------------------------------------------------------------------

_MINE: Final[dict[Who, Outcome]] = {"own": "done", "expired": "refused", "forged": "refused", "missing": "refused"}
BY_ID: Final[dict[Who, Outcome]] = {**_MINE, "foreign": "not found"}
"""What names a conversation: to others, it does not exist."""
OF_THE_READER: Final[dict[Who, Outcome]] = {**_MINE, "foreign": "nothing of it"}
"""What is about everything of a reader: others have none of it."""
ASKING: Final[dict[Who, Outcome]] = {**_MINE, "foreign": "begun anew", "missing": "begun anew"}
RETRYING: Final[dict[Who, Outcome]] = {**BY_ID, "missing": "not found"}

INPUT: Final = message("What is a topic?")
RATED: Final = {"thread_id": "THREAD", "message_id": "ANSWER", "kind": "negative"}
ROUTES: Final[dict[str, tuple[Any, dict[Who, Outcome]]]] = {
    "POST /chat": ({"query": "What is a topic?", "thread_id": "THREAD"}, ASKING),
    "POST /chat as a stream": ({"query": "What is a topic?", "thread_id": "THREAD", "stream": True}, ASKING),
    "POST /chat again": ({"query": QUESTION, "thread_id": "THREAD", "retry_of": "ANSWER"}, RETRYING),
    "GET /threads": (None, OF_THE_READER),
    "GET /threads?after=THREAD": (None, BY_ID),
    "GET /threads/export": (None, OF_THE_READER),
    "GET /threads/THREAD": (None, BY_ID),
    "GET /threads/THREAD?after=QUESTION": (None, BY_ID),
    "DELETE /threads/THREAD": (None, BY_ID),
    "DELETE /threads": (None, OF_THE_READER),
    "POST /feedback": (RATED, BY_ID),
    "POST /feedback with a comment": ({**RATED, "comment": "Mine now."}, BY_ID),
    "POST /feedback taken back": ({**RATED, "kind": None}, BY_ID),
}
CHATKIT: Final[dict[str, tuple[Any, dict[Who, Outcome]]]] = {
    "threads.create": ({"input": INPUT}, OF_THE_READER),
    "threads.add_user_message": ({"thread_id": "THREAD", "input": INPUT}, BY_ID),
    "threads.retry_after_item": ({"thread_id": "THREAD", "item_id": "QUESTION"}, BY_ID),
    "threads.get_by_id": ({"thread_id": "THREAD"}, BY_ID),
    "threads.list": ({}, OF_THE_READER),
    "threads.list after one": ({"after": "THREAD"}, BY_ID),
    "items.list": ({"thread_id": "THREAD"}, BY_ID),
    "items.list after one": ({"thread_id": "THREAD", "after": "wf_ANSWER"}, BY_ID),
    "items.feedback": ({"thread_id": "THREAD", "item_ids": ["ANSWER"], "kind": "negative"}, BY_ID),
    "threads.update": ({"thread_id": "THREAD", "title": "Mine now"}, BY_ID),
    "threads.delete": ({"thread_id": "THREAD"}, BY_ID),
}
TABLE: Final = {
    **{name: (name.split()[0], name.split()[1], body, outcomes) for name, (body, outcomes) in ROUTES.items()},
    **{
        name: ("POST", "/chatkit", {"type": name.split()[0], "params": params}, outcomes)
        for name, (params, outcomes) in CHATKIT.items()
    },
}
CASES: Final = [(operation, who) for operation in TABLE for who in WHOS]
NOT_SERVED: Final = {
    *("threads.custom_action", "threads.sync_custom_action", "threads.add_client_tool_output"),
    *("threads.add_structured_input", "attachments.create", "attachments.delete", "input.transcribe"),
}
OPEN_TO_ALL: Final = {
    *("GET /", "GET /read/{path:path}", "GET /config", "GET /entities", "GET /health", "GET /health/live"),
    *("GET /openapi.json", "GET /askbook.js", "GET /askbook-{part}.js", "POST /session"),
}
"""Routes that know nothing of any conversation."""


# The readers ------------------------------------------------------------------------------------------


@pytest.fixture
def model() -> ScriptedGenerator:
    return ScriptedGenerator(["A node publishes messages to a topic [1]."])


@pytest.fixture
async def http(model: ScriptedGenerator) -> AsyncGenerator[httpx.AsyncClient, None]:
    site = Site(model=model)
    await site.fill()
    async with door(site) as http:
        yield http


@pytest.fixture
async def victim(http: httpx.AsyncClient, model: ScriptedGenerator) -> Victim:
    harmless, model.pieces = model.pieces, [SAID]
    session = (await http.post("/session")).json()
    headers = bearer(session["token"])
    answer = (await http.post("/chat", json={"query": QUESTION}, headers=headers)).json()
    named = {"thread_id": answer["thread_id"], "message_id": answer["message_id"]}
    await http.post("/feedback", json={**named, "kind": "positive", "comment": COMMENT}, headers=headers)
    (question, _) = (await http.get(f"/threads/{answer['thread_id']}", headers=headers)).json()["items"]
    model.pieces = harmless
    model.prompts.clear()
    return Victim(session["reader"], session["token"], answer["thread_id"], question["id"], answer["message_id"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def signed(reader: str, *, secret: str = SECRET, begins: int = -60, ends: int = 3_600) -> str:
    now = int(time.time())
    claims = {"iss": "askbook", "sub": reader, "iat": now + begins, "exp": now + ends}
    return jwt.encode(claims, secret, algorithm="HS256")


async def headers_of(who: Who, victim: Victim, http: httpx.AsyncClient) -> dict[str, str]:
    match who:
        case "own":
            return bearer(victim.token)
        case "foreign":
            return bearer((await http.post("/session")).json()["token"])
        case "expired":
            return bearer(signed(victim.reader, begins=-3_600, ends=-60))
        case "forged":
            return bearer(signed(victim.reader, secret="guess" * 8))
        case "missing":
            return {}


async def everything_of(victim: Victim, http: httpx.AsyncClient) -> list[bytes]:
    """As its reader can see it, by every way there is."""
    headers = bearer(victim.token)
    params = {"thread_id": victim.thread}
    seen = [await http.get(path, headers=headers) for path in ("/threads", f"/threads/{victim.thread}")]
    seen += [await http.get("/threads/export", headers=headers)]
    for operation in ("threads.list", "threads.get_by_id", "items.list"):
        seen += [await http.post("/chatkit", json={"type": operation, "params": params}, headers=headers)]
    assert {response.status_code for response in seen} == {200}
    return [response.content for response in seen]


def told_of(response: httpx.Response) -> Any:
    return json.loads(response.content) if response.content else {}


def is_stream(response: httpx.Response) -> bool:
    return "text/event-stream" in response.headers.get("content-type", "")


# The tests --------------------------------------------------------------------------------------------


async def test_a_token_made_here_is_as_good_as_one_of_ours(http: httpx.AsyncClient, victim: Victim) -> None:
    """So what is wrong with the expired and the forged ones is what they are named for."""
    response = await http.get(f"/threads/{victim.thread}", headers=bearer(signed(victim.reader)))

    assert response.status_code == 200
    assert response.text.count(WORD) > 3


@pytest.mark.parametrize(("operation", "who"), CASES, ids=[f"{who}: {operation}" for operation, who in CASES])
async def test_nobody_but_its_reader_sees_or_changes_a_conversation(
    http: httpx.AsyncClient, model: ScriptedGenerator, victim: Victim, operation: str, who: Who
) -> None:
    method, path, body, outcomes = TABLE[operation]
    headers = await headers_of(who, victim, http)
    before = await everything_of(victim, http)

    content = None if body is None else victim.fill(json.dumps(body))
    response = await http.request(
        method, victim.fill(path), content=content, headers={**headers, "Content-Type": "application/json"}
    )

    match outcomes[who]:
        case "done":
            assert response.is_success
            assert not is_stream(response) or '"error"' not in response.text
            return
        case "refused":
            code = {"missing": "not_signed_in", "expired": "token_expired", "forged": "token_refused"}[who]
            assert (response.status_code, told_of(response)["code"]) == (401, code)
            assert response.headers["www-authenticate"] == "Bearer"
        case "not found":
            assert (response.status_code, told_of(response)["code"]) == (404, "thread_not_found")
        case "begun anew":
            assert response.status_code == 200
            assert "begins anew" in response.text
            assert victim.thread not in response.text
        case "nothing of it":
            assert response.is_success
            assert victim.thread not in response.text
    assert WORD not in f"{response.text}{response.headers}{model.prompts}"
    assert await everything_of(victim, http) == before
    then = await http.post(
        "/chatkit",
        json={"type": "threads.add_user_message", "params": {"thread_id": victim.thread, "input": INPUT}},
        headers=bearer(victim.token),
    )
    assert Told(then).error is None
    assert WORD in str(model.prompts[-1].history)


def test_the_table_names_every_route_of_the_app() -> None:
    """Whoever adds a route decides here who may use it for whose conversations."""
    named = {f"{method} {path.split('?')[0]}".replace("THREAD", "{thread_id}") for method, path, *_ in TABLE.values()}

    routes = list(every(create_app(Settings()).routes))
    assert set(map(type, routes)) == {Route, APIRoute, Mount}
    assert [route.path for route in routes if isinstance(route, Mount)] == ["/static"]
    there = {
        f"{method} {route.path}"
        for route in routes
        if isinstance(route, Route)
        for method in (route.methods or ())
        if method != "HEAD"
    }
    assert there == named | OPEN_TO_ALL


def every(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """Those of included routers too, which FastAPI keeps as they are."""
    for route in routes:
        router = getattr(route, "original_router", None)
        if router is None:
            yield route
        else:
            yield from every(router.routes)


def test_the_table_names_every_operation_of_chatkit() -> None:
    operations = {kind.model_fields["type"].default for kind in get_args(get_args(ChatKitReq)[0])}

    assert operations == {name.split()[0] for name in CHATKIT} | NOT_SERVED


def test_the_table_says_what_each_kind_of_reader_gets() -> None:
    assert all(set(outcomes) == set(WHOS) for *_, outcomes in TABLE.values())


# Readers without a token ------------------------------------------------------------------------------


async def test_a_conversation_without_a_token_is_of_whoever_knows_its_id_and_in_nobodys_list(
    http: httpx.AsyncClient, model: ScriptedGenerator, victim: Victim
) -> None:
    first = (await http.post("/chat", json={"query": "What is a topic?"})).json()
    asked = {"query": "And an action?", "thread_id": first["thread_id"]}

    second = (await http.post("/chat", json=asked)).json()
    retried = (await http.post("/chat", json={**asked, "retry_of": second["message_id"]})).json()

    assert first["thread_id"] == second["thread_id"] == retried["thread_id"]
    assert [said.text for said in model.prompts[-1].history] == ["What is a topic?", first["response"]]
    for content in await everything_of(victim, http):
        assert first["thread_id"].encode() not in content
    for method, path in (("GET", "/threads"), ("GET", f"/threads/{first['thread_id']}"), ("DELETE", "/threads")):
        assert (await http.request(method, path)).status_code == 401


async def test_a_reader_cannot_take_over_a_conversation_of_nobodys(http: httpx.AsyncClient, victim: Victim) -> None:
    anonymous = (await http.post("/chat", json={"query": "What is a topic?"})).json()
    asked = {"query": "And an action?", "thread_id": anonymous["thread_id"]}
    headers = bearer(victim.token)

    own = (await http.post("/chat", json=asked, headers=headers)).json()
    forgotten = await http.delete("/threads", headers=headers)
    after = (await http.post("/chat", json=asked)).json()

    assert own["thread_id"] != anonymous["thread_id"]
    assert forgotten.status_code == 204
    assert after["thread_id"] == anonymous["thread_id"]
    for path in (f"/threads/{anonymous['thread_id']}", "/threads/export"):
        assert anonymous["thread_id"] not in (await http.get(path, headers=headers)).text


@pytest.mark.parametrize("sub", ["", "anon:", "site:", "anon:" + "0" * 31, " ", "site:ann"])
async def test_a_token_of_ours_names_a_reader_that_there_can_be(
    http: httpx.AsyncClient, victim: Victim, sub: str
) -> None:
    """Above all not the one without a name, who owns what was asked without a token."""
    anonymous = (await http.post("/chat", json={"query": "What is a topic?"})).json()

    response = await http.get(f"/threads/{anonymous['thread_id']}", headers=bearer(signed(sub)))

    assert (response.status_code, response.json()["code"]) == (401, "token_refused")


async def test_an_unsigned_token_is_refused(http: httpx.AsyncClient, victim: Victim) -> None:
    claims = {"iss": "askbook", "sub": victim.reader, "iat": int(time.time()), "exp": int(time.time()) + 60}
    unsigned = jwt.encode(claims, "", algorithm="none")

    response = await http.get("/threads", headers=bearer(unsigned))

    assert (response.status_code, response.json()["code"]) == (401, "token_refused")
