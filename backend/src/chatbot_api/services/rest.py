"""How long a service that failed is left alone, so that readers do not wait for it again. Pure."""

from __future__ import annotations

from typing import Final

from chatbot_api.errors import (
    EmbedderDenied,
    EmbedderLimited,
    ModelDenied,
    ModelGone,
    ModelRateLimited,
    ModelRefused,
    TextRefused,
    UpstreamError,
)

_BRIEFLY: Final = 5.0
_A_MINUTE: Final = 60.0
_A_QUARTER: Final = 900.0
"""A day's quota is asked about now and then: its owner may have bought more."""
_AN_HOUR: Final = 3_600.0


def rest_seconds(error: UpstreamError) -> float:
    match error:
        case EmbedderLimited() | ModelRateLimited():
            return _A_QUARTER if error.quota.per_day else min(max(error.quota.retry_after, _BRIEFLY), _A_QUARTER)
        case TextRefused() | ModelRefused():
            return 0.0
        case ModelGone():
            return _AN_HOUR
        case EmbedderDenied() | ModelDenied():
            return _A_MINUTE
        case _:
            return _BRIEFLY
