"""Numbers to shapes: what the report draws, in the units of its drawings. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

WIDTH: Final = 480
HEIGHT: Final = 240
_LEFT: Final = 44
_RIGHT: Final = 20
_TOP: Final = 12
_BOTTOM: Final = 40
_BINS: Final = 12
_GAP: Final = 0.2
_RANKS: Final = ((1, "1"), (2, "2"), (3, "3"), (5, "4-5"), (10, "6-10"), (math.inf, "11+"))

_Tell = Callable[[str, str, int], str]
"""A bar in words: of its series, its name and its count."""


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    series: int
    label: str
    """The same in words."""


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    series: tuple[str, ...]
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Roc:
    """How well a score tells two kinds of questions apart, whatever the threshold."""

    area: float
    """0.5 is a coin, 1 is perfect."""
    points: str
    """Of the curve, as a polyline's."""
    chance: str
    here: tuple[float, float]
    """Where the gate stands now."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def rank_bars(ranks: Mapping[str, Sequence[int | None]]) -> Bars:
    """How many questions have their first right page at which rank, by form of the question."""
    names = [name for _, name in _RANKS] + ["none"]
    counts = {form: _by_rank(of_form) for form, of_form in ranks.items()}
    return _bars(names, counts, lambda form, name, count: f"{form}, rank {name}: {count}")


def _by_rank(ranks: Sequence[int | None]) -> list[int]:
    counts = [0] * (len(_RANKS) + 1)
    for rank in ranks:
        counts[-1 if rank is None else next(n for n, (most, _) in enumerate(_RANKS) if rank <= most)] += 1
    return counts


def time_bars(times: Mapping[str, Sequence[float]]) -> Bars:
    """How many took how long, in milliseconds; the last bin holds the longest."""
    longest = max((value for of_series in times.values() for value in of_series), default=0.0)
    step = _round_up(longest / _BINS) or 1.0
    bins = max(1, math.ceil(longest / step))
    names = [f"{_short(step * n)}" for n in range(bins)]
    counts = {name: [0] * bins for name in times}
    for name, of_series in times.items():
        for value in of_series:
            counts[name][min(bins - 1, int(value / step))] += 1
    return _bars(
        names, counts, lambda name, start, count: f"{name}, {start} to {_short(float(start) + step)} ms: {count}"
    )


def _bars(names: Sequence[str], counts: Mapping[str, Sequence[int]], tell: _Tell) -> Bars:
    most = max((count for of_series in counts.values() for count in of_series), default=0) or 1
    slot = (WIDTH - _LEFT - _RIGHT) / len(names)
    width = slot * (1 - _GAP) / max(1, len(counts))
    bars = [
        Bar(
            x=round(_LEFT + slot * (place + _GAP / 2) + width * series, 1),
            y=_y(count / most),
            width=round(width, 1),
            height=round(_y(0) - _y(count / most), 1),
            series=series,
            label=tell(name, names[place], count),
        )
        for series, (name, of_series) in enumerate(counts.items())
        for place, count in enumerate(of_series)
    ]
    x_ticks = tuple(Tick(round(_LEFT + slot * (place + 0.5), 1), name) for place, name in enumerate(names))
    marks = sorted({0, most // 2, most})
    return Bars(tuple(counts), tuple(bars), x_ticks, tuple(Tick(_y(mark / most), str(mark)) for mark in marks))


def roc(right: Sequence[float], wrong: Sequence[float], here: tuple[float, float]) -> Roc | None:
    """Of scores that should be high for `right` and low for `wrong`; None where there is nothing to tell apart.

    `here` is the share of `wrong`, and of `right`, that is let through now.
    """
    if not right or not wrong:
        return None
    thresholds = sorted({*right, *wrong}, reverse=True)
    curve = [(0.0, 0.0)]
    curve += [
        (sum(value >= least for value in wrong) / len(wrong), sum(value >= least for value in right) / len(right))
        for least in thresholds
    ]
    area = sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in pairwise(curve))
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    return Roc(
        area=round(area, 3),
        points=" ".join(f"{_x(x)},{_y(y)}" for x, y in curve),
        chance=f"{_x(0)},{_y(0)} {_x(1)},{_y(1)}",
        here=(_x(here[0]), _y(here[1])),
        x_ticks=tuple(Tick(_x(share), f"{share:.0%}") for share in shares),
        y_ticks=tuple(Tick(_y(share), f"{share:.0%}") for share in shares),
    )


def _x(share: float) -> float:
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def _round_up(value: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)


def _short(value: float) -> str:
    return f"{value:g}"
