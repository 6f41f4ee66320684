"""Any OpenAI-compatible server as our `Embedder` and `Generator`. The API's only importer of `httpx` besides
`reader_service`, which fetches keys.

It is imported at the first call, in a thread. Why not OpenAI's SDK: docs/adr/0009-openai-compatible-servers.md
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import SecretStr

from chatbot_api.errors import (
    AnswerCutShort,
    AnswerTooLong,
    AnswerWithheld,
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
    UpstreamError,
    UsedUp,
)
from chatbot_api.models.domain import Prompt, Remark, TitledText, Usage, Vector
from chatbot_api.services.unreached import in_the_way
from chatbot_api.services.vectors import unit_vectors

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_MAX_OUTPUT_TOKENS: Final = 2048
"""A long answer takes 1500."""
_AFTERWORD: Final = 2.0
"""Seconds for what follows the end of an answer: its usage and the end of the stream. Servers send them at once."""


class OpenAIEmbedder:
    quota: Final = None

    def __init__(
        self,
        client: OpenAIClient,
        model: str,
        *,
        dimensions: int,
        timeout: float,
        question_prefix: str = "",
        passage_prefix: str = "",
        batch_size: int = 64,
    ) -> None:
        self.dimensions: Final = dimensions
        self.batch_size: Final = batch_size
        self._client = client
        self._name = model
        self._timeout = timeout
        self._question_prefix = question_prefix
        self._passage_prefix = passage_prefix

    @property
    def model(self) -> str:
        """With a mark of the prefixes: other words before a text make another vector."""
        prefixes = [self._question_prefix, self._passage_prefix]
        mark = hashlib.sha256(json.dumps(prefixes).encode()).hexdigest()[:8]
        return f"openai/{self._name}/{mark}" if any(prefixes) else f"openai/{self._name}"

    async def embed_question(self, text: str) -> Vector:
        [vector] = await self._embed([self._question_prefix + text])
        return vector

    async def embed_passages(self, texts: Sequence[TitledText]) -> list[Vector]:
        if len(texts) > self.batch_size:
            raise ValueError(f"{len(texts)} texts in one call, where {self.batch_size} are allowed")
        written = [f"{text.title}\n{text.text}" if text.title else text.text for text in texts]
        return await self._embed([self._passage_prefix + text for text in written]) if texts else []

    async def check(self) -> Sequence[Remark]:
        return await self._client.look_for(self._name, _EMBEDDING, seconds=self._timeout)

    async def close(self) -> None:
        await self._client.close()

    async def _embed(self, texts: list[str]) -> list[Vector]:
        body = {"model": self._name, "input": texts, "encoding_format": "float"}
        with self._client.our_errors(_EMBEDDING, self._name):
            async with asyncio.timeout(self._timeout):
                response = await self._client.send("POST", "/embeddings", body)
            found = _in_order(_parsed(response.content))
            for numbers in found:
                if len(numbers) != self.dimensions:
                    raise EmbedderDenied(
                        f"model {self._name} makes vectors of {len(numbers)} numbers; "
                        f"set OPENAI_EMBEDDING_DIMENSIONS={len(numbers)}"
                    )
            try:
                return unit_vectors(found, texts=len(texts), dimensions=self.dimensions, model=self._name)
            except (TypeError, OverflowError):
                raise _Unreadable("a vector holds something else than numbers") from None


class OpenAIGenerator:
    def __init__(
        self,
        client: OpenAIClient,
        model: str,
        *,
        timeout: float,
        first_chunk_timeout: float,
        chunk_timeout: float,
        prices: tuple[float, float] | None = None,
    ) -> None:
        """`prices`: dollars for a million tokens read, and for a million written."""
        self.model: Final = model
        self._client = client
        self._timeout = timeout
        self._first_chunk_timeout = first_chunk_timeout
        self._chunk_timeout = chunk_timeout
        self._prices = prices
        self._unwanted: frozenset[str] = frozenset()
        """Fields that this model was found not to take."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        written, failure = _Written(), None
        patience = _Patience(self._timeout, self._first_chunk_timeout)
        try:
            with self._client.our_errors(_WRITING, self.model):
                async with (
                    aclosing(await patience.wait(self._ask(prompt))) as response,
                    aclosing(_events(response)) as events,
                ):
                    while (event := await patience.wait(anext(events, None))) is not None:
                        if text := written.take(event):
                            yield text
                        if written.reason:
                            patience.renew(min(_AFTERWORD, self._chunk_timeout))
                        elif written.text:
                            patience.renew(self._chunk_timeout)
        except ModelError as exc:
            failure = exc
        if written.tokens is not None:
            yield self._usage(*written.tokens)
        written.judge(self.model, failure)

    async def check(self) -> Sequence[Remark]:
        return await self._client.look_for(self.model, _WRITING, seconds=self._first_chunk_timeout)

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, prompt: Prompt) -> httpx.Response:
        """The answer's beginning. Asks again without a field that the model does not take, and remembers that."""
        unwanted = self._unwanted
        while True:
            body = self._body(prompt, unwanted)
            try:
                response = await self._client.send("POST", "/chat/completions", body, stream=True)
            except _Fault as fault:
                name = fault.unwanted_field
                if name is None or name in unwanted:
                    raise
                logger.info("model does not take a field, asking without it model=%s field=%s", self.model, name)
                unwanted |= {name}
            else:
                self._unwanted = unwanted
                return response

    def _body(self, prompt: Prompt, unwanted: frozenset[str]) -> dict[str, Any]:
        roles = {"reader": "user", "assistant": "assistant"}
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [
                *([{"role": "system", "content": prompt.system}] if prompt.system else []),
                *({"role": roles[said.role], "content": said.text} for said in prompt.history),
                {"role": "user", "content": prompt.user},
            ],
            "temperature": 0.2,
            "max_tokens": _MAX_OUTPUT_TOKENS,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for name in unwanted:
            value = body.pop(name)
            if instead := _INSTEAD_OF[name]:
                body[instead] = value
        return body

    def _usage(self, read: int, wrote: int) -> Usage:
        dollars = None
        if self._prices is not None:
            dollars = (read * self._prices[0] + wrote * self._prices[1]) / 1_000_000
        return Usage(self.model, read, wrote, dollars)


