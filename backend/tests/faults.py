"""The table of faults: what is broken, and what a reader then gets. Tested in `integration/test_faults.py`, told in
`site/docs/reference/faults.mdx`, which `make faults` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from chatbot_api.errors import (
    AnswerCutShort,
    AnswerTooLong,
    AnswerWithheld,
    AskbookError,
    EmbedderUnavailable,
    ModelDenied,
    ModelGone,
    ModelRateLimited,
    ModelRefused,
    ModelUnavailable,
    SearchUnavailable,
)
from tests.gemini_server import GeminiServer, blocked, embeddings, error, event, quota_failure
from tests.loopback import Break, Step
from tests.qdrant_server import MALFORMED, QdrantServer

VENDOR: Final = "the-vendors-own-words"
"""Stands in the body of every reply that a vendor words itself."""
PAGE: Final = Path(__file__).parents[2] / "site" / "docs" / "reference" / "faults.mdx"
WRITING: Final = "streamGenerateContent"
EMBEDDING: Final = "batchEmbedContents"
MAIN: Final = "gemini-3.5-flash-lite"
NOWHERE: Final = "http://127.0.0.1:1"
NO_SUCH_HOST: Final = "http://askbook.invalid"

Part = Literal["model", "embedder", "search"]


@dataclass(frozen=True, slots=True)
class Fault:
    part: Part
    what: str
    breaks: Callable[[GeminiServer, QdrantServer], None]
    mode: str = "generated"
    """Of the answer without a stream; empty where there is none."""
    reason: type[AskbookError] | None = None
    """Whose sentence the reader is told."""
    ends: str = "done"
    """What the stream ends with: `done`, or the code of its `error`; empty where it cannot even begin."""
    settings: Mapping[str, Any] = field(default_factory=dict)


def healthy(*_: object) -> None:
    """Nothing is broken but what the settings break."""


# The model --------------------------------------------------------------------------------------------


def writing(what: str, reason: type[AskbookError], *steps: Step, status: int = 200, **limits: float) -> Fault:
    """Before the first word."""
    return Fault(
        "model",
        what,
        lambda gemini, _: gemini.always(WRITING, *steps, status=status),
        "extractive",
        reason,
        settings=limits,
    )


def within(what: str, reason: type[AskbookError], *steps: Step, **limits: float) -> Fault:
    """After the first words."""
    return Fault(
        "model",
        what,
        lambda gemini, _: gemini.always(WRITING, event("Nodes publish "), event("to topics [1]"), *steps),
        "extractive",
        ModelRefused if reason is AnswerWithheld else ModelUnavailable,
        reason.code,
        limits,
    )


def detail(kind: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


def per(period: str, value: str = "100") -> dict[str, Any]:
    return quota_failure(f"GenerateRequestsPer{period}PerProjectPerModel-FreeTier", value)


INVALID_KEY = detail("ErrorInfo", reason="API_KEY_INVALID")
BLOCKED_KEY = detail("ErrorInfo", reason="API_KEY_SERVICE_BLOCKED")
DISABLED = detail("ErrorInfo", reason="SERVICE_DISABLED")
RETRY = detail("RetryInfo", retryDelay="30s")
UNKNOWN_FIELD = detail("BadRequest", fieldViolations=[{"field": VENDOR, "description": VENDOR}])

ERRORS: Final[tuple[tuple[str, int, Step, type[AskbookError]], ...]] = (
    ("400 the key is not valid", 400, error(400, "INVALID_ARGUMENT", VENDOR, INVALID_KEY), ModelDenied),
    ("400 not offered in this region", 400, error(400, "FAILED_PRECONDITION", VENDOR), ModelDenied),
    ("400 an unknown field", 400, error(400, "INVALID_ARGUMENT", VENDOR, UNKNOWN_FIELD), ModelUnavailable),
    ("400 the deadline is too short", 400, error(400, "INVALID_ARGUMENT", VENDOR), ModelUnavailable),
    ("401 not authenticated", 401, error(401, "UNAUTHENTICATED", VENDOR), ModelDenied),
    ("403 no key", 403, error(403, "PERMISSION_DENIED", VENDOR), ModelDenied),
    ("403 the key has leaked", 403, error(403, "PERMISSION_DENIED", f"reported as leaked {VENDOR}"), ModelDenied),
    ("403 the key is not for this API", 403, error(403, "PERMISSION_DENIED", VENDOR, BLOCKED_KEY), ModelDenied),
    ("403 the API is not enabled", 403, error(403, "PERMISSION_DENIED", VENDOR, DISABLED), ModelDenied),
    ("404 the model is retired or unknown", 404, error(404, "NOT_FOUND", VENDOR), ModelGone),
    ("429 the minute's quota", 429, error(429, "RESOURCE_EXHAUSTED", VENDOR, per("Minute"), RETRY), ModelRateLimited),
    ("429 the day's quota", 429, error(429, "RESOURCE_EXHAUSTED", VENDOR, per("Day"), RETRY), ModelRateLimited),
    ("429 not in this plan", 429, error(429, "RESOURCE_EXHAUSTED", VENDOR, per("Day", "0")), ModelDenied),
    ("429 without details", 429, error(429, "RESOURCE_EXHAUSTED", VENDOR), ModelRateLimited),
    ("499 cancelled", 499, error(499, "CANCELLED", VENDOR), ModelUnavailable),
    ("500 internal", 500, error(500, "INTERNAL", VENDOR), ModelUnavailable),
    ("502 a page of HTML", 502, f"<html>{VENDOR}</html>".encode(), ModelUnavailable),
    ("503 overloaded", 503, error(503, "UNAVAILABLE", VENDOR), ModelUnavailable),
    ("504 deadline exceeded", 504, error(504, "DEADLINE_EXCEEDED", VENDOR), ModelUnavailable),
)

_HALF_A_CHARACTER = 'data: {"candidates": [{"content": {"parts": [{"text": "Kn\u00f6'.encode()[:-1]

MODEL: Final = (
    *(writing(what, reason, body, status=status) for what, status, body, reason in ERRORS),
    writing("hangs before its headers", ModelUnavailable, Break.HANG, first_word_timeout_seconds=0.5),
    writing("hangs after its headers", ModelUnavailable, b"", Break.HANG, first_word_timeout_seconds=0.5),
    writing("resets the connection", ModelUnavailable, Break.RESET),
    writing("malformed JSON", ModelUnavailable, f"data: {{{VENDOR}\r\n\r\n".encode()),
    writing("an error inside the stream", ModelUnavailable, error(503, "UNAVAILABLE", VENDOR)),
    writing("no candidates", ModelUnavailable, {"candidates": []}),
    writing("an empty body", ModelUnavailable),
    writing(
        "thinks up to its limit without a word", ModelUnavailable, event(VENDOR, thought=True, finish="MAX_TOKENS")
    ),
    writing("blocks the prompt", ModelRefused, blocked("SAFETY")),
    writing("blocks the answer before its first word", ModelRefused, event(None, finish="SAFETY")),
    writing("would recite before its first word", ModelRefused, event(VENDOR, finish="RECITATION")),
    writing("an unknown finish reason without a word", ModelUnavailable, event("", finish="TIRED")),
    within("hangs within the answer", AnswerCutShort, Break.HANG, answer_timeout_seconds=2),
    within("resets the connection within the answer", AnswerCutShort, Break.RESET),
    within("is cut within an event", AnswerCutShort, b'data: {"candidates": [{"content"', Break.CUT),
    within("is cut within a character", AnswerCutShort, _HALF_A_CHARACTER, Break.CUT),
    within("malformed JSON within the answer", AnswerCutShort, f"data: {{{VENDOR}\r\n\r\n".encode()),
    within("an error within the answer", AnswerCutShort, error(503, "UNAVAILABLE", VENDOR)),
    within("ends without a finish reason", AnswerCutShort),
    within("an unknown finish reason", AnswerCutShort, event("", finish="TIRED")),
    within("blocks the answer within", AnswerWithheld, event(VENDOR, finish="SAFETY")),
    within("recites within the answer", AnswerWithheld, event(VENDOR, finish="RECITATION")),
    Fault(
        "model",
        "reaches its longest output",
        lambda gemini, _: gemini.always(WRITING, event("Nodes publish to topics [1]"), event("", finish="MAX_TOKENS")),
        "generated",
        AnswerTooLong,
    ),
    Fault(
        "model",
        "the first is overloaded, the next one is not",
        lambda gemini, _: gemini.always(WRITING, error(503, "UNAVAILABLE", VENDOR), status=503, model=MAIN),
    ),
    Fault(
        "model",
        "the first is retired, the next one is not",
        lambda gemini, _: gemini.always(WRITING, error(404, "NOT_FOUND", VENDOR), status=404, model=MAIN),
    ),
    Fault(
        "model",
        "the only one fails once",
        lambda gemini, _: gemini.once(WRITING, error(503, "UNAVAILABLE", VENDOR), status=503),
        settings={"gemini_answer_fallback_models": ""},
    ),
)

# The embedder -----------------------------------------------------------------------------------------


def embedding(what: str, *steps: Step, status: int = 200, **limits: float) -> Fault:
    return Fault(
        "embedder",
        what,
        lambda gemini, _: gemini.always(EMBEDDING, *steps, status=status),
        reason=EmbedderUnavailable,
        settings=limits,
    )


DIMENSIONS: Final = 128
GOOD: Final = [0.5] * DIMENSIONS

EMBEDDER: Final = (
    *(embedding(what, body, status=status) for what, status, body, _ in ERRORS),
    embedding("400 an empty text", error(400, "INVALID_ARGUMENT", f"contains an empty Part {VENDOR}"), status=400),
    embedding("hangs before its headers", Break.HANG, embed_timeout_seconds=0.3),
    embedding("hangs within its body", b"{", Break.HANG, embed_timeout_seconds=0.3),
    embedding("trickles", *(step for _ in range(999) for step in (b" ", 0.02)), embed_timeout_seconds=0.3),
    embedding("is cut within its body", b'{"embeddings": [', Break.CUT),
    embedding("resets the connection", Break.RESET),
    embedding("malformed JSON", f'{{"embeddings": [{VENDOR}'.encode()),
    embedding("an empty body", b""),
    embedding("no vectors", {"embeddings": []}),
    embedding("too many vectors", embeddings(GOOD, GOOD)),
    embedding("a vector of another dimension", embeddings(GOOD[1:])),
    embedding("a vector with NaN", embeddings([*GOOD[1:], float("nan")])),
    embedding("a vector with infinity", embeddings([*GOOD[1:], float("inf")])),
    embedding("a vector with null", embeddings([*GOOD[1:], None])),
    embedding("a vector without a direction", embeddings([0.0] * DIMENSIONS)),
    Fault(
        "embedder",
        "fails once",
        lambda gemini, _: gemini.once(EMBEDDING, error(503, "UNAVAILABLE", VENDOR), status=503),
    ),
)

# Model and embedder together --------------------------------------------------------------------------


def nobody(what: str, address: str) -> Fault:
    return Fault("model", what, healthy, "extractive", EmbedderUnavailable, settings={"gemini_base_url": address})


BOTH: Final = (
    nobody("nothing listens at the address", NOWHERE),
    nobody("its name is not known (DNS)", NO_SUCH_HOST),
    nobody("no secure connection can be made (TLS)", "https"),
)

# Search -----------------------------------------------------------------------------------------------


def searching(
    what: str, *steps: Step, status: int | None = None, limits: Mapping[str, float] | None = None, **headers: str
) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(
        "search",
        what,
        lambda _, qdrant: qdrant.always(*steps, status=status, headers=named),
        mode="",
        reason=SearchUnavailable,
        ends="",
        settings=limits or {},
    )


def no_server(what: str, address: str) -> Fault:
    return Fault("search", what, healthy, "", SearchUnavailable, "", {"qdrant_host": address})


STRICT: Final = {"status": {"error": f'Bad request: Index required but not found for "{VENDOR}"'}}

SEARCH: Final = (
    searching("400 strict mode misses an index", STRICT, status=400),
    searching("401 the key is not valid", status=401),
    searching("403 the key may not read", status=403),
    searching("404 the collection is gone", status=404),
    searching("408 timed out", status=408),
    searching("429 with Retry-After", status=429, Retry_After="30"),
    searching("429 without", status=429),
    searching("500 internal", status=500),
    searching("502 a page of HTML", f"<html>{VENDOR}</html>".encode(), status=502),
    searching("503 unavailable", status=503),
    searching("200 a page of HTML", f"<html>{VENDOR}</html>".encode(), status=200),
    searching("malformed JSON", MALFORMED, status=200),
    searching("hangs", Break.HANG, limits={"qdrant_timeout_seconds": 0.5}),
    searching("is cut within its body", Break.CUT),
    searching("resets the connection", Break.RESET),
    no_server("nothing listens at the address", NOWHERE),
    no_server("its name is not known (DNS)", NO_SUCH_HOST),
    no_server("no secure connection can be made (TLS)", "https"),
    Fault("search", "fails once", lambda _, qdrant: qdrant.reply(status=503)),
)

FAULTS: Final = (*MODEL, *EMBEDDER, *BOTH, *SEARCH)


# Told -------------------------------------------------------------------------------------------------

_HEADINGS: Final[Mapping[Part, str]] = {
    "model": "The model, or all of Gemini",
    "embedder": "The embedding model",
    "search": "The Qdrant server",
}


def as_markdown() -> str:
    """The tables of the documentation."""
    parts = []
    for part, heading in _HEADINGS.items():
        rows = [_row(fault) for fault in FAULTS if fault.part == part]
        head = "| What is broken | The answer | A stream ends with | The reader is told |\n|---|---|---|---|"
        parts.append("\n".join([f"## {heading} {{#{part}}}\n", head, *rows]))
    return "\n\n".join(parts) + "\n"


def _row(fault: Fault) -> str:
    answer = f"200 `{fault.mode}`" if fault.mode else f"503 `{fault.reason.code if fault.reason else ''}`"
    ends = {"done": "`done`", "": "it does not begin"}.get(fault.ends, f"`error`, `{fault.ends}`")
    return f"| {fault.what} | {answer} | {ends} | {fault.reason.public if fault.reason else 'nothing: all is well'} |"


def main() -> None:
    """Writes the tables into the page."""
    told = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(told[: told.index("\n## ") + 1] + as_markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
