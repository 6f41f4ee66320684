"""Everything that can go wrong, by name.

    AskbookError
    ├── BadQuestion               the reader can mend it
    │   ├── UnknownPage
    │   └── UnknownScope
    ├── ThreadNotFound
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
        │   └── EmbedderDenied    key missing, rejected or not allowed
        ├── SearchUnavailable
        └── ModelError
            ├── ModelUnavailable  down, slow, retired, unreachable
            ├── ModelRateLimited  quota
            ├── ModelDenied       key missing, rejected or not allowed
            ├── ModelRefused      blocked by the model's own rules
            └── AnswerCutShort    the stream ended before the answer did

`str(error)` is for the log and the terminal. `public` is for a reader: it names no vendor, key, path or address.
"""

from __future__ import annotations

from typing import ClassVar


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


class SearchUnavailable(UpstreamError):
    code = "search_unavailable"
    public = "The book cannot be searched at the moment. Please try again shortly."


class ModelError(UpstreamError):
    code = "model_error"
    public = "The model could not write an answer."


class ModelUnavailable(ModelError):
    code = "model_unavailable"
    public = "The model is not reachable, so these are the book's own words."


class ModelRateLimited(ModelError):
    code = "model_rate_limited"
    public = "Many readers are asking at once, so these are the book's own words."


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
