"""Everything that needs no questions of yours, one after the other, each in a process of its own.

Not among them is what needs a built site: after `make site`, `python -m benchmarks.widget`; and with Lighthouse
installed, too (`npm ci --prefix backend/benchmarks/lighthouse`, in the root), `python -m benchmarks.page`.
"""

from __future__ import annotations

import subprocess
import sys

for name in ("start", "chat", "engine", "indexing", "local_model", "threads"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
    print(flush=True)
