"""Google Gemini as our `Embedder` and `Generator`. The only module that imports `google.genai` and `httpx2`.

Both are imported at the first call, in a thread: the SDK takes half a second to load. Why the SDK, and what has to be
done around it: docs/adr/0006-gemini-through-its-sdk.md
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import traceback
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

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
    UsedUp,
)
from chatbot_api.models.domain import Prompt, Quota, Remark, TitledText, Usage, Vector
from chatbot_api.services.gemini_models import content, least_thinking, remark_on, scheme_of
from chatbot_api.services.unreached import in_the_way
from chatbot_api.services.vectors import unit_vectors

if TYPE_CHECKING:
    import httpx2
    from google import genai
    from google.genai import errors, types
    from google.genai.models import AsyncModels

logger = logging.getLogger(__name__)

_PUBLIC_ADDRESS: Final = "https://generativelanguage.googleapis.com/"
_SHORTEST_DEADLINE: Final = 10
"""Seconds. The service refuses a request that asks for less."""
_MAX_OUTPUT_TOKENS: Final = 4096
"""A long answer takes 1500; what a model thinks is counted too, and a cap reached while thinking leaves no answer."""
_WRONG_CLOCK: Final = 120
"""Seconds that this machine's clock may differ from the service's before its owner is told."""


class GeminiService:
    """All models over one client. Closing any of them closes that client."""

    def __init__(
        self,
        api_key: SecretStr,
        *,
        embedding_model: str,
        embedding_dimensions: int,
        answer_models: Sequence[str],
        base_url: str | None,
        api_version: str,
        embed_timeout: float,
        answer_timeout: float,
        first_chunk_timeout: float = 15.0,
        chunk_timeout: float = 20.0,
        quota: Quota | None = None,
        prices: tuple[float, float] | None = None,
    ) -> None:
        """`prices`: dollars for a million tokens of input and of output."""
        self._client = GeminiClient(api_key, base_url=base_url, api_version=api_version)
        self.embedder = GeminiEmbedder(
            self._client, embedding_model, dimensions=embedding_dimensions, timeout=embed_timeout, quota=quota
        )
        self.generators = [
            GeminiGenerator(
                self._client,
                model,
                timeout=answer_timeout,
                first_chunk_timeout=first_chunk_timeout,
                chunk_timeout=chunk_timeout,
                prices=prices,
            )
            for model in answer_models
        ]

    async def get_embedding(self, text: str) -> list[float]:
        """The vector of a question. Raises `EmbedderUnavailable`."""
        return list(await self.embedder.embed_question(text))

    async def generate_content(self, prompt: str) -> str:
        """The whole answer of the first model. Raises a `ModelError`."""
        async with aclosing(self.generators[0].stream(Prompt(system="", history=(), user=prompt))) as pieces:
            return "".join([piece async for piece in pieces if isinstance(piece, str)])

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
        self._scheme = scheme_of(self._name)
        self._timeout = timeout

    @property
    def model(self) -> str:
        return f"{self._name}/{self._scheme.name}"

    async def embed_question(self, text: str) -> Vector:
        [vector] = await self._embed([self._scheme.question(self._scheme.cut(text))])
        return vector

    async def embed_passages(self, texts: Sequence[TitledText]) -> list[Vector]:
        if len(texts) > self.batch_size:
            raise ValueError(f"{len(texts)} texts in one call, where {self.batch_size} are allowed")
        cut = (TitledText(text.title, self._scheme.cut(text.text)) for text in texts)
        return await self._embed([self._scheme.passage(text) for text in cut]) if texts else []

    async def check(self) -> Sequence[Remark]:
        with _as_embedders():
            today = await self._client.look(self._name, seconds=self._timeout)
        ours = remark_on(self._name, today, setting="GEMINI_EMBEDDING_MODEL", instead="gemini-embedding-2")
        return [ours, *self._client.remarks()]

    async def close(self) -> None:
        await self._client.close()

    async def _embed(self, requests: list[dict[str, Any]]) -> list[Vector]:
        for request in requests:
            request.update(model=f"models/{self._name}", outputDimensionality=self.dimensions)
        with _as_embedders():
            async with self._client.models(self._name, seconds=self._timeout) as models:
                answer = await models.embed_content(
                    model=self._name,
                    # One Content a text: plain strings would become one vector for all of them.
                    contents=[request["content"] for request in requests],
                    # The SDK has one title a call, the service one a text; so the requests are written out here.
                    config={"http_options": {**_http_options(self._timeout), "extra_body": {"requests": requests}}},
                )
        found = [embedding.values or [] for embedding in answer.embeddings or []]
        return unit_vectors(found, texts=len(requests), dimensions=self.dimensions, model=self._name)


@contextmanager
def _as_embedders() -> Iterator[None]:
    try:
        yield
    except ModelRateLimited as exc:
        raise EmbedderLimited(str(exc), exc.quota) from exc
    except (ModelDenied, ModelGone) as exc:
        raise EmbedderDenied(str(exc)) from exc
    except _BadRequest as exc:
        raise TextRefused(str(exc)) from exc
    except ModelError as exc:
        raise EmbedderUnavailable(str(exc)) from exc


class GeminiGenerator:
    def __init__(
        self,
        client: GeminiClient,
        model: str,
        *,
        timeout: float,
        first_chunk_timeout: float,
        chunk_timeout: float,
        prices: tuple[float, float] | None = None,
    ) -> None:
        self.model: Final = model.removeprefix("models/")
        self._client = client
        self._timeout = timeout
        self._first_chunk_timeout = first_chunk_timeout
        self._chunk_timeout = chunk_timeout
        self._prices = prices
        self._thinking = least_thinking(self.model)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        pieces: asyncio.Queue[str | Usage | None] = asyncio.Queue()
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

    async def check(self) -> Sequence[Remark]:
        today = await self._client.look(self.model, seconds=self._first_chunk_timeout)
        return [remark_on(self.model, today, setting="GEMINI_ANSWER_MODEL", instead="gemini-3.5-flash-lite")]

    async def close(self) -> None:
        await self._client.close()

    async def _write(self, prompt: Prompt, put: Callable[[str | Usage], None]) -> None:
        written = _Written()
        try:
            try:
                await self._write_once(prompt, written, put)
            except _BadRequest as exc:
                if self._thinking is None or not exc.about_thinking:
                    raise
                logger.warning("model takes no thinking setting, asking without model=%s", self.model)
                self._thinking = None
                await self._write_once(prompt, written, put)
        except ModelError as exc:
            if not written.text:
                raise
            if written.reason != "STOP":
                raise AnswerCutShort(str(exc)) from exc
        except asyncio.CancelledError:
            logger.info("answer stopped model=%s tokens=%s", self.model, written.tokens)
            raise
        finally:
            if written.tokens is not None:
                put(self._usage(written.tokens))
        written.judge(self.model)

    async def _write_once(self, prompt: Prompt, written: _Written, put: Callable[[str], None]) -> None:
        async with (
            self._client.models(self.model, seconds=self._timeout) as models,
            asyncio.timeout(self._first_chunk_timeout) as patience,
        ):
            chunks = await models.generate_content_stream(
                model=self.model, contents=_contents(prompt), config=self._config(prompt)
            )
            async for chunk in chunks:
                patience.reschedule(asyncio.get_running_loop().time() + self._chunk_timeout)
                if text := written.take(chunk):
                    put(text)

    def _config(self, prompt: Prompt) -> types.GenerateContentConfig:
        from google.genai import types

        return types.GenerateContentConfig(
            system_instruction=prompt.system or None,
            temperature=0.2,
            max_output_tokens=_MAX_OUTPUT_TOKENS,
            thinking_config=_thinking_config(self._thinking),
            # Neither asks the model again behind our back.
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            automatic_continuation=False,
            http_options=types.HttpOptions(**_http_options(self._timeout)),
        )

    def _usage(self, tokens: tuple[int, int]) -> Usage:
        read, wrote = tokens
        dollars = None
        if self._prices is not None:
            dollars = (read * self._prices[0] + wrote * self._prices[1]) / 1_000_000
        return Usage(self.model, read, wrote, dollars)


class GeminiClient:
    """The SDK's client, opened by the first call that needs it. It belongs to the event loop of that call."""

    def __init__(self, api_key: SecretStr, *, base_url: str | None, api_version: str) -> None:
        self._api_key = api_key
        self._base_url = base_url or _PUBLIC_ADDRESS
        self._api_version = api_version
        self._opening: asyncio.Task[tuple[genai.Client, httpx2.AsyncClient]] | None = None
        self._closed = False
        self._ahead = 0.0
        """Seconds that this machine's clock is ahead of the service's, when last heard."""

    @asynccontextmanager
    async def models(self, model: str, *, seconds: float) -> AsyncGenerator[AsyncModels, None]:
        """The SDK's calls, for so many seconds in all. Whatever fails inside becomes a `ModelError`."""
        try:
            async with asyncio.timeout(seconds):
                yield await self._models()
        except ModelError:
            raise
        except Exception as exc:  # the SDK lets through what its parts raise, AttributeError on an odd body included
            ours = _ours(model, exc)
            if self._api_key.get_secret_value() in "".join(traceback.format_exception(exc)):  # a proxy may echo it
                raise ours from None
            raise ours from exc

    async def look(self, model: str, *, seconds: float) -> date:
        """Asks whether the key may use the model, which spends nothing. Returns the day. Raises a `ModelError`."""
        async with self.models(model, seconds=seconds) as models:
            await models.get(model=model, config={"http_options": _http_options(seconds)})
        return datetime.now(UTC).date()

    def remarks(self) -> Sequence[Remark]:
        if abs(self._ahead) < _WRONG_CLOCK:
            return []
        how = f"{abs(self._ahead):.0f} s {'ahead of' if self._ahead > 0 else 'behind'}"
        return [
            Remark(f"this machine's clock is {how} the service's", "set the clock, or turn time synchronisation on")
        ]

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
            raise ModelDenied("GEMINI_API_KEY holds characters that no key has")
        import httpx2
        from google import genai
        from google.genai import types

        # Ours, so that the SDK uses httpx2 whatever else is installed, and so that a quiet minute costs no handshake.
        connections = httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=300),
            event_hooks={"response": [self._compare_clocks]},
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

    async def _compare_clocks(self, response: httpx2.Response) -> None:
        try:
            theirs = parsedate_to_datetime(response.headers.get("date", ""))
        except ValueError:
            return
        self._ahead = (datetime.now(UTC) - theirs.astimezone(UTC)).total_seconds()


