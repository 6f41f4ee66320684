"""Process start to the first 200 of /health, and memory before the first question, with an index of 2,000 passages."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

PASSAGES = 2_000
RUNS = 7


def write_book(folder: Path, passages: int) -> None:
    for page in range(passages // 10):
        sections = "\n".join(
            f"## Part {part} of {page}\n\nMachine {page} has a part {part} that is set with `option_{page}_{part}`. "
            + f"It turns {page * part} times a minute, unless the valve {part} is closed, and then it rests. " * 4
            for part in range(10)
        )
        (folder / f"page-{page}.md").write_text(f"# Machine {page}\n\n{sections}\n", encoding="utf-8")


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident, and the part of it that is the process's own (the rest is files mapped into memory)."""
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        if ":" in line
    )
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))  # type: ignore[return-value]


def start_once(folder: Path, port: int) -> tuple[float, float, float]:
    environment = {**os.environ, "DATA_DIR": str(folder / "data"), "LOG_LEVEL": "error"}
    begun = time.perf_counter()
    command = [sys.executable, "-m", "askbook", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/health") as response:
                    if response.status == 200:
                        break
            except URLError:
                time.sleep(0.002)
        taken = time.perf_counter() - begun
        resident, own = memory_mb(server.pid)
        return taken, resident, own
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "docs").mkdir()
        write_book(folder / "docs", PASSAGES)
        environment = {**os.environ, "DATA_DIR": str(folder / "data")}
        index = [sys.executable, "-m", "askbook", "index", str(folder / "docs")]
        subprocess.run(index, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        runs = [start_once(folder, 8431 + run) for run in range(RUNS)]
    print(f"### Start with {PASSAGES} passages ({RUNS} runs)\n")
    print("| figure | min | median | max |\n|---|---|---|---|")
    for label, values in zip(
        ("start to first 200 of /health, s", "resident before the first question, MB", "of which its own, MB"),
        zip(*runs, strict=True),
        strict=True,
    ):
        print(f"| {label} | {min(values):.2f} | {statistics.median(values):.2f} | {max(values):.2f} |")


if __name__ == "__main__":
    main()
