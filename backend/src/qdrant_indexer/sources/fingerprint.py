"""One hash of everything that reading a folder depends on, so that an unchanged book need not be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container
from pathlib import Path
from typing import Final

from chatbot_api import __version__

_READING: Final = 1
"""Raised when the same files give other pages than before."""
_LEFT_OUT: Final = {"node_modules", "build"}


def fingerprint(
    folder: Path, endings: Container[str], *, settings: object, leave_out: Container[str] = _LEFT_OUT
) -> str:
    """Over the names and bytes of all files with these endings below the folder, hidden and left-out folders apart, and
    over the settings that decide how they are read."""
    whole = hashlib.sha256(f"{__version__} {_READING} {settings!r}".encode())
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in leave_out)
        for name in sorted(files):
            file = Path(root, name)
            if file.suffix in endings:
                whole.update(f"\n{file.relative_to(folder).as_posix()} ".encode("utf-8", "surrogateescape"))
                whole.update(_content(file))
    return whole.hexdigest()


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").digest()
    except OSError as exc:
        return str(exc).encode()
