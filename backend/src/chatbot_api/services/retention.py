"""Conversations are removed when nobody has asked anything in them for long enough."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from chatbot_api.errors import DatabaseOutdated, ThreadsUnavailable
from chatbot_api.ports import ThreadArchive

logger = logging.getLogger(__name__)
_EVERY: Final = timedelta(hours=6)


async def keep_to(archive: ThreadArchive, days: int, *, every: timedelta = _EVERY) -> None:
    """Until it is cancelled. Several processes may do so at once. 0 days: nothing is removed."""
    while days:
        try:
            removed = await archive.purge(datetime.now(UTC) - timedelta(days=days))
        except (ThreadsUnavailable, DatabaseOutdated) as exc:
            logger.warning("old conversations not removed code=%s cause=%s", exc.code, exc)
        else:
            if removed:
                logger.info("old conversations removed threads=%d", removed)
        await asyncio.sleep(every.total_seconds())
