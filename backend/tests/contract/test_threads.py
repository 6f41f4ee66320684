"""The promises of `ThreadStore`."""

from __future__ import annotations

import pytest

from chatbot_api.errors import ThreadNotFound
from chatbot_api.models.domain import Message
from chatbot_api.services.thread_service import MemoryThreads

ASKED, SAID = Message("reader", "What is a topic?"), Message("assistant", "A channel [1].")


@pytest.fixture
def threads() -> MemoryThreads:
    return MemoryThreads(threads=2, messages=4)


async def test_messages_come_back_in_their_order(threads: MemoryThreads) -> None:
    await threads.append("a", [ASKED])
    await threads.append("a", [SAID])

    assert await threads.history("a") == (ASKED, SAID)


async def test_an_unknown_thread_does_not_exist(threads: MemoryThreads) -> None:
    with pytest.raises(ThreadNotFound):
        await threads.history("a")


async def test_the_thread_that_was_not_used_for_longest_is_forgotten(threads: MemoryThreads) -> None:
    await threads.append("a", [ASKED])
    await threads.append("b", [ASKED])
    await threads.history("a")
    await threads.append("c", [ASKED])

    assert await threads.history("a") == (ASKED,)
    with pytest.raises(ThreadNotFound):
        await threads.history("b")


async def test_the_oldest_messages_of_a_long_thread_are_forgotten(threads: MemoryThreads) -> None:
    for _ in range(3):
        await threads.append("a", [ASKED, SAID])

    assert await threads.history("a") == (ASKED, SAID, ASKED, SAID)
