"""The database of conversations: an SQLite file or a PostgreSQL server, its transactions, and whether its tables are as
they should be. Imported with the first conversation: SQLAlchemy takes 0.2 s."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from filelock import AsyncFileLock
from pydantic import SecretStr
from sqlalchemy import URL, Connection, event, func, inspect, select, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from chatbot_api.errors import DatabaseOutdated, ThreadsUnavailable
from chatbot_api.services.thread_sql import Rows

logger = logging.getLogger(__name__)

HEAD: Final = "0001"
"""The newest revision in `chatbot_api.migrations`, so that looking whether the tables are as they should be needs no
alembic."""

_CONNECTIONS: Final = 5
_CONNECTIONS_AT_PEAK: Final = 15
_WAIT_SECONDS: Final = 5
"""For a connection, for one from the pool, and for the other processes that write into an SQLite file."""
_MIGRATING: Final = 0x61736B626F6F6B
"""The name of PostgreSQL's lock that one `askbook migrate` at a time holds."""


class Database:
    """Opened by `prepare`, before anything else."""

    def __init__(self, place: Path | SecretStr, *, timeout: float) -> None:
        """Connects to nothing, but makes the file and its folder where an SQLite file is not there."""
        with _our_errors():
            self._engine = _postgresql(place) if isinstance(place, SecretStr) else _sqlite(place)
        self._file = None if isinstance(place, SecretStr) else place
        # A file has its own limit, and its driver is better not interrupted.
        self._timeout = timeout if self._file is None else None
        # SQLite takes one writer at a time. It lets the others poll, of which some may never be lucky.
        self._writer: AbstractAsyncContextManager[None] = nullcontext() if self._file is None else asyncio.Lock()
        self._writing = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        self._bare = self._engine.execution_options(begin=None)

    @property
    def name(self) -> str:
        if self._file is not None:
            return f"SQLite, in {self._file}"
        version = self._engine.dialect.server_version_info
        return f"PostgreSQL {version[0]}" if version else "PostgreSQL"

    @asynccontextmanager
    async def transaction(self, *, writes: bool) -> AsyncGenerator[Rows, None]:
        engine, turn = (self._writing, self._writer) if writes else (self._engine, nullcontext())
        with _our_errors():
            async with asyncio.timeout(self._timeout), turn, engine.begin() as connection:
                yield Rows(connection)

    async def prepare(self) -> None:
        """Raises `DatabaseOutdated`. An SQLite file gets its tables here."""
        if self._file is not None:
            # Of two who ask for this journal at once, SQLite refuses one without waiting.
            lock = AsyncFileLock(f"{self._file}.lock", timeout=_WAIT_SECONDS, mode=0o600)
            with _our_errors():
                async with lock, self._bare.connect() as connection:
                    await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            if await self.revision() != HEAD:
                await self.migrate()
        await self.check()

    async def check(self) -> None:
        """Raises `DatabaseOutdated`."""
        _check_revision(await self.revision(), behind=False)

    async def revision(self) -> str | None:
        """None where there are no tables yet."""
        with _our_errors():
            async with asyncio.timeout(self._timeout), self._engine.begin() as connection:
                return await connection.run_sync(_revision)

    async def migrate(self) -> tuple[str | None, str]:
        """Returns the revision that was found and the one there is now. Raises `DatabaseOutdated` where what was found
        is not ours, or of a newer version."""
        migrations = await asyncio.to_thread(importlib.import_module, "chatbot_api.migrations")
        with _our_errors():
            async with self._writing.begin() as connection:
                if self._file is None:
                    await connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
                found = await connection.run_sync(_revision)
                _check_revision(found, behind=True)
                if found != HEAD:
                    await connection.run_sync(migrations.upgrade)
        return found, HEAD

    async def scrub(self) -> None:
        """Words that were removed are overwritten in an SQLite file; this clears them from the log beside it too.
        While somebody reads, that is left to the next call."""
        if self._file is None:
            return
        try:
            async with self._writer, self._bare.connect() as connection:
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        except (DBAPIError, PoolTimeout) as exc:
            cause = type(exc).__name__
            logger.warning("words that were removed may still be in the log of the database cause=%s", cause)

    async def close(self) -> None:
        await self._engine.dispose()


def _sqlite(file: Path) -> AsyncEngine:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS_AT_PEAK - _CONNECTIONS,
        pool_timeout=_WAIT_SECONDS,
        connect_args={"timeout": _WAIT_SECONDS},
        hide_parameters=True,
    )

    # Python's driver begins transactions when it sees fit, and never at once to write:
    # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get("begin", "BEGIN")
        if statement is not None:
            connection.exec_driver_sql(statement)

    return engine


def _postgresql(url: SecretStr) -> AsyncEngine:
    """Raises `ThreadsUnavailable` on an address that cannot be read."""
    import psycopg  # not where conversations are in SQLite: it takes 0.1 s
    from psycopg.conninfo import conninfo_to_dict

    try:
        told = conninfo_to_dict(url.get_secret_value())
    except psycopg.ProgrammingError:
        # The error quotes the address, and the address has the password.
        raise ThreadsUnavailable("DATABASE_URL is not an address that PostgreSQL understands") from None
    ours: dict[str, Any] = {
        "connect_timeout": _WAIT_SECONDS,
        "tcp_user_timeout": _WAIT_SECONDS * 1000,
        "application_name": "askbook",
    }
    parameters = {**ours, **told}

    async def connect() -> psycopg.AsyncConnection[Any]:
        # Prepared statements belong to a connection, which a pooler in between may change with each transaction.
        return await psycopg.AsyncConnection.connect(prepare_threshold=None, **parameters)

    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        pool_pre_ping=True,
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS_AT_PEAK - _CONNECTIONS,
        pool_timeout=_WAIT_SECONDS,
        hide_parameters=True,
        use_native_hstore=False,
    )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _check_revision(found: str | None, *, behind: bool) -> None:
    """Raises `DatabaseOutdated` on any but ours; `behind` allows older ones."""
    if found is not None and not re.fullmatch(r"\d{4}", found):
        raise DatabaseOutdated(
            "the database of conversations holds the tables of another program: give Askbook a database of its own"
        )
    if found is not None and found > HEAD:
        raise DatabaseOutdated(
            f"the database of conversations is of a newer Askbook: its tables are at {found}, this version knows "
            f"{HEAD}; install the newer version again"
        )
    if found != HEAD and not behind:
        state = "has no tables yet" if found is None else f"is at {found}, this version needs {HEAD}"
        raise DatabaseOutdated(f"the database of conversations {state}; run: askbook migrate")


@contextmanager
def _our_errors() -> Generator[None, None, None]:
    try:
        yield
    except (IntegrityError, DataError):
        raise  # what we wrote was wrong, not the database
    except DBAPIError as exc:
        raise ThreadsUnavailable(f"the database of conversations failed: {_name(exc)}") from exc
    except PoolTimeout as exc:
        raise ThreadsUnavailable("all connections to the database of conversations are in use") from exc
    except TimeoutError as exc:
        raise ThreadsUnavailable("the database of conversations did not answer in time") from exc
    except OSError as exc:
        raise ThreadsUnavailable(f"the database of conversations cannot be opened: {exc.strerror}") from exc


def _name(exc: DBAPIError) -> str:
    """What the database calls it. What it says about it may quote an address or a reader."""
    kind = type(exc.orig).__name__
    code = getattr(exc.orig, "sqlite_errorname", None) or getattr(exc.orig, "sqlstate", None)
    if code is not None:
        return f"{kind} ({code})"
    return f"{kind}; check DATABASE_URL: is it there, and does it take the name and the password?"
