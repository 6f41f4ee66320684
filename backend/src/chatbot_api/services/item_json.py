"""Questions and answers as JSON, the way they are kept. What a newer version wrote is read as far as it is known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, TypeAdapter

from chatbot_api.models.domain import Item


def as_json(item: Item) -> str:
    """A NUL in a text is kept: JSON has an escape for it."""
    utc = replace(item, created_at=item.created_at.astimezone(UTC))
    return readable(json.dumps(_adapter().dump_python(utc, mode="json"), ensure_ascii=False, separators=(",", ":")))


def as_item(text: str) -> Item:
    """Raises `pydantic.ValidationError`, which quotes the text."""
    return _adapter().validate_json(text)


def readable(text: str) -> str:
    """With replacement characters for what cannot be kept or sent: NUL, which PostgreSQL refuses, and halves of
    characters, which UTF-8 has no place for."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


@cache
def _adapter() -> TypeAdapter[Item]:
    """On first use: building it takes 25 ms."""
    return TypeAdapter(Annotated[Item, Discriminator("kind"), BeforeValidator(_with_notices)])


def _with_notices(kept: Any) -> Any:
    """Before notices had codes there was one, in words alone."""
    if isinstance(kept, dict) and kept.get("notice"):
        return {**kept, "notices": [{"code": "", "text": kept["notice"]}]}
    return kept