class OpenAIClient:
    """The connections to one server, opened by the first call that needs them. They belong to the event loop of that
    call. An embedder and generators may share them; closing any of these closes them."""

    def __init__(self, base_url: str, api_key: SecretStr | None) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key or SecretStr("")
        self._opening: asyncio.Task[httpx.AsyncClient] | None = None
        self._closed = False

    @contextmanager
    def our_errors(self, part: _Part, model: str) -> Iterator[None]:
        """Whatever fails inside becomes an error of this part."""
        try:
            yield
        except UpstreamError:
            raise
        except _Closed as exc:
            raise part.unavailable(f"{model}: the connections to the server are closed") from exc
        except _Flaw as exc:
            raise part.denied(str(exc)) from exc
        except _Fault as exc:
            raise self._verdict(exc, part, model) from exc
        except _Unreadable as exc:
            raise part.unavailable(f"{model}: unreadable answer ({exc})") from exc
        except Exception as exc:  # sorted below; what is none of these is raised again
            import httpx

            match exc:
                case TimeoutError() | httpx.TimeoutException():
                    raise part.unavailable(f"{model}: no answer in time") from exc
                case httpx.ProtocolError() | httpx.DecodingError():  # it may quote the server, so it stays here
                    raise part.unavailable(f"{model}: the answer broke off ({type(exc).__name__})") from None
                case OSError() | httpx.TransportError():
                    raise part.unavailable(f"{model}: no connection to {self._base_url}: {in_the_way(exc)}") from exc
                case _:
                    raise

    async def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, stream: bool = False
    ) -> httpx.Response:
        """The answer, to be closed by the caller where it streams. Raises `_Fault` where the server gives none."""
        connections = await self._connections()
        # As ASCII: half a character in a text is then for the server to judge.
        content = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = connections.build_request(method, self._base_url + path, content=content, headers=headers)
        response = await connections.send(request, stream=stream)
        if response.is_success:
            return response
        async with aclosing(response):
            try:
                told = _parsed(await response.aread())
            except _Unreadable:
                told = response.text
            raise _Fault(response.status_code, told, response.headers)

    async def look_for(self, model: str, part: _Part, *, seconds: float) -> Sequence[Remark]:
        """Whether the server lists the model. Raises an error of this part."""
        with self.our_errors(part, model):
            try:
                async with asyncio.timeout(seconds):
                    response = await self.send("GET", "/models")
                names = _listed(_parsed(response.content))
            except _Fault as exc:
                if exc.status not in (404, 405):
                    raise
                names = None
        if names is None:
            what = f"the server lists no models, so whether it has {model} shows with the first call"
            return [Remark(what, "where that fails, see whether OPENAI_BASE_URL lacks its /v1")]
        if {model, f"{model}:latest"}.isdisjoint(names):  # the latter is how Ollama lists a name without a tag
            told = [name for name in names if self._word(name, _MODEL_NAME)][:5]
            mend = f"set {part.setting} to one of these: {', '.join(told)}" if told else "load one there"
            raise part.gone(f"the server has no model {model}; {mend}")
        return [Remark(f"the server has the model {model}")]

    async def close(self) -> None:
        self._closed = True
        if self._opening is None:
            return
        await asyncio.wait([self._opening])
        if self._opening.exception() is None:
            await self._opening.result().aclose()

    async def _connections(self) -> httpx.AsyncClient:
        if self._opening is None and not self._closed:
            self._opening = asyncio.create_task(asyncio.to_thread(self._open))
        # A call that gives up waiting leaves the connections to the next one.
        opened = None if self._opening is None else await asyncio.shield(self._opening)
        if opened is None or self._closed:
            raise _Closed
        return opened

    def _open(self) -> httpx.AsyncClient:
        import httpx

        key = self._api_key.get_secret_value()
        if key and not re.fullmatch("[!-~]+", key):
            raise _Flaw("OPENAI_API_KEY holds characters that no key has")
        try:
            url = httpx.URL(self._base_url)
            is_plain = url.scheme in ("http", "https") and url.host and not (url.userinfo or url.query or url.fragment)
        except (httpx.InvalidURL, ValueError):
            is_plain = False
        if not is_plain:
            raise _Flaw("OPENAI_BASE_URL must be an address like http://127.0.0.1:11434/v1, without a key or a query")
        try:
            return httpx.AsyncClient(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=300),
                timeout=None,  # noqa: S113 - every call has a limit of ours around it
            )
        except (httpx.InvalidURL, ImportError, OSError, ValueError) as exc:
            what = "the proxy or the certificates that the environment names cannot be used"
            raise _Flaw(f"{what} ({type(exc).__name__})") from exc

    def _verdict(self, fault: _Fault, part: _Part, model: str) -> UpstreamError:
        codes = list(dict.fromkeys(word for code in fault.codes if (word := self._word(code, _CODE))))
        what = f"{model}: {' '.join([str(fault.status or 'an error'), *codes])}"
        match fault.status:
            case _ if "insufficient_quota" in codes:
                return part.denied(f"{what}: the account has no credit left")
            case 401 | 402 | 403:
                return part.denied(f"{what}: the server does not accept the key; check OPENAI_API_KEY")
            case _ if "model_not_found" in codes:
                return part.gone(f"{what}: the server has no such model; check {part.setting}")
            case 404:
                return part.gone(f"{what}: no such model, or no such address; check {part.setting} and OPENAI_BASE_URL")
            case 429:
                return part.limited(what, UsedUp(retry_after=_retry_after(fault.headers)))
            case 400 | 413 | 422 | 500 if fault.is_about_length:
                return part.refused(f"{what}: {part.too_long}")
            case 400 | 413 | 422:
                return part.refused(f"{what}: the server found fault with the request")
            case _:
                return part.unavailable(what)

    def _word(self, value: object, pattern: re.Pattern[str]) -> str:
        """A word of the server's that may be told; empty where it looks like none, or holds the key."""
        key = self._api_key.get_secret_value()
        may_be_told = isinstance(value, str) and pattern.fullmatch(value) and not (key and key in value)
        return str(value) if may_be_told else ""


