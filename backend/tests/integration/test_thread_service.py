"""What SQLite and PostgreSQL promise beyond the contract of conversations: files, migrations, failures, processes."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import anyio
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import OperationalError

from chatbot_api import migrations
from chatbot_api.errors import DatabaseOutdated, MessageNotFound, ThreadBusy, ThreadsUnavailable
from chatbot_api.models.domain import AnswerItem, Feedback, Item, Lease, QuestionItem, Thread
from chatbot_api.services import thread_database, thread_sql
from chatbot_api.services.thread_service import ThreadService
from tests.postgres import Postgres

NOW = datetime.now(UTC)


@pytest.fixture
async def sqlite_threads(tmp_path: Path) -> AsyncGenerator[ThreadService, None]:
    service = ThreadService(None, tmp_path)
    yield service
    await service.close()


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
async def postgres_threads(url: str) -> AsyncGenerator[ThreadService, None]:
    service = ThreadService(SecretStr(url), Path())
    await service.migrate()
    yield service
    await service.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A DATABASE_URL without any tables behind it."""
    return (
        request.getfixturevalue("url") if request.param == "postgresql" else f"sqlite:///{tmp_path / 'threads.sqlite'}"
    )


def thread(owner: str = "alice") -> Thread:
    return Thread(uuid4().hex, owner, NOW, "zebra title")


def turn(text: str = "zebra question") -> tuple[QuestionItem, AnswerItem, Lease]:
    asked = QuestionItem(uuid4().hex, NOW, text)
    told = AnswerItem(uuid4().hex, asked.id, NOW, "done", "zebra answer", "answered", "generated")
    return asked, told, Lease(told.id, datetime.now(UTC) + timedelta(seconds=60))


async def ask(threads: ThreadService, within: Thread, *, new: bool = False) -> tuple[QuestionItem, AnswerItem]:
    asked, told, lease = turn()
    await threads.begin_turn(within, lease, asked, new=new)
    await threads.end_turn(within, lease, told)
    return asked, told


async def items(threads: ThreadService, within: Thread) -> list[Item]:
    return list((await threads.list_items(within.id, owner=within.owner, limit=1_000)).entries)


# Starting ---------------------------------------------------------------------------------------------


def test_importing_and_making_it_is_quick_and_makes_no_file(tmp_path: Path) -> None:
    code = """
        import asyncio, pathlib, sys
        from pydantic import SecretStr
        from chatbot_api.services.thread_service import ThreadService

        ThreadService(None, pathlib.Path())
        ThreadService(SecretStr("postgresql://h/d"), pathlib.Path())
        print(sorted({"sqlalchemy", "alembic", "aiosqlite", "psycopg"} & set(sys.modules)))
    """

    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (run.stdout.strip(), run.stderr) == ("[]", "")
    assert list(tmp_path.iterdir()) == []


async def test_calls_that_come_first_together_open_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path | SecretStr] = []

    def make(place: Path | SecretStr, *, timeout: float) -> thread_database.Database:
        made.append(place)
        return real(place, timeout=timeout)

    real = thread_database.Database
    monkeypatch.setattr(thread_database, "Database", make)
    service = ThreadService(None, tmp_path)

    await asyncio.gather(*(service.list_threads("alice", limit=1) for _ in range(20)))
    await service.close()

    assert made == [tmp_path / "threads.sqlite"]


async def test_whoever_leaves_while_it_opens_does_not_keep_it_from_opening(tmp_path: Path) -> None:
    service = ThreadService(None, tmp_path)
    leaving = asyncio.create_task(service.check())
    await asyncio.sleep(0)
    leaving.cancel()

    assert await service.list_threads("alice", limit=1)
    await service.close()


async def test_it_can_be_closed_while_it_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opens = asyncio.Event()

    async def prepare(database: thread_database.Database) -> None:
        opens.set()
        await real(database)

    real = thread_database.Database.prepare
    monkeypatch.setattr(thread_database.Database, "prepare", prepare)
    service = ThreadService(None, tmp_path)
    opening = asyncio.create_task(service.check())
    await opens.wait()

    await service.close()

    assert await opening


