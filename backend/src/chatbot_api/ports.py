"""What the core needs from the outside, by promise. Each promise has a test in `tests/contract/`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from chatbot_api.models.domain import (
    AnswerItem,
    Batch,
    Candidates,
    Conversation,
    Entry,
    Feedback,
    Item,
    Lease,
    Manifest,
    PageSummary,
    Passage,
    Prompt,
    QuestionItem,
    Quota,
    Remark,
    SearchQuery,
    Thread,
    TitledText,
    Usage,
    Vector,
)


class Embedder(Protocol):
    """Texts to vectors of one space. Vectors have `dimensions` finite numbers and unit length."""

    @property
    def model(self) -> str:
        """The name of the vector space. Vectors of two names must never be compared."""
        ...

    @property
    def dimensions(self) -> int: ...

    @property
    def batch_size(self) -> int:
        """How many passages one call takes at most."""
        ...

    @property
    def quota(self) -> Quota | None:
        """None where texts cost nothing but time."""
        ...

    async def embed_question(self, text: str) -> Vector:
        """Raises `EmbedderUnavailable`: `EmbedderLimited` where a quota is used up, `EmbedderDenied` where trying
        again is of no use."""
        ...

    async def embed_passages(self, texts: Sequence[TitledText]) -> list[Vector]:
        """One vector a text, in their order; an empty list for none. Raises as `embed_question` does, and
        `TextRefused` where it may be one of the texts that stands in the way. Asks once: trying again is for others.
        """
        ...

    async def check(self) -> Sequence[Remark]:
        """Whether it would work now, without spending any quota; loads and connects on the way. Raises as
        `embed_question` does."""
        ...

    async def close(self) -> None:
        """Closing twice is allowed."""
        ...


class Generator(Protocol):
    """A model that writes."""

    @property
    def model(self) -> str: ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        """Pieces of the answer, none of them empty, and at the end its `Usage` where the model tells it. Closing the
        stream stops the model.

        Raises a `ModelError`: before the first piece where nothing was written, `AnswerCutShort` after it. Ending
        without an error means that the model said it was done.
        """
        ...

    async def check(self) -> Sequence[Remark]:
        """Whether it would write now, without spending any quota; loads and connects on the way. Raises a
        `ModelError`."""
        ...

    async def close(self) -> None:
        """Closing twice is allowed."""
        ...


class VectorStore(Protocol):
    """The index as a question sees it: the newest generation, which may change between two calls."""

    async def manifest(self) -> Manifest:
        """Raises `IndexMissing` where nothing was ever indexed, `IndexCorrupt`, `IndexMismatch` where it was built
        with another lexical configuration than this code has, `SearchUnavailable`."""
        ...

    async def search(self, query: SearchQuery) -> Candidates:
        """Up to `query.limit` hits a side, best first, all within the scope. Equal input gives equal order.

        The dense side is empty where the query has no vector or the generation has none.
        """
        ...

    async def pages(self) -> Sequence[PageSummary]:
        """Every page once a version and locale, in reading order."""
        ...

    async def passages(self, page: PageSummary) -> Sequence[Passage]:
        """The passages of a page in their order; empty for a page that is not there."""
        ...

    async def check(self) -> Sequence[Remark]:
        """What is known of the engine, whether or not anything is indexed. Raises `SearchUnavailable`."""
        ...

    async def close(self) -> None:
        """Closing twice is allowed."""
        ...


class GenerationWriter(Protocol):
    """A generation that nobody sees until it is published."""

    async def put(self, entries: Sequence[Entry]) -> None:
        """All of the entries or, with `BadEntry`, none of them: ids are UUIDs, vectors finite and of the manifest's
        dimensions. An entry without a vector is found by its words; in a generation without vectors none has one."""
        ...

    async def check(self, samples: Sequence[Entry]) -> None:
        """Raises `IndexCorrupt` where one of these entries, which were put, is not found by its words and vector."""
        ...

    async def publish(self) -> None:
        """From now on questions see this generation. Refused (`IndexCorrupt`) where its count is not the manifest's."""
        ...


