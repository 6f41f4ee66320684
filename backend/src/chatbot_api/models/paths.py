"""Paths of pages, as they are compared. Pure."""

from __future__ import annotations


def normal_path(path: str) -> str:
    """Without query, hash and trailing slash: `/docs/intro/?x#y` is `/docs/intro`."""
    path = path.strip().split("#", 1)[0].split("?", 1)[0]
    return "/" + path.strip("/")


def ancestors(path: str) -> list[str]:
    """Every prefix a reader may narrow a question to: `/docs/a/b` has `/`, `/docs`, `/docs/a` and itself."""
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: end + 1]) for end in range(len(parts)))]