# Files ------------------------------------------------------------------------------------------------


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_only_the_owner_of_the_process_can_read_the_files(sqlite_threads: ThreadService, tmp_path: Path) -> None:
    await ask(sqlite_threads, thread(), new=True)

    modes = modes_in(tmp_path)

    assert {"threads.sqlite", "threads.sqlite-wal", "threads.sqlite-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}


async def test_an_sqlite_file_can_be_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "a folder" / "50% of it?.sqlite"
    service = ThreadService(SecretStr(f"sqlite:///{file}"), Path("/nowhere"))

    remarks = await service.check()
    await service.close()

    assert [remark.text for remark in remarks] == [f"SQLite, in {file}"]
    assert file.exists()


def words_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if b"zebra" in file.read_bytes()]


async def test_no_word_of_a_deleted_thread_is_left_in_the_files(sqlite_threads: ThreadService, tmp_path: Path) -> None:
    mine = thread()
    _, told = await ask(sqlite_threads, mine, new=True)
    await sqlite_threads.put_feedback(mine.id, told.id, Feedback("negative", NOW, "zebra comment"), owner="alice")
    before = words_in(tmp_path)

    await sqlite_threads.delete_thread(mine.id, owner="alice")

    assert before
    assert words_in(tmp_path) == []


async def test_no_word_of_a_replaced_answer_is_left_in_the_files(sqlite_threads: ThreadService, tmp_path: Path) -> None:
    mine = Thread(uuid4().hex, "alice", NOW)
    asked, told = await ask(sqlite_threads, mine, new=True)
    lease = Lease(uuid4().hex, NOW + timedelta(hours=1))
    await sqlite_threads.begin_turn(mine, lease, None, new=False)
    better = AnswerItem(lease.turn_id, asked.id, NOW, "done", "Better.", "answered", "generated")

    await sqlite_threads.end_turn(mine, lease, better, replaced=[asked.id, told.id])

    assert words_in(tmp_path) == []


@pytest.mark.parametrize("way", ["forget", "purge"])
async def test_no_trace_of_a_forgotten_reader_is_left_in_the_files(
    sqlite_threads: ThreadService, tmp_path: Path, way: str
) -> None:
    for _ in range(3):
        await ask(sqlite_threads, thread("zebra@example.org"), new=True)

    if way == "forget":
        await sqlite_threads.forget("zebra@example.org")
    else:
        await sqlite_threads.purge(NOW + timedelta(days=1))

    assert words_in(tmp_path) == []


# Tables -----------------------------------------------------------------------------------------------


def test_head_is_the_newest_revision() -> None:
    scripts = ScriptDirectory.from_config(migrations.configuration())

    assert scripts.get_heads() == [thread_database.HEAD]
    assert [script.revision for script in scripts.walk_revisions()] == sorted(
        (script.revision for script in scripts.walk_revisions()), reverse=True
    )


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), thread_sql.metadata))


async def test_the_tables_that_sqlite_has_are_those_of_the_code(sqlite_threads: ThreadService, tmp_path: Path) -> None:
    await sqlite_threads.check()

    engine = create_engine(f"sqlite:///{tmp_path / 'threads.sqlite'}")
    with engine.connect() as connection:
        found = differences(connection)
    engine.dispose()

    assert found == []


