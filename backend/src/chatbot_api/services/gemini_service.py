"""Google Gemini as our `Embedder` and `Generator`. The only module that imports `google.genai` and `httpx2`.

Both are imported at the first call, in a thread: the SDK takes half a second to load. Why the SDK, and what has to be
done around it: docs/adr/0006-gemini-through-its-sdk.md
"""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from chatbot_api.errors import (
    AnswerCutShort,
    EmbedderDenied,
    EmbedderUnavailable,
    ModelDenied,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelUnavailable,
)
from chatbot_api.models.domain import Prompt, Quota, TitledText, Vector

if TYPE_CHECKING:
    import httpx2
    from google import genai
    from google.genai import errors, types
    from google.genai.models import AsyncModels

_PUBLIC_ADDRESS: Final = "https://generativelanguage.googleapis.com/"
_SHORTEST_DEADLINE: Final = 10
"""Seconds. The service refuses a request that asks for less."""
_MAX_OUTPUT_TOKENS: Final = 4096
"""A long answer takes 1500; what a model thinks is counted too, and a cap reached while thinking leaves no answer."""


class GeminiService:
    """Both models over one client. Closing any of the three closes that client."""

    def __init__(
        self,
        api_key: SecretStr,
        *,
        embedding_model: str,
        embedding_dimensions: int,
        answer_model: str,
        base_url: str | None,
        api_version: str,
        embed_timeout: float,
        answer_timeout: float,
        first_chunk_timeout: float = 20.0,
        chunk_timeout: float = 20.0,
        quota: Quota | None = None,
    ) -> None:
        self._client = GeminiClient(api_key, base_url=base_url, api_version=api_version)
        self.embedder = GeminiEmbedder(
            self._client, embedding_model, dimensions=embedding_dimensions, timeout=embed_timeout, quota=quota
        )
        self.generator = GeminiGenerator(
            self._client,
            answer_model,
            timeout=answer_timeout,
            first_chunk_timeout=first_chunk_timeout,
            chunk_timeout=chunk_timeout,
        )

    async def get_embedding(self, text: str) -> list[float]:
        """The vector of a question. Raises `EmbedderUnavailable`."""
        return list(await self.embedder.embed_question(text))

    async def generate_content(self, prompt: str) -> str:
        """The whole answer. Raises a `ModelError`."""
        async with aclosing(self.generator.stream(Prompt(system="", history=(), user=prompt))) as pieces:
            return "".join([piece async for piece in pieces])

    async def close(self) -> None:
        await self._client.close()


class GeminiEmbedder:
    batch_size: Final = 100

    def __init__(
        self, client: GeminiClient, model: str, *, dimensions: int, timeout: float, quota: Quota | None = None
    ) -> None:
        self.dimensions: Final = dimensions
        self.quota: Final = quota
        self._client = client
        self._name = model.removeprefix("models/")
        self._scheme = _scheme(self._name)
        self._timeout = timeout

    @property
    def model(self) -> str:
        return f"{self._name}/{self._scheme.name}"

    async def embed_question(self, text: str) -> Vector:
        [vector] = await self._embed([self._scheme.question(text)])
        return vector

    async def embed_passages(self, texts: Sequence[TitledText]) -> list[Vector]:
        if len(texts) > self.batch_size:
            raise ValueError(f"{len(texts)} texts in one call, where {self.batch_size} are allowed")
        return await self._embed([self._scheme.passage(text) for text in texts]) if texts else []

    async def close(self) -> None:
        await self._client.close()

    async def _embed(self, requests: list[dict[str, Any]]) -> list[Vector]:
        for request in requests:
            request.update(model=f"models/{self._name}", outputDimensionality=self.dimensions)
        try:
            async with self._client.models(self._name, seconds=self._timeout) as models:
                answer = await models.embed_content(
                    model=self._name,
                    # One Content a text: plain strings would become one vector for all of them.
                    contents=[request["content"] for request in requests],
                    # The SDK has one title a call, the service one a text; so the requests are written out here.
                    config={"http_options": {**_http_options(self._timeout), "extra_body": {"requests": requests}}},
                )
        except ModelDenied as exc:
            raise EmbedderDenied(str(exc)) from exc
        except ModelError as exc:
            raise EmbedderUnavailable(str(exc)) from exc
        found = [embedding.values or [] for embedding in answer.embeddings or []]
        if len(found) != len(requests):
            raise EmbedderUnavailable(f"{self._name}: {len(found)} vectors for {len(requests)} texts")
        return [self._unit(values) for values in found]

    def _unit(self, values: list[float]) -> Vector:
        if len(values) != self.dimensions:
            raise EmbedderUnavailable(f"{self._name}: {len(values)} dimensions instead of {self.dimensions}")
        length = math.hypot(*values)
        if not 0 < length < math.inf:  # NaN is neither
            raise EmbedderUnavailable(f"{self._name}: a vector without a direction")
        return [value / length for value in values]


