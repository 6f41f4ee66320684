"""Vectors that were made once, by what they were made of. A file of its own, so that it outlives every index."""

from __future__ import annotations

import hashlib
import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from chatbot_api.errors import NoRoom
from chatbot_api.models.domain import TitledText, Vector


class VectorCache:
    """Keyed by model, dimensions, title and text. Each `put` is on disk when it returns."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """The vectors that are there, by key."""
        found: dict[bytes, Vector] = {}
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            for key, blob in self._db.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part):  # noqa: S608 - marks only
                found[key] = array("f", blob)
        return found

    def missing(self, keys: Sequence[bytes]) -> set[bytes]:
        """The keys that are not there."""
        return set(keys) - self.get(keys).keys()

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """Raises `NoRoom` where the disk is full; nothing is half written."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", _rows(vectors))
        except sqlite3.OperationalError as exc:
            raise NoRoom(f"vectors cannot be kept: {exc}; make room or set DATA_DIR, then run this again") from exc


def cache_key(model: str, dimensions: int, text: TitledText) -> bytes:
    parts = (model, str(dimensions), text.title, text.text)
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).digest()


def _rows(vectors: Mapping[bytes, Vector]) -> Iterable[tuple[bytes, bytes]]:
    return ((key, array("f", vector).tobytes()) for key, vector in vectors.items())
