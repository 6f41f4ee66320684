"""A fake for every port, for our tests and for those of anyone who builds on us. Held to the same contract suites."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import SecretStr

from chatbot_api.answering.text import words
from chatbot_api.bootstrap import Services
from chatbot_api.config import Settings
from chatbot_api.errors import (
    AskbookError,
    BadEntry,
    EmbedderUnavailable,
    IndexBusy,
    IndexCorrupt,
    IndexMissing,
    MessageNotFound,
    ThreadBusy,
    ThreadNotFound,
)
from chatbot_api.models.domain import (
    AnswerItem,
    Batch,
    Candidates,
    Conversation,
    Entry,
    Feedback,
    Hit,
    Item,
    Lease,
    Manifest,
    PageSummary,
    Passage,
    Prompt,
    QuestionItem,
    Quota,
    Remark,
    Scope,
    SearchQuery,
    Thread,
    TitledText,
    Usage,
    Vector,
)
from chatbot_api.models.paths import ancestors
from chatbot_api.ports import Embedder, Generator
from chatbot_api.services.chat_service import ChatService
from chatbot_api.services.item_json import as_item, as_json, readable
from chatbot_api.services.payload import check_entries
from chatbot_api.services.rag_service import RagService
from chatbot_api.services.reader_service import ReaderService

T = TypeVar("T")


def over(
    settings: Settings,
    index: MemoryIndex,
    model: Generator | None = None,
    *,
    embedder: Embedder | None = None,
    threads: MemoryThreads | None = None,
) -> Services:
    """What the app works with, over fakes; its readers are real, with a secret that everybody knows."""
    embedder = embedder or HashEmbedder()
    threads = threads or MemoryThreads()
    rag = RagService(embedder, index, model, site_url=settings.site_url)
    readers = ReaderService(secret_file=settings.data_dir / "session.secret", secrets=[SecretStr("known" * 8)])
    return Services(settings, rag, ChatService(rag, threads), index, embedder, model, threads, threads, readers)


class HashEmbedder:
    """Texts that share words get vectors that are near. `error` makes it fail, `asked` counts texts."""

    batch_size = 16

    def __init__(self, *, model: str = "hash", dimensions: int = 64, quota: Quota | None = None) -> None:
        self.quota = quota
        self.model = model
        self.dimensions = dimensions
        self.error: EmbedderUnavailable | None = None
        self.asked: list[str] = []

    async def embed_question(self, text: str) -> Vector:
        return self._embed(text)

    async def embed_passages(self, texts: Sequence[TitledText]) -> list[Vector]:
        return [self._embed(f"{text.title}\n{text.text}") for text in texts]

    async def check(self) -> Sequence[Remark]:
        if self.error is not None:
            raise self.error
        return [Remark(self.model)]

    async def close(self) -> None:
        """Holds nothing."""

    def _embed(self, text: str) -> Vector:
        if self.error is not None:
            raise self.error
        self.asked.append(text)
        vector = [0.0] * self.dimensions
        for word in words(text) or [text]:
            digest = hashlib.sha256(word.encode()).digest()
            vector[int.from_bytes(digest[:4], "big") % self.dimensions] += 1.0
        norm = math.sqrt(sum(value * value for value in vector))
        return [value / norm for value in vector]


class ScriptedGenerator:
    """Says its pieces, then raises `error` where there is one. `gate` holds it before the piece of that index."""

    def __init__(
        self,
        pieces: Sequence[str | Usage] = (),
        *,
        error: AskbookError | None = None,
        gate: int | None = None,
        model: str = "scripted",
    ) -> None:
        self.model = model
        self.pieces = list(pieces)
        self.error = error
        self.prompts: list[Prompt] = []
        self.waiting = asyncio.Event()
        """Set when the gate is reached."""
        self.stopped = asyncio.Event()
        """Set when a stream is over, to its end or not."""
        self._gate = gate

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        self.prompts.append(prompt)
        try:
            for index, piece in enumerate(self.pieces):
                if index == self._gate:
                    self.waiting.set()
                    await asyncio.Event().wait()
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.stopped.set()

    async def check(self) -> Sequence[Remark]:
        if self.error is not None:
            raise self.error
        return [Remark(self.model)]

    async def close(self) -> None:
        """Holds nothing."""


class MemoryIndex:
    """`VectorStore` and `VectorIndex` over lists. The lexical side counts shared words."""

    lexical: Mapping[str, str | float] = {"tokenizer": "words"}

    def __init__(self) -> None:
        self.published: tuple[Manifest, list[Entry]] | None = None
        self.error: AskbookError | None = None
        """Raised by every reading call, where there is one."""
        self.before: tuple[Manifest, list[Entry]] | None = None
        self.history: list[Manifest] = []
        """Every manifest that was ever published."""
        self._writing = False

    async def manifest(self) -> Manifest:
        return self._current()[0]

    async def search(self, query: SearchQuery) -> Candidates:
        _, entries = self._current()
        inside = [entry for entry in entries if _in_scope(entry.passage, query.scope)]
        asked = set(words(query.text))
        dense = [
            Hit(e.passage, sum(a * b for a, b in zip(query.vector, e.vector, strict=True)))
            for e in inside
            if query.vector is not None and e.vector is not None
        ]
        shared = [Hit(e.passage, float(len(asked & set(words(f"{e.passage.label} {e.passage.text}"))))) for e in inside]
        return Candidates(_best(dense, query.limit), _best([hit for hit in shared if hit.score], query.limit))

    async def pages(self) -> Sequence[PageSummary]:
        first = [entry.passage.its_page() for entry in self._current()[1] if entry.passage.ordinal == 0]
        return sorted(first, key=lambda page: (page.version, page.locale, page.position, page.path))

    async def passages(self, page: PageSummary) -> Sequence[Passage]:
        of_page = [entry.passage for entry in self._current()[1] if entry.passage.its_page() == page]
        return sorted(of_page, key=lambda passage: passage.ordinal)

    async def check(self) -> Sequence[Remark]:
        return [Remark("in memory")]

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None, None]:
        if self._writing:
            raise IndexBusy("another run is writing")
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    async def current(self) -> Manifest | None:
        return self.published[0] if self.published else None

    async def placed(self) -> AsyncGenerator[tuple[str, str], None]:
        for entry in self.published[1] if self.published else []:
            yield entry.passage.id, entry.passage.page

    async def roll_back(self) -> Manifest:
        if self.published is None or self.before is None:
            raise IndexMissing("there is no generation before the current one; run: askbook index SOURCE")
        self.published, self.before = self.before, None
        return self.published[0]

    @asynccontextmanager
    async def generation(self, manifest: Manifest) -> AsyncGenerator[MemoryGeneration, None]:
        yield MemoryGeneration(self, manifest)

    async def close(self) -> None:
        """Holds nothing."""

    def _current(self) -> tuple[Manifest, list[Entry]]:
        if self.error is not None:
            raise self.error
        if self.published is None:
            raise IndexMissing("nothing is indexed yet; run: askbook index SOURCE")
        return self.published


class MemoryGeneration:
    def __init__(self, index: MemoryIndex, manifest: Manifest) -> None:
        self._index = index
        self._manifest = manifest
        self._entries: dict[str, Entry] = {}
        self._published = False

    async def put(self, entries: Sequence[Entry]) -> None:
        if self._published:
            raise BadEntry("this generation is published: nothing can be added to it")
        check_entries(entries, self._manifest)
        self._entries.update({entry.passage.id: entry for entry in entries})

    async def check(self, samples: Sequence[Entry]) -> None:
        for sample in samples:
            if self._entries.get(sample.passage.id) != sample:
                raise IndexCorrupt(f"passage {sample.passage.id} was written but is not found")

    async def publish(self) -> None:
        if len(self._entries) != self._manifest.passages:
            raise IndexCorrupt(f"{len(self._entries)} passages, not {self._manifest.passages}")
        self._published = True
        before = self._index.published
        self._index.before = before if before and before[0].has_vectors else None
        self._index.published = (replace(self._manifest), list(self._entries.values()))
        self._index.history.append(self._manifest)


class MemoryThreads:
    """`ThreadStore` and `ThreadArchive` over dictionaries. `error` makes every call fail."""

    def __init__(self) -> None:
        self.error: AskbookError | None = None
        self._kept: dict[str, _Kept] = {}
        self._seq = 0

    async def get_thread(self, thread_id: str, *, owner: str) -> Thread:
        return self._of(thread_id, owner).thread

    async def list_threads(
        self, owner: str, *, limit: int, after: str | None = None, newest_first: bool = True
    ) -> Batch[Thread]:
        self._fail()
        own = {key: kept for key, kept in self._kept.items() if kept.thread.owner == owner != ""}
        if after is not None and after not in own:
            raise ThreadNotFound("the thread to go on from does not exist for this reader")
        ordered = sorted(own.values(), key=lambda kept: (kept.asked, kept.thread.id), reverse=newest_first)
        past = _after(ordered, own[after] if after is not None else None)
        return _batch((kept.thread for kept in past if not kept.deleted), limit)

    async def rename_thread(self, thread_id: str, title: str, *, owner: str) -> Thread:
        kept = self._of(thread_id, owner)
        kept.thread = replace(kept.thread, title=readable(title))
        return kept.thread

    async def delete_thread(self, thread_id: str, *, owner: str) -> None:
        kept = self._of(thread_id, owner)
        kept.thread = replace(kept.thread, title="")
        kept.items.clear()
        kept.feedback.clear()
        kept.deleted = True

    async def list_items(
        self, thread_id: str, *, owner: str, limit: int, after: str | None = None, newest_first: bool = False
    ) -> Batch[Item]:
        items = self._of(thread_id, owner).items
        if after is not None and after not in items:
            raise MessageNotFound("the item to go on from does not exist")
        ordered = list(reversed(items)) if newest_first else list(items)
        return _batch((as_item(text) for key in _after(ordered, after) if (text := items[key])), limit)

    async def get_item(self, thread_id: str, item_id: str, *, owner: str) -> Item:
        text = self._of(thread_id, owner).items.get(item_id)
        if text is None:
            raise MessageNotFound("the item does not exist")
        return as_item(text)

    async def begin_turn(self, thread: Thread, lease: Lease, question: QuestionItem | None, *, new: bool) -> None:
        self._fail()
        if new and thread.id not in self._kept:
            born = thread.created_at.astimezone(UTC)
            first = replace(thread, title=readable(thread.title), created_at=born, updated_at=born)
            self._kept[thread.id] = _Kept(first, lease)
        kept = self._of(thread.id, thread.owner)
        if kept.lease.turn_id != lease.turn_id and not kept.ended and kept.lease.until > datetime.now(UTC):
            raise ThreadBusy("another turn has not ended")
        kept.lease, kept.ended = lease, False
        if question is not None and question.id not in kept.items:
            kept.items[question.id] = as_json(question)
            kept.thread = replace(kept.thread, updated_at=question.created_at.astimezone(UTC))
            self._seq += 1
            kept.asked = self._seq

    async def end_turn(
        self, thread: Thread, lease: Lease, answer: AnswerItem | None, *, replaced: Sequence[str] = ()
    ) -> None:
        kept = self._of(thread.id, thread.owner)
        if kept.lease.turn_id != lease.turn_id:
            if answer is not None and answer.id in kept.items:
                return
            raise ThreadBusy("the lease ran out, and another turn has begun")
        if answer is not None and not kept.ended:
            for item_id in set(replaced) & set(kept.items):
                kept.items[item_id] = None
                kept.feedback.pop(item_id, None)
            kept.items.setdefault(answer.id, as_json(answer))
        kept.ended = True

    async def put_feedback(self, thread_id: str, item_id: str, feedback: Feedback | None, *, owner: str) -> None:
        if not isinstance(await self.get_item(thread_id, item_id, owner=owner), AnswerItem):
            raise MessageNotFound("the item is not an answer")
        kept = self._kept[thread_id]
        kept.feedback.pop(item_id, None)
        if feedback is not None:
            given_at = feedback.created_at.astimezone(UTC)
            kept.feedback[item_id] = replace(feedback, created_at=given_at, comment=readable(feedback.comment))

    async def list_feedback(self, thread_id: str, *, owner: str) -> Mapping[str, Feedback]:
        return dict(self._of(thread_id, owner).feedback)

    async def export(self, owner: str | None = None) -> AsyncGenerator[Conversation, None]:
        self._fail()
        for kept in sorted(self._kept.values(), key=lambda kept: (kept.thread.created_at, kept.thread.id)):
            if not kept.deleted and (owner is None or kept.thread.owner == owner != ""):
                items = tuple(as_item(text) for text in kept.items.values() if text)
                yield Conversation(kept.thread, items, dict(kept.feedback))

    async def forget(self, owner: str) -> int:
        return self._remove(thread_id for thread_id, kept in self._kept.items() if kept.thread.owner == owner != "")

    async def purge(self, before: datetime) -> int:
        return self._remove(
            thread_id
            for thread_id, kept in self._kept.items()
            if (kept.thread.updated_at or kept.thread.created_at) < before
        )

    async def check(self) -> Sequence[Remark]:
        self._fail()
        return [Remark("in memory")]

    async def close(self) -> None:
        """Holds nothing."""

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    def _of(self, thread_id: str, owner: str) -> _Kept:
        self._fail()
        kept = self._kept.get(thread_id)
        if kept is None or kept.deleted or kept.thread.owner != owner:
            raise ThreadNotFound("the thread does not exist for this reader")
        return kept

    def _remove(self, ids: Iterable[str]) -> int:
        self._fail()
        gone = list(ids)
        for thread_id in gone:
            del self._kept[thread_id]
        return len(gone)


@dataclass(slots=True, eq=False)
class _Kept:
    thread: Thread
    lease: Lease
    ended: bool = False
    asked: int = 0
    """The place of its newest question among all questions."""
    items: dict[str, str | None] = field(default_factory=dict)
    """As JSON, None where one was replaced; in the order in which they were put."""
    feedback: dict[str, Feedback] = field(default_factory=dict)
    deleted: bool = False


def _after(ordered: Sequence[T], entry: T | None) -> Sequence[T]:
    return ordered if entry is None else ordered[ordered.index(entry) + 1 :]


def _batch(entries: Iterable[T], limit: int) -> Batch[T]:
    found = tuple(entries)
    return Batch(found[:limit], has_more=len(found) > limit)


def _in_scope(passage: Passage, scope: Scope) -> bool:
    return (
        (scope.tags is None or passage.tag in scope.tags)
        and (scope.locale is None or passage.locale == scope.locale)
        and (scope.path_prefix is None or scope.path_prefix in ancestors(passage.page))
        and (scope.pages is None or passage.page in scope.pages)
        and (scope.up_to_position is None or passage.position <= scope.up_to_position)
    )


def _best(hits: Sequence[Hit], limit: int) -> tuple[Hit, ...]:
    return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))[:limit])