def _http_options(seconds: float) -> types.HttpOptionsDict:
    # The SDK tells the service its timeout, unless this header is there already.
    return {
        "timeout": math.ceil(seconds * 1000),
        "headers": {"X-Server-Timeout": str(max(_SHORTEST_DEADLINE, math.ceil(seconds)))},
    }


# Writing ----------------------------------------------------------------------------------------------


def _contents(prompt: Prompt) -> list[types.ContentDict]:
    history = [content(said.text, "user" if said.role == "reader" else "model") for said in prompt.history]
    return [*history, content(prompt.user)]  # type: ignore[list-item]  # plain dictionaries, as the SDK takes them


def _thinking_config(least: int | str | None) -> types.ThinkingConfig | None:
    from google.genai import types

    if least is None:
        return None
    if isinstance(least, int):
        return types.ThinkingConfig(thinking_budget=least)
    return types.ThinkingConfig(thinking_level=types.ThinkingLevel(least))


_REFUSALS: Final = frozenset({"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"})


@dataclass(slots=True)
class _Written:
    """What is known of an answer while it comes."""

    text: bool = False
    reason: str = ""
    """Why it ended; empty while nothing was said about that."""
    refused: bool = False
    tokens: tuple[int, int] | None = None
    """Read and written, as last told."""

    def take(self, chunk: types.GenerateContentResponse) -> str:
        """The text to show of a chunk."""
        if (told := chunk.usage_metadata) is not None:
            written = (told.candidates_token_count or 0) + (told.thoughts_token_count or 0)
            self.tokens = (told.prompt_token_count or 0, written)
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
            self.reason, self.refused = _code(chunk.prompt_feedback.block_reason.value), True
        for candidate in chunk.candidates or ():
            if candidate.finish_reason:
                self.reason = _code(candidate.finish_reason.value)
                self.refused = self.reason in _REFUSALS
        if self.refused:
            return ""
        contents = [candidate.content for candidate in chunk.candidates or () if candidate.content]
        parts = [part for content in contents for part in content.parts or () if not part.thought]
        text = "".join(part.text or "" for part in parts)
        self.text = self.text or bool(text)
        return text

    def judge(self, model: str) -> None:
        """Raises unless the model said that it was done."""
        what = f"{model}: ended with {self.reason or 'no finish reason'}"
        match self.reason:
            case "STOP" if self.text:
                return
            case "MAX_TOKENS" if self.text:
                raise AnswerTooLong(what)
            case _ if self.refused:
                raise AnswerWithheld(what) if self.text else ModelRefused(f"{what}, without a word")
            case _:
                raise AnswerCutShort(what) if self.text else ModelUnavailable(f"{what}, without a word")


