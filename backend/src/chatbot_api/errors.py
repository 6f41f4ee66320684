"""Everything that can go wrong, by name.

    AskbookError
    ├── BadQuestion               the reader can mend it
    │   ├── UnknownPage
    │   └── UnknownScope
    ├── ThreadNotFound            deleted, never there, or another reader's
    │   └── MessageNotFound
    ├── ThreadBusy                an answer is being written in it
    ├── NotSignedIn               a reader's token is needed
    │   ├── TokenExpired
    │   └── TokenRefused          forged, damaged or of somebody else
    ├── DatabaseOutdated          the owner can mend it: askbook migrate
    ├── IndexError_               the owner can mend it, and the text says with which command
    │   ├── IndexMissing          nothing was indexed yet
    │   ├── IndexCorrupt          files are damaged or of an unknown layout
    │   ├── IndexMismatch         built with another model, dimension or BM25 configuration
    │   ├── IndexBusy             another process is writing
    │   ├── BadEntry              a passage or vector that must not be written
    │   ├── NoRoom                the disk is full, or would be
    │   └── TooManyDropped        a run would remove more of the book than looks right
    ├── SourceError               the folder to index is not what it should be
    ├── ModelPackageError         the local model's file is missing or not the expected one
    └── UpstreamError             a service outside failed
        ├── EmbedderUnavailable
        │   ├── EmbedderDenied    key missing, rejected or not allowed
        │   ├── EmbedderLimited   a quota is used up
        │   │   └── DayUsedUp     until tomorrow
        │   └── TextRefused       the service works, but not on one of these texts
        ├── SearchUnavailable
        ├── ThreadsUnavailable    the database of conversations
        ├── SignInUnavailable     the keys of the site's own accounts
        └── ModelError
            ├── ModelUnavailable  down, slow, unreachable
            │   └── ModelGone     retired, or never there
            ├── ModelRateLimited  a quota is used up
            ├── ModelDenied       key missing, rejected or not allowed
            ├── ModelRefused      blocked by the model's own rules
            └── AnswerCutShort    the stream ended before the answer did
                ├── AnswerTooLong    at the longest output that is allowed
                └── AnswerWithheld   by the model's own rules

`str(error)` is for the log and the terminal: in our words, without what a service said beyond codes and names.
`public` is for a reader: it names no vendor, key, path or address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class UsedUp:
    """What a service tells of a quota that is used up. 0 stands for a limit that it did not name."""

    retry_after: float = 0.0
    """Seconds; 0 where it did not say."""
    per_day: bool = False
    """Whether it is a daily quota: then `retry_after` says nothing about when it is refilled."""
    texts_per_minute: int = 0
    tokens_per_minute: int = 0
    texts_per_day: int = 0
    free_plan: bool = False
    """Whether it said that these are the limits of its free plan."""


class AskbookError(Exception):
    code: ClassVar[str] = "internal"
    public: ClassVar[str] = "Something went wrong on our side. Please try again."
    retryable: ClassVar[bool] = False


class BadQuestion(AskbookError):
    """The text of the error is written for the reader and holds nothing private."""

    code = "bad_question"
    public = "The question could not be understood."


class UnknownPage(BadQuestion):
    code = "unknown_page"
    public = "That page is not in the index."


class UnknownScope(BadQuestion):
    code = "unknown_scope"
    public = "That part of the book is not in the index."


class ThreadNotFound(AskbookError):
    code = "thread_not_found"
    public = "This conversation does not exist."


class MessageNotFound(ThreadNotFound):
    code = "message_not_found"
    public = "This message does not exist."


class ThreadBusy(AskbookError):
    code = "thread_busy"
    public = "An answer is still being written in this conversation. Wait for it, or stop it."
    retryable = True


class NotSignedIn(AskbookError):
    code = "not_signed_in"
    public = (
        "This needs a reader's token, sent as Authorization: Bearer: one from POST /session, or of the site's accounts."
    )


class TokenExpired(NotSignedIn):
    code = "token_expired"
    public = "The reader's token has expired. Get a new one with POST /session."


class TokenRefused(NotSignedIn):
    code = "token_refused"
    public = "The reader's token is not valid here. Get a new one with POST /session."


class DatabaseOutdated(AskbookError):
    code = "database_outdated"
    public = "Conversations cannot be kept. The owner can mend that with: askbook migrate"


class IndexError_(AskbookError):  # noqa: N801 - `IndexError` is Python's
    code = "index_unusable"
    public = "The book cannot be searched at the moment."


class IndexMissing(IndexError_):
    code = "index_missing"
    public = "This book has not been indexed yet. Its owner can mend that with: askbook index SOURCE"


class IndexCorrupt(IndexError_):
    code = "index_corrupt"
    public = "The index of this book is damaged. Its owner can mend that with: askbook index SOURCE --full"


class IndexMismatch(IndexError_):
    code = "index_mismatch"
    public = "The index was built with other settings than these. Its owner can mend that with: askbook index SOURCE"


class IndexBusy(IndexError_):
    code = "index_busy"
    retryable = True


class BadEntry(IndexError_):
    code = "bad_entry"


class NoRoom(IndexError_):
    code = "no_room"


class TooManyDropped(IndexError_):
    code = "too_many_dropped"


class SourceError(AskbookError):
    code = "source_unusable"


class ModelPackageError(AskbookError):
    code = "model_package"


class UpstreamError(AskbookError):
    code = "upstream"
    public = "A service this book depends on is not answering. Please try again in a moment."
    retryable = True


class EmbedderUnavailable(UpstreamError):
    code = "embedder_unavailable"
    public = "Only the words of the question could be searched for, not its meaning."


class EmbedderDenied(EmbedderUnavailable):
    code = "embedder_denied"
    retryable = False


class EmbedderLimited(EmbedderUnavailable):
    code = "embedder_limited"

    def __init__(self, text: str, quota: UsedUp | None = None) -> None:
        super().__init__(text)
        self.quota = quota or UsedUp()


class DayUsedUp(EmbedderLimited):
    code = "day_used_up"

    def __init__(self, limit: int, until: datetime, *, embedded: int = 0, remaining: int = 0) -> None:
        """`limit`: texts a day, 0 where it is not known; `until`: when the next day begins, UTC."""
        of = f" of {limit:,} texts" if limit else ""
        super().__init__(
            f"today's embedding quota{of} is used up, but for what is kept for readers' questions: {embedded:,} texts "
            f"were embedded, {remaining:,} remain. Run the same command again after {until:%Y-%m-%d %H:%M} UTC"
        )
        self.limit = limit
        self.until = until
        self.embedded = embedded
        self.remaining = remaining


class TextRefused(EmbedderUnavailable):
    code = "text_refused"
    retryable = False


class SearchUnavailable(UpstreamError):
    code = "search_unavailable"
    public = "The book cannot be searched at the moment. Please try again shortly."


class ThreadsUnavailable(UpstreamError):
    code = "threads_unavailable"
    public = "Conversations cannot be kept or read at the moment. Please try again shortly."


class SignInUnavailable(UpstreamError):
    code = "sign_in_unavailable"
    public = "It cannot be checked at the moment who you are. Please try again shortly."


class ModelError(UpstreamError):
    code = "model_error"
    public = "The model could not write an answer."


class ModelUnavailable(ModelError):
    code = "model_unavailable"
    public = "The model is not reachable, so these are the book's own words."


class ModelGone(ModelUnavailable):
    code = "model_gone"
    retryable = False


class ModelRateLimited(ModelError):
    code = "model_rate_limited"
    public = "Many readers are asking at once, so these are the book's own words."

    def __init__(self, text: str, quota: UsedUp | None = None) -> None:
        super().__init__(text)
        self.quota = quota or UsedUp()


class ModelDenied(ModelError):
    code = "model_denied"
    public = "The model is not available here, so these are the book's own words."
    retryable = False


class ModelRefused(ModelError):
    code = "model_refused"
    public = "The model declined to write this answer, so these are the book's own words."
    retryable = False


class AnswerCutShort(ModelError):
    code = "answer_cut_short"
    public = "The answer broke off before its end. Please ask again."


class AnswerTooLong(AnswerCutShort):
    code = "answer_too_long"
    public = "The answer ends here, at the longest that is allowed."
    retryable = False


class AnswerWithheld(AnswerCutShort):
    code = "answer_withheld"
    public = "The model stopped here by its own rules."
    retryable = False