async def test_the_tables_that_postgresql_has_are_those_of_the_code(postgres_threads: ThreadService, url: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    with engine.connect() as connection:
        found = differences(connection)
    engine.dispose()

    assert found == []


async def test_postgresql_without_tables_says_which_command_makes_them_and_works_thereafter(url: str) -> None:
    service = ThreadService(SecretStr(url), Path())
    with pytest.raises(DatabaseOutdated, match="has no tables yet; run: askbook migrate"):
        await service.list_threads("alice", limit=1)

    first = await ThreadService(SecretStr(url), Path()).migrate()
    again = await ThreadService(SecretStr(url), Path()).migrate()

    assert (first, again) == ((None, "0001"), ("0001", "0001"))
    [remark] = await service.check()
    assert re.fullmatch(r"PostgreSQL \d+", remark.text)
    await service.close()


@pytest.mark.parametrize(
    ("revision", "sentence"),
    [
        ("9999", "is of a newer Askbook: its tables are at 9999, this version knows 0001"),
        ("ae1027a6acf", "holds the tables of another program: give Askbook a database of its own"),
    ],
)
async def test_tables_that_are_not_of_this_version_are_left_alone(place: str, revision: str, sentence: str) -> None:
    statement = f"CREATE TABLE alembic_version AS SELECT '{revision}' AS version_num"
    if place.startswith("sqlite"):
        with closing(sqlite3.connect(place.removeprefix("sqlite:///"), isolation_level=None)) as file:
            file.execute(statement)
    else:
        with psycopg.connect(place) as server:
            server.execute(statement.encode())
    service = ThreadService(SecretStr(place), Path())

    with pytest.raises(DatabaseOutdated, match=sentence):
        await service.check()
    with pytest.raises(DatabaseOutdated, match=sentence):
        await service.migrate()
    await service.close()


async def test_older_tables_of_postgresql_wait_for_the_command(
    postgres_threads: ThreadService, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await postgres_threads.check()
    monkeypatch.setattr(thread_database, "HEAD", "0002")

    with pytest.raises(DatabaseOutdated, match="is at 0001, this version needs 0002; run: askbook migrate"):
        await postgres_threads.check()


async def test_a_migration_that_fails_leaves_nothing_half_done(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = ThreadService(SecretStr(place), Path())

    def fails(connection: Connection) -> None:
        upgrade(connection)
        raise OperationalError("", {}, sqlite3.OperationalError())

    upgrade = migrations.upgrade
    monkeypatch.setattr(migrations, "upgrade", fails)
    with pytest.raises(ThreadsUnavailable):
        await service.migrate()
    monkeypatch.undo()

    assert await service.migrate() == (None, "0001")
    await service.close()


async def test_postgresql_can_be_migrated_by_two_at_once(url: str) -> None:
    both = [ThreadService(SecretStr(url), Path()).migrate() for _ in range(2)]

    outcomes = await asyncio.gather(*both)

    assert sorted(outcomes, key=str) == [("0001", "0001"), (None, "0001")]


# Processes --------------------------------------------------------------------------------------------


WRITER = """
    import asyncio, pathlib, sys
    from tests.integration.test_thread_service import ThreadService, ask, thread

    async def main() -> None:
        service = ThreadService(None, pathlib.Path(sys.argv[1]))
        for _ in range(10):
            await ask(service, thread(), new=True)
        await service.close()

    asyncio.run(main())
"""


async def test_processes_that_start_at_once_on_a_new_file_all_write_into_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)]

    running = [await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE) for _ in range(5)]
    told = [(await process.communicate())[1].decode() for process in running]
    service = ThreadService(None, tmp_path)
    kept = await service.list_threads("alice", limit=100)
    await service.close()

    assert told == [""] * 5
    assert len(kept.entries) == 50


async def test_one_process_at_a_time_opens_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_database, "_WAIT_SECONDS", 0.1)
    service = ThreadService(None, tmp_path)
    with FileLock(tmp_path / "threads.sqlite.lock"), pytest.raises(ThreadsUnavailable, match="did not answer in time"):
        await service.check()

    assert await service.check()
    await service.close()


