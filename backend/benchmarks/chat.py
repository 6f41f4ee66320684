"""What the chat path adds to a model: the first word through `askbook serve`, beside the SDK's own stream from the same
server, which takes no time; and how soon the model is let go of when a reader leaves."""

from __future__ import annotations

import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from google import genai
from google.genai import types
from tests.gemini_server import GeminiServer, event
from tests.loopback import Break

from benchmarks.start import write_book

PASSAGES = 2_000
ROUNDS = 200
LEAVING = 20
PORT = 8450


async def direct(client: genai.Client, request: dict[str, Any]) -> float:
    """Milliseconds until the SDK's first word, for the request that `/chat` makes."""
    begun = time.perf_counter()
    stream = await client.aio.models.generate_content_stream(model="gemini-3.5-flash-lite", **request)
    first = 0.0
    async for chunk in stream:
        if chunk.text and not first:
            first = (time.perf_counter() - begun) * 1000
    return first


async def ours(client: httpx.AsyncClient, question: str) -> float:
    """Milliseconds until the first word of a streamed answer."""
    begun = time.perf_counter()
    first = 0.0
    async with client.stream("POST", "/chat", json={"query": question, "stream": True}) as response:
        async for line in response.aiter_lines():
            if line == "event: delta" and not first:
                first = (time.perf_counter() - begun) * 1000
    return first


def as_sent(body: dict[str, Any]) -> dict[str, Any]:
    """The SDK's arguments for a request that the server has seen."""
    config = {**body["generationConfig"], "systemInstruction": body["systemInstruction"]}
    return {"contents": body["contents"], "config": types.GenerateContentConfig.model_validate(config)}


@asynccontextmanager
async def served(folder: Path, environment: dict[str, str]) -> AsyncGenerator[httpx.AsyncClient, None]:
    process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for below
        [sys.executable, "-m", "askbook", "serve", "--port", str(PORT)], env=environment, cwd=folder
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{PORT}", timeout=30) as client:
            while True:
                try:
                    if (await client.get("/health")).status_code == 200:
                        break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait()


def environment_of(folder: Path, url: str) -> dict[str, str]:
    gemini = {"GEMINI_API_KEY": "test-key", "GEMINI_BASE_URL": url, "GEMINI_EMBED_TEXTS_PER_MINUTE": "0"}
    return {**os.environ, **gemini, "DATA_DIR": str(folder / "data"), "LOG_LEVEL": "error"}


async def measure(folder: Path) -> None:
    async with GeminiServer(answer=("The book ", "says so [1].")) as server:
        environment = environment_of(folder, server.url)
        command = [sys.executable, "-m", "askbook", "index", str(folder / "docs")]
        index = await asyncio.create_subprocess_exec(*command, env=environment, stdout=-3, stderr=-3)
        if await index.wait():
            raise SystemExit("the book could not be indexed")
        # Made beforehand, so that the server takes no time over a vector.
        vector = {"values": [round(math.sin(number) / 20, 8) for number in range(768)]}
        server.always("batchEmbedContents", json.dumps({"embeddings": [vector]}, indent=2).encode())
        options = types.HttpOptions(base_url=server.url, api_version="v1beta")
        sdk = genai.Client(api_key="test-key", http_options=options)
        async with served(folder, environment) as client:
            figures: dict[str, list[float]] = {"direct": [], "new": [], "known": []}
            for warm in range(5):
                await ours(client, f"warm {warm}")
            request = as_sent(server.requests[-1].body)
            await direct(sdk, request)
            for turn in range(ROUNDS):  # side by side, so that all meet the same noise
                question = f"Which option sets part {turn % 10} of machine {turn}?"
                figures["direct"].append(await direct(sdk, request))
                figures["new"].append(await ours(client, question))
                figures["known"].append(await ours(client, question))
            leaving = [await leave(client, server) for _ in range(LEAVING)]
    print_first_words(figures)
    print(f"| reader leaves, model let go of | {statistics.median(leaving):.1f} | {max(leaving):.1f} | |")


async def leave(client: httpx.AsyncClient, server: GeminiServer) -> float:
    """Milliseconds from a reader's leaving to the end of the connection to the model."""
    server.client_left.clear()
    server.always("streamGenerateContent", event("Over "), Break.HANG)
    async with client.stream("POST", "/chat", json={"query": "Which option?", "stream": True}) as response:
        async for line in response.aiter_lines():
            if line == "event: delta":
                break
        begun = time.perf_counter()
    await server.client_left.wait()
    return (time.perf_counter() - begun) * 1000


def print_first_words(figures: dict[str, list[float]]) -> None:
    labels = {
        "direct": "the SDK alone",
        "new": "through /chat, a question never asked before",
        "known": "through /chat, a question asked before",
    }
    base = statistics.median(figures["direct"])
    print(f"### First word from a model that takes no time ({ROUNDS} turns, {PASSAGES} passages)\n")
    print("| | ms p50 | ms p99 | over the SDK, ms |\n|---|---|---|---|")
    for name, label in labels.items():
        median = statistics.median(figures[name])
        slow = sorted(figures[name])[math.ceil(ROUNDS * 0.99) - 1]
        print(f"| {label} | {median:.1f} | {slow:.1f} | {median - base:.1f} |")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "docs").mkdir()
        write_book(folder / "docs", PASSAGES)
        asyncio.run(measure(folder))


if __name__ == "__main__":
    main()
