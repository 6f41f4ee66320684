"""Measures the local embedding model on text it makes itself, and prints a Markdown table. Linux only, for the memory.

python benchmarks/local_model.py --threads 2 --passages 200 --tokens 200 --questions 200
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from chatbot_api.models.domain import TitledText
from chatbot_api.services.local_service import LocalService


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passages", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=200, help="length of a passage")
    parser.add_argument("--questions", type=int, default=200)
    arguments = parser.parse_args()

    print("| measure | value |\n|---|---:|")
    for name, value in asyncio.run(measured(**vars(arguments))).items():
        print(f"| {name} | {value} |")


async def measured(threads: int, passages: int, tokens: int, questions: int) -> dict[str, str]:
    text_of = writer()
    book = [TitledText(text_of(3), text_of(tokens - 5)) for _ in range(passages)]
    found = {"threads": str(threads), "tokens a passage": str(tokens), "MB before": memory("VmRSS")}

    service = LocalService(threads=threads)
    found["MB constructed"] = memory("VmRSS")

    watch = asyncio.create_task(longest_pause())
    began = time.perf_counter()
    await service.embed_question(text_of(9))
    found["import, load and first question, ms"] = f"{since(began):.0f}"
    watch.cancel()
    found["longest pause of the event loop meanwhile, ms"] = f"{await watch:.0f}"
    found["MB after the first question"] = memory("VmRSS")

    times = []
    for _ in range(questions):
        began = time.perf_counter()
        await service.embed_question(text_of(9))
        times.append(since(began))
    for share in (50, 99):
        found[f"one question, p{share}, ms"] = f"{sorted(times)[questions * share // 100]:.1f}"

    began = time.perf_counter()
    for start in range(0, passages, service.batch_size):
        await service.embed_passages(book[start : start + service.batch_size])
    found["passages a second"] = f"{passages / since(began) * 1000:.1f}"
    found["MB after the passages"] = memory("VmRSS")
    found["MB at the highest"] = memory("VmHWM")
    await service.close()
    return found


def writer() -> Callable[[int], str]:
    """Makes texts of as many tokens as it is told: words that the vocabulary has whole. The same ones every run."""
    vocabulary = files("chatbot_api.services").joinpath("vocab.txt").read_text("utf-8").split()
    words = [word for word in vocabulary if word.isascii() and word.isalpha()]
    chance = random.Random(0)
    return lambda tokens: " ".join(chance.choices(words, k=tokens))


async def longest_pause() -> float:
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0.001)
            longest, last = max(longest, since(last)), time.perf_counter()
    except asyncio.CancelledError:
        return longest


def memory(field: str) -> str:
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith(f"{field}:"))
    return f"{int(line.split()[1]) / 1024:.0f}"


def since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