async def test_who_reads_does_not_wait_for_who_writes(sqlite_threads: ThreadService, tmp_path: Path) -> None:
    mine = thread()
    said = await ask(sqlite_threads, mine, new=True)
    with closing(sqlite3.connect(tmp_path / "threads.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM threads")

        found = await items(sqlite_threads, mine)

    assert found == list(said)


async def test_who_writes_waits_for_another_process_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_database, "_WAIT_SECONDS", 0.3)
    service = ThreadService(None, tmp_path)
    mine = thread()
    await ask(service, mine, new=True)
    with closing(sqlite3.connect(tmp_path / "threads.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ThreadsUnavailable, match="SQLITE_BUSY"):
            await service.rename_thread(mine.id, "new", owner="alice")
        waits = asyncio.Event()
        database = await service._opened()
        event.listen(database._engine.sync_engine, "before_cursor_execute", lambda *_: waits.set())
        waiting = asyncio.create_task(service.rename_thread(mine.id, "newer", owner="alice"))
        await waits.wait()
        other.execute("COMMIT")

        assert (await waiting).title == "newer"
    await service.close()


# Failing ----------------------------------------------------------------------------------------------


async def refused(service: ThreadService) -> ThreadsUnavailable:
    with pytest.raises(ThreadsUnavailable) as raised:
        await service.list_threads("alice", limit=1)
    await service.close()
    return raised.value


async def test_a_server_that_is_not_there_is_said_to_be_so_without_its_password() -> None:
    address = "postgresql://reader:swordfish@127.0.0.1:1/book"

    error = await refused(ThreadService(SecretStr(address), Path()))

    assert "is it there, and does it take the name and the password?" in str(error)
    assert "swordfish" not in f"{error}{error.__cause__!r}{error.__cause__}"
    assert "reader" not in str(error)


async def test_an_address_that_is_none_is_not_quoted() -> None:
    error = await refused(ThreadService(SecretStr("postgresql://u:swordfish@h:port/d?no=1"), Path()))

    assert str(error) == "DATABASE_URL is not an address that PostgreSQL understands"
    assert error.__cause__ is None


async def test_all_who_wait_for_a_server_share_one_try() -> None:
    tried: list[int] = []

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.append(1)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    address = f"postgresql://u@127.0.0.1:{server.sockets[0].getsockname()[1]}/d?sslmode=disable&gssencmode=disable"
    service = ThreadService(SecretStr(address), Path())

    outcomes = await asyncio.gather(
        *(service.list_threads("alice", limit=1) for _ in range(20)), return_exceptions=True
    )
    server.close()
    await service.close()

    assert {type(outcome) for outcome in outcomes} == {ThreadsUnavailable}
    assert len(tried) == 1


async def test_a_file_that_is_no_database_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "threads.sqlite").write_bytes(b"These are not rows. " * 1_000)

    error = await refused(ThreadService(None, tmp_path))

    assert str(error) == "the database of conversations failed: DatabaseError (SQLITE_NOTADB)"


async def test_a_folder_that_cannot_be_made_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    error = await refused(ThreadService(None, tmp_path / "file" / "data"))

    assert str(error) == "the database of conversations cannot be opened: Not a directory"


async def test_a_damaged_file_fails_and_tells_no_words(sqlite_threads: ThreadService, tmp_path: Path) -> None:
    for _ in range(20):
        await ask(sqlite_threads, thread(), new=True)
    await sqlite_threads.close()
    file = tmp_path / "threads.sqlite"
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))

    error = await refused(ThreadService(None, tmp_path))

    assert "SQLITE_CORRUPT" in str(error)


def test_a_full_disk_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    code = """
        import asyncio, pathlib, resource, signal, sys
        from chatbot_api.errors import ThreadsUnavailable
        from tests.integration.test_thread_service import ThreadService, ask, items, thread

        async def main() -> None:
            service, mine = ThreadService(None, pathlib.Path(sys.argv[1])), thread()
            await ask(service, mine, new=True)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 10_000_000))
            kept = 1
            try:
                for _ in range(1_000):
                    await ask(service, mine)
                    kept += 1
            except ThreadsUnavailable as exc:
                print(exc)
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, 10_000_000))
            answers = [item for item in await items(service, mine) if item.kind == "answer"]
            print(kept == len(answers), kept)
            await service.close()

        asyncio.run(main())
    """

    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert run.stderr == ""
    assert run.stdout.startswith("the database of conversations failed: OperationalError (SQLITE_")
    assert run.stdout.splitlines()[1].startswith("True")


