"""A PostgreSQL server for the tests: in a folder of its own, behind a socket, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

REQUIRED: Final = "ASKBOOK_TEST_POSTGRES"
_QUICK: Final = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c listen_addresses=''"


@dataclass(frozen=True)
class Postgres:
    folder: Path
    """Of its socket."""

    def url(self, database: str) -> str:
        return f"postgresql://askbook@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The address of one that is empty."""
        import psycopg

        name = f"test_{uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    programs = find_programs()
    if programs is None:
        sentence = "PostgreSQL is not installed here (apt-get install postgresql), so it is not tested"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(sentence)
        pytest.skip(sentence)
    with running(programs) as server:
        yield server


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    # Not in pytest's own folder: the path of a socket has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="askbook-postgres-"))
    user = _user()
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    initdb = ["initdb", "-D", data, "-U", "askbook", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    start = ["pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", f"{_QUICK} -k {folder}", "start"]
    # Waits for the end of its input, which comes even if we are killed.
    guard: list[str | Path] = [
        "sh",
        "-c",
        'read -r _; "$0" -D "$1/data" -m immediate stop; rm -rf "$1"',
        programs / "pg_ctl",
        folder,
    ]
    with subprocess.Popen(
        guard,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        cwd="/",
        start_new_session=True,
    ):
        _run(programs, initdb, user)
        _run(programs, start, user)
        yield Postgres(folder)


def find_programs() -> Path | None:
    """Debian keeps a server's programs off the path."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    return max(found, key=lambda file: int(file.parts[4])).parent if found else None


def _user() -> str | None:
    """The server refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else None


def _run(programs: Path, command: list[Any], user: str | None) -> None:
    program, *arguments = command
    run = subprocess.run(
        [programs / program, *arguments],
        user=user,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
