"""A clock on which waiting takes no time: whoever sleeps moves it on."""

from __future__ import annotations

from datetime import UTC, datetime


class FastClock:
    def __init__(self, begins: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)) -> None:
        self._now = begins.timestamp()
        self.slept = 0.0

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += seconds
        self.slept += seconds

    def move_to(self, moment: datetime) -> None:
        self._now = moment.timestamp()
