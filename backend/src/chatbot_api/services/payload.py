"""How a passage lies in an engine, and what can be filtered by. The same for the embedded engine and a server."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from chatbot_api.answering.text import words
from chatbot_api.errors import BadEntry, IndexCorrupt
from chatbot_api.models.domain import Candidates, Entry, Manifest, Passage, Scope
from chatbot_api.models.paths import ancestors

SCHEMA: Final = 2
"""Raised when what is stored changes its meaning: an older index is then refused with the command that rebuilds it."""

DENSE: Final = "dense"
LEXICAL: Final = "bm25"
_SAME: Final = 0.99
"""The cosine of a vector with itself, rounding allowed for."""

KEYWORD_FIELDS: Final = ("page", "tag", "locale", "ancestors")
INTEGER_FIELDS: Final = ("position", "ordinal")
"""The only fields a filter may name: Qdrant Cloud refuses any other, so every engine is kept to these."""


def as_payload(passage: Passage) -> dict[str, Any]:
    payload = {name: getattr(passage, name) for name in Passage.__slots__ if name != "id"}
    payload["breadcrumbs"] = list(passage.breadcrumbs)
    payload["headings"] = list(passage.headings)
    payload["ancestors"] = ancestors(passage.page)
    return payload


def as_passage(point_id: object, payload: Mapping[str, Any] | None) -> Passage:
    """Raises `IndexCorrupt` on a payload that is not ours."""
    try:
        fields = {name: payload[name] for name in Passage.__slots__ if name != "id"}  # type: ignore[index]  # None too
        fields["breadcrumbs"] = tuple(fields["breadcrumbs"])
        fields["headings"] = tuple(fields["headings"])
        return Passage(id=str(point_id), **fields)
    except (TypeError, KeyError) as exc:
        raise IndexCorrupt(f"point {point_id} holds no passage; run: askbook index SOURCE --full") from exc


def conditions(scope: Scope) -> list[tuple[str, tuple[str, ...]]]:
    """By field, the values of which a passage in the scope has one."""
    wanted = (
        ("tag", scope.tags),
        ("locale", None if scope.locale is None else (scope.locale,)),
        ("page", scope.pages),
        ("ancestors", None if scope.path_prefix is None else (scope.path_prefix,)),
    )
    return [(key, values) for key, values in wanted if values is not None]


def check_entries(entries: Sequence[Entry], manifest: Manifest) -> None:
    """Raises `BadEntry` on the first entry an engine would choke on, or worse, store in part."""
    for entry in entries:
        try:
            uuid.UUID(entry.passage.id)
        except ValueError as exc:
            raise BadEntry(f"passage id {entry.passage.id!r} is not a UUID") from exc
        if entry.vector is not None:
            if not manifest.has_vectors:
                raise BadEntry(f"passage {entry.passage.id}: a vector in a generation without vectors")
            if len(entry.vector) != manifest.dimensions:
                raise BadEntry(
                    f"passage {entry.passage.id}: a vector of {len(entry.vector)} numbers, not {manifest.dimensions}"
                )
            if not all(map(math.isfinite, entry.vector)):
                raise BadEntry(f"passage {entry.passage.id}: a vector with a number that is not finite")


def check_found(sample: Entry, found: Candidates) -> None:
    """Raises `IndexCorrupt` where a search for the sample's own words and vector did not bring what it should."""
    by_vector = found.dense[0].score if found.dense else 0.0
    if (sample.vector is not None and by_vector < _SAME) or (words(sample.passage.text) and not found.lexical):
        raise IndexCorrupt(
            f"passage {sample.passage.id} was written but is not found; run: askbook index SOURCE --full"
        )


def as_json(manifest: Manifest) -> dict[str, Any]:
    return {"schema": SCHEMA, **asdict(manifest), "built_at": manifest.built_at.isoformat()}


def as_manifest(data: object) -> Manifest:
    """Raises `IndexCorrupt` on anything that `as_json` did not write."""
    try:
        if not isinstance(data, dict) or data.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        return Manifest(**{**data, "built_at": datetime.fromisoformat(data["built_at"])})
    except (TypeError, KeyError, ValueError) as exc:
        raise IndexCorrupt(
            "the index was written by another version of Askbook or is damaged; run: askbook index SOURCE --full"
        ) from exc
