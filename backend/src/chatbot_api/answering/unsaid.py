"""A text that is not to be shown, kept out of another one that is being written. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_RUN: Final = 40
"""No run of so many characters of the secret is shown."""


class Unsaid:
    """Lets a text pass up to the letter that would complete a run of the secret, and nothing after it.

    Letters alone count, whatever their case and what stands between them. What the reader may read anyway (`known`) is
    no secret. Nothing is held back: what is shown of a run is always less than a run.
    """

    def __init__(self, secret: str, known: Sequence[str] = ()) -> None:
        self._runs = _runs(secret)
        self._known = known
        self._known_letters: str | None = None
        self._before = ""
        self.stopped = False

    def passed(self, text: str) -> str:
        """As much of the text as can be shown."""
        if self.stopped:
            return ""
        letters = _letters(text)
        said = self._before + letters
        end = self._end_of_run(said, len(self._before))
        self._before = said[-_RUN:]
        if end is None:
            return text
        self.stopped = True
        wanted = end - 1 - (len(said) - len(letters))
        for at, char in enumerate(text):
            wanted -= len(_letters(char))
            if wanted < 0:
                return text[:at]
        return text

    def _end_of_run(self, said: str, start: int) -> int | None:
        """Behind the first run of the secret that ends after `start`."""
        size = self._runs.shortest
        for end in range(max(start + 1, size), len(said) + 1):
            for run in self._runs.by_ending.get(said[end - size : end], ()):
                if said.endswith(run, 0, end) and not self._is_known(run):
                    return end
        return None

    def _is_known(self, run: str) -> bool:
        if self._known_letters is None:
            self._known_letters = " ".join(map(_letters, self._known))
        return run in self._known_letters


@dataclass(frozen=True, slots=True)
class _Runs:
    shortest: int
    """How many letters the shortest run has."""
    by_ending: Mapping[str, tuple[str, ...]]
    """The letters of every run, by the last `shortest` of them."""


@lru_cache(maxsize=4)
def _runs(secret: str) -> _Runs:
    runs = dict.fromkeys(_letters(secret[at : at + _RUN]) for at in range(max(1, len(secret) - _RUN + 1)))
    shortest = min(map(len, runs))
    by_ending: dict[str, tuple[str, ...]] = {}
    for run in runs:
        ending = run[len(run) - shortest :]
        by_ending[ending] = (*by_ending.get(ending, ()), run)
    return _Runs(shortest, by_ending if shortest else {})


def _letters(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    return "".join(filter(str.isalpha, text.casefold()))
