"""`POST /chatkit` as a client of `openai-chatkit` 1.6.5 meets it: every operation, in order and out of it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, get_args

import httpx
import pytest
from chatkit.errors import ErrorCode
from chatkit.types import (
    Annotation,
    AssistantMessageContentPartDone,
    AssistantMessageItem,
    ChatKitReq,
    ErrorEvent,
    ThreadCreatedEvent,
    ThreadItemAddedEvent,
    ThreadItemRemovedEvent,
    ThreadUpdatedEvent,
    URLSource,
    UserMessageItem,
    is_streaming_req,
)
from pydantic import TypeAdapter

from chatbot_api import chatkit_bridge, testing
from chatbot_api.config import Settings
from chatbot_api.errors import (
    AnswerCutShort,
    AskbookError,
    DatabaseOutdated,
    EmbedderUnavailable,
    IndexMissing,
    MessageNotFound,
    ModelUnavailable,
    SearchUnavailable,
    ThreadBusy,
    ThreadsUnavailable,
)
from chatbot_api.models.domain import Candidates, QuestionItem, SearchQuery
from chatbot_api.services.chat_service import ChatService, Turn
from chatbot_api.testing import HashEmbedder, MemoryIndex, ScriptedGenerator
from tests.chatkit_client import ChatKit, HeldGenerator, Site, Told, door, message, new_reader
from tests.conftest import passage
from tests.integration.test_server import served
from tests.unit.test_main import BOOK

if TYPE_CHECKING:
    from chatbot_api.chatkit_bridge.server import Bridge

TOPICS, ACTIONS = "/docs/topics", "/docs/actions#a"
SAID: Final = [
    "A node publishes ",
    "messages to a topic [1]",
    ". An action has a goal [2].\n\n```bash\nact <now>\n",
    "```\n",
]
BOOK_OF_TWO_LANGUAGES = [
    *BOOK,
    passage("Ein Knoten sendet Nachrichten.", page="/de/docs/themen", title="Themen", locale="de", position=1),
]
NOBODYS: Final = "0" * 32


@pytest.fixture
async def site() -> Site:
    site = Site(model=ScriptedGenerator(SAID))
    await site.fill()
    return site


@pytest.fixture
async def http(site: Site) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with door(site) as http:
        yield http


@pytest.fixture
async def chatkit(http: httpx.AsyncClient) -> ChatKit:
    return await new_reader(http)


def sources(told: Told) -> list[str]:
    """Addresses of what an answer was written from."""
    (task,) = told.workflow.workflow.tasks
    assert task.type == "web_search"
    return [source.url for source in task.sources]


def url_of(annotation: Annotation) -> str:
    assert isinstance(annotation.source, URLSource)
    return annotation.source.url.split(":~:")[0].rstrip("#")


# The operations ---------------------------------------------------------------------------------------

INPUT = message()
THREAD = {"thread_id": NOBODYS}
ACTION = {**THREAD, "action": {"type": "open", "payload": {}}}
SERVED: Final[dict[str, Any]] = {
    "threads.create": {"input": INPUT},
    "threads.add_user_message": {**THREAD, "input": INPUT},
    "threads.retry_after_item": {**THREAD, "item_id": NOBODYS},
    "threads.get_by_id": THREAD,
    "threads.list": {},
    "items.list": THREAD,
    "items.feedback": {**THREAD, "item_ids": [NOBODYS], "kind": "positive"},
    "threads.update": {**THREAD, "title": "Renamed"},
    "threads.delete": THREAD,
}
NOT_SERVED: Final[dict[str, Any]] = {
    "threads.custom_action": ACTION,
    "threads.sync_custom_action": ACTION,
    "threads.add_client_tool_output": {**THREAD, "result": {"any": 1}},
    "threads.add_structured_input": {**THREAD, "item_id": NOBODYS, "input": {"status": "answered", "answers": {}}},
    "attachments.create": {"name": "a.png", "size": 3, "mime_type": "image/png"},
    "attachments.delete": {"attachment_id": "atc_1"},
    "input.transcribe": {"audio_base64": "AAAA", "mime_type": "audio/webm;codecs=opus"},
}
REQUEST: Final[TypeAdapter[ChatKitReq]] = TypeAdapter(ChatKitReq)


def streams(operation: str, params: Any) -> bool:
    return is_streaming_req(REQUEST.validate_python({"type": operation, "params": params}))


def test_these_tests_know_every_operation_of_the_sdk() -> None:
    union = get_args(ChatKitReq)[0]

    assert {kind.model_fields["type"].default for kind in get_args(union)} == SERVED.keys() | NOT_SERVED.keys()


@pytest.mark.parametrize(("operation", "params"), NOT_SERVED.items())
async def test_an_operation_that_is_not_served_says_so(chatkit: ChatKit, operation: str, params: Any) -> None:
    response = await chatkit.send(operation, params)

    if streams(operation, params):
        (error,) = Told(response).events
        assert isinstance(error, ErrorEvent)
        assert (error.code, error.allow_retry) == ("custom", False)
        assert operation in (error.message or "")
    else:
        assert (response.status_code, response.json()["code"]) == (422, "bad_question")
        assert operation in response.json()["detail"]


@pytest.mark.parametrize(("operation", "params"), [*SERVED.items(), *NOT_SERVED.items()])
async def test_without_a_token_nothing_is_served(http: httpx.AsyncClient, operation: str, params: Any) -> None:
    response = await http.post("/chatkit", json={"type": operation, "params": params})

    assert (response.status_code, response.json()["code"]) == (401, "not_signed_in")


async def test_a_new_conversation_is_told_from_its_creation_to_its_answer(chatkit: ChatKit) -> None:
    told = await chatkit.create(" What is a topic? ")

    update = "assistant_message.content_part"
    assert told.types == [
        *("thread.created", "thread.item.done", "stream_options"),
        *("thread.item.added", "thread.updated", "progress_update", "workflow.task.updated", "thread.item.done"),
        *("progress_update", "thread.item.added", f"{update}.added"),
        *(f"{update}.text_delta", f"{update}.annotation_added", f"{update}.text_delta", f"{update}.annotation_added"),
        *(f"{update}.text_delta", f"{update}.done", "thread.item.done"),
    ]
    (created,), (updated,) = told.of(ThreadCreatedEvent), told.of(ThreadUpdatedEvent)
    assert created.thread.id == updated.thread.id == told.thread_id
    assert created.thread.created_at == updated.thread.created_at
    assert updated.thread.title == "What is a topic?"
    assert [part.text for part in told.question.content] == ["What is a topic?"]
    assert told.answered == "A node publishes messages to a topic. An action has a goal.\n\n```bash\nact <now>\n```"
    assert [url_of(each) for each in told.annotations] == [TOPICS, ACTIONS]
    assert sources(told) == [TOPICS, ACTIONS]


async def test_a_stream_is_for_no_cache_and_no_proxy_to_hold(chatkit: ChatKit) -> None:
    response = await chatkit.send("threads.create", {"input": message()})

    assert response.headers["cache-control"] == "no-store, no-transform"
    assert response.headers["x-accel-buffering"] == "no"


async def test_a_second_message_belongs_to_the_same_conversation_and_does_not_name_it_anew(
    site: Site, chatkit: ChatKit
) -> None:
    first = await chatkit.create()

    second = await chatkit.add(first.thread_id, "What does a node publish to it?")

    assert second.thread_id == first.thread_id
    assert second.types[0] == "thread.item.done"
    assert not second.of(ThreadCreatedEvent)
    assert not second.of(ThreadUpdatedEvent)
    assert site.model is not None
    assert [said.role for said in site.model.prompts[-1].history] == ["reader", "assistant"]
    thread = await chatkit.thread(first.thread_id)
    assert thread.title == "What is a topic?"
    assert [item.id for item in thread.items.data] == [
        item.id for told in (first, second) for item in (told.question, told.workflow, told.answer)
    ]


async def test_a_retry_puts_another_answer_in_the_place_of_all_that_came_after_the_question(
    site: Site, chatkit: ChatKit
) -> None:
    first = await chatkit.create()
    later = await chatkit.add(first.thread_id)
    site.model = ScriptedGenerator(["Nodes publish to topics [1]."])

    told = await chatkit.retry(first.thread_id, first.question.id)

    assert told.types[0] == "stream_options"
    assert told.answer.id != first.answer.id
    thread = await chatkit.thread(first.thread_id)
    assert [item.id for item in thread.items.data] == [first.question.id, told.workflow.id, told.answer.id]
    assert later.question.id not in thread.model_dump_json()


async def test_a_title_is_kept_as_it_was_answered(chatkit: ChatKit) -> None:
    told = await chatkit.create()

    renamed = await chatkit.rename(told.thread_id, "  Of \n topics\0 ")

    assert renamed.title == "Of topics\N{REPLACEMENT CHARACTER}"
    assert (await chatkit.thread(told.thread_id)).title == renamed.title
    assert [thread.title for thread in (await chatkit.threads()).data] == [renamed.title]


@pytest.mark.parametrize("title", ["", " \n ", "\u200b\u2060", "x" * 201])
async def test_a_title_that_says_nothing_or_too_much_is_refused(chatkit: ChatKit, title: str) -> None:
    told = await chatkit.create()

    response = await chatkit.send("threads.update", {"thread_id": told.thread_id, "title": title})

    assert (response.status_code, response.json()["code"]) == (422, "bad_question")
    assert (await chatkit.thread(told.thread_id)).title == "What is a topic?"


async def test_what_is_deleted_is_gone(chatkit: ChatKit) -> None:
    gone, kept = await chatkit.create(), await chatkit.create()

    await chatkit.delete(gone.thread_id)

    assert [thread.id for thread in (await chatkit.threads()).data] == [kept.thread_id]


@pytest.mark.parametrize("of", ["answer", "workflow", "all that was told of it"])
async def test_feedback_is_for_the_answer_whichever_of_its_items_it_names(
    http: httpx.AsyncClient, chatkit: ChatKit, of: str
) -> None:
    told = await chatkit.create()
    named = {"answer": [told.answer.id], "workflow": [told.workflow.id]}
    ids = named.get(of, [told.question.id, told.workflow.id, told.answer.id])

    responses = [await chatkit.rate(told.thread_id, ids, kind) for kind in ("negative", "positive")]

    assert [response.content for response in responses] == [b"{}", b"{}"]
    items = (await http.get(f"/threads/{told.thread_id}", headers=chatkit.headers)).json()["items"]
    assert [item["feedback"] for item in items if item["kind"] == "answer"] == [{"kind": "positive", "comment": ""}]


async def test_feedback_that_names_something_else_is_refused_whole(http: httpx.AsyncClient, chatkit: ChatKit) -> None:
    told, other = await chatkit.create(), await chatkit.create()

    refused = [
        await chatkit.rate(told.thread_id, ids)
        for ids in (
            [NOBODYS],
            [told.question.id],
            [told.answer.id, NOBODYS],
            [told.answer.id, other.answer.id],
            [f"wf_{told.workflow.id}"],
        )
    ]
    counts = [await chatkit.rate(told.thread_id, ids) for ids in ([], [told.answer.id] * 101)]

    assert {(each.status_code, each.json()["code"]) for each in refused} == {(404, "message_not_found")}
    assert {(each.status_code, each.json()["code"]) for each in counts} == {(422, "bad_question")}
    items = (await http.get(f"/threads/{told.thread_id}", headers=chatkit.headers)).json()["items"]
    assert items[1]["feedback"] is None


# What is streamed and what is loaded ------------------------------------------------------------------

ANSWERS: Final[dict[str, ScriptedGenerator | None]] = {
    "quoted": None,
    "cited": ScriptedGenerator(SAID),
    "by letter": ScriptedGenerator(list("".join(SAID))),
    "nothing after the marker": ScriptedGenerator(["A node publishes messages to a topic [1]"]),
    "a marker on its own line": ScriptedGenerator(["A node publishes messages to a topic.\n\n[1]\n\n"]),
    "many markers": ScriptedGenerator(["Nodes publish [1][2], topics [2] and again [1]. Goals [2]."]),
    "a marker before any word": ScriptedGenerator(["[1] says that a node publishes ", "messages to a topic."]),
    "nothing but a marker": ScriptedGenerator(["[1]"]),
    "white space around": ScriptedGenerator(["\u200b", "\n \n A node", " publishes [1].", "  \n", "\n\n"]),
    "a marker that points nowhere": ScriptedGenerator(["[9]", " A node publishes", " messages [9] to a topic [1]."]),
    "beyond the basic plane": ScriptedGenerator(["🤖 publishes 🤖 to a topic [1]. 🤖"]),
    "code that looks like markers": ScriptedGenerator(["`a[1]` is not [1].\n\n```py\nx[1]\n```\n\nBut [2].\n"]),
    "a fence that never closes": ScriptedGenerator(["So [1]:\n\n```bash\nact <now>"]),
    "in part": ScriptedGenerator(["PARTLY_IN_DOCS\nA node publishes messages to a topic [1]. ", "No more is said."]),
    "not in the book": ScriptedGenerator(["NOT_IN_DOCS"]),
    "nothing at all": ScriptedGenerator([]),
    "model down": ScriptedGenerator(error=ModelUnavailable("secret")),
}


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("operation", ["threads.create", "threads.add_user_message", "threads.retry_after_item"])
async def test_what_was_streamed_is_what_is_loaded(site: Site, chatkit: ChatKit, answers: str, operation: str) -> None:
    site.model = ANSWERS[answers]
    async with door(site) as http:
        chatkit = await new_reader(http)
        told = await chatkit.create("What is an action?")
        if operation == "threads.add_user_message":
            told = await chatkit.add(told.thread_id, "What does a node publish to a topic?")
        elif operation == "threads.retry_after_item":
            told = await chatkit.retry(told.thread_id, told.question.id)
        loaded = (await chatkit.thread(told.thread_id)).items.data
        listed = (await chatkit.items(told.thread_id)).data

    (content,) = told.answer.content
    (part,) = told.updates(AssistantMessageContentPartDone)
    assert told.error is None
    assert content.text == told.deltas == content.text.strip()
    assert content.text or answers == "nothing but a marker"
    assert content.annotations == told.annotations
    assert part.content == content
    assert all(each.index is None or 0 <= each.index < len(content.text) for each in content.annotations)
    *_, workflow, answer = loaded
    assert isinstance(answer, AssistantMessageItem)
    assert answer.content == told.answer.content
    assert workflow.model_dump(exclude={"created_at"}) == told.workflow.model_dump(exclude={"created_at"})
    assert listed == list(reversed(loaded))
    if operation != "threads.retry_after_item":
        assert loaded[-3] == told.question


async def test_an_annotation_is_at_the_last_character_before_its_marker(site: Site, chatkit: ChatKit) -> None:
    assert site.model is not None
    site.model.pieces = ["🤖 publish to a topic [1] .\n\n[2] A goal [1][2]!"]

    told = await chatkit.create()

    annotations = told.answer.content[0].annotations
    assert told.answered == "🤖 publish to a topic .\n\n A goal!"
    assert [(url_of(each), each.index) for each in annotations] == [
        (TOPICS, 19),
        (ACTIONS, 21),
        (TOPICS, 30),
        (ACTIONS, 30),
    ]


async def test_a_question_without_an_answer_in_the_book_shows_the_nearest_pages(site: Site, chatkit: ChatKit) -> None:
    assert site.model is not None
    site.model.pieces = ["NOT_IN_DOCS"]

    told = await chatkit.create()

    assert "does not seem to answer" in told.answered
    assert {url_of(each) for each in told.annotations} == {TOPICS, ACTIONS.split("#")[0]}
    assert {each.index for each in told.annotations} == {None}


@pytest.mark.parametrize(
    "text", ["What\0is a topic?", "\u202eWhat is a topic?", "What is\r\n\r\na topic?\u2028🤖", "?"]
)
async def test_a_question_is_kept_as_it_was_told(chatkit: ChatKit, text: str) -> None:
    told = await chatkit.create(text, quoted_text=text)

    thread = await chatkit.thread(told.thread_id)
    assert thread.items.data[0] == told.question
    assert thread.title == told.of(ThreadUpdatedEvent)[0].thread.title
    assert "\0" not in f"{told.question}{thread.title}"


# Out of order -----------------------------------------------------------------------------------------

OF_A_THREAD: Final = {name: params for name, params in SERVED.items() if "thread_id" in params}


@pytest.mark.parametrize("operation", OF_A_THREAD)
@pytest.mark.parametrize("thread", ["never made", "deleted", "somebody else's", "no id at all"])
async def test_a_conversation_that_is_not_there_for_the_reader_is_not_found(
    http: httpx.AsyncClient, chatkit: ChatKit, operation: str, thread: str
) -> None:
    told = await chatkit.create("What is my topic?")
    await chatkit.rate(told.thread_id, [told.answer.id])
    ids = {"never made": NOBODYS, "no id at all": "\0../' OR 1=1--\U0001f916"}
    asking = chatkit
    if thread == "deleted":
        await chatkit.delete(told.thread_id)
    elif thread == "somebody else's":
        asking = await new_reader(http)
    params = {**OF_A_THREAD[operation], "thread_id": ids.get(thread, told.thread_id)}
    for name, value in (("item_id", told.question.id), ("item_ids", [told.answer.id])):
        if name in params:
            params[name] = value

    response = await asking.send(operation, params)

    assert (response.status_code, response.json()["code"]) == (404, "thread_not_found")
    assert "my topic" not in response.text


@pytest.mark.parametrize("item", ["unknown", "answer", "workflow", "deleted", "of another conversation"])
async def test_only_a_question_of_the_conversation_can_be_retried(chatkit: ChatKit, item: str) -> None:
    first = await chatkit.create()
    later = await chatkit.add(first.thread_id)
    retried = await chatkit.retry(first.thread_id, first.question.id)
    other = await chatkit.create()
    before = await chatkit.thread(first.thread_id)
    named = {
        "unknown": NOBODYS,
        "answer": retried.answer.id,
        "workflow": retried.workflow.id,
        "deleted": later.question.id,
        "of another conversation": other.question.id,
    }

    response = await chatkit.send("threads.retry_after_item", {"thread_id": first.thread_id, "item_id": named[item]})

    assert (response.status_code, response.json()["code"]) == (404, "message_not_found")
    assert await chatkit.thread(first.thread_id) == before


async def test_a_message_into_a_conversation_that_is_being_answered_in_is_turned_away(
    site: Site, chatkit: ChatKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot_api.services.chat_service._WAIT_FOR_THREAD", 0.0)
    site.model = model = HeldGenerator(SAID, hold=1)
    async with door(site) as http:
        chatkit = await new_reader(http)
        answering = asyncio.create_task(chatkit.create())
        await model.waiting.wait()
        (thread,) = (await chatkit.threads()).data
        (question,) = (await chatkit.thread(thread.id)).items.data
        turned_away = [await chatkit.add(thread.id, "Me too?"), await chatkit.retry(thread.id, question.id)]
        model.go.set()
        told = await answering
        loaded = (await chatkit.thread(thread.id)).items.data

    for other in turned_away:
        assert other.error == ErrorEvent(code="custom", message=ThreadBusy.public, allow_retry=True)
    assert told.error is None
    assert loaded[0] == question == told.question
    assert [item.id for item in loaded[1:]] == [told.workflow.id, told.answer.id]


@pytest.mark.parametrize("operation", ["threads.create", "threads.add_user_message", "threads.retry_after_item"])
async def test_a_title_that_is_given_while_an_answer_is_written_stays(site: Site, operation: str) -> None:
    site.model = model = HeldGenerator(SAID, hold=1)
    model.go.set()
    async with door(site) as http:
        chatkit = await new_reader(http)
        first = await chatkit.create()
        model.go.clear()
        model.waiting.clear()
        asking = {
            "threads.create": chatkit.create("Another topic?"),
            "threads.add_user_message": chatkit.add(first.thread_id),
            "threads.retry_after_item": chatkit.retry(first.thread_id, first.question.id),
        }
        answering = asyncio.create_task(asking.pop(operation))
        for never in asking.values():
            never.close()
        await model.waiting.wait()
        newest = (await chatkit.threads()).data[0]
        await chatkit.rename(newest.id, "My own name")
        model.go.set()
        told = await answering
        thread = await chatkit.thread(newest.id)

    assert told.error is None
    assert told.thread_id == newest.id
    assert thread.title == "My own name"


async def test_a_conversation_that_is_deleted_while_it_is_answered_stays_deleted(site: Site) -> None:
    site.model = model = HeldGenerator(SAID, hold=1)
    async with door(site) as http:
        chatkit = await new_reader(http)
        answering = asyncio.create_task(chatkit.create())
        await model.waiting.wait()
        (thread,) = (await chatkit.threads()).data
        await chatkit.delete(thread.id)
        model.go.set()
        told = await answering
        left = await chatkit.threads()
        response = await chatkit.send("threads.get_by_id", {"thread_id": thread.id})

    assert told.error is None
    assert told.answered
    assert left.data == []
    assert response.status_code == 404


async def test_a_reader_who_leaves_finds_what_was_written_until_then(site: Site) -> None:
    site.model = model = HeldGenerator(SAID, hold=1)
    async with served(site) as http:
        chatkit = await new_reader(http)
        asked = {"type": "threads.create", "params": {"input": message()}}
        async with http.stream("POST", "/chatkit", json=asked, headers=chatkit.headers) as response:
            async for line in response.aiter_lines():
                if "text_delta" in line:
                    break
        await model.stopped.wait()
        (thread,) = (await chatkit.threads()).data
        model.go.set()
        then = await chatkit.add(thread.id)
        question, workflow, stopped, *_ = (await chatkit.thread(thread.id)).items.data

    assert (question.type, workflow.type) == ("user_message", "workflow")
    assert isinstance(stopped, AssistantMessageItem)
    assert stopped.content[0].text == "A node publishes\n\n*This answer was stopped here.*"
    assert then.error is None


async def test_a_stream_that_is_closed_before_it_has_searched_leaves_its_conversation_free(site: Site) -> None:
    """Closed where the answer is about to begin: what was to end it had not begun, and nobody could ask for minutes."""
    bridge, chat = await opened(site)
    body = json.dumps(create()).encode()
    stream = await bridge.serve(body, owner="ann", page=None, languages="")
    assert not isinstance(stream, bytes)
    async with aclosing(stream.frames) as frames:
        async for frame in frames:
            if b"Searching the book" in frame:
                break

    (thread,) = (await site.threads.list_threads("ann", limit=1)).entries
    (question,) = (await site.threads.list_items(thread.id, owner="ann", limit=9)).entries
    await chat.begin(await chat.prepare_retry(thread.id, question.id, owner="ann"))


async def test_a_retry_of_what_is_replaced_at_the_same_time_says_so(site: Site) -> None:
    """The SDK finds nothing to retry then, and says nothing: a stream without a frame."""
    bridge, chat = await opened(site)
    first = QuestionItem("1" * 32, datetime.now(UTC), "What is a topic?")
    second = QuestionItem("2" * 32, datetime.now(UTC), "What is an action?")
    turn = await chat.prepare(first, owner="ann")
    await finished(chat, turn)
    await finished(chat, await chat.prepare(second, owner="ann", thread_id=turn.thread.id))
    params = {"thread_id": turn.thread.id, "item_id": second.id}
    body = json.dumps({"type": "threads.retry_after_item", "params": params}).encode()
    stream = await bridge.serve(body, owner="ann", page=None, languages="")
    assert not isinstance(stream, bytes)

    await finished(chat, await chat.prepare_retry(turn.thread.id, first.id, owner="ann"))
    (frame,) = [frame async for frame in stream.frames]

    assert MessageNotFound.public.encode() in frame
    await finished(chat, await chat.prepare_retry(turn.thread.id, first.id, owner="ann"))


async def opened(site: Site) -> tuple[Bridge, ChatService]:
    """Without the door, for what only a bad moment brings about."""
    services = testing.over(Settings(), site.index, site.model, threads=site.threads)
    bridge = await asyncio.to_thread(chatkit_bridge.opened, services.chat, services.rag, site.threads)
    return bridge, services.chat


async def finished(chat: ChatService, turn: Turn) -> None:
    assert [event async for event in chat.answer(await chat.begin(turn))]


# What cannot be served --------------------------------------------------------------------------------


def create(**changes: Any) -> dict[str, Any]:
    return {"type": "threads.create", "params": {"input": message(**changes)}}


def without(key: str) -> dict[str, Any]:
    sent = create()
    del sent["params"]["input"][key]
    return sent


def listing(**params: Any) -> dict[str, Any]:
    return {"type": "threads.list", "params": params}


NO_REQUESTS: Final[dict[str, bytes | dict[str, Any]]] = {
    "nothing": b"",
    "no JSON": b"{",
    "two values": b"{}{}",
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "no type": {"params": {}},
    "unknown type": {"type": "threads.rename", "params": {}},
    "type is a list": {"type": ["threads.list"], "params": {}},
    "type is null": {"type": None, "params": {}},
    "no params": {"type": "threads.create"},
    "params are null": {"type": "threads.list", "params": None},
    "params are a list": {"type": "threads.create", "params": []},
    "no input": {"type": "threads.create", "params": {}},
    "no content": without("content"),
    "no attachments": without("attachments"),
    "no inference_options": without("inference_options"),
    "content is a text": create(content="What is a topic?"),
    "content of an unknown kind": create(content=[{"type": "input_image", "url": "x"}]),
    "text is a number": create(content=[{"type": "input_text", "text": 7}]),
    "a tag without data": create(content=[{"type": "input_tag", "id": "x", "text": "x"}]),
    "quoted_text is a list": create(quoted_text=["x"]),
    "tool is a text": create(inference_options={"tool_choice": "this_page"}),
    "no thread_id": {"type": "threads.add_user_message", "params": {"input": message()}},
    "thread_id is a number": {"type": "threads.delete", "params": {"thread_id": 7}},
    "no item_id": {"type": "threads.retry_after_item", "params": {"thread_id": NOBODYS}},
    "unknown kind of feedback": {
        "type": "items.feedback",
        "params": {"thread_id": NOBODYS, "item_ids": [NOBODYS], "kind": "meh"},
    },
    "unknown order": listing(order="up"),
    "limit is a word": listing(limit="many"),
    "limit is beyond numbers": b'{"type":"threads.list","params":{"limit":1%s}}' % (b"0" * 5_000),
    "limit is infinite": b'{"type":"threads.list","params":{"limit":1e999}}',
    "metadata is a text": {**create(), "metadata": "x"},
    "metadata is null": {**create(), "metadata": None},
    "half a character": b'{"type":"threads.list","params":{"after":"\\ud800"}}',
    "nested beyond sense": b'{"type":"threads.list","params":{},"metadata":{"x":%s}}' % (b"[" * 30_000),
}
NO_QUESTIONS: Final[dict[str, dict[str, Any]]] = {
    "no content": create(content=[]),
    "white space": create(text=" \n\t "),
    "nothing visible": create(text="\u200b\u2060\x00"),
    "too long": create(text="x" * 4_001),
    "too long in two parts": create(content=[{"type": "input_text", "text": "x" * 2_001}] * 2),
    "a file": create(attachments=["atc_1"]),
    "a choice of models": create(inference_options={"model": "gpt-9"}),
    "no model at all": create(inference_options={"model": ""}),
    "an unknown tool": create(inference_options={"tool_choice": {"id": "search\nthe web"}}),
    "this page without a page": create(inference_options={"tool_choice": {"id": "this_page"}}),
    "this page from a foreign page": {
        **create(inference_options={"tool_choice": {"id": "this_page"}}),
        "metadata": {"page": "/elsewhere"},
    },
    "quoted text too long": create(quoted_text="x" * 4_001),
    "quoted text that nobody sees": create(quoted_text="\u200b"),
    "page is a number": {**create(), "metadata": {"page": 7}},
    "page is a list": {**create(), "metadata": {"page": []}},
    "page too long": {**create(), "metadata": {"page": "/" + "x" * 1_000}},
    "scope is a number": {**create(), "metadata": {"scope": 7}},
    "scope of unknown parts": {**create(), "metadata": {"scope": {"chapter\n": 1}}},
    "scope of an unknown version": {**create(), "metadata": {"scope": {"version": "9"}}},
    "scope of an unknown page": {**create(), "metadata": {"scope": {"pages": ["/docs/topicz"]}}},
    "scope of too many pages": {**create(), "metadata": {"scope": {"pages": [TOPICS] * 21}}},
}


@pytest.mark.parametrize("body", NO_REQUESTS.values(), ids=NO_REQUESTS)
async def test_what_is_no_request_is_refused_with_a_status_and_changes_nothing(chatkit: ChatKit, body: Any) -> None:
    told = await chatkit.create()
    before = (await chatkit.threads(), await chatkit.thread(told.thread_id))

    response = await chatkit.post(body if isinstance(body, bytes) else json.dumps(body).encode())

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert response.headers["content-type"] == "application/problem+json"
    assert (await chatkit.threads(), await chatkit.thread(told.thread_id)) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [(json.dumps(create(text="x" * 70_000)).encode(), 413), (b'{"type": "threads.list\xff", "params": {}}', 422)],
    ids=["too large", "not UTF-8"],
)
async def test_what_is_refused_at_the_edge_changes_nothing(chatkit: ChatKit, body: bytes, status: int) -> None:
    response = await chatkit.post(body)

    assert response.status_code == status
    assert (await chatkit.threads()).data == []


@pytest.mark.parametrize("sent", NO_QUESTIONS.values(), ids=NO_QUESTIONS)
@pytest.mark.parametrize("operation", ["threads.create", "threads.add_user_message"])
async def test_what_is_no_question_is_refused_within_the_stream_and_changes_nothing(
    chatkit: ChatKit, sent: dict[str, Any], operation: str
) -> None:
    told = await chatkit.create()
    before = (await chatkit.threads(), await chatkit.thread(told.thread_id))
    params = dict(sent["params"])
    if operation == "threads.add_user_message":
        params["thread_id"] = told.thread_id

    (error,) = (await chatkit.told(operation, params, metadata=sent.get("metadata", {}))).events

    assert isinstance(error, ErrorEvent)
    assert (error.code, error.allow_retry) == ("custom", False)
    assert (error.message or "").isprintable()
    assert (error.message or "")[-1] in ".?"
    assert "Value error" not in (error.message or "")
    assert (await chatkit.threads(), await chatkit.thread(told.thread_id)) == before


@pytest.mark.parametrize(
    "metadata",
    [
        {"page": "/elsewhere"},
        {"page": None, "scope": None},
        {"scope": {}},
        {"deep": json.loads("[" * 150 + "]" * 150)},
        {"number": float("nan"), "large": 10**400},
        {"\0": "\0"},
    ],
    ids=["foreign page", "nulls", "empty scope", "nested", "odd numbers", "NUL"],
)
async def test_metadata_that_says_nothing_to_us_does_no_harm(chatkit: ChatKit, metadata: dict[str, Any]) -> None:
    told = await chatkit.told("threads.create", {"input": message()}, metadata=metadata)

    assert told.error is None
    assert sources(told) == [TOPICS, ACTIONS]


async def test_keys_that_a_newer_client_may_send_do_no_harm(chatkit: ChatKit) -> None:
    told = await chatkit.told("threads.create", {"input": message(reply_to="x"), "new": 1}, newer={"x": 1})

    assert told.error is None


# Failures ---------------------------------------------------------------------------------------------


class FailingSearch(MemoryIndex):
    """Knows its pages and finds nothing out about them."""

    failure: Exception | None = None

    async def search(self, query: SearchQuery) -> Candidates:
        if self.failure is not None:
            raise self.failure
        return await super().search(query)


@pytest.mark.parametrize(
    ("failure", "allow_retry"),
    [(SearchUnavailable("secret"), True), (IndexMissing("secret"), False)],
    ids=["search down", "index missing"],
)
@pytest.mark.parametrize("operation", ["threads.create", "threads.add_user_message", "threads.retry_after_item"])
async def test_an_index_that_cannot_be_read_is_told_within_the_stream_and_nothing_is_kept(
    site: Site, chatkit: ChatKit, failure: AskbookError, allow_retry: bool, operation: str
) -> None:
    first = await chatkit.create()
    before = (await chatkit.threads(), await chatkit.thread(first.thread_id))
    params = {**SERVED[operation], "thread_id": first.thread_id, "item_id": first.question.id}
    site.index.error = failure

    told = await chatkit.told(operation, params)

    assert told.error == ErrorEvent(code="custom", message=failure.public, allow_retry=allow_retry)
    assert len(told.events) == 1
    assert (await chatkit.threads(), await chatkit.thread(first.thread_id)) == before


async def test_a_search_that_fails_is_taken_back_and_its_question_can_be_retried() -> None:
    site = Site(index=(index := FailingSearch()), model=ScriptedGenerator(SAID))
    await site.fill()
    index.failure = SearchUnavailable("secret")
    async with door(site) as http:
        chatkit = await new_reader(http)
        failed = await chatkit.create()
        kept = await chatkit.thread(failed.thread_id)
        index.failure = None
        retried = await chatkit.retry(failed.thread_id, failed.question.id)
        loaded = await chatkit.thread(failed.thread_id)

    (begun,), (removed,) = failed.of(ThreadItemAddedEvent), failed.of(ThreadItemRemovedEvent)
    assert begun.item.id == removed.item_id
    assert failed.error == ErrorEvent(code="custom", message=SearchUnavailable.public, allow_retry=True)
    assert kept.items.data == [failed.question]
    assert [item.id for item in loaded.items.data] == [failed.question.id, retried.workflow.id, retried.answer.id]


async def test_what_nobody_expected_is_told_within_the_stream_and_tells_nothing() -> None:
    site = Site(index=(index := FailingSearch()), model=ScriptedGenerator(SAID))
    await site.fill()
    index.failure = TypeError("secret")
    async with door(site) as http:
        chatkit = await new_reader(http)
        failed = await chatkit.create()
        index.failure = None
        retried = await chatkit.retry(failed.thread_id, failed.question.id)

    assert failed.error == ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True)
    assert failed.of(ThreadItemRemovedEvent)
    assert "secret" not in failed.text
    assert retried.error is None


async def test_a_model_that_is_down_is_told_below_the_books_own_words(site: Site, chatkit: ChatKit) -> None:
    assert site.model is not None
    site.model.pieces, site.model.error = [], ModelUnavailable("secret")

    told = await chatkit.create()

    assert told.error is None
    assert told.answered.startswith("A node publishes messages to a topic.")
    assert told.answered.endswith(f"\n\n*{ModelUnavailable.public}*")
    assert "secret" not in told.text


async def test_an_embedder_that_is_down_is_told_below_the_answer() -> None:
    site = Site(embedder=(embedder := HashEmbedder()), model=ScriptedGenerator(SAID))
    await site.fill()
    embedder.error = EmbedderUnavailable("secret")
    async with door(site) as http:
        told = await (await new_reader(http)).create()

    assert told.answered.endswith(f"```\n\n*{EmbedderUnavailable.public}*")


async def test_a_model_that_breaks_off_is_told_and_what_it_said_is_kept_and_marked(
    site: Site, chatkit: ChatKit
) -> None:
    assert site.model is not None
    site.model.pieces, site.model.error = ["A node publishes messages [1]. ", "And"], AnswerCutShort("secret")

    told = await chatkit.create()

    loaded = (await chatkit.thread(told.thread_id)).items.data[-1]
    assert told.error == ErrorEvent(code="custom", message=AnswerCutShort.public, allow_retry=True)
    assert told.deltas == "A node publishes messages. And\n\n*This answer broke off here.*"
    assert not told.of(ThreadItemRemovedEvent)
    assert isinstance(loaded, AssistantMessageItem)
    assert loaded.content[0].text == told.deltas
    assert loaded.content[0].annotations == told.annotations
    site.model.error = None
    assert (await chatkit.add(told.thread_id)).error is None


@pytest.mark.parametrize("failure", [ThreadsUnavailable("secret"), DatabaseOutdated("secret")])
async def test_where_conversations_cannot_be_kept_an_answer_comes_and_says_so(
    site: Site, chatkit: ChatKit, failure: AskbookError
) -> None:
    first = await chatkit.create()
    before = await chatkit.thread(first.thread_id)
    site.threads.error = failure

    told = [await chatkit.create(), await chatkit.add(first.thread_id)]
    retried = await chatkit.retry(first.thread_id, first.question.id)
    others = [
        await chatkit.send(operation, {**params, "thread_id": first.thread_id})
        for operation, params in SERVED.items()
        if not streams(operation, params)
    ]

    for each in told:
        assert each.error is None
        assert each.answered == each.deltas
        assert each.answered.count("so this one will not be remembered.") == 1
    assert told[1].thread_id == first.thread_id
    assert not told[1].of(ThreadUpdatedEvent)
    assert retried.error == ErrorEvent(code="custom", message=failure.public, allow_retry=failure.retryable)
    assert {(each.status_code, each.json()["code"]) for each in others} == {(503, failure.code)}
    assert not any("secret" in text for text in [*(each.text for each in (*told, retried)), *(o.text for o in others)])
    site.threads.error = None
    assert (await chatkit.thread(first.thread_id)) == before
    assert [thread.id for thread in (await chatkit.threads()).data] == [first.thread_id]


async def test_a_database_that_fails_while_an_answer_is_written_is_told_below_it(site: Site) -> None:
    site.model = model = HeldGenerator(SAID, hold=1)
    async with door(site) as http:
        chatkit = await new_reader(http)
        answering = asyncio.create_task(chatkit.create())
        await model.waiting.wait()
        site.threads.error = ThreadsUnavailable("secret")
        model.go.set()
        told = await answering

    assert told.error is None
    assert told.answered == told.deltas
    assert told.answered.endswith("so this one will not be remembered.*")


# Lists ------------------------------------------------------------------------------------------------


async def pages(chatkit: ChatKit, operation: str, **params: Any) -> list[list[str]]:
    """The ids of every page, each found by the cursor of the one before."""
    after, found = None, []
    while True:
        page = await chatkit.page(operation, after=after, **params)
        found.append([each.id for each in page.data])
        if not page.has_more:
            return found
        assert page.after not in (None, after)
        after = page.after


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_conversation_in_pages_is_the_whole_of_it(chatkit: ChatKit, order: str, limit: int) -> None:
    told = await chatkit.create()
    for _ in range(3):
        await chatkit.add(told.thread_id)
    whole = [item.id for item in (await chatkit.thread(told.thread_id)).items.data]

    found = await pages(chatkit, "items.list", thread_id=told.thread_id, order=order, limit=limit)

    assert len(whole) == 12
    assert [each for page in found for each in page] == (whole if order == "asc" else whole[::-1])
    assert all(found)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_conversations_in_pages_are_all_of_them_the_newest_question_first(chatkit: ChatKit, order: str) -> None:
    ids = [(await chatkit.create()).thread_id for _ in range(5)]
    await chatkit.add(ids[0])
    by_question = [*ids[1:], ids[0]]

    found = await pages(chatkit, "threads.list", order=order, limit=2)

    assert [len(page) for page in found] == [2, 2, 1]
    assert [each for page in found for each in page] == (by_question if order == "asc" else by_question[::-1])


async def test_a_list_goes_on_after_any_item_a_client_has(chatkit: ChatKit) -> None:
    told = await chatkit.create()
    later = await chatkit.add(told.thread_id)
    first_ids = [told.question.id, told.workflow.id, told.answer.id]
    later_ids = [later.question.id, later.workflow.id, later.answer.id]

    for cursor in (told.workflow.id, told.answer.id):
        page = await chatkit.items(told.thread_id, order="asc", after=cursor)
        assert [item.id for item in page.data] == later_ids
    for cursor in (later.workflow.id, later.answer.id):
        page = await chatkit.items(told.thread_id, order="desc", after=cursor)
        assert [item.id for item in page.data] == [later.question.id, *reversed(first_ids)]


async def test_a_list_goes_on_after_what_was_deleted_meanwhile(chatkit: ChatKit) -> None:
    told = await chatkit.create()
    later = await chatkit.add(told.thread_id)
    gone, last = await chatkit.create(), await chatkit.create()
    await chatkit.delete(gone.thread_id)
    retried = await chatkit.retry(told.thread_id, told.question.id)

    for cursor in (later.question.id, later.workflow.id, later.answer.id):
        older = await chatkit.items(told.thread_id, order="desc", after=cursor)
        newer = await chatkit.items(told.thread_id, order="asc", after=cursor)
        assert [item.id for item in older.data] == [told.question.id]
        assert [item.id for item in newer.data] == [retried.workflow.id, retried.answer.id]
    assert [thread.id for thread in (await chatkit.threads(after=gone.thread_id)).data] == [told.thread_id]
    assert [thread.id for thread in (await chatkit.threads(after=gone.thread_id, order="asc")).data] == [last.thread_id]


async def test_a_list_after_what_never_was_is_refused(http: httpx.AsyncClient, chatkit: ChatKit) -> None:
    told, other = await chatkit.create(), await chatkit.create()
    stranger = await (await new_reader(http)).create()

    for cursor in (NOBODYS, "", "wf_", f"wf_{NOBODYS}", other.answer.id, "\0"):
        response = await chatkit.send("items.list", {"thread_id": told.thread_id, "after": cursor})
        assert (response.status_code, response.json()["code"]) == (404, "message_not_found"), cursor
    for cursor in (NOBODYS, "", told.answer.id, stranger.thread_id, "\0"):
        response = await chatkit.send("threads.list", {"after": cursor})
        assert (response.status_code, response.json()["code"]) == (404, "thread_not_found"), cursor


@pytest.mark.parametrize(("limit", "given"), [(100_000, 100), (-5, 1), (0, 1), (None, 20), (101, 100), (7, 7)])
async def test_a_list_has_a_sensible_length_whatever_is_asked_for(
    chatkit: ChatKit, limit: int | None, given: int
) -> None:
    told = await chatkit.create()
    for _ in range(102):
        await chatkit.create()
        await chatkit.add(told.thread_id)

    threads = await chatkit.threads(limit=limit)
    items = await chatkit.items(told.thread_id, limit=limit)

    assert (len(threads.data), threads.has_more) == (given, True)
    assert items.has_more
    assert len([item for item in items.data if item.type != "workflow"]) == given


async def test_a_long_conversation_is_loaded_from_its_beginning(chatkit: ChatKit) -> None:
    told = await chatkit.create()
    for _ in range(15):
        await chatkit.add(told.thread_id)

    thread = await chatkit.thread(told.thread_id)
    rest = await chatkit.items(told.thread_id, order="asc", after=thread.items.after, limit=100)

    assert thread.items.data[0] == told.question
    assert (thread.items.has_more, rest.has_more) == (True, False)
    assert len({item.id for item in [*thread.items.data, *rest.data]}) == 16 * 3


# Where a question is asked ----------------------------------------------------------------------------


def tag(name: str, text: str = "Topics", **data: Any) -> dict[str, Any]:
    return {"type": "input_tag", "id": name, "text": text, "data": data, "interactive": True}


def tool(name: str) -> dict[str, Any]:
    return {"inference_options": {"tool_choice": {"id": name}}}


ACTIONS_PAGE: Final = "/docs/actions"


@pytest.mark.parametrize(
    ("input_", "metadata", "headers", "found"),
    [
        ({}, {}, {}, [TOPICS, ACTIONS]),
        ({"content": [{"type": "input_text", "text": "What of "}, tag(TOPICS)]}, {}, {}, [TOPICS]),
        ({"content": [tag("any", path="/docs/topics/?x#y"), tag(ACTIONS_PAGE, " act")]}, {}, {}, [TOPICS, ACTIONS]),
        ({"content": [tag("/docs/unknown", path=None)]}, {}, {}, [TOPICS, ACTIONS]),
        (tool("this_page"), {"page": ACTIONS_PAGE}, {}, [ACTIONS]),
        (tool("this_page"), {}, {"askbook-page": ACTIONS_PAGE}, [ACTIONS]),
        (tool("this_page"), {"page": TOPICS}, {"askbook-page": ACTIONS_PAGE}, [TOPICS]),
        (tool("whole_book"), {"page": ACTIONS_PAGE}, {}, [TOPICS, ACTIONS]),
        ({}, {"page": ACTIONS_PAGE}, {}, [TOPICS, ACTIONS]),
        ({}, {"scope": {"pages": [ACTIONS_PAGE]}}, {}, [ACTIONS]),
        ({"content": [tag(TOPICS)]}, {"scope": {"pages": [ACTIONS_PAGE]}}, {}, [TOPICS, ACTIONS]),
        ({}, {"scope": {"up_to": TOPICS}}, {}, [TOPICS]),
    ],
    ids=[
        *("nowhere", "a mention", "two mentions", "a mention of nothing", "this page", "this page by header"),
        *("metadata before header", "whole book", "a page alone", "a scope", "a scope and a mention", "so far"),
    ],
)
async def test_what_a_reader_points_at_is_what_is_searched(
    chatkit: ChatKit, input_: dict[str, Any], metadata: dict[str, Any], headers: dict[str, str], found: list[str]
) -> None:
    told = await chatkit.told(
        "threads.create", {"input": message("topic act", **input_)}, metadata=metadata, headers=headers
    )

    assert sorted(sources(told)) == sorted(found)


async def test_a_mention_is_read_as_part_of_the_question(chatkit: ChatKit) -> None:
    content = [{"type": "input_text", "text": "What of "}, tag(TOPICS), {"type": "input_text", "text": "?"}]

    told = await chatkit.create(content=content)

    assert [part.model_dump() for part in told.question.content] == [{"type": "input_text", "text": "What of Topics?"}]


GERMAN: Final = "/de/docs/themen"


@pytest.mark.parametrize(
    ("languages", "metadata", "content", "found"),
    [
        ("de", {}, None, [GERMAN]),
        ("de-AT", {}, None, [GERMAN]),
        ("fr-CH, fr;q=0.9, de;q=0.8", {}, None, [GERMAN]),
        ("fr, *;q=0.1", {}, None, [TOPICS, ACTIONS]),
        ("", {}, None, [TOPICS, ACTIONS]),
        (",;=," * 1_000, {}, None, [TOPICS, ACTIONS]),
        ("de", {"page": TOPICS}, None, [TOPICS, ACTIONS]),
        ("de", {"scope": {"locale": "en"}}, None, [TOPICS, ACTIONS]),
        ("de", {"scope": {"pages": [TOPICS]}}, None, [TOPICS]),
        ("de", {"scope": {"up_to": TOPICS}}, None, [TOPICS]),
        ("de", {"scope": {"path_prefix": "/docs"}}, None, [TOPICS, ACTIONS]),
        ("de", {}, [tag(TOPICS)], [TOPICS]),
    ],
)
async def test_a_reader_who_points_at_nothing_is_answered_in_the_language_of_the_browser(
    languages: str, metadata: dict[str, Any], content: Any, found: list[str]
) -> None:
    site = Site(model=ScriptedGenerator(SAID), book=BOOK_OF_TWO_LANGUAGES)
    await site.fill()
    asked = message("topic", **({"content": content} if content else {}))
    async with door(site) as http:
        told = await (await new_reader(http)).told(
            "threads.create", {"input": asked}, metadata=metadata, headers={"Accept-Language": languages}
        )

    assert sorted(sources(told)) == sorted(found)


async def test_the_quoted_text_is_what_the_question_is_about(site: Site, chatkit: ChatKit) -> None:
    told = await chatkit.create("What does it mean?", quoted_text="publishes messages")

    assert site.model is not None
    assert "<selection>\npublishes messages\n</selection>" in site.model.prompts[-1].user
    assert told.question.quoted_text == "publishes messages"
    loaded = (await chatkit.thread(told.thread_id)).items.data[0]
    assert isinstance(loaded, UserMessageItem)
    assert loaded.quoted_text == "publishes messages"


# While nothing is said --------------------------------------------------------------------------------


WRITING: Final = 'data: {"type":"progress_update","icon":"write","text":"Writing the answer…"}'


async def test_before_the_first_word_a_silent_stream_repeats_what_is_going_on(site: Site) -> None:
    site.settings = Settings(keep_alive_seconds=0.01)
    site.model = HeldGenerator(SAID, hold=0)

    silent, told = await silence(site, after=WRITING)

    assert silent == [WRITING] * 3
    assert told.answered == told.deltas


async def test_after_it_a_silent_stream_sends_comments(site: Site) -> None:
    site.settings = Settings(keep_alive_seconds=0.01)
    site.model = HeldGenerator(SAID, hold=1)

    silent, told = await silence(site, after='"delta":"A node publishes"')

    assert silent == [": still here"] * 3
    assert told.answered == told.deltas


async def silence(site: Site, *, after: str) -> tuple[list[str], Told]:
    """The three frames after that one, with which the model goes on, and the whole stream."""
    assert isinstance(site.model, HeldGenerator)
    silent: list[str] = []
    body = ""
    async with served(site) as http:
        headers = (await new_reader(http)).headers
        async with http.stream("POST", "/chatkit", json=create(), headers=headers) as response:
            async for text in response.aiter_text():
                body += text
                since = body.partition(after)[2].split("\n\n")[1:-1]
                if len(since) >= 3 and not site.model.go.is_set():
                    silent = since[:3]
                    site.model.go.set()
    said = [frame for frame in body.split("\n\n") if not frame.startswith(":")]
    return silent, Told(httpx.Response(200, headers=response.headers, content="\n\n".join(said)))


# The library ------------------------------------------------------------------------------------------


def run(script: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LOG_LEVEL": "debug"}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120
    )


def test_whoever_imports_the_app_does_not_import_chatkit() -> None:
    script = "import sys, chatbot_api.main; print(sorted(sys.modules.keys() & {'chatkit', 'agents', 'openai', 'mcp'}))"

    assert run(script).stdout == "[]\n"


def test_what_chatkit_says_is_logged_once_and_where_it_is_a_warning() -> None:
    """It reads LOG_LEVEL, which is ours, and then writes each of its lines itself."""
    script = """
