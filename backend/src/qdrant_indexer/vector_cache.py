"""Vectors that were made once, by what they were made of. A file of its own, so that it outlives every index."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from chatbot_api.models.domain import TitledText, Vector
from qdrant_indexer.kept import KeptFile


class VectorCache(KeptFile):
    """Keyed by model, dimensions, title and text. Each `put` is on disk when it returns."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, "vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector | None]:
        """The vectors that are there, by key; None for a text that the model refused."""
        found: dict[bytes, Vector | None] = {}
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            with self._our_errors():
                for key, blob in self._db.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part):  # noqa: S608 - marks only
                    found[key] = array("f", blob) if blob else None
        return found

    def missing(self, keys: Sequence[bytes]) -> set[bytes]:
        """The keys that are not there."""
        return set(keys) - self.get(keys).keys()

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """All of them or, with an error, none."""
        with self._our_errors():
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", _rows(vectors))

    def refuse(self, key: bytes) -> None:
        """Notes that the model takes this text under no circumstances."""
        with self._our_errors():
            self._db.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?)", (key, b""))

    def forget_refusals(self) -> None:
        with self._our_errors():
            self._db.execute("DELETE FROM vectors WHERE vector = ?", (b"",))


def cache_key(model: str, dimensions: int, text: TitledText) -> bytes:
    parts = (model, str(dimensions), text.title, text.text)
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).digest()


def _rows(vectors: Mapping[bytes, Vector]) -> Iterable[tuple[bytes, bytes]]:
    return ((key, array("f", vector).tobytes()) for key, vector in vectors.items())
