"""Tables of conversations, and what the database is told about their rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    delete,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from chatbot_api.errors import MessageNotFound, ThreadNotFound
from chatbot_api.models.domain import Batch, Conversation, Feedback, Item, Lease, Thread
from chatbot_api.services.item_json import as_item, as_json, readable

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 100
"""How many threads one transaction of a purge removes."""


# Tables -----------------------------------------------------------------------------------------------


class _Id(TypeDecorator[str]):
    """An id of ours is kept as it is. One from outside may hold what no database takes: it is escaped, and still
    equals only itself."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _: Dialect) -> str | None:
        return None if value is None else value.encode("unicode_escape").decode("ascii")

    def process_result_value(self, value: str | None, _: Dialect) -> str | None:
        return None if value is None else value.encode("ascii").decode("unicode_escape")


class _Words(TypeDecorator[str]):
    """Without what no database takes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _: Dialect) -> str | None:
        return None if value is None else readable(value)


class _Utc(TypeDecorator[datetime]):
    """SQLite has no time zones: there all times are UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

_threads = Table(
    "threads",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("owner", _Id, nullable=False),
    Column("title", _Words, nullable=False),
    Column("created_at", _Utc, nullable=False),
    Column("updated_at", _Utc, nullable=False),
    # The sequence of its newest question: its place in lists.
    Column("active_seq", BigInteger, nullable=False),
    # The newest turn, and until when it keeps others out; NULL once it has ended.
    Column("turn_id", _Id, nullable=False),
    Column("lease_until", _Utc),
    Column("deleted_at", _Utc),
    Index("threads_of_owner", "owner", "active_seq", "id"),
    Index("threads_by_age", "updated_at"),
    Index("threads_by_birth", "created_at", "id"),
)