async def test_no_words_are_in_what_is_logged_of_a_failure(sqlite_threads: ThreadService, tmp_path: Path) -> None:
    await sqlite_threads.check()
    with closing(sqlite3.connect(tmp_path / "threads.sqlite", isolation_level=None)) as file:
        file.execute("DROP TABLE items")
    asked, _, lease = turn()

    with pytest.raises(ThreadsUnavailable) as raised:
        await sqlite_threads.begin_turn(thread(), lease, asked, new=True)

    assert str(raised.value) == "the database of conversations failed: OperationalError (SQLITE_ERROR)"
    assert "INSERT INTO items" in str(raised.value.__cause__)
    assert "zebra" not in str(raised.value.__cause__)


async def test_a_connection_that_was_cut_is_replaced(postgres_threads: ThreadService, url: str) -> None:
    mine = thread()
    said = await ask(postgres_threads, mine, new=True)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'askbook'"
        )

    assert await items(postgres_threads, mine) == list(said)


async def test_a_lock_that_is_not_given_back_is_not_waited_for_for_ever(url: str) -> None:
    service = ThreadService(SecretStr(url), Path(), timeout=0.5)
    await service.migrate()
    mine = thread()
    await ask(service, mine, new=True)
    with psycopg.connect(url) as other:
        other.execute("SELECT * FROM threads FOR UPDATE")
        with pytest.raises(ThreadsUnavailable, match="did not answer in time"):
            await service.rename_thread(mine.id, "new", owner="alice")

        waiting = other.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
        assert waiting == (0,)
    assert (await service.rename_thread(mine.id, "newer", owner="alice")).title == "newer"
    await service.close()


async def test_where_all_connections_are_taken_nobody_waits_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_database, "_WAIT_SECONDS", 0.1)
    service = ThreadService(None, tmp_path)
    async with AsyncExitStack() as stack:
        for _ in range(15):
            await stack.enter_async_context(service._transaction())

        with pytest.raises(ThreadsUnavailable, match=r"all connections .* are in use"):
            await service.list_threads("alice", limit=1)

    assert await service.list_threads("alice", limit=1)
    await service.close()


async def test_readers_who_leave_at_any_moment_leave_nothing_locked_or_half_written(place: str) -> None:
    service = ThreadService(SecretStr(place), Path())
    await service.migrate()
    mine = thread()
    await ask(service, mine, new=True)

    async def leave(after: float, *, by_level: bool) -> None:
        asked, told, lease = turn()
        lease = Lease(lease.turn_id, NOW - timedelta(hours=1))
        try:
            if by_level:
                # As Starlette does it: every further wait in the scope is cancelled too.
                with anyio.move_on_after(after):
                    await service.begin_turn(mine, lease, asked, new=False)
                    await service.end_turn(mine, lease, told, replaced=["none"])
            else:
                async with asyncio.timeout(after):
                    await service.begin_turn(mine, lease, asked, new=False)
                    await service.end_turn(mine, lease, told, replaced=["none"])
        except (TimeoutError, ThreadBusy):
            pass

    for step in range(60):
        await leave(step * 0.0002, by_level=step % 2 == 0)
    await asyncio.gather(*(leave(step * 0.0005, by_level=step % 2 == 0) for step in range(60)))

    said = await items(service, mine)
    questions = {item.id for item in said if item.kind == "question"}
    assert {item.question_id for item in said if isinstance(item, AnswerItem)} <= questions
    before = len(said)
    await ask(service, mine)
    assert len(await items(service, mine)) == before + 2
    database = await service._opened()
    assert database._engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a pool that counts
    await service.close()


