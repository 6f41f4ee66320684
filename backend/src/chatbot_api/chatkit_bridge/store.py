"""Our conversations as ChatKit's `Store`.

Questions and answers are kept by `ChatService`, whichever face they come through; what ChatKit asks to be kept besides
is made of them again. So adding one here does nothing, and neither does deleting one: a retry asks for that before
there is anything in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Never

from chatkit.store import Store, StoreItemType
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata, UserMessageItem

from chatbot_api.chatkit_bridge.items import as_items, as_thread, own_id
from chatbot_api.errors import MessageNotFound
from chatbot_api.ports import ThreadStore
from chatbot_api.services.chat_service import Turn


@dataclass(slots=True)
class Context:
    """One request on its way through the SDK."""

    owner: str
    turn: Turn | None = None
    """What is to be answered, where the request asks for that."""
    begun: bool = False
    """Whether the thread is taken for the turn."""
    told: bool = False
    """Whether the turn is being answered, and will be ended."""
    renaming: bool = False
    still_here: bytes = b""
    """What to send while there is nothing to say; empty: a comment."""


class BridgeStore(Store[Context]):
    def __init__(self, threads: ThreadStore) -> None:
        self._threads = threads

    def generate_thread_id(self, context: Context) -> str:
        return _turn(context).thread.id

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: Context) -> str:
        """Only a question is ever made by the SDK."""
        return _turn(context).asked.id

    async def load_thread(self, thread_id: str, context: Context) -> ThreadMetadata:
        if context.turn is not None:
            return as_thread(context.turn.thread)
        return as_thread(await self._threads.get_thread(thread_id, owner=context.owner))

    async def save_thread(self, thread: ThreadMetadata, context: Context) -> None:
        """A thread comes to be with its first question. While it is answered, its title may have been changed by its
        reader, which the SDK's copy does not know."""
        if context.renaming:
            await self._threads.rename_thread(thread.id, thread.title or "", owner=context.owner)

    async def load_threads(self, limit: int, after: str | None, order: str, context: Context) -> Page[ThreadMetadata]:
        found = await self._threads.list_threads(context.owner, limit=limit, after=after, newest_first=order == "desc")
        return Page(
            data=[as_thread(thread) for thread in found.entries],
            has_more=found.has_more,
            after=found.entries[-1].id if found.entries else None,
        )

    async def delete_thread(self, thread_id: str, context: Context) -> None:
        await self._threads.delete_thread(thread_id, owner=context.owner)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Context
    ) -> Page[ThreadItem]:
        newest_first = order == "desc"
        found = await self._threads.list_items(
            thread_id,
            owner=context.owner,
            limit=limit,
            after=None if after is None else own_id(after),
            newest_first=newest_first,
        )
        told = [as_items(item, thread_id) for item in found.entries]
        return Page(
            data=[each for items in told for each in (reversed(items) if newest_first else items)],
            has_more=found.has_more,
            after=found.entries[-1].id if found.entries else None,
        )

    async def load_item(self, thread_id: str, item_id: str, context: Context) -> ThreadItem:
        item = await self._threads.get_item(thread_id, own_id(item_id), owner=context.owner)
        return next(each for each in as_items(item, thread_id) if each.id == item_id)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Context) -> None:
        if isinstance(item, UserMessageItem):
            item.created_at = _turn(context).asked.created_at  # the SDK's has no time zone; it is told right after this

    async def save_item(self, thread_id: str, item: ThreadItem, context: Context) -> None:
        """Only for kinds of items that are never made here."""

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Context) -> None:
        """See above."""

    async def save_attachment(self, attachment: Attachment, context: Context) -> None:
        _no_attachments()

    async def load_attachment(self, attachment_id: str, context: Context) -> Attachment:
        _no_attachments()

    async def delete_attachment(self, attachment_id: str, context: Context) -> None:
        _no_attachments()


def _turn(context: Context) -> Turn:
    if context.turn is None:
        raise TypeError("this request asks nothing")
    return context.turn


def _no_attachments() -> Never:
    raise MessageNotFound("there are no attachments here")
