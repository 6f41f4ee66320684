"""ChatKit, spoken by our own core. The only importer of `chatkit`, which takes a second: see `opened`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatbot_api.chatkit_bridge.server import Bridge
    from chatbot_api.ports import ThreadStore
    from chatbot_api.services.chat_service import ChatService
    from chatbot_api.services.rag_service import RagService


class Malformed(ValueError):
    """What was sent is not a request of ChatKit; `places` says where."""

    def __init__(self, places: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(f"{len(places)} places of the request are wrong")
        self.places = places


def opened(chat: ChatService, rag: RagService, threads: ThreadStore) -> Bridge:
    """Imports `chatkit`. Call it in a thread."""
    # It stands on a toolkit that would tell its maker what agents do; none runs here.
    os.environ.setdefault("OPENAI_AGENTS_DISABLE_TRACING", "1")
    from chatbot_api.chatkit_bridge.server import Bridge

    # It reads LOG_LEVEL, which is a setting of ours, and would write each of its lines a second time.
    its_log = logging.getLogger("chatkit")
    its_log.handlers.clear()
    its_log.setLevel(logging.WARNING)
    return Bridge(chat, rag, threads)
