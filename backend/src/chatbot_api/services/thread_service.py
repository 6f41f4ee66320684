"""Conversations in this process's memory: the newest thousand, gone with the process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from chatbot_api.errors import ThreadNotFound
from chatbot_api.models.domain import Message


class MemoryThreads:
    def __init__(self, *, threads: int = 1_000, messages: int = 100) -> None:
        """Keeps that many threads, and the last so many messages of each."""
        self._threads = threads
        self._messages = messages
        self._kept: OrderedDict[str, tuple[Message, ...]] = OrderedDict()

    async def history(self, thread_id: str) -> tuple[Message, ...]:
        if thread_id not in self._kept:
            raise ThreadNotFound(f"thread {thread_id} is not kept here")
        self._kept.move_to_end(thread_id)
        return self._kept[thread_id]

    async def append(self, thread_id: str, messages: Sequence[Message]) -> None:
        kept = (*self._kept.get(thread_id, ()), *messages)
        self._kept[thread_id] = kept[-self._messages :]
        self._kept.move_to_end(thread_id)
        while len(self._kept) > self._threads:
            self._kept.popitem(last=False)