# Embedding --------------------------------------------------------------------------------------------


def _in_order(answer: object) -> list[list[float]]:
    """The vectors by their texts. Raises `_Unreadable`."""
    items = _dicts(answer, "data")
    numbered = {str(item.get("index", place)): item.get("embedding") for place, item in enumerate(items)}
    found = [numbered.get(str(place)) for place in range(len(items))]
    vectors = [numbers for numbers in found if isinstance(numbers, list) and numbers]
    if len(vectors) != len(items):
        raise _Unreadable("not one vector a text")
    return vectors


# Writing ----------------------------------------------------------------------------------------------

_INSTEAD_OF: Final = {"max_tokens": "max_completion_tokens", "stream_options": None, "temperature": None}
"""Fields that some models do not take, and what they take instead."""


class _Patience:
    """How long the server may still take. Only the time in which it is waited for counts: readers may read slowly."""

    def __init__(self, whole: float, first: float) -> None:
        self._whole = whole
        self._next = first

    def renew(self, seconds: float) -> None:
        """For what comes next; the whole stays what it is."""
        self._next = seconds

    async def wait(self, coming: Awaitable[_T]) -> _T:
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(self._whole, self._next)):
                return await coming
        finally:
            waited = time.monotonic() - began
            self._whole -= waited
            self._next -= waited


