"""`OpenAIEmbedder` and `OpenAIGenerator` over a real socket, against the wire as OpenAI-compatible servers speak it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import re
import subprocess
import sys
import textwrap
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from operator import mul
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from chatbot_api.errors import (
    AnswerCutShort,
    AnswerTooLong,
    AnswerWithheld,
    AskbookError,
    EmbedderDenied,
    EmbedderLimited,
    EmbedderUnavailable,
    ModelDenied,
    ModelError,
    ModelGone,
    ModelRateLimited,
    ModelRefused,
    ModelUnavailable,
    TextRefused,
)
from chatbot_api.models.domain import Message, Prompt, TitledText, Usage
from chatbot_api.ports import Embedder, Generator
from chatbot_api.services import openai_service
from chatbot_api.services.openai_service import OpenAIClient, OpenAIEmbedder, OpenAIGenerator
from tests.loopback import Break, Step, patience
from tests.openai_server import DONE, OpenAIServer, chunk, embeddings, error, usage, vector_of

KEY = "sk-not-a-real-key"
MODEL = "nomic-embed-text"
DIMENSIONS = 768
PROMPT = Prompt(
    system="Answer from the passages.",
    history=(Message("reader", "What is a node?"), Message("assistant", "A program. [1]")),
    user="Passages: ...\n\nHow do two nodes talk?",
)
STOP = chunk(None, finish="stop")
HALF_AN_EVENT = b'data: {"choices": [{"delta"'


@dataclass
class Parts:
    """Makes embedders and generators that talk to the server, and closes them."""

    url: str
    made: list[OpenAIEmbedder | OpenAIGenerator] = field(default_factory=list)

    def client(self, key: str | None = KEY, url: str = "") -> OpenAIClient:
        return OpenAIClient(url or self.url, None if key is None else SecretStr(key))

    def embedder(self, client: OpenAIClient | None = None, **changes: Any) -> OpenAIEmbedder:
        arguments: dict[str, Any] = {"model": MODEL, "dimensions": DIMENSIONS, "timeout": 5.0} | changes
        embedder = OpenAIEmbedder(client or self.client(), **arguments)
        self.made.append(embedder)
        return embedder

    def generator(self, client: OpenAIClient | None = None, **changes: Any) -> OpenAIGenerator:
        limits = {"timeout": 90.0, "first_chunk_timeout": 20.0, "chunk_timeout": 20.0}
        generator = OpenAIGenerator(client or self.client(), **({"model": "qwen3:8b"} | limits | changes))
        self.made.append(generator)
        return generator


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(key=KEY) as running:
        yield running


@pytest.fixture
async def parts(server: OpenAIServer) -> AsyncIterator[Parts]:
    parts = Parts(server.url)
    yield parts
    for part in parts.made:
        await part.close()


async def told(generator: OpenAIGenerator, prompt: Prompt = PROMPT) -> list[str | Usage]:
    async with soon(), aclosing(generator.stream(prompt)) as pieces:
        return [piece async for piece in pieces]


async def said(generator: OpenAIGenerator) -> list[str]:
    return [piece for piece in await told(generator) if isinstance(piece, str)]


async def told_until_it_breaks(generator: OpenAIGenerator) -> tuple[list[str | Usage], ModelError]:
    pieces = []
    with pytest.raises(ModelError) as failure:  # noqa: PT012 - what came before the failure matters as well
        async with soon(), aclosing(generator.stream(PROMPT)) as stream:
            async for piece in stream:
                pieces.append(piece)
    return pieces, failure.value


def soon() -> asyncio.Timeout:
    """Far more than the tests need, far less than a call may take by default."""
    return asyncio.timeout(5)


async def happens(event: asyncio.Event) -> None:
    async with soon():
        await event.wait()


# Opening and closing ----------------------------------------------------------------------------------


def run(code: str) -> Any:
    """What the code prints as JSON, in an interpreter of its own, where httpx was never imported."""
    program = textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_parts_that_nobody_used_have_not_loaded_httpx() -> None:
    loaded = run("""
        import json, sys
        from chatbot_api.services.openai_service import OpenAIClient, OpenAIEmbedder, OpenAIGenerator

        client = OpenAIClient("http://127.0.0.1:1/v1", None)
        OpenAIEmbedder(client, "bge-m3", dimensions=1024, timeout=1)
        OpenAIGenerator(client, "qwen3", timeout=1, first_chunk_timeout=1, chunk_timeout=1)
        print(json.dumps([name for name in ("httpx", "httpcore", "numpy") if name in sys.modules]))
    """)

    assert loaded == []


def test_the_first_call_loads_httpx_outside_of_the_event_loops_thread() -> None:
    threads = run("""
        import asyncio, contextlib, json, sys, threading
        from chatbot_api.errors import EmbedderUnavailable
        from chatbot_api.services.openai_service import OpenAIClient, OpenAIEmbedder

        importers = {}

        class Watch:
            def find_spec(self, name, path=None, target=None):
                importers.setdefault(name, threading.current_thread() is threading.main_thread())

        sys.meta_path.insert(0, Watch())

        async def ask():
            client = OpenAIClient("http://127.0.0.1:1/v1", None)
            with contextlib.suppress(EmbedderUnavailable):
                await OpenAIEmbedder(client, "bge-m3", dimensions=1024, timeout=60).embed_question("Where?")
            await client.close()

        asyncio.run(ask())
        print(json.dumps({name: importers[name] for name in ("httpx", "httpcore")}))
    """)

    assert threads == {"httpx": False, "httpcore": False}


async def test_calls_that_come_first_together_share_one_client(server: OpenAIServer, parts: Parts) -> None:
    embedder = parts.embedder()
    await asyncio.gather(*(embedder.embed_question(f"Question {number}") for number in range(5)))

    await embedder.close()

    await happens(server.nobody_connected)  # a second client would have kept its connections


async def test_a_first_call_that_gave_up_leaves_the_client_to_the_next(parts: Parts) -> None:
    embedder = parts.embedder()
    hasty = asyncio.create_task(embedder.embed_question("Where?"))
    await asyncio.sleep(0)
    hasty.cancel()
    await asyncio.wait([hasty])

    vector = await embedder.embed_question("Where?")

    assert hasty.cancelled()
    assert len(vector) == DIMENSIONS


async def test_calls_one_after_the_other_share_one_connection(server: OpenAIServer, parts: Parts) -> None:
    client = parts.client()
    generator = parts.generator(client)

    await parts.embedder(client).embed_question("Where?")
    await told(generator)
    await generator.check()
    await told(generator)

    assert (len(server.requests), server.connections) == (4, 1)


async def test_closing_twice_and_through_any_door_is_allowed(server: OpenAIServer, parts: Parts) -> None:
    client = parts.client()
    embedder, generator = parts.embedder(client), parts.generator(client)
    await embedder.embed_question("Where?")

    await embedder.close()
    await embedder.close()
    await generator.close()
    await client.close()
    await parts.generator().close()

    await happens(server.nobody_connected)


async def test_a_closed_client_says_so(server: OpenAIServer, parts: Parts) -> None:
    client = parts.client()
    await client.close()

    with pytest.raises(EmbedderUnavailable, match="closed"):
        await parts.embedder(client).embed_question("Where?")
    with pytest.raises(ModelUnavailable, match="closed"):
        await told(parts.generator(client))
    with pytest.raises(ModelUnavailable, match="closed"):
        await parts.generator(client).check()

    assert server.requests == []


async def test_closing_while_an_answer_is_written_cuts_it_short(server: OpenAIServer, parts: Parts) -> None:
    server.reply(chunk("Over "), Break.HANG)
    generator = parts.generator()

    async with soon(), aclosing(generator.stream(PROMPT)) as stream:
        await anext(stream)
        await generator.close()
        with pytest.raises(AnswerCutShort):
            await anext(stream)

    await happens(server.client_left)


async def test_closing_while_the_client_opens_fails_the_call_that_waits_for_it(parts: Parts) -> None:
    embedder = parts.embedder()
    asking = asyncio.create_task(embedder.embed_question("Where?"))
    await asyncio.sleep(0)

    await embedder.close()

    with pytest.raises(EmbedderUnavailable):
        await asking


async def test_openais_environment_variables_decide_nothing(
    server: OpenAIServer, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    await parts.embedder().embed_question("Where?")

    [request] = server.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert [name for name in request.headers if name.startswith("openai")] == []


@pytest.mark.parametrize("end", ["", "/", "//"])
async def test_an_address_may_end_in_a_slash(server: OpenAIServer, parts: Parts, end: str) -> None:
    await told(parts.generator(parts.client(url=server.url + end)))

    assert server.requests[0].path == "/v1/chat/completions"


@pytest.mark.parametrize("key", [None, ""])
async def test_a_server_that_wants_no_key_is_given_none(key: str | None) -> None:
    async with OpenAIServer(key=None) as server:
        embedder = Parts(server.url).embedder(Parts(server.url).client(key))
        await embedder.embed_question("Where?")
        await embedder.close()

    assert "authorization" not in server.requests[0].headers


# Embedding --------------------------------------------------------------------------------------------


async def test_the_ports_are_kept(parts: Parts) -> None:
    embedder: Embedder = parts.embedder()
    generator: Generator = parts.generator()

    assert (embedder.dimensions, embedder.batch_size, embedder.quota) == (DIMENSIONS, 64, None)
    assert generator.model == "qwen3:8b"


async def test_a_question_goes_out_as_it_is_where_no_prefix_is_set(server: OpenAIServer, parts: Parts) -> None:
    await parts.embedder().embed_question("How do nodes talk?")

    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/v1/embeddings")
    assert request.body == {"model": MODEL, "input": ["How do nodes talk?"], "encoding_format": "float"}


async def test_passages_go_out_under_their_titles(server: OpenAIServer, parts: Parts) -> None:
    await parts.embedder().embed_passages([TitledText("Topics", "A bus."), TitledText("", "No title.")])

    assert server.requests[0].body["input"] == ["Topics\nA bus.", "No title."]


async def test_the_prefixes_go_before_what_they_are_for(server: OpenAIServer, parts: Parts) -> None:
    embedder = parts.embedder(question_prefix="search_query: ", passage_prefix="search_document: ")

    await embedder.embed_question("How?")
    await embedder.embed_passages([TitledText("Topics", "A bus.")])

    assert [request.body["input"] for request in server.requests] == [
        ["search_query: How?"],
        ["search_document: Topics\nA bus."],
    ]


async def test_the_name_of_the_space_tells_model_and_prefixes(parts: Parts) -> None:
    plain = parts.embedder(model="BAAI/bge-m3")
    prefixed = parts.embedder(question_prefix="search_query: ", passage_prefix="search_document: ")
    swapped = parts.embedder(question_prefix="search_document: ", passage_prefix="search_query: ")

    assert plain.model == "openai/BAAI/bge-m3"
    assert prefixed.model == "openai/nomic-embed-text/be6a1fc7"  # a new one would make every index a mismatch
    assert re.fullmatch("openai/nomic-embed-text/[0-9a-f]{8}", swapped.model)
    assert swapped.model != prefixed.model


async def test_vectors_come_in_the_order_of_the_texts_and_of_unit_length(server: OpenAIServer, parts: Parts) -> None:
    texts = [TitledText("", f"text {number}") for number in range(64)]

    vectors = await parts.embedder().embed_passages(texts)

    assert (len(server.requests), len(vectors)) == (1, 64)
    for vector, text in zip(vectors, texts, strict=True):
        raw = vector_of(MODEL, text.text)
        assert math.hypot(*vector) == pytest.approx(1)
        assert sum(map(mul, vector, raw)) == pytest.approx(math.hypot(*raw))


async def test_the_index_decides_and_not_the_order_of_sending(server: OpenAIServer, parts: Parts) -> None:
    answer = embeddings([1.0, 0.0], [0.0, 2.0])
    answer["data"].reverse()
    server.reply(answer)

    vectors = await parts.embedder(dimensions=2).embed_passages([TitledText("T", "one"), TitledText("T", "two")])

    assert vectors == [[1.0, 0.0], [0.0, 1.0]]


async def test_no_texts_are_no_call(server: OpenAIServer, parts: Parts) -> None:
    assert await parts.embedder().embed_passages([]) == []

    assert server.requests == []


async def test_more_texts_than_a_batch_are_a_mistake_of_the_caller(server: OpenAIServer, parts: Parts) -> None:
    with pytest.raises(ValueError, match="3 texts"):
        await parts.embedder(batch_size=2).embed_passages([TitledText("T", "text")] * 3)

    assert server.requests == []


async def test_half_a_character_is_for_the_server_to_judge(server: OpenAIServer, parts: Parts) -> None:
    await parts.embedder().embed_question("half \ud83d")

    assert server.requests[0].body["input"] == ["half \ud83d"]


GOOD = [0.5] * DIMENSIONS


def numbered(*indices: object) -> dict[str, Any]:
    return {"data": [{"index": index, "embedding": GOOD} for index in indices]}


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (embeddings(), "0 vectors for 2 texts"),
        (embeddings(GOOD), "1 vectors for 2 texts"),
        (embeddings(GOOD, GOOD, GOOD), "3 vectors for 2 texts"),
        (numbered(0, 0), "not one vector a text"),
        (numbered(1, 2), "not one vector a text"),
        (numbered(0, [1]), "not one vector a text"),
        ({"data": [{"index": 0}, {"index": 1}]}, "not one vector a text"),
        ({"data": [{"embedding": []}, {"embedding": []}]}, "not one vector a text"),
        ({"data": [{"embedding": "AAAA"}, {"embedding": "AAAA"}]}, "not one vector a text"),
        ({"data": ["one", "two"]}, "0 vectors for 2 texts"),
        ({"data": 7}, "0 vectors for 2 texts"),
        ([], "0 vectors for 2 texts"),
        (embeddings(GOOD, [*GOOD[1:], math.nan]), "without a direction"),
        (embeddings(GOOD, [*GOOD[1:], math.inf]), "without a direction"),
        (embeddings(GOOD, [0.0] * DIMENSIONS), "without a direction"),
        (embeddings(GOOD, [*GOOD[1:], None]), "something else than numbers"),
        (embeddings(GOOD, [*GOOD[1:], "0.5"]), "something else than numbers"),
        (embeddings(GOOD, [*GOOD[1:], 10**400]), "something else than numbers"),
        (b"", "no JSON"),
        (b'{"data": [{"emb', "no JSON"),
        (b"<html>hello</html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'"\xff"', "no JSON"),
    ],
)
async def test_an_answer_that_is_not_one_good_vector_a_text_is_refused(
    server: OpenAIServer, parts: Parts, answer: Step, what: str
) -> None:
    server.reply(answer)

    with pytest.raises(EmbedderUnavailable, match=what) as failure:
        await parts.embedder().embed_passages([TitledText("T", "one"), TitledText("T", "two")])

    assert type(failure.value) is EmbedderUnavailable


async def test_vectors_of_another_length_name_the_setting_that_mends_it(parts: Parts) -> None:
    with pytest.raises(EmbedderDenied) as failure:
        await parts.embedder(model="bge-m3").embed_question("Where?")

    assert str(failure.value) == "model bge-m3 makes vectors of 1024 numbers; set OPENAI_EMBEDDING_DIMENSIONS=1024"


# Writing ----------------------------------------------------------------------------------------------


async def test_the_answer_comes_in_pieces_as_the_model_writes_it(server: OpenAIServer, parts: Parts) -> None:
    rest_may_come = asyncio.Event()
    server.reply(chunk("Over "), rest_may_come, chunk("topics."), STOP, DONE)

    async with soon(), aclosing(parts.generator().stream(PROMPT)) as stream:
        first = await anext(stream)
        rest_may_come.set()
        rest = [piece async for piece in stream]

    assert (first, rest) == ("Over ", ["topics."])


async def test_the_prompt_goes_out_whole_and_in_the_roles_of_this_wire(server: OpenAIServer, parts: Parts) -> None:
    await told(parts.generator())

    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.body == {
        "model": "qwen3:8b",
        "messages": [
            {"role": "system", "content": "Answer from the passages."},
            {"role": "user", "content": "What is a node?"},
            {"role": "assistant", "content": "A program. [1]"},
            {"role": "user", "content": "Passages: ...\n\nHow do two nodes talk?"},
        ],
        "temperature": 0.2,
        "max_tokens": 2048,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_without_instructions_there_is_no_system_message(server: OpenAIServer, parts: Parts) -> None:
    await told(parts.generator(), Prompt(system="", history=(), user="Hello"))

    assert server.requests[0].body["messages"] == [{"role": "user", "content": "Hello"}]


def wire(*events: Mapping[str, Any], end: str = "\n\n", before: str = "data: ") -> bytes:
    return "".join(f"{before}{json.dumps(event, ensure_ascii=False)}{end}" for event in events).encode() + DONE


WORDS = chunk("Über "), chunk("Knoten\u2028und 話題 🦊."), STOP


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(wire(*WORDS), id="as everybody"),
        pytest.param(wire(*WORDS, end="\r\n\r\n"), id="CRLF"),
        pytest.param(wire(*WORDS, before="data:"), id="no space"),
        pytest.param(wire(*WORDS, end="\n"), id="no empty line"),
        pytest.param(wire(*WORDS, before=": ping\n\n:\nevent: x\nid: 7\nretry: 1\ndata: "), id="comments and fields"),
        pytest.param(wire(chunk("<think", finish=""), chunk("></think>", finish=""), *WORDS), id="empty reasons"),
        pytest.param(wire(*WORDS, {"choices": []}, {"choices": None}, {}), id="no choices"),
        pytest.param(wire(chunk(None), chunk(""), {"choices": [{"delta": None}]}, *WORDS), id="no content"),
        pytest.param(wire(chunk(None, reasoning_content="Hm."), chunk(None, reasoning="Hm."), *WORDS), id="reasoning"),
        pytest.param(wire({**chunk(""), "error": None}, *WORDS), id="no error"),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 10_000])
async def test_a_stream_is_read_however_it_is_written_and_cut(
    server: OpenAIServer, parts: Parts, body: bytes, size: int
) -> None:
    server.reply(*(body[start : start + size] for start in range(0, len(body), size)))

    assert "".join(await said(parts.generator())) == "Über Knoten\u2028und 話題 🦊."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<think>Hm, <b>topics</b>?\n</think>\n\nOver topics.", "Over topics."),
        ("\n<think>\n\n</think>\n\nOver topics.", "Over topics."),
        ("<think></think><think>Hm</think>Over topics.", "Over topics."),
        ("<thinking> is a tag.", "<thinking> is a tag."),
        ("<", "<"),
        ("Use <think>Hm</think> so.", "Use <think>Hm</think> so."),
        ("Over\n\ntopics. ", "Over\n\ntopics. "),
        ("  Over topics.", "Over topics."),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_thoughts_at_the_beginning_are_not_the_answer(
    server: OpenAIServer, parts: Parts, written: str, shown: str, size: int
) -> None:
    pieces = [written[start : start + size] for start in range(0, len(written), size)]
    server.reply(*map(chunk, pieces), STOP, DONE)

    heard = await said(parts.generator())

    assert "".join(heard) == shown
    assert all(heard)


async def test_half_a_character_of_the_servers_does_not_reach_a_reader(server: OpenAIServer, parts: Parts) -> None:
    server.reply(wire(chunk("a \\ud83d fox"), STOP).replace(b"\\\\ud83d", b"\\ud83d"))

    assert await said(parts.generator()) == ["a ? fox"]


async def test_the_answer_begins_with_its_first_certain_word(server: OpenAIServer, parts: Parts) -> None:
    server.reply(chunk("<think>Hm</think>O"), Break.HANG)

    async with soon(), aclosing(parts.generator().stream(PROMPT)) as stream:
        assert await anext(stream) == "O"


async def test_the_usage_comes_last_with_what_it_cost(parts: Parts) -> None:
    *words, last = await told(parts.generator(prices=(0.5, 2.0)))

    assert words == ["The book ", "says so."]
    assert last == Usage("qwen3:8b", input_tokens=7, output_tokens=3, dollars=(7 * 0.5 + 3 * 2.0) / 1_000_000)


async def test_without_prices_the_usage_has_no_cost(parts: Parts) -> None:
    assert (await told(parts.generator()))[-1] == Usage("qwen3:8b", 7, 3, None)


@pytest.mark.parametrize("strange", [{"usage": {}}, {"usage": {"prompt_tokens": "7"}}, {"usage": 7}])
async def test_a_usage_that_is_none_is_left_out(server: OpenAIServer, parts: Parts, strange: dict[str, Any]) -> None:
    server.reply(chunk("Over topics."), STOP, strange, DONE)

    assert await told(parts.generator()) == ["Over topics."]


async def test_an_answer_is_whole_once_the_model_said_stop(server: OpenAIServer, parts: Parts) -> None:
    server.reply(chunk("Over topics.", finish="stop"), Break.CUT)

    assert await told(parts.generator()) == ["Over topics."]


async def test_nobody_waits_long_for_what_follows_the_last_word(
    server: OpenAIServer, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.reply(chunk("Over topics."), STOP, DONE, Break.HANG)
    monkeypatch.setattr(openai_service, "_AFTERWORD", 0.1)

    assert await told(parts.generator()) == ["Over topics."]


UNWANTED = [
    pytest.param(error("No.", None, "unsupported_parameter", param="max_tokens"), {"max_tokens"}, id="param"),
    pytest.param(error("Not max_tokens.", None, param="temperature"), {"temperature"}, id="param before text"),
    pytest.param(error("'temperature' does not support 0.2.", None, "unsupported_value"), {"temperature"}, id="text"),
    pytest.param({"detail": [{"loc": ["body", "stream_options"]}]}, {"stream_options"}, id="FastAPI"),
    pytest.param(b"unknown field `stream_options`", {"stream_options"}, id="no JSON"),
]


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(("refusal", "fields"), UNWANTED)
async def test_a_field_that_the_server_refuses_is_left_out(
    server: OpenAIServer, parts: Parts, refusal: Step, fields: set[str], status: int
) -> None:
    server.reply(refusal, status=status)

    assert await said(parts.generator()) == ["The book ", "says so."]

    first, second = (request.body for request in server.requests)
    assert first.keys() - second.keys() == fields


async def test_a_model_of_the_newer_kind_is_asked_in_its_way_and_from_then_on_at_once() -> None:
    async with OpenAIServer(key=KEY, unwanted=("max_tokens", "temperature")) as server:
        generator = Parts(server.url).generator(model="gpt-5.4")
        await told(generator)
        await told(generator)
        await generator.close()

    *_, third, fourth = (request.body for request in server.requests)
    assert len(server.requests) == 4
    assert third == fourth
    assert third["max_completion_tokens"] == 2048
    assert not {"max_tokens", "temperature"} & third.keys()


async def test_a_field_that_was_not_at_fault_after_all_is_sent_again(server: OpenAIServer, parts: Parts) -> None:
    generator = parts.generator()
    for _ in range(2):
        server.reply(error("max_tokens", None), status=400)

    _, failure = await told_until_it_breaks(generator)
    await told(generator)

    assert type(failure) is ModelUnavailable
    assert len(server.requests) == 3
    assert "max_tokens" in server.requests[2].body


@pytest.mark.parametrize(
    "refusal",
    [
        error("This model's maximum context length is 4096 tokens; max_tokens is 2048.", "BadRequestError", 400),
        error("Too long.", "invalid_request_error", "context_length_exceeded", param="max_tokens"),
        error("the request exceeds the available context size", "exceed_context_size_error", 400),
    ],
)
async def test_a_prompt_that_is_too_long_says_what_to_do(server: OpenAIServer, parts: Parts, refusal: Step) -> None:
    server.reply(refusal, status=400)

    _, failure = await told_until_it_breaks(parts.generator())

    assert type(failure) is ModelUnavailable
    assert "longer than the model reads; give it a longer context, or lower CONTEXT_PASSAGES" in str(failure)
    assert len(server.requests) == 1


BROKEN_AFTER = [
    pytest.param((chunk("", finish="length"),), AnswerTooLong, "length", id="too long"),
    pytest.param((chunk(None, finish="content_filter"),), AnswerWithheld, "content_filter", id="filtered"),
    pytest.param((chunk("", finish="tool_calls"),), AnswerCutShort, "tool_calls", id="another reason"),
    pytest.param((chunk("", finish="Tired!"),), AnswerCutShort, "another finish reason", id="unknown reason"),
    pytest.param((DONE,), AnswerCutShort, "no finish reason", id="done without a reason"),
    pytest.param((chunk("", finish=""), DONE), AnswerCutShort, "no finish reason", id="empty reason"),
    pytest.param((), AnswerCutShort, "no finish reason", id="clean end"),
    pytest.param((HALF_AN_EVENT,), AnswerCutShort, "no finish reason", id="half an event"),
    pytest.param((b"data: nonsense\n\n",), AnswerCutShort, "unreadable answer", id="nonsense"),
    pytest.param((HALF_AN_EVENT, Break.CUT), AnswerCutShort, "RemoteProtocolError", id="cut"),
    pytest.param((Break.RESET,), AnswerCutShort, "no connection", id="reset"),
    pytest.param((error("High.", "server_error", 503),), AnswerCutShort, "503 server_error", id="error event"),
    pytest.param(({"error": "Out of memory"},), AnswerCutShort, "an error", id="error in words"),
    pytest.param((Break.HANG,), AnswerCutShort, "no answer in time", id="silence"),
]


@pytest.mark.parametrize(("steps", "kind", "what"), BROKEN_AFTER)
async def test_an_answer_that_breaks_off_was_cut_short(
    server: OpenAIServer, parts: Parts, steps: tuple[Step, ...], kind: type[ModelError], what: str
) -> None:
    server.reply(chunk("Over "), chunk("top"), *steps)

    pieces, failure = await told_until_it_breaks(parts.generator(chunk_timeout=patience(steps)))

    assert pieces == ["Over ", "top"]
    assert type(failure) is kind
    assert what in str(failure)


BROKEN_BEFORE = [
    pytest.param((chunk(None, finish="content_filter"),), ModelRefused, "content_filter", id="filtered"),
    pytest.param((STOP, DONE), ModelUnavailable, "stop, without a word", id="nothing to say"),
    pytest.param((chunk(" \n"), STOP, DONE), ModelUnavailable, "stop, without a word", id="only blanks"),
    pytest.param((chunk("<think>Hm"), STOP), ModelUnavailable, "stop, without a word", id="only thoughts"),
    pytest.param((chunk("<think>", finish="length"),), ModelUnavailable, "length, without a word", id="too long"),
    pytest.param((chunk("", finish="tool_calls"),), ModelUnavailable, "tool_calls", id="another reason"),
    pytest.param((DONE,), ModelUnavailable, "no finish reason", id="done without a reason"),
    pytest.param((), ModelUnavailable, "no finish reason", id="nothing at all"),
    pytest.param((b'{"choices": [{"message": {}}]}',), ModelUnavailable, "no finish reason", id="no stream"),
    pytest.param((b"<html>\n<body>Hello\n",), ModelUnavailable, "no finish reason", id="a page"),
    pytest.param((b"data: nonsense\n\n",), ModelUnavailable, "unreadable answer", id="nonsense"),
    pytest.param((HALF_AN_EVENT, Break.CUT), ModelUnavailable, "RemoteProtocolError", id="cut"),
    pytest.param((Break.CUT,), ModelUnavailable, "RemoteProtocolError", id="no reply"),
    pytest.param((Break.RESET,), ModelUnavailable, "no connection", id="reset"),
    pytest.param((error("S.", None, "rate_limit_exceeded"),), ModelRateLimited, "rate_limit", id="limit event"),
    pytest.param((error("Q.", "insufficient_quota", None),), ModelDenied, "no credit", id="no credit event"),
    pytest.param((error("Full.", "BadRequestError", 400),), ModelUnavailable, "400", id="error event"),
    pytest.param((Break.HANG,), ModelUnavailable, "no answer in time", id="silence"),
    pytest.param((b"", Break.HANG), ModelUnavailable, "no answer in time", id="silence after headers"),
]


@pytest.mark.parametrize(("steps", "kind", "what"), BROKEN_BEFORE)
async def test_a_stream_without_a_word_fails_for_its_reason(
    server: OpenAIServer, parts: Parts, steps: tuple[Step, ...], kind: type[ModelError], what: str
) -> None:
    server.reply(*steps)

    pieces, failure = await told_until_it_breaks(parts.generator(first_chunk_timeout=patience(steps)))

    assert pieces == []
    assert type(failure) is kind
    assert what in str(failure)
    assert len(server.requests) == 1


async def test_what_a_failed_answer_took_is_told_before_the_failure(server: OpenAIServer, parts: Parts) -> None:
    server.reply(chunk("Over ", finish="length"), usage(7, 2048), DONE)

    pieces, failure = await told_until_it_breaks(parts.generator())

    assert pieces == ["Over ", Usage("qwen3:8b", 7, 2048)]
    assert type(failure) is AnswerTooLong


# Leaving and waiting ----------------------------------------------------------------------------------


async def test_a_reader_who_leaves_between_two_pieces_stops_the_model(server: OpenAIServer, parts: Parts) -> None:
    server.reply(chunk("Over "), Break.HANG)

    async with soon(), aclosing(parts.generator().stream(PROMPT)) as stream:
        await anext(stream)

    await happens(server.client_left)


async def test_a_reader_who_leaves_while_waiting_stops_the_model(server: OpenAIServer, parts: Parts) -> None:
    asked = asyncio.Event()
    server.reply(chunk("Over "), asked, Break.HANG)
    stream = parts.generator().stream(PROMPT)
    await anext(stream)

    async def wait_for_more() -> None:
        async with aclosing(stream):
            asked.set()
            await anext(stream)

    reader = asyncio.create_task(wait_for_more())
    await happens(asked)
    reader.cancel()

    await asyncio.wait([reader], timeout=5)
    assert reader.cancelled()
    await happens(server.client_left)


async def test_a_reader_who_leaves_before_the_first_word_stops_the_model(server: OpenAIServer, parts: Parts) -> None:
    server.reply(Break.HANG)
    reader = asyncio.create_task(told(parts.generator()))
    await happens(server.asked)
    reader.cancel()

    await asyncio.wait([reader], timeout=5)
    assert reader.cancelled()
    await happens(server.client_left)


async def test_a_reader_who_leaves_before_a_failure_leaves_nothing_behind(
    server: OpenAIServer, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    before = asyncio.all_tasks()
    server.reply(wire(chunk("Over "), chunk("topics."), error("High demand.", "server_error")))

    async with aclosing(parts.generator().stream(PROMPT)) as stream:
        await anext(stream)
    gc.collect()
    await asyncio.sleep(0.05)

    assert [record.message for record in caplog.records if record.name == "asyncio"] == []
    assert len(asyncio.all_tasks() - before) <= 1  # the server's, which serves the connection


async def test_an_unreadable_event_lets_go_of_the_connection(server: OpenAIServer, parts: Parts) -> None:
    server.reply(chunk("Over "), b"data: nonsense\n\n", Break.HANG)

    _, failure = await told_until_it_breaks(parts.generator())

    await happens(server.client_left)
    assert type(failure) is AnswerCutShort


async def test_an_error_that_cannot_be_unpacked_lets_go_of_the_connection(server: OpenAIServer, parts: Parts) -> None:
    server.reply(b"not packed at all", Break.HANG, status=503, headers={"Content-Encoding": "gzip"})

    _, failure = await told_until_it_breaks(parts.generator())

    await happens(server.client_left)
    assert "DecodingError" in str(failure)


@pytest.mark.parametrize("status", [400, 404, 503])
async def test_a_refused_request_leaves_the_connection_for_the_next(
    server: OpenAIServer, parts: Parts, status: int
) -> None:
    generator = parts.generator()
    server.reply(error("No.", None), status=status)
    await told_until_it_breaks(generator)

    assert await said(generator) == ["The book ", "says so."]

    assert server.connections == 1


async def test_a_question_waits_only_so_long_for_its_vector(server: OpenAIServer, parts: Parts) -> None:
    server.reply(Break.HANG)

    with pytest.raises(EmbedderUnavailable, match="no answer in time"):
        await parts.embedder(timeout=0.2).embed_question("Where?")

    await happens(server.client_left)


async def test_a_slow_but_steady_vector_ends_at_its_limit(server: OpenAIServer, parts: Parts) -> None:
    server.reply(*(step for _ in range(30) for step in (b" ", 0.1)))

    with pytest.raises(EmbedderUnavailable, match="no answer in time"):
        await parts.embedder(timeout=0.5).embed_question("Where?")

    await happens(server.client_left)


async def test_a_slow_but_steady_answer_ends_at_its_limit(server: OpenAIServer, parts: Parts) -> None:
    server.reply(*(step for _ in range(30) for step in (chunk("on "), 0.1)))

    pieces, failure = await told_until_it_breaks(parts.generator(timeout=0.5))

    assert pieces
    assert type(failure) is AnswerCutShort
    await happens(server.client_left)


@pytest.mark.parametrize("sign", [chunk(None, reasoning_content="Hm"), b": ping\n\n"], ids=["thoughts", "pings"])
async def test_signs_of_life_are_no_first_word(server: OpenAIServer, parts: Parts, sign: Step) -> None:
    server.reply(*(step for _ in range(30) for step in (sign, 0.1)))

    _, failure = await told_until_it_breaks(parts.generator(first_chunk_timeout=0.3, chunk_timeout=0.3))

    assert type(failure) is ModelUnavailable
    assert "no answer in time" in str(failure)
    await happens(server.client_left)


async def test_between_two_pieces_pings_are_no_piece(server: OpenAIServer, parts: Parts) -> None:
    server.reply(chunk("Over "), *(step for _ in range(30) for step in (b": ping\n\n", 0.1)))

    _, failure = await told_until_it_breaks(parts.generator(chunk_timeout=0.3))

    assert type(failure) is AnswerCutShort
    await happens(server.client_left)


async def test_a_reader_who_reads_slowly_does_not_time_the_model_out(server: OpenAIServer, parts: Parts) -> None:
    generator = parts.generator(timeout=0.3, first_chunk_timeout=0.2, chunk_timeout=0.2)

    async with aclosing(generator.stream(PROMPT)) as stream:
        first = await anext(stream)
        await asyncio.sleep(0.4)
        rest = [piece async for piece in stream if isinstance(piece, str)]

    assert [first, *rest] == ["The book ", "says so."]


# Failing ----------------------------------------------------------------------------------------------

ERRORS = [
    pytest.param(400, error("Bad.", "invalid_request_error"), TextRefused, ModelUnavailable, id="bad request"),
    pytest.param(401, error("Who?", None, "invalid_api_key"), EmbedderDenied, ModelDenied, id="unknown key"),
    pytest.param(402, error("Balance.", None), EmbedderDenied, ModelDenied, id="no money"),
    pytest.param(403, b"Forbidden", EmbedderDenied, ModelDenied, id="forbidden"),
    pytest.param(404, error("Pull it.", "api_error"), EmbedderDenied, ModelGone, id="no model"),
    pytest.param(404, b"404 page not found", EmbedderDenied, ModelGone, id="no address"),
    pytest.param(400, error("?", None, "model_not_found"), EmbedderDenied, ModelGone, id="no model, as bad request"),
    pytest.param(405, b"", EmbedderUnavailable, ModelUnavailable, id="no such method"),
    pytest.param(413, b"", TextRefused, ModelUnavailable, id="too large"),
    pytest.param(422, {"detail": [{"loc": ["body"]}]}, TextRefused, ModelUnavailable, id="unprocessable"),
    pytest.param(429, error("Slow.", "requests", "rate_limit_exceeded"), EmbedderLimited, ModelRateLimited, id="limit"),
    pytest.param(429, [7], EmbedderLimited, ModelRateLimited, id="a list"),
    pytest.param(429, error("Quota.", None, "insufficient_quota"), EmbedderDenied, ModelDenied, id="no credit"),
    pytest.param(429, error("Quota.", "insufficient_quota"), EmbedderDenied, ModelDenied, id="no credit, as type"),
    pytest.param(500, error("Sorry.", "server_error"), EmbedderUnavailable, ModelUnavailable, id="internal"),
    pytest.param(502, b"<html>Bad Gateway</html>", EmbedderUnavailable, ModelUnavailable, id="html"),
    pytest.param(
        503, error("Loading model", "unavailable_error", 503), EmbedderUnavailable, ModelUnavailable, id="503"
    ),
    pytest.param(500, {"error": {"code": [], "type": {}}}, EmbedderUnavailable, ModelUnavailable, id="another shape"),
]


@pytest.mark.parametrize(("status", "body", "no_vector", "no_answer"), ERRORS)
async def test_what_the_server_says_becomes_one_of_ours(
    server: OpenAIServer,
    parts: Parts,
    status: int,
    body: Step,
    no_vector: type[AskbookError],
    no_answer: type[AskbookError],
) -> None:
    server.reply(body, status=status)
    server.reply(body, status=status)

    _, unwritten = await told_until_it_breaks(parts.generator())
    with pytest.raises(EmbedderUnavailable) as failure:
        await parts.embedder().embed_question("Where?")

    assert type(unwritten) is no_answer
    assert type(failure.value) is no_vector
    assert str(status) in str(unwritten)
    assert str(status) in str(failure.value)
    assert len(server.requests) == 2  # nobody tried again


async def test_the_log_learns_status_and_codes_and_what_to_look_at(server: OpenAIServer, parts: Parts) -> None:
    server.reply(error("Your key sk-12 is wrong.", "invalid_request_error", "invalid_api_key"), status=401)

    _, failure = await told_until_it_breaks(parts.generator())

    assert str(failure) == (
        "qwen3:8b: 401 invalid_request_error invalid_api_key: the server does not accept the key; check OPENAI_API_KEY"
    )


IN_TWO_HOURS = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "Retry-After": "7"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "7"}, 7.0),
        ({"Retry-After": IN_TWO_HOURS}, pytest.approx(7200, abs=3600)),
        ({"Retry-After": "Fri, 01 Jan 2016 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "Fri, 01 Jan 2016 00:00:00 -0000"}, 0.0),
        ({"Retry-After": "-7"}, 0.0),
        ({"Retry-After": "nan"}, 0.0),
        ({"Retry-After": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
async def test_how_long_to_wait_is_told_on(
    server: OpenAIServer, parts: Parts, headers: dict[str, str], seconds: float
) -> None:
    for _ in range(2):
        server.reply(error("Slow down.", None), status=429, headers=headers)

    with pytest.raises(ModelRateLimited) as unwritten:
        await told(parts.generator())
    with pytest.raises(EmbedderLimited) as failure:
        await parts.embedder().embed_question("Where?")

    assert unwritten.value.quota.retry_after == seconds
    assert failure.value.quota.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "the input length exceeds the context length"),  # Ollama
        (500, "input is too large to process. increase the physical batch size"),  # llama.cpp
    ],
)
async def test_a_text_that_is_too_long_is_called_so(
    server: OpenAIServer, parts: Parts, status: int, words: str
) -> None:
    server.reply(error(words, "server_error"), status=status)

    with pytest.raises(TextRefused, match="a text is longer than the model reads"):
        await parts.embedder().embed_question("Where?")


async def test_nobody_is_followed_elsewhere(server: OpenAIServer, parts: Parts) -> None:
    async with OpenAIServer(key=None) as elsewhere:
        for _ in range(3):
            server.reply(status=307, headers={"Location": f"{elsewhere.url}/embeddings"})
        embedder, generator = parts.embedder(), parts.generator()

        with pytest.raises(EmbedderUnavailable, match="307"):
            await embedder.embed_question("Where?")
        with pytest.raises(ModelUnavailable, match="307"):
            await told(generator)
        with pytest.raises(ModelUnavailable, match="307"):
            await generator.check()

    assert elsewhere.requests == []


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with OpenAIServer() as gone:
        parts = Parts(gone.url)
    embedder, generator = parts.embedder(), parts.generator()

    with pytest.raises(EmbedderUnavailable, match="nothing listens there"):
        await embedder.embed_question("Where?")
    with pytest.raises(ModelUnavailable, match="nothing listens there"):
        await told(generator)

    await embedder.close()
    await generator.close()


async def test_a_name_that_nobody_has_is_unavailable(parts: Parts) -> None:
    embedder = parts.embedder(parts.client(url="http://no.such.host.invalid/v1"))

    with pytest.raises(EmbedderUnavailable, match="its name cannot be resolved"):
        await embedder.embed_question("Where?")


async def test_something_that_speaks_no_http_is_unavailable(parts: Parts) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100_000)
        writer.write(f"220 {KEY} ready\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as mail:
        address = f"127.0.0.1:{mail.sockets[0].getsockname()[1]}/v1"
        with pytest.raises(EmbedderUnavailable, match="RemoteProtocolError") as failure:
            await parts.embedder(parts.client(url=f"http://{address}")).embed_question("Where?")
        with pytest.raises(EmbedderUnavailable, match="no secure connection can be made"):
            await parts.embedder(parts.client(url=f"https://{address}")).embed_question("Where?")

    assert KEY not in everything_said_by(failure.value)


@pytest.mark.parametrize(
    "url",
    ["ftp://h/v1", "/v1", "http:///v1", "http://h:x/v1", "http://\x00/v1", "http://u:p@h/v1", "http://h/v1?key=a"],
)
async def test_an_address_that_cannot_be_one_is_denied_without_a_call(parts: Parts, url: str) -> None:
    client = parts.client(url=url)

    with pytest.raises(EmbedderDenied, match="OPENAI_BASE_URL must be an address"):
        await parts.embedder(client).embed_question("Where?")
    with pytest.raises(ModelDenied, match="OPENAI_BASE_URL must be an address"):
        await told(parts.generator(client))


@pytest.mark.parametrize("key", ["sk-\u201cquoted\u201d", "sk-a\nX-Evil: 1", "sk a", "sk-a "])
async def test_a_key_that_cannot_be_one_is_denied_without_a_call(server: OpenAIServer, parts: Parts, key: str) -> None:
    client = parts.client(key)

    for _ in range(2):
        with pytest.raises(ModelDenied) as failure:
            await told(parts.generator(client))
    with pytest.raises(EmbedderDenied):
        await parts.embedder(client).embed_question("Where?")

    assert str(failure.value) == "OPENAI_API_KEY holds characters that no key has"
    assert key not in everything_said_by(failure.value)
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "value"), [("SSL_CERT_FILE", "/no/such/file"), ("HTTP_PROXY", "gopher://p"), ("ALL_PROXY", "socks5://p")]
)
async def test_an_environment_that_cannot_be_used_is_named(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ModelDenied, match="the proxy or the certificates that the environment names"):
        await told(parts.generator())


def everything_said_by(failure: AskbookError) -> str:
    return str(failure) + repr(failure) + "".join(traceback.format_exception(failure))


WORD_LIKE_KEY = "a_key_of_letters"
"""Looks like a code, so that it would pass for one."""


@pytest.mark.parametrize("key", [KEY, WORD_LIKE_KEY])
@pytest.mark.parametrize(
    "script",
    [
        lambda server, key: server.reply(error(f"Key {key} whispered.", key, key, param=key), status=403),
        lambda server, key: server.reply(error(f"whispered temperature {key}", key), status=400),
        lambda server, key: server.reply(f"<html>whispered authorization: {key}</html>".encode(), status=502),
        lambda server, key: server.reply(f"whispered {key}\r\n\r\n".encode()),
        lambda server, key: server.reply(f"data: whispered {key}\n\n".encode()),
        lambda server, key: server.reply(error(f"whispered {key}", key, key)),
        lambda server, key: server.reply(chunk("Over"), chunk(None, finish=key)),
        lambda server, key: server.reply({"data": [{"id": key}, {"id": "whispered words"}, {"embedding": [key]}]}),
        lambda server, key: server.reply(error("x", "whispered words", "Whispered_to_you"), status=500),
        lambda server, key: server.reply(status=302, headers={"Location": "http://whispered"}),
        lambda server, key: server.reply(Break.RESET),
    ],
)
async def test_neither_the_key_nor_what_the_server_said_is_in_an_error_or_a_log(
    caplog: pytest.LogCaptureFixture, script: Callable[[OpenAIServer, str], None], key: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore"):  # as `observe` has it
        caplog.set_level(logging.WARNING, logger=name)
    async with OpenAIServer(key=key) as server:
        for _ in range(4):
            script(server, key)
        parts = Parts(server.url)
        client = parts.client(key)
        embedder, generator = parts.embedder(client), parts.generator(client)

        _, written = await told_until_it_breaks(generator)
        with pytest.raises(EmbedderUnavailable) as embedded:
            await embedder.embed_question("Where?")
        try:
            remarks: object = await generator.check()
        except ModelError as exc:
            remarks = everything_said_by(exc)
        await client.close()

    told_us = everything_said_by(written) + everything_said_by(embedded.value) + str(remarks)
    assert key not in told_us + caplog.text + repr(client) + repr(vars(client))
    assert "whispered" not in (told_us + caplog.text).lower()


# Checking ---------------------------------------------------------------------------------------------


async def test_a_check_finds_both_models_without_using_them(server: OpenAIServer, parts: Parts) -> None:
    remarks = [*await parts.embedder().check(), *await parts.generator().check()]

    assert [(remark.text, remark.mend) for remark in remarks] == [
        ("the server has the model nomic-embed-text", ""),
        ("the server has the model qwen3:8b", ""),
    ]
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/v1/models")] * 2


async def test_a_model_that_is_not_listed_is_named_with_its_setting_and_what_there_is(parts: Parts) -> None:
    with pytest.raises(EmbedderDenied) as no_embedder:
        await parts.embedder(model="mxbai-embed-large").check()
    with pytest.raises(ModelGone) as no_model:
        await parts.generator(model="qwen3").check()

    these = "to one of these: nomic-embed-text:latest, bge-m3:latest, qwen3:8b, gpt-5.4"
    assert str(no_embedder.value) == (f"the server has no model mxbai-embed-large; set OPENAI_EMBEDDING_MODEL {these}")
    assert str(no_model.value) == f"the server has no model qwen3; set OPENAI_ANSWER_MODEL {these}"


async def test_at_most_five_names_are_told_and_only_what_looks_like_one(server: OpenAIServer, parts: Parts) -> None:
    names = ["BAAI/bge-m3", "a b", KEY, "<html>", "", None, [7], "x" * 101, "a:1", "b", "c", "d", "e"]
    server.reply({"data": [{"id": name} for name in names]})

    with pytest.raises(ModelGone) as failure:
        await parts.generator().check()

    assert str(failure.value).endswith("one of these: BAAI/bge-m3, a:1, b, c, d")


async def test_a_server_without_models_has_none(server: OpenAIServer, parts: Parts) -> None:
    server.reply({"object": "list", "data": []})

    with pytest.raises(ModelGone, match="load one there"):
        await parts.generator().check()


async def test_a_list_without_anything_around_it_is_one_too(server: OpenAIServer, parts: Parts) -> None:
    server.reply(json.dumps([{"id": "qwen3:8b"}]).encode())

    [remark] = await parts.generator().check()

    assert remark.text == "the server has the model qwen3:8b"


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"404 page not found"), (405, b""), (200, {"models": []}), (200, {"status": "ok"})]
)
async def test_a_server_that_lists_no_models_is_a_remark_with_a_warning(
    server: OpenAIServer, parts: Parts, status: int, body: Step
) -> None:
    server.reply(body, status=status)

    [remark] = await parts.embedder().check()

    assert "lists no models" in remark.text
    assert "OPENAI_BASE_URL lacks its /v1" in remark.mend


@pytest.mark.parametrize(
    ("status", "steps", "no_embedder", "no_model"),
    [
        (401, (error("Who?", None),), EmbedderDenied, ModelDenied),
        (429, (error("Slow.", None),), EmbedderLimited, ModelRateLimited),
        (503, (b"",), EmbedderUnavailable, ModelUnavailable),
        (200, (b"<html>",), EmbedderUnavailable, ModelUnavailable),
        (200, (Break.HANG,), EmbedderUnavailable, ModelUnavailable),
        (200, (Break.RESET,), EmbedderUnavailable, ModelUnavailable),
    ],
)
async def test_a_check_fails_as_a_call_would(
    server: OpenAIServer,
    parts: Parts,
    status: int,
    steps: tuple[Step, ...],
    no_embedder: type[AskbookError],
    no_model: type[AskbookError],
) -> None:
    server.reply(*steps, status=status)
    server.reply(*steps, status=status)

    with pytest.raises(EmbedderUnavailable) as failed_embedder:
        await parts.embedder(timeout=0.2).check()
    with pytest.raises(ModelError) as failed_model:
        await parts.generator(first_chunk_timeout=0.2).check()

    assert (type(failed_embedder.value), type(failed_model.value)) == (no_embedder, no_model)


# The server itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/models", None, 404),
        ("/v1/embeddings", {"model": "bge-m3", "input": []}, 400),
        ("/v1/embeddings", {"model": "bge-m3", "input": ["a"], "encoding_format": "float", "dimensions": 8}, 400),
        ("/v1/embeddings", {"model": "qwen3:8b", "input": ["a"], "encoding_format": "float"}, 404),
        ("/v1/chat/completions", {"model": "qwen3:8b", "messages": []}, 400),
        ("/v1/chat/completions", {"model": "qwen3:8b", "messages": [{"role": "user", "content": "Hi"}], "n": 1}, 400),
    ],
)
async def test_the_server_refuses_what_real_ones_refuse(
    server: OpenAIServer, path: str, body: dict[str, Any] | None, status: int
) -> None:
    async with httpx.AsyncClient(base_url=server.origin, headers={"Authorization": f"Bearer {KEY}"}) as client:
        answer = await (client.get(path) if body is None else client.post(path, json=body))

    assert answer.status_code == status
