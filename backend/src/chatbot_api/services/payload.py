"""How a passage lies in an engine, and what can be filtered by. The same for the embedded engine and a server."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from chatbot_api.errors import BadEntry, IndexCorrupt
from chatbot_api.models.domain import Entry, Manifest, Passage, Scope

SCHEMA: Final = 1
"""Raised when what is stored changes its meaning: an older index is then refused with the command that rebuilds it."""

DENSE: Final = "dense"
LEXICAL: Final = "bm25"

KEYWORD_FIELDS: Final = ("page", "version", "locale", "ancestors")
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


def ancestors(path: str) -> list[str]:
    """Every prefix a reader may narrow a question to: `/docs/a/b` has `/`, `/docs`, `/docs/a` and itself."""
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: end + 1]) for end in range(len(parts)))]


def equal_conditions(scope: Scope) -> list[tuple[str, str]]:
    """What must be equal for a passage to be in the scope, by field."""
    wanted = (("version", scope.version), ("locale", scope.locale), ("ancestors", scope.path_prefix))
    return [(key, value) for key, value in wanted if value is not None]


def check_entries(entries: Sequence[Entry], manifest: Manifest) -> None:
    """Raises `BadEntry` on the first entry an engine would choke on, or worse, store in part."""
    for entry in entries:
        try:
            uuid.UUID(entry.passage.id)
        except ValueError as exc:
            raise BadEntry(f"passage id {entry.passage.id!r} is not a UUID") from exc
        if (entry.vector is not None) != manifest.has_vectors:
            raise BadEntry(f"passage {entry.passage.id}: a vector where none belongs, or none where one does")
        if entry.vector is not None:
            if len(entry.vector) != manifest.dimensions:
                raise BadEntry(
                    f"passage {entry.passage.id}: a vector of {len(entry.vector)} numbers, not {manifest.dimensions}"
                )
            if not all(map(math.isfinite, entry.vector)):
                raise BadEntry(f"passage {entry.passage.id}: a vector with a number that is not finite")


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
