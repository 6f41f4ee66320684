"""Conversations in SQLite and PostgreSQL: what a reader with very many of them waits for, among many other readers."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr
from tests.postgres import find_programs, running

from chatbot_api.models.domain import AnswerItem, Citation, Lease, QuestionItem, Thread
from chatbot_api.services.thread_service import ThreadService

THREADS = 500
MESSAGES = 10_000
"""Of one reader, in those threads; another has as many."""
ROUNDS = 500
ANSWER = "A node publishes messages to a topic; whoever subscribes to it gets them. " * 12
CITATIONS = tuple(
    Citation(number, "Topics", ("Robots", "Topics"), "/docs/topics#publish", ANSWER[:200], uuid4().hex, "/docs/topics")
    for number in range(1, 5)
)


async def turn(threads: ThreadService, within: Thread, *, new: bool) -> None:
    now = datetime.now(UTC)
    asked = QuestionItem(uuid4().hex, now, "How does a node publish messages to a topic?")
    told = AnswerItem(uuid4().hex, asked.id, now, "done", ANSWER, "answered", "generated", CITATIONS)
    lease = Lease(told.id, now + timedelta(seconds=60))
    await threads.begin_turn(within, lease, asked, new=new)
    await threads.end_turn(within, lease, told)


async def fill(threads: ThreadService, owner: str) -> list[Thread]:
    made = [Thread(uuid4().hex, owner, datetime.now(UTC), "How does a node publish?") for _ in range(THREADS)]
    for number in range(MESSAGES // 2 // THREADS):
        await asyncio.gather(*(turn(threads, within, new=number == 0) for within in made))
    return made


async def timed(call: Callable[[int], Awaitable[object]]) -> tuple[float, float]:
    """p50 and p99, in milliseconds."""
    taken = []
    for number in range(ROUNDS):
        begun = time.perf_counter()
        await call(number)
        taken.append((time.perf_counter() - begun) * 1000)
    taken.sort()
    return taken[len(taken) // 2], taken[math.ceil(len(taken) * 0.99) - 1]


async def measure(threads: ThreadService) -> dict[str, tuple[float, float]]:
    mine = await fill(threads, "alice")
    await fill(threads, "bob")
    long = Thread(uuid4().hex, "alice", datetime.now(UTC), "A long one")
    for number in range(500):
        await turn(threads, long, new=number == 0)
    return {
        "the newest 50 threads of 501": await timed(lambda _: threads.list_threads("alice", limit=50)),
        "50 threads after any other": await timed(
            lambda number: threads.list_threads("alice", limit=50, after=mine[number % THREADS].id)
        ),
        "the last 20 items of 1,000": await timed(
            lambda _: threads.list_items(long.id, owner="alice", limit=20, newest_first=True)
        ),
        "a turn, begun and ended": await timed(lambda number: turn(threads, mine[number % THREADS], new=False)),
        "a thread deleted, its words gone": await timed(
            lambda number: threads.delete_thread(mine[number].id, owner="alice")
        ),
    }


@asynccontextmanager
async def closing(threads: ThreadService) -> AsyncGenerator[ThreadService, None]:
    try:
        yield threads
    finally:
        await threads.close()


def first_use() -> float:
    """Milliseconds until an SQLite file with tables is open, imports included, in a process of its own."""
    code = (
        "import asyncio, pathlib, time\n"
        "from chatbot_api.services.thread_service import ThreadService\n"
        "async def main():\n"
        "    threads = ThreadService(None, pathlib.Path('.'))\n"
        "    begun = time.perf_counter()\n"
        "    await threads.list_threads('alice', limit=1)\n"
        "    print((time.perf_counter() - begun) * 1000)\n"
        "    await threads.close()\n"
        "asyncio.run(main())\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        taken = []
        for _ in range(6):
            run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
            taken.append(float(run.stdout))
    return sorted(taken[1:])[2]


async def main() -> None:
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        async with closing(ThreadService(None, Path(folder))) as threads:
            results["SQLite"] = await measure(threads)
    if programs := find_programs():
        with running(programs) as server:
            async with closing(ThreadService(SecretStr(server.new_database()), Path())) as threads:
                await threads.migrate()
                results["PostgreSQL"] = await measure(threads)
    print(f"### Conversations: a reader with {MESSAGES:,} messages, among {2 * MESSAGES:,}\n")
    print("PostgreSQL on the same machine, behind a socket, without waiting for the disk.\n")
    print("| ms | " + " | ".join(f"{name}, p50 | {name}, p99" for name in results) + " |")
    print("|---" * (1 + 2 * len(results)) + "|")
    for label in results["SQLite"]:
        print(
            f"| {label} | "
            + " | ".join(f"{p50:.1f} | {p99:.1f}" for p50, p99 in (r[label] for r in results.values()))
            + " |"
        )
    print(
        f"\nThe first use of an SQLite file, imports included: {first_use():.0f} ms, beside whatever else is going on."
    )


if __name__ == "__main__":
    asyncio.run(main())