_items = Table(
    "items",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("thread_id", _Id, ForeignKey("threads.id", ondelete="CASCADE"), nullable=False),
    Column("id", _Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created_at", _Utc, nullable=False),
    Column("data", Text, nullable=False),
    Column("deleted_at", _Utc),
    UniqueConstraint("thread_id", "id", name="items_of_thread"),
    Index("items_in_order", "thread_id", "seq"),
    # A sequence that was given once is never given again, even to the newest row's successor.
    sqlite_autoincrement=True,
)

_feedback = Table(
    "feedback",
    metadata,
    Column("thread_id", _Id, primary_key=True),
    Column("item_id", _Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("comment", _Words, nullable=False),
    Column("created_at", _Utc, nullable=False),
    ForeignKeyConstraint(["thread_id", "item_id"], ["items.thread_id", "items.id"], ondelete="CASCADE"),
)


# Rows -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """Who has a thread, or had it last."""

    turn_id: str
    until: datetime | None
    """None where that turn has ended."""


class Rows:
    """The rows of one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert

    async def thread(self, thread_id: str, owner: str) -> Thread:
        """Raises `ThreadNotFound`."""
        return _as_thread(await self._own(select(_threads), thread_id, owner))

    async def hold(self, thread_id: str, owner: str) -> Held:
        """Keeps every other transaction from changing the thread until the end of this one. Raises
        `ThreadNotFound`."""
        row = await self._own(select(_threads).with_for_update(), thread_id, owner)
        return Held(row.turn_id, row.lease_until)

    async def _own(self, query: Select[Any], thread_id: str, owner: str) -> Row[Any]:
        own = (_threads.c.id == thread_id, _threads.c.owner == owner, _threads.c.deleted_at.is_(None))
        row: Row[Any] | None = (await self._connection.execute(query.where(*own))).one_or_none()
        if row is None:
            raise ThreadNotFound("the thread does not exist for this reader")
        return row

    async def threads(self, owner: str, *, limit: int, after: str | None, newest_first: bool) -> Batch[Thread]:
        """Raises `ThreadNotFound` where there never was the thread to go on from."""
        query = select(_threads).where(_threads.c.owner == owner, _threads.c.owner != "")
        place = tuple_(_threads.c.active_seq, _threads.c.id)
        if after is not None:
            seq = await self._connection.scalar(
                query.with_only_columns(_threads.c.active_seq).where(_threads.c.id == after)
            )
            if seq is None:
                raise ThreadNotFound("the thread to go on from does not exist for this reader")
            query = query.where(place < (seq, after) if newest_first else place > (seq, after))
        columns = (_threads.c.active_seq, _threads.c.id)
        query = query.where(_threads.c.deleted_at.is_(None)).limit(limit + 1)
        query = query.order_by(*(column.desc() if newest_first else column for column in columns))
        found = [_as_thread(row) for row in await self._connection.execute(query)]
        return Batch(tuple(found[:limit]), has_more=len(found) > limit)

    async def add_thread(self, thread: Thread, lease: Lease) -> None:
        """Nothing where it is there already, whoever's it is."""
        await self._connection.execute(
            self._insert(_threads)
            .values(
                id=thread.id,
                owner=thread.owner,
                title=thread.title,
                created_at=thread.created_at,
                updated_at=thread.created_at,
                active_seq=0,
                turn_id=lease.turn_id,
                lease_until=lease.until,
            )
            .on_conflict_do_nothing()
        )

    async def change_thread(self, thread_id: str, **values: object) -> None:
        await self._connection.execute(update(_threads).where(_threads.c.id == thread_id).values(**values))

    async def remove_words(self, thread_id: str) -> None:
        """Of everybody in the thread. The feedback goes with the items."""
        await self._connection.execute(delete(_items).where(_items.c.thread_id == thread_id))
        await self.change_thread(thread_id, title="", lease_until=None, deleted_at=datetime.now(UTC))

    async def items(self, thread_id: str, *, limit: int, after: str | None, newest_first: bool) -> Batch[Item]:
        """Raises `MessageNotFound` where there never was the item to go on from."""
        past = None
        if after is not None:
            past = await self._connection.scalar(select(_items.c.seq).where(*_named(thread_id, after)))
            if past is None:
                raise MessageNotFound("the item to go on from does not exist")
        query = select(_items).where(_items.c.thread_id == thread_id, _items.c.deleted_at.is_(None))
        query = query.order_by(_items.c.seq.desc() if newest_first else _items.c.seq)
        found: list[Item] = []
        # Once, unless some of them cannot be read.
        while (missing := limit + 1 - len(found)) > 0:
            part = query.limit(missing)
            if past is not None:
                part = part.where(_items.c.seq < past if newest_first else _items.c.seq > past)
            rows = (await self._connection.execute(part)).all()
            found += [item for row in rows if (item := _find_item(row)) is not None]
            if len(rows) < missing:
                break
            past = rows[-1].seq
        return Batch(tuple(found[:limit]), has_more=len(found) > limit)

    async def item(self, thread_id: str, item_id: str) -> Item:
        """Raises `MessageNotFound`."""
        query = select(_items).where(*_named(thread_id, item_id), _items.c.deleted_at.is_(None))
        row = (await self._connection.execute(query)).one_or_none()
        item = None if row is None else _find_item(row)
        if item is None:
            raise MessageNotFound("the item does not exist")
        return item

    async def was_put(self, thread_id: str, item_id: str) -> bool:
        """Whether or not it was replaced since."""
        return await self._connection.scalar(select(_items.c.seq).where(*_named(thread_id, item_id))) is not None

    async def put_item(self, thread_id: str, item: Item) -> int | None:
        """Its sequence; None where it was put before, which changes nothing."""
        row = {
            "thread_id": thread_id,
            "id": item.id,
            "kind": item.kind,
            "created_at": item.created_at,
            "data": as_json(item),
        }
        statement = self._insert(_items).values(row).on_conflict_do_nothing().returning(_items.c.seq)
        seq: int | None = await self._connection.scalar(statement)
        return seq

    async def drop_items(self, thread_id: str, ids: Sequence[str]) -> None:
        """Their words and their feedback are gone, their places stay."""
        if ids:
            of_items = (_feedback.c.thread_id == thread_id, _feedback.c.item_id.in_(ids))
            await self._connection.execute(delete(_feedback).where(*of_items))
            places = (_items.c.thread_id == thread_id, _items.c.id.in_(ids))
            await self._connection.execute(update(_items).where(*places).values(data="", deleted_at=datetime.now(UTC)))

    async def put_feedback(self, thread_id: str, item_id: str, feedback: Feedback | None) -> None:
        given = (_feedback.c.thread_id == thread_id, _feedback.c.item_id == item_id)
        await self._connection.execute(delete(_feedback).where(*given))
        if feedback is not None:
            row = {
                "thread_id": thread_id,
                "item_id": item_id,
                "kind": feedback.kind,
                "comment": feedback.comment,
                "created_at": feedback.created_at,
            }
            await self._connection.execute(self._insert(_feedback).values(row))

    async def feedback(self, thread_id: str) -> Mapping[str, Feedback]:
        rows = await self._connection.execute(select(_feedback).where(_feedback.c.thread_id == thread_id))
        return {row.item_id: Feedback(row.kind, row.created_at, row.comment) for row in rows}

    async def oldest(self, owner: str | None, past: Thread | None) -> Conversation | None:
        """The oldest thread of an owner or of all that comes after one, with everything in it."""
        query = select(_threads).where(_threads.c.deleted_at.is_(None))
        if owner is not None:
            query = query.where(_threads.c.owner == owner, _threads.c.owner != "")
        place = tuple_(_threads.c.created_at, _threads.c.id)
        if past is not None:
            query = query.where(place > (past.created_at, past.id))
        query = query.order_by(_threads.c.created_at, _threads.c.id).limit(1)
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            return None
        kept = select(_items).where(_items.c.thread_id == row.id, _items.c.deleted_at.is_(None)).order_by(_items.c.seq)
        items = [_find_item(item) for item in await self._connection.execute(kept)]
        return Conversation(
            _as_thread(row), tuple(item for item in items if item is not None), await self.feedback(row.id)
        )

    async def forget(self, owner: str) -> int:
        gone = delete(_threads).where(_threads.c.owner == owner, _threads.c.owner != "")
        return (await self._connection.execute(gone)).rowcount

    async def purge(self, before: datetime) -> int:
        """At most a hundred; none that another transaction is changing."""
        old = select(_threads.c.id).where(_threads.c.updated_at < before).order_by(_threads.c.updated_at)
        ids = (await self._connection.scalars(old.limit(_AT_ONCE).with_for_update(skip_locked=True))).all()
        await self._connection.execute(delete(_threads).where(_threads.c.id.in_(ids)))
        return len(ids)


def _named(thread_id: str, item_id: str) -> tuple[Any, ...]:
    return _items.c.thread_id == thread_id, _items.c.id == item_id


def _as_thread(row: Row[Any]) -> Thread:
    return Thread(row.id, row.owner, row.created_at, row.title, row.updated_at)


def _find_item(row: Row[Any]) -> Item | None:
    try:
        return as_item(row.data)
    except ValidationError as exc:
        # Not the error itself: it quotes the words.
        logger.warning("item skipped, since it cannot be read id=%s errors=%d", row.id, exc.error_count())
        return None