class GeminiGenerator:
    def __init__(
        self, client: GeminiClient, model: str, *, timeout: float, first_chunk_timeout: float, chunk_timeout: float
    ) -> None:
        self.model: Final = model.removeprefix("models/")
        self._client = client
        self._timeout = timeout
        self._first_chunk_timeout = first_chunk_timeout
        self._chunk_timeout = chunk_timeout

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        # Closing the SDK's stream leaves the connection open and the model writing, on our bill. Only cancelling the
        # task that waits for the next chunk closes it.
        writing = asyncio.create_task(self._write(prompt, pieces.put_nowait))
        writing.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            await writing
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def close(self) -> None:
        await self._client.close()

    async def _write(self, prompt: Prompt, put: Callable[[str], None]) -> None:
        ending, wrote = _Ending(), False
        try:
            async with (
                self._client.models(self.model, seconds=self._timeout) as models,
                asyncio.timeout(self._first_chunk_timeout) as patience,
            ):
                chunks = await models.generate_content_stream(
                    model=self.model, contents=_contents(prompt), config=self._config(prompt)
                )
                async for chunk in chunks:
                    patience.reschedule(asyncio.get_running_loop().time() + self._chunk_timeout)
                    ending = _ending(chunk) or ending
                    if not ending.refused and (text := _text(chunk)):
                        put(text)
                        wrote = True
        except ModelError as exc:
            if not wrote:
                raise
            if not ending.done:
                raise AnswerCutShort(str(exc)) from exc
        if wrote and not ending.done:
            raise AnswerCutShort(f"{self.model}: ended with {ending.reason}")
        if not wrote:
            raise (ModelRefused if ending.refused else ModelUnavailable)(
                f"{self.model}: ended with {ending.reason}, without a word"
            )

    def _config(self, prompt: Prompt) -> types.GenerateContentConfig:
        from google.genai import types

        return types.GenerateContentConfig(
            system_instruction=prompt.system or None,
            temperature=0.2,
            max_output_tokens=_MAX_OUTPUT_TOKENS,
            thinking_config=_thinking(self.model),
            # Neither asks the model again behind our back.
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            automatic_continuation=False,
            http_options=types.HttpOptions(**_http_options(self._timeout)),
        )


class GeminiClient:
    """The SDK's client, opened by the first call that needs it. It belongs to the event loop of that call."""

    def __init__(self, api_key: SecretStr, *, base_url: str | None, api_version: str) -> None:
        self._api_key = api_key
        self._base_url = base_url or _PUBLIC_ADDRESS
        self._api_version = api_version
        self._opening: asyncio.Task[tuple[genai.Client, httpx2.AsyncClient]] | None = None
        self._closed = False

    @asynccontextmanager
    async def models(self, model: str, *, seconds: float) -> AsyncGenerator[AsyncModels, None]:
        """The SDK's calls, for so many seconds in all. Whatever fails inside becomes a `ModelError`."""
        try:
            async with asyncio.timeout(seconds):
                yield await self._models()
        except ModelError:
            raise
        except Exception as exc:  # the SDK lets through what its parts raise, AttributeError on an odd body included
            kind, what = _diagnosis(exc)
            key = self._api_key.get_secret_value()
            ours = kind(f"{model}: {what}".replace(key, "[key]"))
            if key in "".join(traceback.format_exception(exc)):  # a proxy may echo our headers
                raise ours from None
            raise ours from exc

    async def close(self) -> None:
        self._closed = True
        if self._opening is None:
            return
        await asyncio.wait([self._opening])
        if self._opening.exception() is None:
            _, connections = self._opening.result()
            await connections.aclose()

    async def _models(self) -> AsyncModels:
        if self._closed:
            raise ModelUnavailable("the Gemini client is closed")
        if self._opening is None:
            self._opening = asyncio.create_task(asyncio.to_thread(self._open))
        # A call that gives up waiting leaves the client to the next one.
        client, _ = await asyncio.shield(self._opening)
        return client.aio.models

    def _open(self) -> tuple[genai.Client, httpx2.AsyncClient]:
        key = self._api_key.get_secret_value()
        if not (key.isascii() and key.isprintable() and key):
            raise ModelDenied("the Gemini API key holds characters that no key has")
        import httpx2
        from google import genai
        from google.genai import types

        # Ours, so that the SDK uses httpx2 whatever else is installed, and so that a quiet minute costs no handshake.
        connections = httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=300)
        )
        client = genai.Client(
            # All said here, so that the SDK's own environment variables decide nothing.
            enterprise=False,
            api_key=key,
            http_options=types.HttpOptions(
                base_url=self._base_url, api_version=self._api_version, httpx_async_client=connections
            ),
        )
        return client, connections


def _http_options(seconds: float) -> types.HttpOptionsDict:
    # The SDK tells the service its timeout, unless this header is there already.
    return {
        "timeout": math.ceil(seconds * 1000),
        "headers": {"X-Server-Timeout": str(max(_SHORTEST_DEADLINE, math.ceil(seconds)))},
    }


