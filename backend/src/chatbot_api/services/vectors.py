"""Vectors as a service sent them, held against what was asked for. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chatbot_api.errors import EmbedderUnavailable
from chatbot_api.models.domain import Vector


def unit_vectors(found: Sequence[Sequence[float]], *, texts: int, dimensions: int, model: str) -> list[Vector]:
    """The vectors at unit length. Raises `EmbedderUnavailable` unless there is one good vector a text."""
    if len(found) != texts:
        raise EmbedderUnavailable(f"{model}: {len(found)} vectors for {texts} texts")
    return [_unit(values, dimensions, model) for values in found]


def _unit(values: Sequence[float], dimensions: int, model: str) -> Vector:
    if len(values) != dimensions:
        raise EmbedderUnavailable(f"{model}: {len(values)} dimensions instead of {dimensions}")
    length = math.hypot(*values)
    if not 0 < length < math.inf:  # NaN is neither
        raise EmbedderUnavailable(f"{model}: a vector without a direction")
    return [value / length for value in values]
