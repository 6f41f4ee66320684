"""How a Qdrant server is called: for how long, how often, and what its failures mean. With `qdrant_service`, the only
importer of `qdrant_client`."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, ParamSpec, TypeVar

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
from pydantic import ValidationError
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from chatbot_api.errors import AskbookError, NoRoom, SearchUnavailable

logger = logging.getLogger(__name__)

PATIENT_SECONDS: Final = 60.0
"""How long one call of the indexer may take, and how long it pauses at most because the server asks it to."""
_MAY_PASS: Final = frozenset({408, 429, 500, 502, 503, 504})
_GRPC: Final = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "DEADLINE_EXCEEDED": 408,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 500,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNAVAILABLE": 503,
}
"""The REST status that stands for the same."""

P = ParamSpec("P")
T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


class CollectionGone(SearchUnavailable):
    """The collection that was named is not on the server."""


class NameTaken(SearchUnavailable):
    """A collection has that name already."""


class NotUnderstood(SearchUnavailable):
    """What came back is no answer of Qdrant, or of a Qdrant that the client does not know."""


class Ask:
    """Makes a call of the client, and makes it again while its fault may pass."""

    def __init__(
        self, *, tries: int, first_pause: float, seconds: float | None, left: Callable[[], float], sleep: Sleep
    ) -> None:
        """A try takes `seconds` at most. Pauses are random: the first up to `first_pause`, each next up to twice as
        long, and longer where the server asks for it; one that is longer than what is `left` is not begun."""
        self._tries = tries
        self._jitter = wait_random_exponential(multiplier=first_pause)
        self._seconds = seconds
        self._left = left
        self._sleep = sleep

    async def __call__(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises `SearchUnavailable`, or `NoRoom` where the server's disk or memory is full."""

        async def once() -> T:
            async with asyncio.timeout(self._seconds):
                return await call(*args, **kwargs)

        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            wait=self._pause,
            stop=self._is_over,
            before_sleep=_tell,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            result: T = await retrying(once)
        except (
            UnexpectedResponse,
            ResponseHandlingException,
            QdrantException,
            grpc.RpcError,
            TimeoutError,
            ValueError,  # a body that cannot be parsed
            AssertionError,  # a body without a result
        ) as exc:
            raise _in_our_words(exc) from exc
        return result

    def _is_over(self, state: RetryCallState) -> bool:
        return state.attempt_number >= self._tries or state.upcoming_sleep > self._left()

    def _pause(self, state: RetryCallState) -> float:
        return _asked_for(_failure(state)) + self._jitter(state)


@asynccontextmanager
async def brisk(seconds: float, sleep: Sleep) -> AsyncGenerator[Ask, None]:
    """For a reader, who is waiting: all that is asked, tries and pauses included, takes `seconds` at most. Raises
    `SearchUnavailable` after that."""
    try:
        async with asyncio.timeout(seconds) as deadline:
            clock = asyncio.get_running_loop().time
            until = deadline.when() or 0.0
            yield Ask(tries=3, first_pause=0.2, seconds=None, left=lambda: until - clock(), sleep=sleep)
    except TimeoutError as exc:
        raise SearchUnavailable(
            f"the Qdrant server did not answer within {seconds:g} s; look at its load, or raise QDRANT_TIMEOUT_SECONDS"
        ) from exc


def patient(sleep: Sleep, *, tries: int = 5) -> Ask:
    """For the indexer: nobody is waiting for it."""
    return Ask(tries=tries, first_pause=1.0, seconds=PATIENT_SECONDS, left=lambda: PATIENT_SECONDS, sleep=sleep)


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _tell(state: RetryCallState) -> None:
    failure = _failure(state)
    if isinstance(failure, Exception):
        logger.info("qdrant is asked again pause_s=%.2f cause=%s", state.upcoming_sleep, _in_our_words(failure))


def _may_pass(exc: BaseException) -> bool:
    if isinstance(exc, ResponseHandlingException):
        return not isinstance(exc.source, ValidationError)  # all other sources are of the connection
    return isinstance(exc, TimeoutError) or _status(exc)[0] in _MAY_PASS


def _asked_for(exc: BaseException | None) -> float:
    """The pause that the server asks for, in seconds."""
    if isinstance(exc, ResourceExhaustedResponse):
        return max(0.0, exc.retry_after_s)
    if isinstance(exc, UnexpectedResponse):
        with suppress(ValueError):  # a date, which nobody sends
            return max(0.0, int(exc.headers.get("retry-after", "0")))
    return 0.0


