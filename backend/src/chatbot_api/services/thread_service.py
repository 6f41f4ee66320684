"""Conversations in SQLite or PostgreSQL: our `ThreadStore` and `ThreadArchive`. What is promised stands here, what the
database is told in `thread_sql`."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from anyio import CancelScope
from pydantic import SecretStr

from chatbot_api.errors import MessageNotFound, ThreadBusy
from chatbot_api.models.domain import (
    AnswerItem,
    Batch,
    Conversation,
    Feedback,
    Item,
    Lease,
    QuestionItem,
    Remark,
    Thread,
)

if TYPE_CHECKING:
    from chatbot_api.services.thread_database import Database
    from chatbot_api.services.thread_sql import Rows

FILE: Final = "threads.sqlite"
_SQLITE: Final = "sqlite:///"

P = ParamSpec("P")
T = TypeVar("T")


def _whole(
    method: Callable[Concatenate[ThreadService, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[ThreadService, P], Coroutine[Any, Any, T]]:
    """Once begun, the call comes to its end. Readers leave at any moment, and a driver that is interrupted may leave
    its transaction open. Who is cancelled meanwhile learns of it afterwards."""

    @wraps(method)
    async def run(self: ThreadService, /, *args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.create_task(method(self, *args, **kwargs))
        self._running.add(task)
        task.add_done_callback(self._ran)
        with CancelScope(shield=True):
            try:
                result = await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.wait([task])
                raise
        return result

    return run


class ThreadService:
    def __init__(self, url: SecretStr | None, data_dir: Path, *, timeout: float = 10.0) -> None:
        """Connects with the first call. `url` is the DATABASE_URL; without it there is an SQLite file in `data_dir`.
        On a server, no transaction takes longer than `timeout` seconds."""
        self._place: Path | SecretStr = url if url is not None else data_dir / FILE
        if url is not None and url.get_secret_value().startswith(_SQLITE):
            self._place = Path(url.get_secret_value().removeprefix(_SQLITE))
        self._timeout = timeout
        self._opening: asyncio.Task[Database] | None = None
        self._running: set[asyncio.Task[Any]] = set()

    # ThreadStore ----------------------------------------------------------------------------------------

    @_whole
    async def get_thread(self, thread_id: str, *, owner: str) -> Thread:
        async with self._transaction() as rows:
            return await rows.thread(thread_id, owner)

    @_whole
    async def list_threads(
        self, owner: str, *, limit: int, after: str | None = None, newest_first: bool = True
    ) -> Batch[Thread]:
        async with self._transaction() as rows:
            return await rows.threads(owner, limit=limit, after=after, newest_first=newest_first)

    @_whole
    async def rename_thread(self, thread_id: str, title: str, *, owner: str) -> Thread:
        async with self._transaction(writes=True) as rows:
            await rows.hold(thread_id, owner)
            await rows.change_thread(thread_id, title=title)
            return await rows.thread(thread_id, owner)

    @_whole
    async def delete_thread(self, thread_id: str, *, owner: str) -> None:
        async with self._transaction(writes=True) as rows:
            await rows.hold(thread_id, owner)
            await rows.remove_words(thread_id)
        await self._scrub()

    @_whole
    async def list_items(
        self, thread_id: str, *, owner: str, limit: int, after: str | None = None, newest_first: bool = False
    ) -> Batch[Item]:
        async with self._transaction() as rows:
            await rows.thread(thread_id, owner)
            return await rows.items(thread_id, limit=limit, after=after, newest_first=newest_first)

    @_whole
    async def get_item(self, thread_id: str, item_id: str, *, owner: str) -> Item:
        async with self._transaction() as rows:
            await rows.thread(thread_id, owner)
            return await rows.item(thread_id, item_id)

    @_whole
    async def begin_turn(self, thread: Thread, lease: Lease, question: QuestionItem | None, *, new: bool) -> None:
        async with self._transaction(writes=True) as rows:
            if new:
                await rows.add_thread(thread, lease)
            held = await rows.hold(thread.id, thread.owner)
            if held.turn_id != lease.turn_id and held.until is not None and held.until > datetime.now(UTC):
                raise ThreadBusy("another turn has not ended")
            changes: dict[str, object] = {"turn_id": lease.turn_id, "lease_until": lease.until}
            if question is not None and (seq := await rows.put_item(thread.id, question)) is not None:
                changes |= {"active_seq": seq, "updated_at": question.created_at}
            await rows.change_thread(thread.id, **changes)

    @_whole
    async def end_turn(
        self, thread: Thread, lease: Lease, answer: AnswerItem | None, *, replaced: Sequence[str] = ()
    ) -> None:
        async with self._transaction(writes=True) as rows:
            held = await rows.hold(thread.id, thread.owner)
            if held.turn_id != lease.turn_id:
                if answer is not None and await rows.was_put(thread.id, answer.id):
                    return
                raise ThreadBusy("the lease ran out, and another turn has begun")
            if answer is not None and held.until is not None:
                await rows.drop_items(thread.id, replaced)
                await rows.put_item(thread.id, answer)
            await rows.change_thread(thread.id, lease_until=None)
        if replaced:
            await self._scrub()

    @_whole
    async def put_feedback(self, thread_id: str, item_id: str, feedback: Feedback | None, *, owner: str) -> None:
        async with self._transaction(writes=True) as rows:
            await rows.hold(thread_id, owner)
            if not isinstance(await rows.item(thread_id, item_id), AnswerItem):
                raise MessageNotFound("the item is not an answer")
            await rows.put_feedback(thread_id, item_id, feedback)

    @_whole
    async def list_feedback(self, thread_id: str, *, owner: str) -> Mapping[str, Feedback]:
        async with self._transaction() as rows:
            await rows.thread(thread_id, owner)
            return await rows.feedback(thread_id)

    @_whole
    async def check(self) -> Sequence[Remark]:
        database = await self._opened()
        await database.check()
        return [Remark(database.name)]

    async def close(self) -> None:
        with CancelScope(shield=True):
            while self._running:
                await asyncio.wait(self._running)
            opening, self._opening = self._opening, None
            if opening is not None and not _failed(opening):
                await opening.result().close()

    # ThreadArchive --------------------------------------------------------------------------------------

    async def export(self, owner: str | None = None) -> AsyncGenerator[Conversation, None]:
        past: Thread | None = None
        while True:
            conversation = await self._oldest(owner, past)
            if conversation is None:
                return
            yield conversation
            past = conversation.thread

    @_whole
    async def _oldest(self, owner: str | None, past: Thread | None) -> Conversation | None:
        async with self._transaction() as rows:
            return await rows.oldest(owner, past)

    @_whole
    async def forget(self, owner: str) -> int:
        async with self._transaction(writes=True) as rows:
            count = await rows.forget(owner)
        await self._scrub()
        return count

    async def purge(self, before: datetime) -> int:
        count = 0
        while gone := await self._purge_some(before):
            count += gone
        return count

    @_whole
    async def _purge_some(self, before: datetime) -> int:
        async with self._transaction(writes=True) as rows:
            gone = await rows.purge(before)
        if gone:
            await self._scrub()
        return gone

    # The database ---------------------------------------------------------------------------------------

    async def migrate(self) -> tuple[str | None, str]:
        """Brings the tables up to date. Returns the revision that was found, None where there were no tables, and the
        one they have now. Raises `DatabaseOutdated` where they cannot be, `ThreadsUnavailable`."""
        database = await self._load()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            return await database.migrate()

    def _ran(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # or asyncio complains where nobody waits for it any more

    @asynccontextmanager
    async def _transaction(self, *, writes: bool = False) -> AsyncGenerator[Rows, None]:
        database = await self._opened()
        async with database.transaction(writes=writes) as rows:
            yield rows

    async def _scrub(self) -> None:
        await (await self._opened()).scrub()

    async def _opened(self) -> Database:
        """Opened once: all who wait for it share how it ends. Raises `DatabaseOutdated`; the next call tries again."""
        if self._opening is None or _failed(self._opening):
            self._opening = asyncio.create_task(self._open())
        return await self._opening

    async def _open(self) -> Database:
        database = await self._load()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(database.close)
            await database.prepare()
            undo.pop_all()
        return database

    async def _load(self) -> Database:
        """SQLAlchemy is imported here, beside whatever else is going on."""
        module = await asyncio.to_thread(importlib.import_module, "chatbot_api.services.thread_database")
        database: Database = await asyncio.to_thread(module.Database, self._place, timeout=self._timeout)
        return database


def _failed(task: asyncio.Task[Database]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