# Failing ----------------------------------------------------------------------------------------------


class _BadRequest(ModelUnavailable):
    """The service found fault with what was asked, not with who asks."""

    about_thinking = False


def _ours(model: str, exc: Exception) -> ModelError:
    """The error in our words. Of the service's, only codes and names come along."""
    import httpx2
    from google.genai import errors

    match exc:
        case errors.APIError():
            return _verdict(model, exc)
        case TimeoutError() | httpx2.TimeoutException():
            return ModelUnavailable(f"{model}: no answer in time")
        case OSError() | httpx2.HTTPError():
            return ModelUnavailable(f"{model}: no connection ({in_the_way(exc)})")
        case _:
            return ModelUnavailable(f"{model}: unreadable answer ({type(exc).__name__})")


_CODE: Final = re.compile(r"[A-Z][A-Z_]{0,60}")
_QUOTA: Final = re.compile(r"[A-Za-z]{1,60}Per[A-Za-z]{1,60}(?:-[A-Za-z]{1,20})?")
_DELAY: Final = re.compile(r"retry in (\d{1,6}(?:\.\d+)?)s")


def _code(value: object, kind: re.Pattern[str] = _CODE) -> str:
    """A code of the service as it may stand in a log; `?` for anything else that stands in its place."""
    return str(value) if kind.fullmatch(str(value)) else "?"


