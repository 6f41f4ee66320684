"""Gemini's REST wire on a loopback socket. It refuses what the real service refuses, with the real service's words, so
that a wrong request fails a test.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from qdrant_indexer.pace import Clock
from tests.loopback import LoopbackServer, Received, Reply, Step

DAY: Final = 86_400
DAY_BEGINS: Final = 8 * 3_600
"""Midnight in California, in seconds after midnight UTC."""
MODELS: Final = (
    "gemini-embedding-001",
    "gemini-embedding-2",
    "gemini-3.1-flash-lite",
    "gemini-3.5-flash-lite",
    "gemini-3.5-flash",
    "gemini-3.8-flash",
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemma-4",
)


class FreePlan:
    """Counts the embedded texts of any 60 seconds and of each day, by a clock that both sides share."""

    def __init__(
        self, clock: Clock, *, texts_per_minute: int = 100, texts_per_day: int = 1_000, plan: str = "FreeTier"
    ) -> None:
        self.texts: Counter[str] = Counter()
        """How often each text was embedded."""
        self.refused = 0
        """How many calls."""
        self._clock = clock
        self._limits = {"Minute": texts_per_minute, "Day": texts_per_day}
        self._plan = plan
        self._calls: list[tuple[float, int]] = []

    def refusal(self, received: Received) -> dict[str, Any] | None:
        """Says no, or takes the texts as embedded."""
        texts = ["".join(part["text"] for part in item["content"]["parts"]) for item in received.body["requests"]]
        now = self._clock.now()
        day_begun = (now - DAY_BEGINS) // DAY * DAY + DAY_BEGINS
        within = {
            "Day": [c for c in self._calls if c[0] >= day_begun],
            "Minute": [c for c in self._calls if c[0] > now - 60],
        }
        for period in ("Day", "Minute"):
            if sum(count for _, count in within[period]) + len(texts) > self._limits[period]:
                self.refused += 1
                # As the service does it: what a used up day says about waiting is as wrong as this.
                delay = 17.0 if period == "Day" else self._until_free(within["Minute"], len(texts), now)
                quota = f"EmbedContentRequestsPer{period}PerProjectPerModel-{self._plan}"
                return error(
                    429,
                    "RESOURCE_EXHAUSTED",
                    f"You exceeded your current quota.\nPlease retry in {delay:.7f}s.",
                    quota_failure(quota, str(self._limits[period])),
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{int(delay)}s"},
                )
        self._calls.append((now, len(texts)))
        self.texts.update(texts)
        return None

    def _until_free(self, calls: list[tuple[float, int]], texts: int, now: float) -> float:
        used = sum(count for _, count in calls)
        for at, count in calls:
            used -= count
            if used + texts <= self._limits["Minute"]:
                return at + 60 - now
        return 60.0


class GeminiServer(LoopbackServer):
    json_type: ClassVar = "application/json; charset=UTF-8"

    def __init__(
        self,
        *,
        key: str = "test-key",
        answer: Sequence[str] = ("The book ", "says so."),
        plan: FreePlan | None = None,
    ) -> None:
        super().__init__()
        self.plan = plan
        self._refuses: tuple[Callable[[Received], bool], dict[str, Any]] | None = None
        self._key = key
        self._answer = answer

    def always(self, call: str, *steps: Step, status: int = 200, model: str = "") -> None:
        """Scripts every request of this call, for one model or for all, that has no script of its own. The call is what
        follows the colon in the path."""
        self._always[f"/{model}:{call}" if model else f":{call}"] = Reply(steps, status)

    def once(self, call: str, *steps: Step, status: int = 200) -> None:
        """Scripts the next request of this call."""
        self.reply(*steps, status=status, at=f":{call}")

    def refuse_if(self, condition: Callable[[Received], bool], fault: dict[str, Any]) -> None:
        """From now on, whatever meets the condition is answered with this error."""
        self._refuses = (condition, fault)

    def streams(self, received: Received) -> bool:
        return call_of(received) == "streamGenerateContent"

    def decode(self, body: bytes) -> Any:
        """With names in camelCase, which the service takes as well as snake_case."""
        return _camel(json.loads(body))

    def encode(self, step: object, streams: bool) -> bytes:
        return b"data: %b\r\n\r\n" % json.dumps(step).encode() if streams else json.dumps(step, indent=2).encode()

    async def healthy_reply(self, received: Received) -> Reply:
        fault = _fault(received, self._key)
        if self._refuses is not None and self._refuses[0](received):
            fault = self._refuses[1]
        if fault is not None:
            return Reply((fault,), fault["error"]["code"])
        match call_of(received):
            case "models" if name := received.path.partition("/models/")[2]:
                return _good({"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]})
            case "models":
                return _good({"models": [{"name": f"models/{name}"} for name in MODELS]})
            case "batchEmbedContents" if self.plan is not None and (refusal := self.plan.refusal(received)):
                return Reply((refusal,), 429)
            case "batchEmbedContents":
                return _good({"embeddings": [{"values": vector_of(item)} for item in received.body["requests"]]})
            case "generateContent":
                return _good(event("".join(self._answer), finish="STOP"))
            case "streamGenerateContent":
                return _good(*map(event, self._answer), event("", finish="STOP"))
        return Reply((error(404, "NOT_FOUND", "Not found."),), 404)


def call_of(received: Received) -> str:
    """`embedContent` and so on; `models` for the list."""
    return received.path.rpartition(":")[2] if ":" in received.path else "models"


def _good(*steps: Step) -> Reply:
    return Reply(steps, 200)


USAGE: Final = {"promptTokenCount": 100, "candidatesTokenCount": 7, "thoughtsTokenCount": 3, "totalTokenCount": 110}


def event(text: str | None, *, finish: str | None = None, thought: bool = False) -> dict[str, Any]:
    """One partial response; without content where the text is None."""
    candidate: dict[str, Any] = {"index": 0}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text} | ({"thought": True} if thought else {})]}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "test"}


def blocked(reason: str = "SAFETY") -> dict[str, Any]:
    return {"promptFeedback": {"blockReason": reason}, "modelVersion": "test"}


def error(code: int, status: str, message: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def quota_failure(quota: str, value: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.QuotaFailure"
    return {"@type": kind, "violations": [{"quotaId": quota, "quotaValue": value}]}


def embeddings(*vectors: Sequence[float | str | None]) -> dict[str, Any]:
    return {"embeddings": [{"values": list(vector)} for vector in vectors]}


def vector_of(item: Mapping[str, Any]) -> list[float]:
    """Made of the text alone, and not of unit length: equal texts, equal vectors."""
    text = "".join(part["text"] for part in item["content"]["parts"])
    numbers = random.Random(hashlib.sha256(text.encode()).digest())  # noqa: S311 - not for secrets
    return [round(numbers.gauss(0, 0.02), 8) for _ in range(item.get("outputDimensionality", 3072))]


def _fault(received: Received, key: str) -> dict[str, Any] | None:
    """What the real service would say against the request."""
    if "x-goog-api-key" not in received.headers:
        return error(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
    if received.headers["x-goog-api-key"] != key:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return _bad("API key not valid. Please pass a valid API key.", info)
    deadline = received.headers.get("x-server-timeout", "60")
    if int(deadline) < 10:
        return _bad(f"Manually set deadline {deadline}s is too short. Minimum allowed deadline is 10s.")
    if call_of(received) == "models" and not received.path.rpartition("/models")[2]:
        return None
    version, _, model = received.path.strip("/").partition("/models/")
    if model.partition(":")[0] not in MODELS:
        return error(404, "NOT_FOUND", f"models/{model} is not found for API version {version}.")
    if call_of(received) == "batchEmbedContents":
        return _embedding_fault(received.body.get("requests", []), f"models/{model.rpartition(':')[0]}")
    if call_of(received) == "models":
        return None
    thinking = received.body.get("generationConfig", {}).get("thinkingConfig", {})
    if {"thinkingBudget", "thinkingLevel"} <= thinking.keys():
        return _bad("You can only set only one of thinking budget and thinking level.")
    return None


def _embedding_fault(items: Sequence[Mapping[str, Any]], model: str) -> dict[str, Any] | None:
    if not items:
        return _bad("BatchEmbedContentsRequest.requests: unexpected empty list")
    if len(items) > 100:
        return _bad("BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch")
    for item in items:
        if item.get("model") != model:
            return _bad("BatchEmbedContentsRequest.requests.model: must match the model of the batch")
        if not all(part.get("text") for part in item["content"]["parts"]):
            return _bad("EmbedContentRequest.content contains an empty Part.")
        if "title" in item and item.get("taskType") != "RETRIEVAL_DOCUMENT":
            return _bad("title is only valid with the task type RETRIEVAL_DOCUMENT")
    return None


def _bad(message: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    return error(400, "INVALID_ARGUMENT", message, *details)


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub("_([a-z])", lambda found: found[1].upper(), name): _camel(item) for name, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value
