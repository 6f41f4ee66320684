"""Files of things that were paid for once, in SQLite: how they are opened, and what their troubles are called."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from chatbot_api.errors import IndexCorrupt, NoRoom


class KeptFile:
    """Some tables in a file of their own. Raises `NoRoom` where the disk is full, `IndexCorrupt` on a damaged file."""

    def __init__(self, file: Path, *tables: str) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        with ExitStack() as failing, self._our_errors():
            failing.callback(self._db.close)
            self._db.execute("PRAGMA journal_mode=WAL")
            for table in tables:
                self._db.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            failing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    @contextmanager
    def _our_errors(self) -> Generator[None, None, None]:
        try:
            yield
        except sqlite3.OperationalError as exc:
            raise NoRoom(f"{self._file} cannot be written: {exc}; make room or set DATA_DIR, then run again") from exc
        except sqlite3.DatabaseError as exc:
            raise IndexCorrupt(f"{self._file} is damaged: {exc}; move it away, then run again") from exc