def _verdict(model: str, error: errors.APIError) -> ModelError:
    body = error.details if isinstance(error.details, dict) else {}
    details = _dicts(body["error"].get("details")) if isinstance(body.get("error"), dict) else []
    reasons = "".join(f" {_code(detail['reason'])}" for detail in details if "reason" in detail)
    what = f"{model}: {error.code} {_code(error.status)}{reasons}"
    message = str(error.message)

    match error.code:
        case 429:
            return _limited(what, message, details)
        case 401 | 403:
            return ModelDenied(f"{what}: this key may not be used here; check GEMINI_API_KEY")
        case 404:
            return ModelGone(f"{what}: the model is retired, or there is none of that name; choose another")
        case 400 if "API_KEY_INVALID" in reasons:
            return ModelDenied(f"{what}: the key is unknown or has expired; check GEMINI_API_KEY")
        case 400 if error.status == "FAILED_PRECONDITION":
            return ModelDenied(f"{what}: the service is not offered where this machine stands, or to this account")
        case 400:
            bad = _BadRequest(f"{what}: the service found fault with the request")
            bad.about_thinking = "thinking" in message.lower()
            return bad
        case _:
            return ModelUnavailable(what)


def _limited(what: str, message: str, details: list[dict[str, Any]]) -> ModelError:
    quotas = [violation for detail in details for violation in _dicts(detail.get("violations"))]
    if any(str(quota.get("quotaValue")) == "0" for quota in quotas):
        return ModelDenied(f"{what}{_told(quotas)}: the model is not in this key's plan, however long one waits")
    named = {"PerDay": 0, "Tokens": 0, "": 0}
    for quota in quotas:
        kind = next(kind for kind in named if kind in str(quota.get("quotaId")))
        named[kind] = _number(quota.get("quotaValue"))
    delays = [_seconds(detail.get("retryDelay")) for detail in details]
    delays += [float(found[1]) for found in [_DELAY.search(message)] if found]
    return ModelRateLimited(
        f"{what}{_told(quotas)}",
        UsedUp(
            retry_after=max(delays, default=0.0),
            per_day=any("PerDay" in str(quota.get("quotaId")) for quota in quotas),
            texts_per_minute=named[""],
            tokens_per_minute=named["Tokens"],
            texts_per_day=named["PerDay"],
            free_plan=any("FreeTier" in str(quota.get("quotaId")) for quota in quotas),
        ),
    )


def _told(quotas: list[dict[str, Any]]) -> str:
    return "".join(f" [{_code(quota.get('quotaId'), _QUOTA)}: {_number(quota.get('quotaValue'))}]" for quota in quotas)


def _number(value: object) -> int:
    return int(str(value)) if re.fullmatch("[0-9]{1,12}", str(value)) else 0


def _seconds(value: object) -> float:
    """Of a duration as the service writes it, such as `30s`."""
    text = str(value).removesuffix("s")
    try:
        return max(0.0, float(text)) if math.isfinite(float(text)) else 0.0
    except ValueError:
        return 0.0


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