async def _events(response: httpx.Response) -> AsyncGenerator[object, None]:
    """What stands in the `data:` lines, each by itself. Raises `_Unreadable`, and `_Fault` where an error is told."""
    rest = b""
    async for piece in response.aiter_bytes():
        # Bytes, so that no character is cut; and only at this line end, since JSON may hold those of Unicode.
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if data in (b"", b"[DONE]"):
                continue
            event = _parsed(data)
            if isinstance(event, dict) and event.get("error"):
                raise _Fault(0, event, {})
            yield event


@dataclass(slots=True)
class _Written:
    """What is known of an answer while it comes."""

    text: bool = False
    reason: str = ""
    """Why it ended; empty while nothing was said about that."""
    tokens: tuple[int, int] | None = None
    """Read and written, as last told."""
    _speech: _Speech = field(default_factory=lambda: _Speech())

    def take(self, event: object) -> str:
        """The text to show of an event."""
        usage = event.get("usage") if isinstance(event, dict) else None
        if isinstance(usage, dict):
            read, wrote = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
            if isinstance(read, int) and isinstance(wrote, int):
                self.tokens = (read, wrote)
        text = ""
        for choice in _dicts(event, "choices")[:1]:
            delta = choice.get("delta")
            content = delta.get("content") if isinstance(delta, dict) else None
            if isinstance(content, str):  # half a character, which JSON can hold, could not be sent on
                text = self._speech.hear(content.encode(errors="replace").decode())
            if reason := choice.get("finish_reason"):
                self.reason = str(reason)
                text += self._speech.end()
        self.text = self.text or bool(text)
        return text

    def judge(self, model: str, failure: ModelError | None) -> None:
        """Raises unless the model said that it was done."""
        what = f"{model}: ended with {_REASONS.get(self.reason, 'another finish reason')}"
        match self.reason:
            case "stop" if self.text:
                return
            case "length" if self.text:
                raise AnswerTooLong(what)
            case "content_filter":
                raise AnswerWithheld(what) if self.text else ModelRefused(what)
            case "" if failure is not None and self.text:
                raise AnswerCutShort(str(failure)) from failure
            case "" if failure is not None:
                raise failure
            case _:
                raise AnswerCutShort(what) if self.text else ModelUnavailable(f"{what}, without a word")


_REASONS: Final = {reason: reason for reason in ("stop", "length", "content_filter", "tool_calls")} | {
    "": "no finish reason"
}