import asyncio, logging
from tests.chatkit_client import Site, door, new_reader

async def main():
    async with door(Site()) as http:
        await (await new_reader(http)).threads()

        logging.getLogger("chatkit").warning("mind the gap")

asyncio.run(main())
print(logging.getLogger("chatkit").handlers)
"""

    done = run(script)

    assert done.stdout == "[]\n"
    assert done.stderr.count("mind the gap") == 1
    assert "Received request" not in done.stderr


async def test_no_word_of_a_reader_is_logged(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot_api.services.chat_service._WAIT_FOR_THREAD", 0.0)
    site.settings = Settings(log_level="debug")
    site.model = model = HeldGenerator([*SAID, " okapi"], hold=1)
    async with door(site) as http:
        chatkit = await new_reader(http)
        answering = asyncio.create_task(chatkit.create("okapi?", quoted_text="okapi"))
        await model.waiting.wait()
        (thread,) = (await chatkit.threads()).data
        await chatkit.add(thread.id, "okapi!")
        await chatkit.rename(thread.id, "okapi")
        await chatkit.add(thread.id, "okapi" * 1_000)
        model.go.set()
        await answering
        site.index.error = SearchUnavailable("down")
        await chatkit.add(thread.id, "okapi?")

    log = capsys.readouterr().err
    assert "turn done" in log
    assert "code=thread_busy" in log
    assert "okapi" not in log
    assert "Traceback" not in log


async def test_no_line_of_the_log_is_a_clients(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    forged = "\nERROR forged"
    async with door(site) as http:
        chatkit = await new_reader(http)
        for changes, besides in (
            ({}, {"metadata": {"scope": {forged: 1}}}),
            ({}, {"metadata": {"scope": {"version": forged, "pages": [forged]}}}),
            (tool(forged), {}),
        ):
            told = await chatkit.told("threads.create", {"input": message(**changes)}, **besides)
            assert told.error is not None
        assert (await chatkit.send("threads.create" + forged, {})).status_code == 400

    assert not any(line.startswith("ERROR") for line in capsys.readouterr().err.splitlines())
