"""Web and mail addresses in a text, and whether the book has them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

STARTS: Final = ("https://", "http://", "ftp://", "www.")
START: Final = re.compile("|".join(map(re.escape, STARTS)), re.IGNORECASE)
ADDRESS: Final = re.compile(r"[^\s<>\"'`\[\]()\\]+")
DOMAIN: Final = re.compile(r"[\w.-]*")
TRAILING: Final = ".,;:!?*_"
"""What ends a sentence, not an address."""
REMOVED: Final = "https://removed.invalid"
"""Stands in code for an address of which the book knows nothing; `.invalid` leads nowhere (RFC 2606)."""

_HOST: Final = re.compile(r"(?:\w+://)?+([^/?#\s]*)", re.IGNORECASE)
_AT_HOME: Final = re.compile(
    r"[^.]+|\$?\{+[\w.-]+\}+|.*\.(?:local|localhost|internal)|(?:.*\.)?example\.(?:com|net|org)"
    r"|0\.0\.0\.0|(?:127|10)(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}",
    re.IGNORECASE,
)


class Addresses:
    """Those that stand in some texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._source = "\n".join(texts)
        self._hosts: frozenset[str] | None = None

    def holds(self, address: str) -> bool:
        """Whether it stands there, whole or up to a part of its path."""
        at = self._source.find(address)
        while at >= 0:
            rest = self._source[at + len(address) : at + len(address) + 8].lstrip(TRAILING)
            before = self._source[at - 1 : at] if "@" in address else ""
            ended = not rest or not ADDRESS.match(rest) or rest[0] in "/?#" or address.endswith("/")
            if ended and not re.match(r"[\w.+-]", before):
                return True
            at = self._source.find(address, at + 1)
        return False

    def tamed(self, code: str) -> str:
        """The code, without addresses on the web whose host neither stands there nor is at home."""
        return IN_CODE.sub(lambda found: found[0] if self._may_stand(found[0]) else REMOVED, code)

    def _may_stand(self, address: str) -> bool:
        if START.fullmatch(address) or self.holds(address.rstrip(TRAILING)):
            return True
        host = _host(address)
        if self._hosts is None:
            self._hosts = frozenset(_host(found[0].rstrip(TRAILING)) for found in IN_CODE.finditer(self._source))
        return host in self._hosts or bool(_AT_HOME.fullmatch(host))


IN_CODE: Final = re.compile(
    rf"(?:{START.pattern})(?:(?!{START.pattern}){ADDRESS.pattern.removesuffix('+')})*", re.IGNORECASE
)


def _host(address: str) -> str:
    """Empty where a user's name stands before it: that is how one host poses as another."""
    found = _HOST.match(address)
    authority = found[1] if found else ""
    return "" if "@" in authority else authority.split(":")[0].lower().rstrip(".")


def possible_start(text: str) -> int:
    """How many characters at the end might be the beginning of an address."""
    tail = text[-8:].lower()
    return max((n for n in range(1, len(tail) + 1) if any(a.startswith(tail[-n:]) for a in STARTS)), default=0)