def _status(exc: BaseException) -> tuple[int, str, str]:
    """The status as REST has it, its name, and the server's words, which are for looking into only."""
    if isinstance(exc, UnexpectedResponse):
        status = exc.status_code or 0
        return status, str(status), exc.content.decode("utf-8", "replace")
    if isinstance(exc, QdrantException):  # what the client makes of a Retry-After
        return 429, "429", ""
    if isinstance(exc, grpc.RpcError) and hasattr(exc, "code"):
        return _GRPC.get(exc.code().name, 0), f"gRPC {exc.code().name}", exc.details() or ""
    return 0, type(exc).__name__, ""


def _in_our_words(exc: Exception) -> AskbookError:
    if isinstance(exc, ResponseHandlingException) and not isinstance(exc.source, ValidationError):
        return _unreached(exc.source)
    if isinstance(exc, TimeoutError):
        return SearchUnavailable(f"the Qdrant server did not answer within {PATIENT_SECONDS:g} s; look at its load")
    status, name, text = _status(exc)
    if status == 507 or "No space left on device" in text or "Insufficient storage" in text:
        return NoRoom(f"the Qdrant server has no room left ({name}); make room there, then run this again")
    if "Index required but not found" in text:
        return SearchUnavailable(
            f"the Qdrant server misses a payload index in the published index ({name}); "
            "run: askbook index SOURCE --full"
        )
    if status == 404 and "doesn't exist" in text:
        return CollectionGone(
            f"the Qdrant server has no such collection ({name}); check QDRANT_COLLECTION_NAME, or run: askbook index "
            "SOURCE"
        )
    if status in (401, 403):
        return SearchUnavailable(
            f"the Qdrant server refused the key ({name}); check QDRANT_API_KEY and what the key may do"
        )
    if status == 409:
        return NameTaken(
            f"the Qdrant server has a collection of that name ({name}); set another QDRANT_COLLECTION_NAME"
        )
    if status == 413:
        return SearchUnavailable(
            f"a request was too large for a proxy before the Qdrant server ({name}); raise its limit to 32 MB"
        )
    if status in (408, 504):
        return SearchUnavailable(f"the Qdrant server was too slow ({name}); look at its load")
    if status == 429:
        asked = _asked_for(exc)
        after = f", for {asked:g} s" if asked else ""
        return SearchUnavailable(f"the Qdrant server asks for a pause{after} ({name}); look at its rate limits")
    if name == "gRPC UNAVAILABLE":
        return SearchUnavailable(f"the Qdrant server cannot be reached ({name}); check QDRANT_HOST, QDRANT_GRPC_PORT")
    if status >= 500:
        return SearchUnavailable(f"the Qdrant server failed ({name}); look at its log")
    if 400 <= status < 500 and status != 404:
        return SearchUnavailable(f"the Qdrant server refused the request ({name}); check its version: askbook doctor")
    return NotUnderstood(
        f"QDRANT_HOST answers, but not as Qdrant does ({name}); check its port, http or https, and the server's version"
    )


def _unreached(source: BaseException) -> SearchUnavailable:
    """By what is at the bottom of the connection's error: the client wraps all of them alike."""
    causes = [source]
    for cause in causes:  # which grows
        below = cause.__cause__ or cause.__context__
        causes += cause.exceptions if isinstance(cause, BaseExceptionGroup) else [below] if below else []
    for kind, what, mend in (
        (ssl.SSLError, "TLS with the Qdrant server failed", "check http or https in QDRANT_HOST, and the certificate"),
        (socket.gaierror, "the name in QDRANT_HOST is not known", "check QDRANT_HOST and the DNS"),
        (ConnectionRefusedError, "nothing listens at QDRANT_HOST", "check its port, and that the Qdrant server runs"),
        (TimeoutError, "the Qdrant server did not answer in time", "look at its load, and the network to it"),
    ):
        for cause in causes:
            if isinstance(cause, kind):
                return SearchUnavailable(f"{what} ({type(cause).__name__}); {mend}")
    return SearchUnavailable(
        f"the connection to the Qdrant server failed ({type(source).__name__}); check QDRANT_HOST and proxies before it"
    )
