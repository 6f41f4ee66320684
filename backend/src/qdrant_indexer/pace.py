"""When how many texts may be sent to an embedding service: by the limits its owner told, and those it names itself."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from chatbot_api.errors import DayUsedUp, EmbedderLimited, UsedUp
from chatbot_api.models.domain import Quota
from qdrant_indexer.kept import KeptFile

MINUTE: Final = 60.0
DAY: Final = 86_400.0
_UNTOLD_WAIT: Final = 30.0
_MOST_REFUSALS: Final = 10
"""In a row, after which a service that names neither limit nor time is given up for now."""
_UNLIMITED: Final = 1_000_000_000


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Room:
    texts: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Limits:
    """0 stands for one that is not known, or not there."""

    texts_per_minute: int = 0
    tokens_per_minute: int = 0
    texts_per_day: int = 0
    closed_until: float = 0.0
    """When the service may be asked again at all, by the clock."""


class Ledger(KeptFile):
    """What was sent within the last day, and the limits that services named, by account. Limits are remembered for a
    day: plans change."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            file,
            "spent (account TEXT, at REAL, texts INTEGER, tokens INTEGER)",
            "named (account TEXT PRIMARY KEY, at REAL, texts_per_minute INTEGER, tokens_per_minute INTEGER, "
            "texts_per_day INTEGER, closed_until REAL)",
        )

    def spend(self, account: str, at: float, sent: Room) -> None:
        with self._our_errors():
            self._db.execute("DELETE FROM spent WHERE at < ?", (at - 2 * DAY,))
            self._db.execute("INSERT INTO spent VALUES (?, ?, ?, ?)", (account, at, sent.texts, sent.tokens))

    def spent(self, account: str, since: float) -> list[tuple[float, Room]]:
        query = "SELECT at, texts, tokens FROM spent WHERE account = ? AND at >= ? ORDER BY at"
        with self._our_errors():
            return [(at, Room(texts, tokens)) for at, texts, tokens in self._db.execute(query, (account, since))]

    def name(self, account: str, at: float, limits: Limits) -> None:
        row = (account, at, limits.texts_per_minute, limits.tokens_per_minute, limits.texts_per_day)
        with self._our_errors():
            self._db.execute("INSERT OR REPLACE INTO named VALUES (?, ?, ?, ?, ?, ?)", (*row, limits.closed_until))

    def named(self, account: str, since: float) -> Limits:
        query = (
            "SELECT texts_per_minute, tokens_per_minute, texts_per_day, closed_until FROM named "
            "WHERE account = ? AND at >= ?"
        )
        with self._our_errors():
            row = self._db.execute(query, (account, since)).fetchone()
        return Limits(*row) if row else Limits()


