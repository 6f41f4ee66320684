"""Readers: each turns one kind of source into `Page`s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that gave no page."""

    source: str
    reason: str
    kind: Literal["bad", "excluded"]
    """`bad`: it should have been a page. `excluded`: its author keeps it out of the site, such as a draft."""
