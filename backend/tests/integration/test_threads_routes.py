"""`/threads` and `/feedback`: a reader's conversations, for clients that do not speak ChatKit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from chatbot_api.errors import AnswerCutShort, ThreadsUnavailable
from chatbot_api.models.chat_models import ConversationModel, ExportModel, ThreadsModel
from chatbot_api.testing import ScriptedGenerator
from tests.chatkit_client import HeldGenerator, Site, door

SAID: Final = ["A node publishes messages to a topic [1]."]
NOBODYS: Final = "0" * 32
ROUTES: Final = (
    ("GET", "/threads"),
    ("GET", "/threads/export"),
    ("GET", "/threads/{thread}"),
    ("DELETE", "/threads/{thread}"),
    ("POST", "/feedback"),
    ("DELETE", "/threads"),
)


@pytest.fixture
async def site() -> Site:
    site = Site(model=ScriptedGenerator(SAID))
    await site.fill()
    return site


@pytest.fixture
async def http(site: Site) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with door(site) as http:
        await become_a_new_reader(http)
        yield http


async def become_a_new_reader(http: httpx.AsyncClient) -> None:
    http.headers.pop("Authorization", None)
    http.headers["Authorization"] = f"Bearer {(await http.post('/session')).json()['token']}"


async def ask(http: httpx.AsyncClient, query: str = "What is a topic?", **besides: Any) -> dict[str, Any]:
    response = await http.post("/chat", json={"query": query, **besides})
    assert response.status_code == 200, response.text
    return response.json()  # type: ignore[no-any-return]  # the answer


async def conversation(http: httpx.AsyncClient, thread_id: str, **params: Any) -> dict[str, Any]:
    response = await http.get(f"/threads/{thread_id}", params=params)
    assert response.status_code == 200, response.text
    return response.json()  # type: ignore[no-any-return]  # the conversation


async def rate(http: httpx.AsyncClient, answer: dict[str, Any], kind: str | None, **besides: Any) -> httpx.Response:
    named = {key: answer[key] for key in ("thread_id", "message_id")}
    return await http.post("/feedback", json={**named, "kind": kind, **besides})


async def request(http: httpx.AsyncClient, method: str, path: str, answer: dict[str, Any]) -> httpx.Response:
    """One of the routes, about this answer."""
    if method == "POST":
        return await rate(http, answer, "positive")
    return await http.request(method, path.format(thread=answer["thread_id"]))


async def test_a_conversation_has_the_whole_contract(http: httpx.AsyncClient) -> None:
    answer = await ask(http, "What is a topic?", page="/docs/topics", selection="a topic")

    told = await conversation(http, answer["thread_id"])
    ConversationModel.model_validate(told)
    assert set(told) == {"id", "title", "created_at", "updated_at", "items", "has_more"}
    question, said = told["items"]
    assert question == {
        "kind": "question",
        "id": said["question_id"],
        "created_at": question["created_at"],
        "text": "What is a topic?",
        "page": "/docs/topics",
        "selection": "a topic",
    }
    assert said == {
        "kind": "answer",
        "id": answer["message_id"],
        "question_id": question["id"],
        "created_at": said["created_at"],
        "outcome": "done",
        "feedback": None,
        **{key: answer[key] for key in ("response", "state", "mode", "citations", "nearest", "grounding")},
        **{key: answer[key] for key in ("notice", "notice_codes")},
    }
    times = [datetime.fromisoformat(each) for each in (question["created_at"], said["created_at"], told["updated_at"])]
    assert {each.utcoffset() for each in times} == {timedelta(0)}
    assert times[0] == times[2] <= times[1]


async def test_conversations_are_listed_as_they_were_last_asked_in(http: httpx.AsyncClient) -> None:
    first, second, third = [(await ask(http, f"topic {n}"))["thread_id"] for n in range(3)]
    await ask(http, "And now?", thread_id=first)

    listed = (await http.get("/threads")).json()

    ThreadsModel.model_validate(listed)
    assert [(each["id"], each["title"]) for each in listed["threads"]] == [
        (first, "topic 0"),
        (third, "topic 2"),
        (second, "topic 1"),
    ]
    assert [set(each) for each in listed["threads"]] == [{"id", "title", "created_at", "updated_at"}] * 3
    assert listed["has_more"] is False
    newest = listed["threads"][0]
    assert newest["created_at"] < listed["threads"][1]["updated_at"] < newest["updated_at"]


async def test_what_was_said_is_listed_oldest_first(http: httpx.AsyncClient) -> None:
    thread_id = (await ask(http, "topic 0"))["thread_id"]
    for n in (1, 2):
        await ask(http, f"topic {n}", thread_id=thread_id)

    items = (await conversation(http, thread_id))["items"]

    assert [item["text"] for item in items if item["kind"] == "question"] == ["topic 0", "topic 1", "topic 2"]
    assert [item["kind"] for item in items] == ["question", "answer"] * 3


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_one_after_the_other_are_the_whole(http: httpx.AsyncClient, limit: int) -> None:
    threads = [(await ask(http, f"topic {n}"))["thread_id"] for n in range(5)]
    for n in range(4):
        await ask(http, f"topic {n}", thread_id=threads[-1])
    items = [item["id"] for item in (await conversation(http, threads[-1]))["items"]]

    assert await all_pages(http, "/threads", "threads", limit) == threads[::-1]
    assert await all_pages(http, f"/threads/{threads[-1]}", "items", limit) == items


async def all_pages(http: httpx.AsyncClient, path: str, of: str, limit: int) -> list[str]:
    found: list[str] = []
    more = True
    while more:
        page = (await http.get(path, params={"limit": limit, **({"after": found[-1]} if found else {})})).json()
        assert 0 < len(page[of]) <= limit
        found += [each["id"] for each in page[of]]
        more = page["has_more"]
    return found


async def test_lists_go_on_after_what_was_deleted_meanwhile(http: httpx.AsyncClient) -> None:
    kept, gone, newest = [await ask(http, f"topic {n}") for n in range(3)]
    later = await ask(http, "And then?", thread_id=newest["thread_id"])
    await http.delete(f"/threads/{gone['thread_id']}")
    retried = await ask(http, "topic 2", thread_id=newest["thread_id"], retry_of=newest["message_id"])

    threads = (await http.get("/threads", params={"after": gone["thread_id"]})).json()
    items = await conversation(http, newest["thread_id"], after=later["message_id"])

    assert [each["id"] for each in threads["threads"]] == [kept["thread_id"]]
    assert [item["id"] for item in items["items"]] == [retried["message_id"]]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/threads/{NOBODYS}", 404, "thread_not_found"),
        (f"/threads?after={NOBODYS}", 404, "thread_not_found"),
        (f"/threads/{{thread}}?after={NOBODYS}", 404, "message_not_found"),
        *(
            (f"/threads/{name}", 422, "invalid_request")
            for name in ("0" * 31, "0" * 33, "A" * 32, "g" * 32, f"{NOBODYS}%0A", "%00", "exports")
        ),
        *(
            (f"{path}?{query}", 422, "invalid_request")
            for path in ("/threads", "/threads/{thread}")
            for query in (
                "limit=0",
                "limit=-5",
                "limit=101",
                "limit=many",
                "limit=1e400",
                "after=",
                "after=x",
                "after=%00",
            )
        ),
    ],
)
async def test_what_is_not_there_is_404_and_what_cannot_be_there_422(
    http: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    thread = (await ask(http))["thread_id"]

    response = await http.get(path.format(thread=thread))

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_what_belongs_to_one_reader_is_for_no_cache(http: httpx.AsyncClient, method: str, path: str) -> None:
    response = await request(http, method, path, await ask(http))

    assert response.is_success
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_database_that_is_down_is_503_with_retry_after(
    site: Site, http: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await ask(http)
    site.threads.error = ThreadsUnavailable("secret")

    response = await request(http, method, path, answer)

    assert (response.status_code, response.json()["code"]) == (503, "threads_unavailable")
    assert response.headers["retry-after"]
    assert "secret" not in response.text


async def test_what_is_deleted_is_gone_and_cannot_be_deleted_again(http: httpx.AsyncClient) -> None:
    gone, kept = await ask(http), await ask(http)
    await rate(http, gone, "positive")

    deleted = await http.delete(f"/threads/{gone['thread_id']}")
    again = await http.delete(f"/threads/{gone['thread_id']}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (again.status_code, again.json()["code"]) == (404, "thread_not_found")
    assert (await http.get(f"/threads/{gone['thread_id']}")).status_code == 404
    assert (await rate(http, gone, "negative")).status_code == 404
    assert [each["id"] for each in (await http.get("/threads")).json()["threads"]] == [kept["thread_id"]]
    assert gone["thread_id"] not in (await http.get("/threads/export")).text


@pytest.mark.parametrize("path", ["/threads/{thread}", "/threads"])
async def test_what_is_deleted_while_an_answer_is_written_in_it_stays_deleted(site: Site, path: str) -> None:
    site.model = model = HeldGenerator(["A node publishes ", "messages to a topic [1]."], hold=1)
    async with door(site) as http:
        await become_a_new_reader(http)
        answering = asyncio.create_task(ask(http))
        await model.waiting.wait()
        (thread,) = (await http.get("/threads")).json()["threads"]
        deleted = await http.delete(path.format(thread=thread["id"]))
        model.go.set()
        answer = await answering
        left = (await http.get("/threads")).json()
        exported = (await http.get("/threads/export")).json()

    assert deleted.status_code == 204
    assert answer["thread_id"] == thread["id"]
    assert answer["response"] == "A node publishes messages to a topic [1]."
    assert left == {"threads": [], "has_more": False}
    assert exported == {"threads": []}


async def test_a_reader_can_be_forgotten_whole_and_again(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        await rate(http, await ask(http), "positive", comment="thanks")

    forgotten = [await http.delete("/threads") for _ in range(2)]

    assert [(each.status_code, each.content) for each in forgotten] == [(204, b"")] * 2
    assert (await http.get("/threads")).json() == {"threads": [], "has_more": False}
    assert (await http.get("/threads/export")).json() == {"threads": []}
    assert (await ask(http))["notice"] == ""


async def test_an_export_is_everything_oldest_first(http: httpx.AsyncClient) -> None:
    answers = [await ask(http, f"topic {n}") for n in range(25)]
    await ask(http, "And then?", thread_id=answers[0]["thread_id"])
    await rate(http, answers[3], "negative", comment="Not so.")

    exported = (await http.get("/threads/export")).json()

    ExportModel.model_validate(exported)
    assert exported["threads"] == [await conversation(http, answer["thread_id"]) for answer in answers]
    assert exported["threads"][3]["items"][1]["feedback"] == {"kind": "negative", "comment": "Not so."}
    assert len(exported["threads"][0]["items"]) == 4


async def test_a_conversation_of_any_length_is_exported_whole(http: httpx.AsyncClient) -> None:
    thread_id = (await ask(http))["thread_id"]
    for n in range(60):
        await ask(http, f"topic {n}", thread_id=thread_id)

    (exported,) = (await http.get("/threads/export")).json()["threads"]

    assert len(exported["items"]) == 122
    assert exported["has_more"] is False
    first = await conversation(http, thread_id)
    assert (len(first["items"]), first["has_more"]) == (50, True)


# Feedback ---------------------------------------------------------------------------------------------


async def feedback_on(http: httpx.AsyncClient, answer: dict[str, Any]) -> Any:
    items = (await conversation(http, answer["thread_id"]))["items"]
    (found,) = [item["feedback"] for item in items if item["id"] == answer["message_id"]]
    return found


async def test_of_feedback_the_last_word_counts_and_is_there_after_a_reload(http: httpx.AsyncClient) -> None:
    answer = await ask(http)

    first = await rate(http, answer, "positive", comment="  Thanks\0 ")
    assert await feedback_on(http, answer) == {"kind": "positive", "comment": "Thanks\N{REPLACEMENT CHARACTER}"}
    await rate(http, answer, "negative")
    assert await feedback_on(http, answer) == {"kind": "negative", "comment": ""}
    withdrawn = [await rate(http, answer, None) for _ in range(2)]

    assert await feedback_on(http, answer) is None
    assert [(each.status_code, each.content) for each in (first, *withdrawn)] == [(204, b"")] * 3


async def test_feedback_is_on_one_answer_alone(http: httpx.AsyncClient) -> None:
    first = await ask(http)
    second = await ask(http, thread_id=first["thread_id"])

    await rate(http, second, "negative")

    assert await feedback_on(http, first) is None
    assert await feedback_on(http, second) == {"kind": "negative", "comment": ""}


async def test_feedback_goes_with_the_answer_that_a_retry_replaces(http: httpx.AsyncClient) -> None:
    first = await ask(http)
    await rate(http, first, "negative")

    second = await ask(http, thread_id=first["thread_id"], retry_of=first["message_id"])

    assert await feedback_on(http, second) is None
    assert (await rate(http, first, "positive")).status_code == 404


@pytest.mark.parametrize("kind", ["positive", None])
async def test_feedback_on_what_is_no_answer_of_the_conversation_is_404(
    http: httpx.AsyncClient, kind: str | None
) -> None:
    answer, other = await ask(http), await ask(http)
    question = (await conversation(http, answer["thread_id"]))["items"][0]["id"]

    refused = [
        await rate(http, {"thread_id": thread, "message_id": item}, kind)
        for thread, item in (
            (answer["thread_id"], NOBODYS),
            (answer["thread_id"], question),
            (answer["thread_id"], other["message_id"]),
            (NOBODYS, answer["message_id"]),
        )
    ]

    assert [each.status_code for each in refused] == [404] * 4
    assert [each.json()["code"] for each in refused] == ["message_not_found"] * 3 + ["thread_not_found"]
    assert await feedback_on(http, answer) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "meh"},
        {"kind": 1},
        {"kind": ...},
        {"thread_id": ...},
        {"message_id": ...},
        {"message_id": "x"},
        {"message_id": f"{NOBODYS}\n"},
        {"message_id": f"wf_{NOBODYS}"},
        {"comment": "x" * 1_001},
        {"comment": None},
        {"colour": "red"},
    ],
    ids=str,
)
async def test_feedback_that_is_none_is_422(http: httpx.AsyncClient, changes: dict[str, Any]) -> None:
    answer = await ask(http)
    whole = {"thread_id": answer["thread_id"], "message_id": answer["message_id"], "kind": "positive", **changes}

    response = await http.post("/feedback", json={key: value for key, value in whole.items() if value is not ...})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert await feedback_on(http, answer) is None


# Answers that were not finished, and other answers ----------------------------------------------------


async def test_an_answer_that_broke_off_is_kept_as_far_as_it_came(site: Site, http: httpx.AsyncClient) -> None:
    assert site.model is not None
    site.model.pieces, site.model.error = ["A node publishes messages [1]. ", "And"], AnswerCutShort("secret")

    await http.post("/chat", json={"query": "topic", "stream": True})

    (thread,) = (await http.get("/threads")).json()["threads"]
    question, answer = (await conversation(http, thread["id"]))["items"]
    assert (answer["outcome"], answer["response"]) == ("failed", "A node publishes messages [1]. And")
    assert [citation["number"] for citation in answer["citations"]] == [1]
    assert answer["question_id"] == question["id"]


@pytest.mark.parametrize("by", ["question", "answer"])
async def test_a_retry_takes_the_place_of_the_answer_and_of_what_came_after(http: httpx.AsyncClient, by: str) -> None:
    first = await ask(http, " What is a topic? ")
    await ask(http, "And then?", thread_id=first["thread_id"])
    question, answer, *_ = (await conversation(http, first["thread_id"]))["items"]
    named = question["id"] if by == "question" else answer["id"]

    second = await ask(http, "What is a topic?", thread_id=first["thread_id"], retry_of=named)

    items = (await conversation(http, first["thread_id"]))["items"]
    assert second["message_id"] != first["message_id"]
    assert items[0] == question
    assert [item["id"] for item in items] == [question["id"], second["message_id"]]
    assert items[1]["question_id"] == question["id"]


async def test_a_retry_that_cannot_be_changes_nothing(http: httpx.AsyncClient) -> None:
    first, other = await ask(http), await ask(http)
    before = await conversation(http, first["thread_id"])
    whole = {"query": "What is a topic?", "thread_id": first["thread_id"], "retry_of": first["message_id"]}

    refused = [
        await http.post("/chat", json=body)
        for body in (
            {**whole, "query": "What is an action?"},
            {**whole, "thread_id": None},
            {**whole, "retry_of": "x"},
            {**whole, "retry_of": NOBODYS},
            {**whole, "retry_of": other["message_id"]},
            {**whole, "thread_id": NOBODYS},
        )
    ]

    assert [(each.status_code, each.json()["code"]) for each in refused] == [
        (422, "bad_question"),
        (422, "bad_question"),
        (422, "invalid_request"),
        (404, "message_not_found"),
        (404, "message_not_found"),
        (404, "thread_not_found"),
    ]
    assert await conversation(http, first["thread_id"]) == before
    assert len((await http.get("/threads")).json()["threads"]) == 2
