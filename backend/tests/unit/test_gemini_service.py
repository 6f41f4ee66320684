"""`GeminiService` through the real SDK and a real socket, against the wire as the service speaks it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import subprocess
import sys
import textwrap
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date
from operator import mul
from typing import Any

import httpx2
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
    UsedUp,
)
from chatbot_api.models.domain import Message, Prompt, TitledText, Usage
from chatbot_api.ports import Embedder, Generator
from chatbot_api.services.gemini_models import remark_on
from chatbot_api.services.gemini_service import GeminiService
from tests.gemini_server import GeminiServer, blocked, embeddings, error, event, quota_failure, vector_of
from tests.loopback import Break, Step, patience

KEY = "AIza-not-a-real-key"
DIMENSIONS = 128
PROMPT = Prompt(
    system="Answer from the passages.",
    history=(Message("reader", "What is a node?"), Message("assistant", "A program. [1]")),
    user="Passages: ...\n\nHow do two nodes talk?",
)
HALF_AN_EVENT = b'data: {"candidates": [{"content"'


@dataclass
class Services:
    """Makes services that talk to the server, and closes them."""

    url: str
    made: list[GeminiService] = field(default_factory=list)

    def __call__(self, **changes: Any) -> GeminiService:
        arguments: dict[str, Any] = {
            "embedding_model": "gemini-embedding-001",
            "embedding_dimensions": DIMENSIONS,
            "answer_models": ("gemini-3.5-flash-lite",),
            "base_url": self.url,
            "api_version": "v1beta",
            "embed_timeout": 5.0,
            "answer_timeout": 90.0,
        } | changes
        service = GeminiService(arguments.pop("api_key", SecretStr(KEY)), **arguments)
        self.made.append(service)
        return service


@pytest.fixture
async def server() -> AsyncIterator[GeminiServer]:
    async with GeminiServer(key=KEY) as running:
        yield running


@pytest.fixture
async def services(server: GeminiServer) -> AsyncIterator[Services]:
    services = Services(server.url)
    yield services
    for service in services.made:
        await service.close()


async def told(service: GeminiService, prompt: Prompt = PROMPT) -> list[str]:
    async with aclosing(words(service, prompt)) as pieces:
        return [piece async for piece in pieces]


async def told_until_it_breaks(service: GeminiService) -> tuple[list[str], ModelError]:
    pieces = []
    with pytest.raises(ModelError) as failure:  # noqa: PT012 - what came before the failure matters as well
        async with soon(), aclosing(words(service)) as stream:
            async for piece in stream:
                pieces.append(piece)
    return pieces, failure.value


async def words(service: GeminiService, prompt: Prompt = PROMPT) -> AsyncGenerator[str, None]:
    """What the first model says, without what it costs."""
    async with aclosing(service.generators[0].stream(prompt)) as pieces:
        async for piece in pieces:
            if isinstance(piece, str):
                yield piece


def soon() -> asyncio.Timeout:
    """Far more than the tests need, far less than a call may take by default."""
    return asyncio.timeout(5)


async def happens(event: asyncio.Event) -> None:
    async with soon():
        await event.wait()


# Opening and closing ----------------------------------------------------------------------------------


def run(code: str) -> Any:
    """What the code prints as JSON, in an interpreter of its own, where the SDK was never imported."""
    program = textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_service_that_nobody_used_has_not_loaded_the_sdk() -> None:
    loaded = run("""
        import json, sys
        from pydantic import SecretStr
        from chatbot_api.services.gemini_service import GeminiService

        GeminiService(
            SecretStr("k"), embedding_model="gemini-embedding-001", embedding_dimensions=128, answer_models=("g",),
            base_url=None, api_version="v1beta", embed_timeout=1, answer_timeout=1,
        )
        print(json.dumps([name for name in ("google.genai", "httpx2", "numpy") if name in sys.modules]))
    """)

    assert loaded == []


def test_the_first_call_loads_the_sdk_outside_of_the_event_loops_thread() -> None:
    threads = run("""
        import asyncio, contextlib, json, sys, threading
        from pydantic import SecretStr
        from chatbot_api.errors import EmbedderUnavailable
        from chatbot_api.services.gemini_service import GeminiService

        importers = {}

        class Watch:
            def find_spec(self, name, path=None, target=None):
                importers.setdefault(name, threading.current_thread() is threading.main_thread())

        sys.meta_path.insert(0, Watch())

        async def ask():
            service = GeminiService(
                SecretStr("k"), embedding_model="gemini-embedding-001", embedding_dimensions=128, answer_models=("g",),
                base_url="http://127.0.0.1:1", api_version="v1beta", embed_timeout=60, answer_timeout=60,
            )
            with contextlib.suppress(EmbedderUnavailable):
                await service.get_embedding("Where?")
            await service.close()

        asyncio.run(ask())
        print(json.dumps({name: importers[name] for name in ("google.genai", "google.genai.types", "httpx2")}))
    """)

    assert threads == {"google.genai": False, "google.genai.types": False, "httpx2": False}


async def test_calls_that_come_first_together_share_one_client(server: GeminiServer, services: Services) -> None:
    service = services()
    await asyncio.gather(*(service.get_embedding(f"Question {number}") for number in range(5)))

    await service.close()

    await happens(server.nobody_connected)  # a second client would have kept its connections


async def test_a_first_call_that_gave_up_leaves_the_client_to_the_next(services: Services) -> None:
    service = services()
    hasty = asyncio.create_task(service.get_embedding("Where?"))
    await asyncio.sleep(0)
    hasty.cancel()
    await asyncio.wait([hasty])

    vector = await service.get_embedding("Where?")

    assert hasty.cancelled()
    assert len(vector) == DIMENSIONS


async def test_calls_one_after_the_other_share_one_connection(server: GeminiServer, services: Services) -> None:
    service = services()

    await service.get_embedding("Where?")
    await told(service)
    await told(service)

    assert (len(server.requests), server.connections) == (3, 1)


async def test_closing_twice_and_through_any_door_is_allowed(server: GeminiServer, services: Services) -> None:
    service = services()
    await service.get_embedding("Where?")

    await service.close()
    await service.close()
    await service.embedder.close()
    await service.generators[0].close()
    await services().close()

    await happens(server.nobody_connected)


async def test_a_closed_service_says_so(server: GeminiServer, services: Services) -> None:
    service = services()
    await service.close()

    with pytest.raises(EmbedderUnavailable, match="closed"):
        await service.get_embedding("Where?")
    with pytest.raises(ModelUnavailable, match="closed"):
        await service.generate_content("Hello")

    assert server.requests == []


async def test_the_sdks_own_environment_variables_decide_nothing(
    server: GeminiServer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "GOOGLE_API_KEY": "another",
        "GOOGLE_GENAI_USE_VERTEXAI": "true",
        "GOOGLE_CLOUD_PROJECT": "another",
        "GOOGLE_GENAI_API_VERSION": "v9",
        "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)

    await services(api_version="v1").get_embedding("Where?")

    assert server.requests[0].path == "/v1/models/gemini-embedding-001:batchEmbedContents"
    assert server.requests[0].headers["x-goog-api-key"] == KEY


# Embedding --------------------------------------------------------------------------------------------


async def test_the_ports_are_kept(services: Services) -> None:
    service = services()

    embedder: Embedder = service.embedder
    generator: Generator = service.generators[0]

    assert (embedder.dimensions, embedder.batch_size) == (DIMENSIONS, 100)
    assert generator.model == "gemini-3.5-flash-lite"


async def test_a_question_is_embedded_as_a_question(server: GeminiServer, services: Services) -> None:
    await services().embedder.embed_question("How do nodes talk?")

    [request] = server.requests
    assert request.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert request.body["requests"] == [
        {
            "model": "models/gemini-embedding-001",
            "content": {"role": "user", "parts": [{"text": "How do nodes talk?"}]},
            "taskType": "QUESTION_ANSWERING",
            "outputDimensionality": DIMENSIONS,
        }
    ]


async def test_passages_are_embedded_as_documents_each_under_its_title(
    server: GeminiServer, services: Services
) -> None:
    await services().embedder.embed_passages(
        [TitledText("Topics", "A bus."), TitledText("", "No title."), TitledText("Nodes", "{braces} stay")]
    )

    [request] = server.requests
    told = [
        (item["taskType"], item.get("title"), item["content"]["parts"][0]["text"]) for item in request.body["requests"]
    ]
    assert told == [
        ("RETRIEVAL_DOCUMENT", "Topics", "A bus."),
        ("RETRIEVAL_DOCUMENT", None, "No title."),
        ("RETRIEVAL_DOCUMENT", "Nodes", "{braces} stay"),
    ]


async def test_the_second_generation_is_told_in_the_text_what_a_text_is(
    server: GeminiServer, services: Services
) -> None:
    embedder = services(embedding_model="gemini-embedding-2").embedder

    await embedder.embed_question("How do nodes talk?")
    vectors = await embedder.embed_passages([TitledText("Topics", "A bus."), TitledText("", "No title.")])

    question, passages = (request.body["requests"] for request in server.requests)
    assert [item["content"]["parts"] for item in question + passages] == [
        [{"text": "task: question answering | query: How do nodes talk?"}],
        [{"text": "title: Topics | text: A bus."}],
        [{"text": "title: none | text: No title."}],
    ]
    assert all("taskType" not in item and "title" not in item for item in question + passages)
    assert all(item["outputDimensionality"] == DIMENSIONS for item in question + passages)
    assert len(vectors) == 2


async def test_the_name_of_the_space_tells_model_and_scheme(services: Services) -> None:
    first = services().embedder
    second = services(embedding_model="models/gemini-embedding-2").embedder

    assert first.model == "gemini-embedding-001/task-type"
    assert second.model == "gemini-embedding-2/text-prefix"


async def test_vectors_come_in_the_order_of_the_texts_and_of_unit_length(
    server: GeminiServer, services: Services
) -> None:
    texts = [TitledText("T", f"text {number}") for number in range(100)]

    vectors = await services().embedder.embed_passages(texts)

    raw = [vector_of(item) for item in server.requests[0].body["requests"]]
    assert len(server.requests) == 1
    assert len(vectors) == len(raw) == 100
    for vector, values in zip(vectors, raw, strict=True):
        assert math.hypot(*vector) == pytest.approx(1)
        assert sum(map(mul, vector, values)) == pytest.approx(math.hypot(*values))


async def test_no_texts_are_no_call(server: GeminiServer, services: Services) -> None:
    assert await services().embedder.embed_passages([]) == []

    assert server.requests == []


async def test_more_texts_than_a_batch_are_a_mistake_of_the_caller(server: GeminiServer, services: Services) -> None:
    with pytest.raises(ValueError, match="101 texts"):
        await services().embedder.embed_passages([TitledText("T", "text")] * 101)

    assert server.requests == []


async def test_the_plans_get_embedding_is_the_questions_vector(services: Services) -> None:
    service = services()

    vector = await service.get_embedding("Where?")

    assert isinstance(vector, list)
    assert vector == await service.embedder.embed_question("Where?")


GOOD = [0.5] * DIMENSIONS


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (embeddings(), "0 vectors for 2 texts"),
        (embeddings(GOOD), "1 vectors for 2 texts"),
        (embeddings(GOOD, GOOD, GOOD), "3 vectors for 2 texts"),
        (b"", "0 vectors for 2 texts"),
        (embeddings(GOOD, GOOD[1:]), "127 dimensions instead of 128"),
        ({"embeddings": [{}, {}]}, "0 dimensions instead of 128"),
        (embeddings(GOOD, [*GOOD[1:], math.nan]), "without a direction"),
        (embeddings(GOOD, [*GOOD[1:], math.inf]), "without a direction"),
        (embeddings(GOOD, [*GOOD[1:], None]), "unreadable answer"),
        (embeddings(GOOD, [0.0] * DIMENSIONS), "without a direction"),
        (b'{"embeddings": [{"val', "unreadable answer"),
        (b"[]", "0 vectors for 2 texts"),
        (b'{"embeddings": 7}', "unreadable answer"),
        (b"<html>hello</html>", "unreadable answer"),
    ],
)
async def test_an_answer_that_is_not_one_good_vector_a_text_is_refused(
    server: GeminiServer, services: Services, answer: Step, what: str
) -> None:
    server.reply(answer)

    with pytest.raises(EmbedderUnavailable, match=what):
        await services().embedder.embed_passages([TitledText("T", "one"), TitledText("T", "two")])


# Writing ----------------------------------------------------------------------------------------------


async def test_the_answer_comes_in_pieces_as_the_model_writes_it(server: GeminiServer, services: Services) -> None:
    rest_may_come = asyncio.Event()
    server.reply(event("Over "), rest_may_come, event("topics."), event("", finish="STOP"))

    async with aclosing(words(services())) as stream:
        first = await anext(stream)
        rest_may_come.set()
        rest = [piece async for piece in stream]

    assert (first, rest) == ("Over ", ["topics."])


async def test_the_prompt_goes_out_whole_and_in_the_models_roles(server: GeminiServer, services: Services) -> None:
    await told(services())

    [request] = server.requests
    assert (request.path, request.query) == (
        "/v1beta/models/gemini-3.5-flash-lite:streamGenerateContent",
        "alt=sse",
    )
    assert request.body["systemInstruction"]["parts"] == [{"text": "Answer from the passages."}]
    assert [(said["role"], said["parts"]) for said in request.body["contents"]] == [
        ("user", [{"text": "What is a node?"}]),
        ("model", [{"text": "A program. [1]"}]),
        ("user", [{"text": "Passages: ...\n\nHow do two nodes talk?"}]),
    ]
    assert request.body["generationConfig"] == {
        "temperature": 0.2,
        "maxOutputTokens": 4096,
        "thinkingConfig": {"thinkingLevel": "MINIMAL"},
    }


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("gemini-3.5-flash-lite", {"thinkingLevel": "MINIMAL"}),
        ("models/gemini-3.5-flash", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.8-flash", {"thinkingLevel": "LOW"}),
        ("gemini-2.5-flash", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"thinkingBudget": 128}),
        ("gemma-4", None),
    ],
)
async def test_every_family_is_asked_to_think_as_little_as_it_can(
    server: GeminiServer, services: Services, model: str, thinking: dict[str, Any] | None
) -> None:
    await told(services(answer_models=(model,)))

    assert server.requests[0].body["generationConfig"].get("thinkingConfig") == thinking


async def test_what_the_model_thinks_is_not_its_answer(server: GeminiServer, services: Services) -> None:
    server.reply(event("Hm, topics?", thought=True), event("Over topics."), event("", finish="STOP"))

    assert await told(services()) == ["Over topics."]


async def test_the_plans_generate_content_is_the_whole_answer(server: GeminiServer, services: Services) -> None:
    answer = await services().generate_content("Hello")

    assert answer == "The book says so."
    assert "systemInstruction" not in server.requests[0].body
    assert [said["parts"] for said in server.requests[0].body["contents"]] == [[{"text": "Hello"}]]


async def test_an_answer_is_whole_once_the_model_said_stop(server: GeminiServer, services: Services) -> None:
    server.reply(event("Over topics.", finish="STOP"), Break.CUT)

    assert await told(services()) == ["Over topics."]


BROKEN_AFTER = [
    pytest.param((event("", finish="MAX_TOKENS"),), AnswerTooLong, "MAX_TOKENS", id="too long"),
    pytest.param((event(None, finish="SAFETY"),), AnswerWithheld, "SAFETY", id="blocked"),
    pytest.param((event("as someone wrote", finish="RECITATION"),), AnswerWithheld, "RECITATION", id="recitation"),
    pytest.param((event("", finish="OTHER"),), AnswerCutShort, "OTHER", id="other"),
    pytest.param((event("", finish="TIRED"),), AnswerCutShort, "TIRED", id="unknown reason"),
    pytest.param((event("", finish="CONTINUATION"),), AnswerCutShort, "CONTINUATION", id="to be continued"),
    pytest.param((), AnswerCutShort, "no finish reason", id="clean end"),
    pytest.param((HALF_AN_EVENT,), AnswerCutShort, "unreadable answer", id="half an event"),
    pytest.param((b"data: nonsense\r\n\r\n",), AnswerCutShort, "unreadable answer", id="nonsense"),
    pytest.param((b'data: {"candidates": 7}\r\n\r\n',), AnswerCutShort, "unreadable answer", id="another shape"),
    pytest.param((HALF_AN_EVENT, Break.CUT), AnswerCutShort, "RemoteProtocolError", id="cut"),
    pytest.param((Break.RESET,), AnswerCutShort, "no connection", id="reset"),
    pytest.param((error(503, "UNAVAILABLE", "High."),), AnswerCutShort, "503 UNAVAILABLE", id="error event"),
    pytest.param((Break.HANG,), AnswerCutShort, "no answer in time", id="silence"),
]


@pytest.mark.filterwarnings("ignore:TIRED is not a valid FinishReason:UserWarning")  # the SDK's, about a new reason
@pytest.mark.parametrize(("steps", "kind", "what"), BROKEN_AFTER)
async def test_an_answer_that_breaks_off_was_cut_short(
    server: GeminiServer, services: Services, steps: tuple[Step, ...], kind: type[AnswerCutShort], what: str
) -> None:
    server.reply(event("Over "), event("top"), *steps)

    pieces, failure = await told_until_it_breaks(services(chunk_timeout=patience(steps)))

    assert pieces == ["Over ", "top"]
    assert type(failure) is kind
    assert what in str(failure)


async def test_what_an_answer_took_is_told_at_its_end(server: GeminiServer, services: Services) -> None:
    pieces = [piece async for piece in services(prices=(0.25, 1.5)).generators[0].stream(PROMPT)]

    assert pieces == ["The book ", "says so.", Usage("gemini-3.5-flash-lite", 100, 10, 0.00004)]


async def test_what_an_answer_that_broke_off_took_is_told_too(server: GeminiServer, services: Services) -> None:
    server.reply(event("Over "), Break.RESET)
    pieces = []

    with pytest.raises(AnswerCutShort):  # noqa: PT012 - what came before the failure matters as well
        async for piece in services().generators[0].stream(PROMPT):
            pieces.append(piece)

    assert pieces == ["Over ", Usage("gemini-3.5-flash-lite", 100, 10, None)]


async def test_a_model_that_takes_no_thinking_setting_is_asked_without_from_then_on(
    server: GeminiServer, services: Services
) -> None:
    service = services()
    server.reply(error(400, "INVALID_ARGUMENT", "Thinking level is not supported for this model."), status=400)

    first, second = await told(service), await told(service)

    assert first == second == ["The book ", "says so."]
    assert ["thinkingConfig" in request.body["generationConfig"] for request in server.requests] == [True, False, False]


async def test_a_model_that_refuses_every_thinking_setting_is_asked_twice_and_no_more(
    server: GeminiServer, services: Services
) -> None:
    for _ in range(2):
        server.reply(error(400, "INVALID_ARGUMENT", "Thinking is off today."), status=400)

    _, failure = await told_until_it_breaks(services())

    assert isinstance(failure, ModelUnavailable)
    assert len(server.requests) == 2


BROKEN_BEFORE = [
    pytest.param((blocked("PROHIBITED_CONTENT"),), ModelRefused, "PROHIBITED_CONTENT", id="prompt blocked"),
    pytest.param((event(None, finish="SAFETY"),), ModelRefused, "SAFETY", id="safety"),
    pytest.param((event("as someone wrote", finish="RECITATION"),), ModelRefused, "RECITATION", id="recitation"),
    pytest.param((event("", finish="STOP"),), ModelUnavailable, "STOP, without a word", id="nothing to say"),
    pytest.param((event("Hm", finish="MAX_TOKENS", thought=True),), ModelUnavailable, "MAX_TOKENS", id="only thoughts"),
    pytest.param((event("", finish="TIRED"),), ModelUnavailable, "TIRED", id="unknown reason"),
    pytest.param((), ModelUnavailable, "no finish reason", id="nothing at all"),
    pytest.param((HALF_AN_EVENT,), ModelUnavailable, "unreadable answer", id="half an event"),
    pytest.param((HALF_AN_EVENT, Break.CUT), ModelUnavailable, "RemoteProtocolError", id="cut"),
    pytest.param((Break.RESET,), ModelUnavailable, "no connection", id="reset"),
    pytest.param((error(429, "RESOURCE_EXHAUSTED", "Slow down."),), ModelRateLimited, "429", id="error event"),
    pytest.param((Break.HANG,), ModelUnavailable, "no answer in time", id="silence"),
    pytest.param((b"", Break.HANG), ModelUnavailable, "no answer in time", id="silence after headers"),
]


@pytest.mark.filterwarnings("ignore:TIRED is not a valid FinishReason:UserWarning")  # the SDK's, about a new reason
@pytest.mark.parametrize(("steps", "kind", "what"), BROKEN_BEFORE)
async def test_a_stream_without_a_word_fails_for_its_reason(
    server: GeminiServer, services: Services, steps: tuple[Step, ...], kind: type[ModelError], what: str
) -> None:
    server.reply(*steps)

    pieces, failure = await told_until_it_breaks(services(first_chunk_timeout=patience(steps)))

    assert pieces == []
    assert type(failure) is kind
    assert what in str(failure)
    assert len(server.requests) == 1


# Leaving and waiting ----------------------------------------------------------------------------------


async def test_a_reader_who_leaves_between_two_pieces_stops_the_model(server: GeminiServer, services: Services) -> None:
    server.reply(event("Over "), Break.HANG)

    async with soon(), aclosing(services().generators[0].stream(PROMPT)) as stream:
        await anext(stream)

    await happens(server.client_left)


async def test_a_reader_who_leaves_while_waiting_stops_the_model(server: GeminiServer, services: Services) -> None:
    asked = asyncio.Event()
    server.reply(event("Over "), asked, Break.HANG)
    stream = services().generators[0].stream(PROMPT)
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


async def test_a_reader_who_leaves_before_a_failure_leaves_nothing_behind(
    server: GeminiServer, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    events = event("Over "), event("topics."), error(503, "UNAVAILABLE", "High demand.")
    server.reply(b"".join(f"data: {json.dumps(each)}\r\n\r\n".encode() for each in events))

    async with aclosing(services().generators[0].stream(PROMPT)) as stream:
        await anext(stream)
        await asyncio.sleep(0.05)  # by now the failure waits, unread
    await asyncio.sleep(0)  # the loop lets go of the task as well
    gc.collect()

    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


async def test_an_unreadable_event_lets_go_of_the_connection(server: GeminiServer, services: Services) -> None:
    server.reply(event("Over "), b"data: nonsense\r\n\r\n", Break.HANG)

    _, failure = await told_until_it_breaks(services())

    await happens(server.client_left)
    assert type(failure) is AnswerCutShort


async def test_a_refused_answer_leaves_the_connection_for_the_next(server: GeminiServer, services: Services) -> None:
    service = services()
    server.reply(event(None, finish="SAFETY"))
    with pytest.raises(ModelRefused):
        await told(service)

    assert await told(service) == ["The book ", "says so."]

    assert server.connections == 1


async def test_a_question_waits_only_so_long_for_its_vector(server: GeminiServer, services: Services) -> None:
    server.reply(Break.HANG)

    with pytest.raises(EmbedderUnavailable, match="no answer in time"):
        await services(embed_timeout=0.2).get_embedding("Where?")

    await happens(server.client_left)


async def test_a_slow_but_steady_vector_ends_at_its_limit(server: GeminiServer, services: Services) -> None:
    server.reply(*(step for _ in range(30) for step in (b" ", 0.1)))

    with pytest.raises(EmbedderUnavailable, match="no answer in time"):
        await services(embed_timeout=0.5).get_embedding("Where?")

    await happens(server.client_left)


async def test_a_slow_but_steady_answer_ends_at_its_limit(server: GeminiServer, services: Services) -> None:
    server.reply(*(step for _ in range(30) for step in (event("on "), 0.1)))

    pieces, failure = await told_until_it_breaks(services(answer_timeout=0.5))

    assert pieces
    assert type(failure) is AnswerCutShort
    await happens(server.client_left)


async def test_a_reader_who_reads_slowly_does_not_time_the_model_out(server: GeminiServer, services: Services) -> None:
    service = services(first_chunk_timeout=0.2, chunk_timeout=0.2)

    async with aclosing(words(service)) as stream:
        first = await anext(stream)
        await asyncio.sleep(0.4)
        rest = [piece async for piece in stream]

    assert [first, *rest] == ["The book ", "says so."]


@pytest.mark.parametrize(("seconds", "told_service"), [(0.5, "10"), (10.0, "10"), (30.5, "31")])
async def test_the_service_is_never_given_less_than_its_shortest_deadline(
    server: GeminiServer, services: Services, seconds: float, told_service: str
) -> None:
    service = services(embed_timeout=seconds, answer_timeout=seconds)

    await service.get_embedding("Where?")
    await told(service)

    assert [request.headers["x-server-timeout"] for request in server.requests] == [told_service, told_service]


# Failing ----------------------------------------------------------------------------------------------

INVALID = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
PER_DAY = "EmbedContentRequestsPerDayPerProjectPerModel-FreeTier"
PER_MINUTE = "EmbedContentRequestsPerMinutePerUserPerProjectPerModel-FreeTier"
TOKENS = "EmbedContentInputTokensPerMinutePerProjectPerModel-FreeTier"
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"}
ERRORS = [
    (400, error(400, "INVALID_ARGUMENT", "API key expired.", INVALID), ModelDenied, EmbedderDenied),
    (400, error(400, "FAILED_PRECONDITION", "User location is not supported."), ModelDenied, EmbedderDenied),
    (400, error(400, "INVALID_ARGUMENT", "Unknown name."), ModelUnavailable, TextRefused),
    (401, error(401, "UNAUTHENTICATED", "Who?"), ModelDenied, EmbedderDenied),
    (403, error(403, "PERMISSION_DENIED", "Reported as leaked."), ModelDenied, EmbedderDenied),
    (404, error(404, "NOT_FOUND", "No longer available."), ModelGone, EmbedderDenied),
    (429, error(429, "RESOURCE_EXHAUSTED", "Check quota."), ModelRateLimited, EmbedderLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "Q.", quota_failure(PER_DAY, "1000")), ModelRateLimited, EmbedderLimited),
    (429, error(429, "RESOURCE_EXHAUSTED", "Q.", quota_failure(PER_DAY, "0")), ModelDenied, EmbedderDenied),
    (500, error(500, "INTERNAL", "Sorry."), ModelUnavailable, EmbedderUnavailable),
    (503, error(503, "UNAVAILABLE", "High demand."), ModelUnavailable, EmbedderUnavailable),
    (502, b"<html>Bad Gateway</html>", ModelUnavailable, EmbedderUnavailable),
    (429, b"[7]", ModelRateLimited, EmbedderLimited),
    (403, b'{"error": {"details": {"reason": []}}}', ModelDenied, EmbedderDenied),
    (302, b"", ModelUnavailable, EmbedderUnavailable),
]


@pytest.mark.parametrize(("status", "body", "writing", "embedding"), ERRORS)
async def test_what_the_service_says_becomes_one_of_ours(
    server: GeminiServer,
    services: Services,
    status: int,
    body: Step,
    writing: type[ModelError],
    embedding: type[EmbedderUnavailable],
) -> None:
    server.reply(body, status=status)
    server.reply(body, status=status)
    service = services()

    _, failure = await told_until_it_breaks(service)
    with pytest.raises(EmbedderUnavailable) as no_vector:
        await service.get_embedding("Where?")

    assert isinstance(failure, writing)
    assert failure.code == writing.code
    assert failure.__cause__ is not None
    assert type(no_vector.value) is embedding
    assert len(server.requests) == 2  # nobody tried again


@pytest.mark.parametrize(
    ("message", "details", "quota"),
    [
        (
            "Too many.\nPlease retry in 30.9059074s.",
            [quota_failure(PER_MINUTE, "100"), RETRY],
            UsedUp(retry_after=30.9059074, texts_per_minute=100, free_plan=True),
        ),
        (
            "Too many.",
            [quota_failure(TOKENS, "30000"), RETRY],
            UsedUp(retry_after=30, tokens_per_minute=30_000, free_plan=True),
        ),
        (
            "Too many.",
            [quota_failure(PER_DAY, "1000"), RETRY],
            UsedUp(retry_after=30, per_day=True, texts_per_day=1_000, free_plan=True),
        ),
        (
            "Too many.",
            [quota_failure(PER_MINUTE, "100"), quota_failure(PER_DAY, "1000")],
            UsedUp(per_day=True, texts_per_minute=100, texts_per_day=1_000, free_plan=True),
        ),
        (
            "Too many.",
            [quota_failure("EmbedContentPerMinutePerProjectPerUserPerModel-PaidTier", "3000"), RETRY],
            UsedUp(retry_after=30, texts_per_minute=3_000),
        ),
        ("Resource has been exhausted (e.g. check quota).", [], UsedUp()),
        ("Please retry in NaNs.", [{"retryDelay": "soon"}, {"retryDelay": "inf"}, {"violations": 7}], UsedUp()),
    ],
)
async def test_a_quota_that_is_used_up_is_told_with_its_limits_and_how_long_to_wait(
    server: GeminiServer, services: Services, message: str, details: list[dict[str, Any]], quota: UsedUp
) -> None:
    server.reply(error(429, "RESOURCE_EXHAUSTED", message, *details), status=429)

    with pytest.raises(EmbedderLimited) as failure:
        await services().get_embedding("Where?")

    assert failure.value.quota == quota


async def test_the_log_learns_which_quota_is_used_up(server: GeminiServer, services: Services) -> None:
    body = error(429, "RESOURCE_EXHAUSTED", "Too many.\nPlease retry in 30s.", quota_failure(PER_DAY, "1000"), RETRY)
    server.reply(body, status=429)

    with pytest.raises(EmbedderUnavailable) as failure:
        await services().get_embedding("Where?")

    assert str(failure.value) == f"gemini-embedding-001: 429 RESOURCE_EXHAUSTED [{PER_DAY}: 1000]"


async def test_nothing_the_service_said_is_repeated(server: GeminiServer, services: Services) -> None:
    server.reply(
        error(403, "Secret-Status", "secret-project", {"reason": "secret reason"}, quota_failure("secret", "secret")),
        status=403,
    )

    _, failure = await told_until_it_breaks(services())

    assert "secret" not in str(failure).lower()
    assert failure.public == ModelDenied.public


async def test_a_check_asks_for_the_model_and_spends_nothing(server: GeminiServer, services: Services) -> None:
    service = services()

    remarks = [*await service.embedder.check(), *await service.generators[0].check()]

    assert [(request.method, request.path) for request in server.requests] == [
        ("GET", "/v1beta/models/gemini-embedding-001"),
        ("GET", "/v1beta/models/gemini-3.5-flash-lite"),
    ]
    assert [remark.mend for remark in remarks] == ["", ""]


async def test_a_check_of_a_model_that_is_not_there_says_so(services: Services) -> None:
    service = services(embedding_model="gemini-embedding-9", answer_models=("gemini-1.0-pro",))

    with pytest.raises(EmbedderDenied, match="gemini-embedding-9: 404 NOT_FOUND: the model is retired, or there is"):
        await service.embedder.check()
    with pytest.raises(ModelGone):
        await service.generators[0].check()


async def test_a_clock_that_is_wrong_is_remarked(server: GeminiServer, services: Services) -> None:
    server.date = "Tue, 24 Nov 2020 12:00:00 GMT"

    remarks = await services().embedder.check()

    assert "clock is" in remarks[-1].text
    assert remarks[-1].mend


@pytest.mark.parametrize(
    ("model", "today", "text", "warns"),
    [
        ("gemini-3.5-flash-lite", date(2026, 11, 24), "answers", False),
        ("gemini-embedding-001", date(2026, 11, 24), "its end is announced for 2028-05-14", False),
        ("gemini-embedding-001", date(2028, 3, 1), "answers, but ends on 2028-05-14", True),
        ("gemini-2.5-flash", date(2026, 12, 24), "answers, but was to end on 2026-12-01", True),
    ],
)
def test_an_owner_is_warned_before_a_model_ends(model: str, today: date, text: str, warns: bool) -> None:
    remark = remark_on(model, today, setting="GEMINI_ANSWER_MODEL", instead="another")

    assert text in remark.text
    assert bool(remark.mend) is warns


async def test_what_the_model_would_not_read_is_not_sent(server: GeminiServer, services: Services) -> None:
    await services().embedder.embed_passages([TitledText("T", "word " * 100_000)])

    [text] = [part["text"] for part in server.requests[0].body["requests"][0]["content"]["parts"]]
    assert 2_048 * 4 < len(text) < 20_000


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    async with GeminiServer() as gone:
        services = Services(gone.url)
    service = services()

    with pytest.raises(EmbedderUnavailable, match="no connection"):
        await service.get_embedding("Where?")
    with pytest.raises(ModelUnavailable, match="no connection"):
        await told(service)

    await service.close()


async def test_a_key_that_the_service_does_not_know_is_denied(server: GeminiServer, services: Services) -> None:
    with pytest.raises(ModelDenied, match="400 INVALID_ARGUMENT API_KEY_INVALID: the key is unknown or has expired"):
        await told(services(api_key=SecretStr("another")))


@pytest.mark.parametrize("key", ["", "AIza\u201cquoted\u201d", "AIza\nX-Evil: 1"])
async def test_a_key_that_cannot_be_one_is_denied_without_a_call(
    server: GeminiServer, services: Services, key: str
) -> None:
    with pytest.raises(ModelDenied) as failure:
        await told(services(api_key=SecretStr(key)))

    assert str(failure.value) == "GEMINI_API_KEY holds characters that no key has"
    assert server.requests == []


def everything_said_by(failure: AskbookError) -> str:
    return str(failure) + repr(failure) + "".join(traceback.format_exception(failure))


@pytest.mark.parametrize(
    "script",
    [
        lambda server: server.reply(error(403, KEY, f"Key {KEY} was reported.", {"reason": KEY}), status=403),
        lambda server: server.reply(f"<html>x-goog-api-key: {KEY}</html>".encode(), status=502),
        lambda server: server.reply(f"x-goog-api-key: {KEY}\r\n\r\n".encode()),
        lambda server: server.reply(error(400, "INVALID_ARGUMENT", f"Bad {KEY}", quota_failure(KEY, KEY))),
        lambda server: server.reply(Break.RESET),
    ],
)
async def test_the_key_is_in_no_error_and_no_log(
    server: GeminiServer,
    services: Services,
    caplog: pytest.LogCaptureFixture,
    script: Callable[[GeminiServer], None],
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "httpcore2")  # the app keeps it silent
    script(server)
    script(server)
    service = services()

    _, written = await told_until_it_breaks(service)
    with pytest.raises(EmbedderUnavailable) as embedded:
        await service.get_embedding("Where?")

    said = everything_said_by(written) + everything_said_by(embedded.value) + caplog.text + repr(service)
    assert "httpcore2" in caplog.text  # the log was listened to
    assert KEY not in said


# The server itself ------------------------------------------------------------------------------------


async def test_the_server_speaks_the_calls_that_we_do_not_use_yet(server: GeminiServer) -> None:
    async with httpx2.AsyncClient(base_url=server.url, headers={"x-goog-api-key": KEY}) as client:
        models = (await client.get("/v1beta/models")).json()
        answer = (await client.post("/v1beta/models/gemini-3.5-flash:generateContent", json={"contents": []})).json()
        unknown = await client.post("/v1beta/models/gemini-0:generateContent", json={"contents": []})

    assert "models/gemini-embedding-001" in [model["name"] for model in models["models"]]
    assert answer["candidates"][0]["content"]["parts"] == [{"text": "The book says so."}]
    assert answer["candidates"][0]["finishReason"] == "STOP"
    assert unknown.status_code == 404


async def test_equal_texts_have_equal_vectors_and_shorter_ones_are_beginnings(server: GeminiServer) -> None:
    def item(text: str, dimensions: int) -> dict[str, Any]:
        return {"content": {"parts": [{"text": text}]}, "outputDimensionality": dimensions}

    assert vector_of(item("a", 128)) == vector_of(item("a", 256))[:128]
    assert vector_of(item("a", 128)) != vector_of(item("b", 128))