async def test_a_failure_that_nobody_waits_for_any_more_is_not_complained_about(
    sqlite_threads: ThreadService, caplog: pytest.LogCaptureFixture
) -> None:
    _, told, lease = turn()
    leaving = asyncio.create_task(sqlite_threads.end_turn(thread(), lease, told))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await sqlite_threads.close()
    gc.collect()

    assert caplog.text == ""


# Reading what others wrote ----------------------------------------------------------------------------


async def spoil(service: ThreadService, tmp_path: Path, data: str, ids: list[str]) -> None:
    with closing(sqlite3.connect(tmp_path / "threads.sqlite", isolation_level=None)) as file:
        for item_id in ids:
            file.execute("UPDATE items SET data = ? WHERE id = ?", (data, item_id))


async def test_what_a_newer_version_wrote_is_read(sqlite_threads: ThreadService, tmp_path: Path) -> None:
    mine = thread()
    asked, told = await ask(sqlite_threads, mine, new=True)
    newer = (
        f'{{"kind": "question", "id": "{asked.id}", "created_at": "{NOW.isoformat()}", "text": "zebra question",'
        ' "mood": "curious", "scope": {"locale": null, "edition": 3}}'
    )
    await spoil(sqlite_threads, tmp_path, newer, [asked.id])

    assert await items(sqlite_threads, mine) == [asked, told]


async def test_what_cannot_be_read_is_skipped_and_its_words_are_not_logged(
    sqlite_threads: ThreadService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = thread()
    turns = [await ask(sqlite_threads, mine, new=number == 0) for number in range(6)]
    spoilt = [item.id for said in turns[1:5] for item in said]
    await spoil(sqlite_threads, tmp_path, '{"kind": "drawing", "text": "zebra"}', spoilt)

    with caplog.at_level(logging.WARNING):
        part = await sqlite_threads.list_items(mine.id, owner="alice", limit=3)
    rest = await sqlite_threads.list_items(mine.id, owner="alice", limit=3, after=part.entries[-1].id)
    exported = [had async for had in sqlite_threads.export("alice")]

    assert (part.entries, part.has_more) == ((*turns[0], turns[5][0]), True)
    assert (rest.entries, rest.has_more) == ((turns[5][1],), False)
    assert exported[0].items == (*turns[0], *turns[5])
    assert f"item skipped, since it cannot be read id={spoilt[0]}" in caplog.text
    assert "zebra" not in caplog.text
    with pytest.raises(MessageNotFound):
        await sqlite_threads.get_item(mine.id, spoilt[0], owner="alice")


# Speed ------------------------------------------------------------------------------------------------


async def test_no_list_looks_at_more_than_it_shows(sqlite_threads: ThreadService, tmp_path: Path) -> None:
    mine = thread()
    asked, told = await ask(sqlite_threads, mine, new=True)
    database = await sqlite_threads._opened()
    statements: list[tuple[str, tuple[object, ...]]] = []

    @event.listens_for(database._engine.sync_engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    for newest_first in (True, False):
        await sqlite_threads.list_threads("alice", limit=50, after=mine.id, newest_first=newest_first)
        await sqlite_threads.list_items(mine.id, owner="alice", limit=20, after=asked.id, newest_first=newest_first)
    await sqlite_threads.list_feedback(mine.id, owner="alice")
    await sqlite_threads.get_item(mine.id, told.id, owner="alice")
    await sqlite_threads.purge(NOW - timedelta(days=90))
    assert [had async for had in sqlite_threads.export()]

    with closing(sqlite3.connect(tmp_path / "threads.sqlite")) as file:
        plans = [
            (statement, str(step[3]))
            for statement, parameters in statements
            for step in file.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert len(statements) >= 12
    wrong = ("TEMP B-TREE", "SCAN items", "SCAN feedback")
    assert [plan for plan in plans if any(word in plan[1] for word in wrong)] == []
    # The oldest thread is looked for along an index.
    assert {step for _, step in plans if step.startswith("SCAN")} <= {"SCAN threads USING INDEX threads_by_birth"}