class Pace:
    """Of one service, over one run. What came back is counted, over any 60 seconds and since the day's beginning."""

    def __init__(self, quota: Quota | None, ledger: Ledger, *, share: float = 1.0, clock: Clock | None = None) -> None:
        """`share`: the part of each limit that may be used; the rest is for others."""
        self._quota = quota or Quota(0, 0, 0, 0.0)
        self._ledger = ledger
        self._share = share
        self.clock: Final[Clock] = clock or SystemClock()
        told = (self._quota.texts_per_minute, self._quota.tokens_per_minute, self._quota.texts_per_day)
        # Another key or other settings are another account: what was learnt of the one says nothing of the other.
        self._account = "/".join(map(str, (self._quota.account, *told, self._quota.presumed)))
        named = ledger.named(self._account, self.clock.now() - DAY)
        self._limits = named if self._quota.presumed else replace(Limits(*told), closed_until=named.closed_until)
        self._minute = deque(ledger.spent(self._account, self.clock.now() - MINUTE))
        self._refusals = 0

    async def room(self, tokens: int) -> Room:
        """What may be sent now, at least one text of so many tokens; waits for it as long as it takes.

        Raises `DayUsedUp` where it would take until the day is over.
        """
        while (wait := self._wait(tokens)) > 0:
            await self.clock.sleep(wait)
        return self._free()

    def waiting(self, tokens: int) -> float:
        """How many seconds `room` would wait. Raises as it does."""
        return self._wait(tokens)

    def sent(self, what: Room) -> None:
        """To be called when the answer is there: what is under way still counts when it arrives."""
        now = self.clock.now()
        self._minute.append((now, what))
        self._refusals = 0
        if self._quota.account:
            self._ledger.spend(self._account, now, what)

    def obey(self, refusal: EmbedderLimited) -> None:
        """Learns from what a service said instead of answering. Raises `DayUsedUp` where that was about the day, and
        the refusal itself where it comes again and again."""
        said, now = refusal.quota, self.clock.now()
        self._refusals += 1
        if self._refusals > _MOST_REFUSALS:
            raise refusal
        if said.free_plan and self._quota.presumed:
            said = _completed(said, self._quota)
        closed = self._day_ends(now) if said.per_day else now + (said.retry_after or _UNTOLD_WAIT)
        known = self._limits
        self._limits = Limits(
            _lower(known.texts_per_minute, said.texts_per_minute),
            _lower(known.tokens_per_minute, said.tokens_per_minute),
            _lower(known.texts_per_day, said.texts_per_day),
            closed,
        )
        if self._quota.account:
            self._ledger.name(self._account, now, self._limits)
        if said.per_day:
            self._raise_day_used_up()

    def seconds(self, texts: int, tokens: int) -> float:
        """How long so much takes by the limits of a minute, those presumed where none is known."""
        by_texts = _ratio(texts, self._limits.texts_per_minute or self._presumed(self._quota.texts_per_minute))
        by_tokens = _ratio(tokens, self._limits.tokens_per_minute or self._presumed(self._quota.tokens_per_minute))
        return MINUTE * max(by_texts, by_tokens) / self._share

    def days(self, texts: int) -> float:
        """On how many days so many texts are sent; 0 where there is no daily limit."""
        return _ratio(texts, self._limits.texts_per_day or self._presumed(self._quota.texts_per_day)) / self._share

    def _presumed(self, limit: int) -> int:
        return limit if self._quota.presumed else 0

    def _wait(self, tokens: int) -> float:
        now = self.clock.now()
        if self._limits.closed_until > now + DAY / 24 or not self._free_today(now):
            self._raise_day_used_up()
        if self._limits.closed_until > now:
            return self._limits.closed_until - now
        while self._minute and self._minute[0][0] <= now - MINUTE:
            self._minute.popleft()
        free = self._free()
        if free.texts >= 1 and free.tokens >= min(tokens, self._allowed(self._limits.tokens_per_minute)):
            return 0.0
        return self._minute[0][0] + MINUTE - now

    def _free(self) -> Room:
        texts = self._allowed(self._limits.texts_per_minute) - sum(sent.texts for _, sent in self._minute)
        tokens = self._allowed(self._limits.tokens_per_minute) - sum(sent.tokens for _, sent in self._minute)
        return Room(min(texts, self._free_today(self.clock.now())), tokens)

    def _free_today(self, now: float) -> int:
        if not self._limits.texts_per_day:
            return _UNLIMITED
        today = self._ledger.spent(self._account, self._day_ends(now) - DAY)
        return max(0, self._allowed(self._limits.texts_per_day) - sum(sent.texts for _, sent in today))

    def _allowed(self, limit: int) -> int:
        return max(1, int(limit * self._share)) if limit else _UNLIMITED

    def _day_ends(self, now: float) -> float:
        moment = datetime.fromtimestamp(now, UTC)
        begun = moment.replace(hour=self._quota.day_begins, minute=0, second=0, microsecond=0)
        return (begun if begun > moment else begun + timedelta(days=1)).timestamp()

    def _raise_day_used_up(self) -> None:
        ends = datetime.fromtimestamp(self._day_ends(self.clock.now()), UTC)
        raise DayUsedUp(self._limits.texts_per_day, ends)


def _completed(said: UsedUp, free_plan: Quota) -> UsedUp:
    """A service names one limit at a time. One of its free plan brings the others with it."""
    return replace(
        said,
        texts_per_minute=said.texts_per_minute or free_plan.texts_per_minute,
        tokens_per_minute=said.tokens_per_minute or free_plan.tokens_per_minute,
        texts_per_day=said.texts_per_day or free_plan.texts_per_day,
    )


def _lower(known: int, named: int) -> int:
    limits: Sequence[int] = [limit for limit in (known, named) if limit]
    return min(limits, default=0)


def _ratio(amount: int, limit: int) -> float:
    return amount / limit if limit else 0.0
