"""Every notice there is: why an answer is less than it could be, for programs and for readers."""

from __future__ import annotations

from typing import Final

from chatbot_api.errors import (
    AnswerCutShort,
    AnswerTooLong,
    AnswerWithheld,
    EmbedderUnavailable,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    ThreadNotFound,
    ThreadsUnavailable,
)
from chatbot_api.models.domain import Notice

WORDS_ALONE: Final = Notice(EmbedderUnavailable.code, EmbedderUnavailable.public)
NO_VECTORS_YET: Final = Notice(
    "no_vectors_yet", "The index is still being built: for now only the words of your question were searched for."
)
AT_ITS_LONGEST: Final = Notice(AnswerTooLong.code, AnswerTooLong.public)
NOT_BORNE_OUT: Final = Notice(
    "not_borne_out", "Some of this is not borne out by the passages that it points to: check it there."
)
NEW_THREAD: Final = Notice(
    ThreadNotFound.code, "The earlier conversation is no longer known here, so this one begins anew."
)
NOT_REMEMBERED: Final = Notice(
    ThreadsUnavailable.code, "Conversations cannot be kept at the moment, so this one will not be remembered."
)


def quoted_instead(failure: ModelError) -> Notice:
    """Where an answer broke off and nobody had read any of it, it is as if it had failed before its first word."""
    why: ModelError | type[ModelError] = failure
    if isinstance(failure, AnswerCutShort):
        why = ModelRefused if isinstance(failure, AnswerWithheld) else ModelUnavailable
    return Notice(why.code, why.public)
