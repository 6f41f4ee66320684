"""The wire of OpenAI-compatible servers on a loopback socket. It refuses what real servers refuse, each in the words of
one of them, so that a wrong request fails a test.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Final

from tests.loopback import LoopbackServer, Received, Reply, Step

EMBEDDING_MODELS: Final = {"nomic-embed-text": 768, "bge-m3": 1024}
"""With the length of their vectors."""
ANSWER_MODELS: Final = ("qwen3:8b", "gpt-5.4")


class OpenAIServer(LoopbackServer):
    base_path: ClassVar = "/v1"
    event_type: ClassVar = "text/event-stream; charset=utf-8"

    def __init__(
        self,
        *,
        key: str | None = "test-key",
        answer: Sequence[str] = ("The book ", "says so."),
        unwanted: Collection[str] = (),
    ) -> None:
        """`key`: None for a server that wants none; `unwanted`: fields of a chat request that its models refuse."""
        super().__init__()
        self._key = key
        self._answer = answer
        self._unwanted = unwanted

    def streams(self, received: Received) -> bool:
        return bool(received.body) and received.body.get("stream") is True

    def encode(self, step: object, streams: bool) -> bytes:
        data = json.dumps(step, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return b"data: %b\n\n" % data if streams else data

    async def healthy_reply(self, received: Received) -> Reply:
        fault = self._fault(received)
        if fault is not None:
            status, told = fault
            return Reply((told,), status)
        match received.path:
            case "/v1/models":
                # As Ollama lists them: a name without a tag means the latest.
                names = [*(f"{name}:latest" for name in EMBEDDING_MODELS), *ANSWER_MODELS]
                return Reply(({"object": "list", "data": [{"id": name, "object": "model"} for name in names]},), 200)
            case "/v1/embeddings":
                vectors = [vector_of(received.body["model"], text) for text in received.body["input"]]
                return Reply((embeddings(*vectors),), 200)
        pieces = [chunk(""), *map(chunk, self._answer), chunk(None, finish="stop")]
        told = [usage(7, 3)] if (received.body.get("stream_options") or {}).get("include_usage") else []
        return Reply((*pieces, *told, DONE), 200)

    def _fault(self, received: Received) -> tuple[int, Step] | None:
        """What a real server would say against the request."""
        if (received.method, received.path) not in _CALLS or received.query:
            return 404, b"404 page not found"
        if self._key is not None and received.headers.get("authorization") != f"Bearer {self._key}":
            return 401, error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
        if received.method == "GET":
            return None
        if received.headers.get("content-type") != "application/json":
            return 415, error("Unsupported Media Type: Only 'application/json' is allowed", "BadRequestError")
        models = EMBEDDING_MODELS if received.path == "/v1/embeddings" else ANSWER_MODELS
        if received.body.get("model") not in models:
            return 404, error(f"The model `{received.body.get('model')}` does not exist.", "NotFoundError", 404)
        told = _embedding_fault(received.body) if models is EMBEDDING_MODELS else self._chat_fault(received.body)
        return None if told is None else (400, told)

    def _chat_fault(self, body: Mapping[str, Any]) -> Step | None:
        for name in body:
            if name in self._unwanted:
                what = f"Unsupported parameter: '{name}' is not supported with this model."
                return error(what, "invalid_request_error", "unsupported_parameter", param=name)
            if name not in _CHAT_FIELDS:
                return error(f"Unrecognized request argument supplied: {name}", "invalid_request_error")
        if not body.get("messages") or body["messages"][-1].get("role") != "user":
            return error("Conversation roles must alternate user/assistant", "BadRequestError", 400)
        if not all(said["role"] in ("system", "user", "assistant") and said["content"] for said in body["messages"]):
            return error("Input should be a valid role with content", "invalid_request_error")
        if "stream_options" in body and not body.get("stream"):
            return error("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "BadRequestError")
        if {"max_tokens", "max_completion_tokens"} <= body.keys():
            return error("Setting 'max_tokens' and 'max_completion_tokens' at the same time.", "invalid_request_error")
        return None


_CALLS: Final = (("GET", "/v1/models"), ("POST", "/v1/embeddings"), ("POST", "/v1/chat/completions"))
_CHAT_FIELDS: Final = frozenset(
    {"model", "messages", "temperature", "max_tokens", "max_completion_tokens", "stream", "stream_options"}
)

DONE: Final = b"data: [DONE]\n\n"


def chunk(text: str | None, *, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One piece of an answer."""
    choice = {"index": 0, "delta": {"content": text, **delta}, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def usage(read: int, wrote: int) -> dict[str, Any]:
    """The last event where `include_usage` was asked for: it has no choice."""
    told = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": told}


def error(message: str, kind: str | None, code: str | int | None = None, *, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def embeddings(*vectors: Sequence[float | str | None]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": place, "embedding": list(vector)} for place, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def vector_of(model: str, text: str) -> list[float]:
    """Made of the text alone, and not of unit length: equal texts, equal vectors."""
    numbers = random.Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())  # noqa: S311 - no secret
    return [round(numbers.gauss(0, 0.02), 8) for _ in range(EMBEDDING_MODELS[model])]


def _embedding_fault(body: Mapping[str, Any]) -> Step | None:
    texts = body.get("input")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        return error("'$.input' is invalid.", "invalid_request_error")
    if len(texts) > 2048:
        return error("'$.input' is too long: at most 2048 items", "invalid_request_error")
    if body.get("encoding_format") not in ("float", "base64"):
        return error("encoding_format must be float or base64", "invalid_request_error", param="encoding_format")
    if "dimensions" in body:
        return error(f'Model "{body["model"]}" does not support matryoshka representation', "BadRequestError", 400)
    return None
