"""Everything that needs no questions of yours, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

for name in ("start", "chat", "engine", "indexing", "local_model", "threads"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
    print(flush=True)