class VectorIndex(Protocol):
    """The index as the indexer sees it. One writer at a time."""

    @property
    def lexical(self) -> Mapping[str, str | float]:
        """The configuration of its BM25 side, for the manifest."""
        ...

    def writing(self) -> AbstractAsyncContextManager[None]:
        """Holds the right to write. Raises `IndexBusy` at once where another process has it."""
        ...

    async def current(self) -> Manifest | None:
        """The published manifest; None where there is none. Raises as `VectorStore.manifest` does, but for
        `IndexMissing`."""
        ...

    def placed(self) -> AsyncGenerator[tuple[str, str], None]:
        """The ids of the published generation's passages, each with its page; none where there is no generation."""
        ...

    async def roll_back(self) -> Manifest:
        """Publishes the generation before the current one. Raises `IndexMissing` where there is none."""
        ...

    def generation(self, manifest: Manifest) -> AbstractAsyncContextManager[GenerationWriter]:
        """A new generation. Leaving without `publish` discards it; so does a killed process, at the next call."""
        ...

    async def close(self) -> None:
        """Closing twice is allowed."""
        ...


class ThreadStore(Protocol):
    """Conversations. To anyone but its owner, and once it is deleted, a thread does not exist: `ThreadNotFound`.

    Lists are ordered by sequence, never by time. A cursor (`after`) is an id, and stays good when what it names is
    deleted; one that never was raises `MessageNotFound` or `ThreadNotFound`. All methods raise `ThreadsUnavailable`.
    """

    async def get_thread(self, thread_id: str, *, owner: str) -> Thread: ...

    async def list_threads(
        self, owner: str, *, limit: int, after: str | None = None, newest_first: bool = True
    ) -> Batch[Thread]:
        """By when something was last asked in them."""
        ...

    async def rename_thread(self, thread_id: str, title: str, *, owner: str) -> Thread: ...

    async def delete_thread(self, thread_id: str, *, owner: str) -> None:
        """Its words are gone at once, whatever is being written in it; its place in lists stays resolvable."""
        ...

    async def list_items(
        self, thread_id: str, *, owner: str, limit: int, after: str | None = None, newest_first: bool = False
    ) -> Batch[Item]: ...

    async def get_item(self, thread_id: str, item_id: str, *, owner: str) -> Item:
        """Raises `MessageNotFound`."""
        ...

    async def begin_turn(self, thread: Thread, lease: Lease, question: QuestionItem | None, *, new: bool) -> None:
        """The thread where it is `new`, the lease and the question, all or nothing. Raises `ThreadBusy` while another
        lease lasts. Beginning the same turn again changes nothing."""
        ...

    async def end_turn(
        self, thread: Thread, lease: Lease, answer: AnswerItem | None, *, replaced: Sequence[str] = ()
    ) -> None:
        """Keeps the answer, deletes the items it replaces and gives the lease back, all or nothing.

        Ending a turn again changes nothing. Raises `ThreadNotFound` where the thread was deleted meanwhile, which it
        stays, and `ThreadBusy` where the lease ran out and another turn has begun."""
        ...

    async def put_feedback(self, thread_id: str, item_id: str, feedback: Feedback | None, *, owner: str) -> None:
        """Of an answer; None takes it back. Raises `MessageNotFound` where it is not an answer."""
        ...

    async def list_feedback(self, thread_id: str, *, owner: str) -> Mapping[str, Feedback]:
        """By the id of the answer."""
        ...

    async def check(self) -> Sequence[Remark]:
        """Opens it where it is not open yet. Raises `DatabaseOutdated`."""
        ...

    async def close(self) -> None:
        """Closing twice is allowed."""
        ...


class ThreadArchive(Protocol):
    """What an owner of the site, and the law, want of conversations. A thread without an owner is no reader's: it is
    exported with all of them, and goes with its age. All methods raise `ThreadsUnavailable`."""

    def export(self, owner: str | None = None) -> AsyncGenerator[Conversation, None]:
        """Everything that is kept of one reader, or of all, oldest thread first."""
        ...

    async def forget(self, owner: str) -> int:
        """Removes everything of one reader, without a trace. Returns how many threads that were."""
        ...

    async def purge(self, before: datetime) -> int:
        """Removes threads in which nothing was asked since, and the remains of deleted ones of that age. Returns how
        many."""
        ...
