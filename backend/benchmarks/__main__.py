"""Everything that needs no questions of yours, one after the other."""

from __future__ import annotations

import asyncio

from benchmarks import engine, local_model, start

start.main()
print()
asyncio.run(engine.main([2_000, 10_000, 50_000]))
print()
local_model.main()
