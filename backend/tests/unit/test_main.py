"""The app through HTTP, over fakes: shapes, statuses, problems, headers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.testclient import TestClient

from chatbot_api.bootstrap import Services
from chatbot_api.config import Settings
from chatbot_api.errors import AnswerCutShort, IndexCorrupt, ModelUnavailable, SearchUnavailable
from chatbot_api.main import create_app
from chatbot_api.models.domain import Entry
from chatbot_api.testing import HashEmbedder, MemoryIndex, MemoryThreads, ScriptedGenerator, over
from tests.conftest import manifest, passage

BOOK = [
    passage("A node publishes messages to a topic.", page="/docs/topics", position=1),
    passage(
        "An action has a goal.\n\n```bash\nact <now>\n```",
        page="/docs/actions",
        title="Actions",
        anchor="a",
        position=2,
    ),
]


@dataclass
class World:
    """An app over fakes that a test can bend."""

    settings: Settings = field(default_factory=Settings)
    embedder: HashEmbedder = field(default_factory=HashEmbedder)
    index: MemoryIndex = field(default_factory=MemoryIndex)
    model: ScriptedGenerator | None = None
    threads: MemoryThreads = field(default_factory=MemoryThreads)

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncGenerator[Services, None]:
        yield over(settings, self.index, self.model, embedder=self.embedder, threads=self.threads)

    async def fill(self) -> None:
        async with self.index.generation(manifest(passages=len(BOOK), source_revision="abc")) as generation:
            await generation.put([Entry(p, await self.embedder.embed_question(p.text)) for p in BOOK])
            await generation.publish()

    def client(self) -> TestClient:
        return TestClient(create_app(self.settings, self.open))


@pytest.fixture
async def world() -> World:
    world = World()
    await world.fill()
    return world


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with world.client() as client:
        yield client


def test_an_answer_has_the_whole_contract(client: TestClient) -> None:
    response = client.post("/chat", json={"query": "  What is a topic?  "})

    body = response.json()
    assert response.status_code == 200
    assert set(body) == {
        *(
            "response",
            "state",
            "mode",
            "citations",
            "nearest",
            "thread_id",
            "message_id",
            "notice",
            "notice_codes",
            "grounding",
            "index",
            "timings_ms",
        )
    }
    assert (body["state"], body["mode"]) == ("answered", "extractive")
    citation = body["citations"][0]
    assert set(citation) == {"number", "title", "heading_path", "url", "quote", "passage_id"}
    assert citation["quote"] == "A node publishes messages to a topic."
    assert citation["url"] == "/docs/topics#:~:text=A%20node%20publishes%20messages%20to%20a%20topic."
    assert body["index"]["source_revision"] == "abc"
    assert set(body["timings_ms"]) == {"embed", "search", "first_word", "total"}


def test_query_alone_is_enough_and_response_is_the_text(client: TestClient) -> None:
    assert "A node publishes" in client.post("/chat", json={"query": "topic"}).json()["response"]


@pytest.mark.parametrize(
    "asked",
    [
        {"json": {"query": "topic", "stream": True}},
        {"json": {"query": "topic"}, "headers": {"Accept": "text/event-stream"}},
    ],
)
def test_a_stream_tells_the_turn_and_ends_with_the_whole_answer(client: TestClient, asked: dict[str, Any]) -> None:
    response = client.post("/chat", **asked)

    events = sse(response.text)
    names = [name for name, _ in events]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert names[0] == "start"
    assert names[-1] == "done"
    assert names.index("sources") < names.index("delta") < names.index("citation")
    done = events[-1][1]
    assert "".join(data["text"] for name, data in events if name == "delta") == done["response"]
    assert done["thread_id"] == events[0][1]["thread_id"]


def test_a_stream_that_fails_after_its_first_word_ends_with_a_problem(world: World) -> None:
    world.model = ScriptedGenerator(["Nodes publish "], error=AnswerCutShort("vendor words"))
    with world.client() as client:
        events = sse(client.post("/chat", json={"query": "topic", "stream": True}).text)

    name, problem = events[-1]
    assert (name, problem["code"], problem["status"]) == ("error", "answer_cut_short", 503)
    assert "vendor words" not in json.dumps(events)


def test_a_stream_that_fails_in_an_unknown_way_ends_with_a_problem_too(world: World) -> None:
    world.index.search = None  # type: ignore[assignment, method-assign]  # calling it is a TypeError nobody expected
    with world.client() as client:
        events = sse(client.post("/chat", json={"query": "topic", "stream": True}).text)

    assert (events[-1][0], events[-1][1]["code"]) == ("error", "internal")


def test_a_model_that_is_down_is_told_in_the_notice(world: World) -> None:
    world.model = ScriptedGenerator(error=ModelUnavailable("secret cause"))
    with world.client() as client:
        body = client.post("/chat", json={"query": "topic"}).json()

    assert (body["mode"], body["notice"]) == ("extractive", ModelUnavailable.public)
    assert body["notice_codes"] == [ModelUnavailable.code]


def test_a_follow_up_goes_on_in_its_thread(world: World) -> None:
    world.model = ScriptedGenerator(["Yes [1]."])
    with world.client() as client:
        first = client.post("/chat", json={"query": "What is a topic?"}).json()
        second = client.post("/chat", json={"query": "And an action?", "thread_id": first["thread_id"]}).json()

    assert second["thread_id"] == first["thread_id"]
    assert second["message_id"] != first["message_id"]
    assert [m.text for m in world.model.prompts[1].history] == ["What is a topic?", "Yes [1]."]


def test_an_unknown_thread_begins_a_new_one_and_says_so(client: TestClient) -> None:
    body = client.post("/chat", json={"query": "topic", "thread_id": "0" * 32}).json()

    assert body["thread_id"] != "0" * 32
    assert "begins anew" in body["notice"]
    assert body["notice_codes"] == ["thread_not_found"]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"json": {"query": ""}}, "at least 1 character"),
        ({"json": {"query": " \n\t "}}, "at least 1 character"),
        ({"json": {"query": "\u200b\u2060\x00"}}, "no visible character"),
        ({"json": {"query": "x" * 4001}}, "at most 4000 characters"),
        ({"json": {}}, "Field required"),
        ({"json": {"query": 7}}, "valid string"),
        ({"json": {"query": "x", "colour": "red"}}, "Extra inputs are not permitted"),
        ({"json": {"query": "x", "thread_id": "../../etc"}}, "should match pattern"),
        ({"json": {"query": "x", "scope": {"chapter": "1"}}}, "Extra inputs are not permitted"),
        ({"content": b'{"query": "\\ud800"}'}, "unable to parse raw data as a unicode string"),
        ({"content": b'{"query": "caf\xe9"}'}, "not UTF-8"),
        ({"content": b"{"}, "JSON decode error"),
        ({"content": b""}, "Field required"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_with_its_reason(
    client: TestClient, sent: dict[str, Any], reason: str
) -> None:
    response = client.post("/chat", headers={"Content-Type": "application/json"}, **sent)

    problem = response.json()
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "invalid_request"
    assert any(reason in place["msg"] for place in problem["detail"])
    assert all(set(place) == {"type", "loc", "msg"} for place in problem["detail"])


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({"page": "/docs/topicz"}, "unknown_page", "/docs/topics"),
        ({"scope": {"version": "9"}}, "unknown_scope", "current"),
        ({"scope": {"locale": "fr"}}, "unknown_scope", "en"),
        ({"scope": {"path_prefix": "/x"}}, "unknown_scope", "/docs/topics"),
        ({"scope": {"up_to": "/docs/x"}}, "unknown_page", "/docs/topics"),
    ],
)
def test_an_unknown_place_is_refused_naming_the_known_ones(
    client: TestClient, body: dict[str, Any], code: str, named: str
) -> None:
    response = client.post("/chat", json={"query": "topic", **body})

    assert (response.status_code, response.json()["code"]) == (422, code)
    assert named in response.json()["detail"]


def test_a_body_over_the_limit_is_not_read(client: TestClient) -> None:
    response = client.post("/chat", content=b"x" * 100_000, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_without_an_index_the_command_that_makes_one_is_named() -> None:
    with World().client() as client:
        health, answer = client.get("/health"), client.post("/chat", json={"query": "topic"})

    assert (health.status_code, health.json()["status"]) == (503, "down")
    assert "askbook index SOURCE" in health.json()["components"]["index"]["detail"]
    assert (answer.status_code, answer.json()["code"]) == (503, "index_missing")
    assert answer.headers["retry-after"]


def test_a_failure_says_nothing_of_its_cause(world: World) -> None:
    world.index.error = IndexCorrupt("/srv/secret/path is damaged")
    with world.client() as client:
        told = client.post("/chat", json={"query": "topic"}).text + client.get("/health").text

    assert "secret" not in told


def test_a_store_that_is_down_is_503_with_retry_after(world: World) -> None:
    world.index.error = SearchUnavailable("down")
    with world.client() as client:
        response = client.post("/chat", json={"query": "topic"})

    assert (response.status_code, response.json()["code"]) == (503, "search_unavailable")
    assert response.headers["retry-after"]


def test_what_nobody_expected_is_a_500_that_tells_nothing(world: World) -> None:
    world.index.manifest = None  # type: ignore[assignment, method-assign]  # calling it is a TypeError nobody expected
    with world.client() as client:
        response = client.post("/chat", json={"query": "topic"}, headers={"X-Request-ID": "my-request-1"})

    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert response.json()["request_id"] == response.headers["x-request-id"] == "my-request-1"


def test_health_names_every_component(client: TestClient) -> None:
    body = client.get("/health").json()

    assert body["status"] == "ready"
    assert set(body["components"]) == {"index", "embedder", "answers", "conversations"}
    assert body["index"]["generation"]
    assert client.get("/health/live").json() == {"status": "alive"}


def test_health_is_degraded_while_vectors_are_being_made(world: World) -> None:
    assert world.index.published is not None
    built, entries = world.index.published
    world.index.published = (manifest(has_vectors=False, passages=built.passages), entries)
    with world.client() as client:
        response = client.get("/health")

    assert (response.status_code, response.json()["status"]) == (200, "degraded")


@pytest.mark.parametrize("given", ["short", "x" * 65, "line\tbreak", "späße-und-so-weiter"])
def test_a_request_id_that_could_do_harm_is_replaced(client: TestClient, given: str) -> None:
    response = client.get("/health/live", headers={b"X-Request-ID": given.encode("latin-1")})

    assert len(response.headers["x-request-id"]) == 32


def test_only_named_origins_may_ask(world: World) -> None:
    world.settings = Settings(cors_origins="https://book.example")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    with world.client() as client:
        ours = client.options("/chat", headers={"Origin": "https://book.example", **asked})
        other = client.options("/chat", headers={"Origin": "https://evil.example", **asked})
        broken = client.post("/chat", content=b"\xff", headers={"Origin": "https://book.example"})

    assert ours.headers["access-control-allow-origin"] == "https://book.example"
    assert "access-control-allow-origin" not in other.headers
    assert broken.headers["access-control-allow-origin"] == "https://book.example"


def test_by_default_no_other_origin_may_ask(client: TestClient) -> None:
    response = client.get("/health", headers={"Origin": "https://book.example"})

    assert "access-control-allow-origin" not in response.headers


def test_a_page_may_know_the_mode_and_what_there_is(client: TestClient) -> None:
    assert client.get("/config").json() == {
        "version": "0.1.0",
        "mode": "extractive",
        "site_url": "",
        "versions": ["current"],
        "locales": ["en"],
        "max_query": 4000,
        "chatkit_domain_key": "",
    }


def test_a_cited_page_can_be_read_out_of_the_index(client: TestClient) -> None:
    response = client.get("/read/docs/actions", params={"passage": BOOK[1].id})

    assert response.status_code == 200
    assert "act &lt;now&gt;" in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_an_unknown_page_cannot_be_read(client: TestClient) -> None:
    response = client.get("/read/docs/<script>")

    assert response.status_code == 404
    assert "&lt;script&gt;" in response.text
    assert "<script>" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_a_cited_page_is_shown_as_words_and_never_as_markup(world: World) -> None:
    hostile = passage("See [1] and <img src=x>.\n\n[a]: http://evil.example\n\n$$\na_1 = b*c*d\n$$", page="/docs/x")
    assert world.index.published is not None
    built, _ = world.index.published
    world.index.published = (built, [Entry(hostile, None)])
    with world.client() as client:
        html = client.get("/read/docs/x").text

    assert "See [1] and &lt;img src=x&gt;." in html
    assert "[a]: http://evil.example" in html
    assert "a_1 = b*c*d" in html


def test_a_body_nested_beyond_sense_is_refused(client: TestClient) -> None:
    response = client.post("/chat", content=b"[" * 30_000, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/chat", 405)])
def test_what_is_not_there_is_a_problem_too(client: TestClient, method: str, path: str, status: int) -> None:
    response = client.request(method, path)

    assert response.status_code == response.json()["status"] == status


def sse(text: str) -> list[tuple[str, Any]]:
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


def test_where_readers_need_an_account_nobody_asks_without_a_token(world: World) -> None:
    world.settings = Settings(anonymous_readers=False)
    with world.client() as client:
        refused = client.post("/chat", json={"query": "topic"})

    assert (refused.status_code, refused.json()["code"]) == (401, "not_signed_in")
    assert refused.headers["www-authenticate"] == "Bearer"