# Embedding --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How a family of models is told what a text is for. Another scheme is another vector space."""

    name: str
    question: Callable[[str], dict[str, Any]]
    passage: Callable[[TitledText], dict[str, Any]]


def _scheme(model: str) -> _Scheme:
    if model.startswith(("gemini-embedding-001", "gemini-embedding-exp")):
        return _Scheme("task-type", _typed_question, _typed_passage)
    return _Scheme("text-prefix", _prefixed_question, _prefixed_passage)


def _typed_question(text: str) -> dict[str, Any]:
    return {"content": _content(text), "taskType": "QUESTION_ANSWERING"}


def _typed_passage(text: TitledText) -> dict[str, Any]:
    title = {"title": text.title} if text.title else {}
    return {"content": _content(text.text), "taskType": "RETRIEVAL_DOCUMENT", **title}


def _prefixed_question(text: str) -> dict[str, Any]:
    return {"content": _content(f"task: question answering | query: {text}")}


def _prefixed_passage(text: TitledText) -> dict[str, Any]:
    return {"content": _content(f"title: {text.title or 'none'} | text: {text.text}")}


# Writing ----------------------------------------------------------------------------------------------


def _contents(prompt: Prompt) -> list[types.ContentDict]:
    history = [_content(said.text, "user" if said.role == "reader" else "model") for said in prompt.history]
    return [*history, _content(prompt.user)]


def _content(text: str, role: str = "user") -> types.ContentDict:
    return {"role": role, "parts": [{"text": text}]}


_THINKING: Final[tuple[tuple[str, int | str], ...]] = (
    ("gemini-2.5-pro", 128),
    ("gemini-2.5-", 0),
    ("gemini-3.1-flash-lite", "MINIMAL"),
    ("gemini-3.5-flash", "MINIMAL"),
    ("gemini-3.6-flash", "MINIMAL"),
    ("gemini-3", "LOW"),
)
"""The least that a family can be asked to think: a budget of tokens or a level. The first match counts; a model of no
family here is left to its default, because a setting that it does not know fails the request."""


def _thinking(model: str) -> types.ThinkingConfig | None:
    from google.genai import types

    for family, least in _THINKING:
        if model.startswith(family):
            if isinstance(least, int):
                return types.ThinkingConfig(thinking_budget=least)
            return types.ThinkingConfig(thinking_level=types.ThinkingLevel(least))
    return None


_REFUSALS: Final = frozenset({"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"})


@dataclass(frozen=True, slots=True)
class _Ending:
    reason: str = "no finish reason"
    refused: bool = False

    @property
    def done(self) -> bool:
        return self.reason == "STOP"


def _ending(chunk: types.GenerateContentResponse) -> _Ending | None:
    feedback = chunk.prompt_feedback
    if feedback and feedback.block_reason:
        return _Ending(f"the prompt blocked: {feedback.block_reason.value}", refused=True)
    for candidate in chunk.candidates or ():
        if candidate.finish_reason:
            return _Ending(candidate.finish_reason.value, refused=candidate.finish_reason.value in _REFUSALS)
    return None


def _text(chunk: types.GenerateContentResponse) -> str:
    contents = [candidate.content for candidate in chunk.candidates or () if candidate.content]
    parts = [part for content in contents for part in content.parts or () if not part.thought]
    return "".join(part.text or "" for part in parts)


# Failing ----------------------------------------------------------------------------------------------


def _diagnosis(exc: Exception) -> tuple[type[ModelError], str]:
    """What it is to us, and a line for the log that quotes no more of the service than its own message."""
    import httpx2
    from google.genai import errors

    match exc:
        case errors.APIError():
            return _verdict(exc)
        case TimeoutError() | httpx2.TimeoutException():
            return ModelUnavailable, "no answer in time"
        case OSError() | httpx2.HTTPError():
            return ModelUnavailable, f"no connection ({type(exc).__name__}: {exc})"
        case _:
            return ModelUnavailable, f"unreadable answer ({type(exc).__name__})"


def _verdict(error: errors.APIError) -> tuple[type[ModelError], str]:
    body = error.details if isinstance(error.details, dict) else {}
    details = _dicts(body["error"].get("details")) if isinstance(body.get("error"), dict) else []
    quotas = [violation for detail in details for violation in _dicts(detail.get("violations"))]
    limits = "".join(f" [{quota.get('quotaId')}: {quota.get('quotaValue')}]" for quota in quotas)
    what = f"{error.code} {error.status}{limits} {' '.join(str(error.message).split())[:300]}"

    bad_key = any(detail.get("reason") == "API_KEY_INVALID" for detail in details)
    match error.code:
        case 429 if any(quota.get("quotaValue") == "0" for quota in quotas):  # not in this plan, however long we wait
            return ModelDenied, what
        case 429:
            return ModelRateLimited, what
        case 401 | 403:
            return ModelDenied, what
        case 400 if bad_key or error.status == "FAILED_PRECONDITION":  # the latter: not from this region
            return ModelDenied, what
        case _:
            return ModelUnavailable, what


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