class _Speech:
    """Leaves out the thoughts in `<think>` that some servers send before the answer, however they are cut."""

    def __init__(self) -> None:
        self._held = ""
        self._has_begun = False

    def hear(self, text: str) -> str:
        """As much of the answer as is certain by now."""
        if self._has_begun:
            return text
        self._held = _THOUGHTS.sub("", self._held + text)
        if self._held.startswith(_OPENING):  # of a thought that goes on, only half an end matters
            self._held = _OPENING + self._held[len(_OPENING) :][-len(_CLOSING) :]
            return ""
        if _OPENING.startswith(self._held):  # it may become a thought
            return ""
        return self.end()

    def end(self) -> str:
        """What was held back and is no thought."""
        held, self._held, self._has_begun = self._held, "", True
        return "" if held.startswith(_OPENING) else held


_OPENING: Final = "<think>"
_CLOSING: Final = "</think>"
_THOUGHTS: Final = re.compile(rf"\A\s*(?:{_OPENING}.*?{_CLOSING}\s*)*", re.DOTALL)


# Reading and failing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """What a call is for, and so how its failures are called."""

    setting: str
    too_long: str
    denied: type[UpstreamError]
    gone: type[UpstreamError]
    limited: type[EmbedderLimited | ModelRateLimited]
    refused: type[UpstreamError]
    unavailable: type[UpstreamError]


_EMBEDDING: Final = _Part(
    setting="OPENAI_EMBEDDING_MODEL",
    too_long="a text is longer than the model reads",
    denied=EmbedderDenied,
    gone=EmbedderDenied,
    limited=EmbedderLimited,
    refused=TextRefused,
    unavailable=EmbedderUnavailable,
)
_WRITING: Final = _Part(
    setting="OPENAI_ANSWER_MODEL",
    too_long="the prompt is longer than the model reads; give it a longer context, or lower CONTEXT_PASSAGES",
    denied=ModelDenied,
    gone=ModelGone,
    limited=ModelRateLimited,
    refused=ModelUnavailable,
    unavailable=ModelUnavailable,
)


class _Closed(Exception):
    """The connections, by us."""


class _Flaw(Exception):
    """A setting with which nobody can be asked, in our words."""


class _Unreadable(Exception):
    """What came is not what this protocol knows; in our words."""


class _Fault(Exception):
    """An error that the server told. Its words are looked into and never passed on, so they are not in the text."""

    def __init__(self, status: int, told: object, headers: Mapping[str, str]) -> None:
        super().__init__()
        error = told.get("error") if isinstance(told, dict) else None
        details = error if isinstance(error, dict) else told if isinstance(told, dict) else {}
        self.status = status or _status_in(details)
        self.codes = (details.get("type"), details.get("code"))
        self.headers = headers
        self._place = json.dumps(details.get("param") or told)
        self._said = json.dumps(told)

    @property
    def is_about_length(self) -> bool:
        what = r"context[ _](?:length|window|size)|too large to process"
        return re.search(what, self._said, re.IGNORECASE) is not None

    @property
    def unwanted_field(self) -> str | None:
        """The field of a chat request that the server does not take."""
        if self.status not in (400, 422) or self.is_about_length:
            return None
        return next((name for name in _INSTEAD_OF if name in self._place), None)


def _status_in(details: Mapping[str, Any]) -> int:
    """Of an error within a stream, which has no status of its own; 0 where it tells none."""
    if "rate_limit_exceeded" in (details.get("type"), details.get("code")):
        return 429
    code = details.get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else 0


_CODE: Final = re.compile(r"[a-z_]{1,40}")
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}")


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise _Unreadable("no JSON") from None


def _dicts(answer: object, name: str) -> list[dict[str, Any]]:
    """The objects in the list of this name; none where there is no such list."""
    found = answer.get(name) if isinstance(answer, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _listed(answer: object) -> list[str] | None:
    """The names of the models; None where there is no list. Some servers send it without anything around it."""
    listed = {"data": answer} if isinstance(answer, list) else answer
    if not isinstance(listed, dict) or "data" not in listed:
        return None
    return [name for model in _dicts(listed, "data") if isinstance(name := model.get("id"), str)]


def _retry_after(headers: Mapping[str, str]) -> float:
    """In seconds; 0 where it says nothing that we understand."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text := headers.get(name, "").strip()):
            return float(text) * unit
    with suppress(ValueError, OverflowError):
        when = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
    return 0.0
