"""Whether the book says anything about a question, judged from retrieval alone. Pure."""

from __future__ import annotations

from typing import Final

from chatbot_api.models.domain import Candidates

_UNRELATED_BELOW: Final = {"all-minilm-l6-v2-int8": 0.27}
"""By vector space: the cosine that the best passage of an unrelated book stays under. A space that is not here has not
been measured, and its vectors then refuse nothing."""


def says_nothing(candidates: Candidates, model: str) -> bool:
    """True where no passage shares a word with the question, or its meaning is far from all of them.

    Min-max scores are relative to the question and cannot tell; raw cosines can, as far as they go.
    """
    if not candidates.dense:
        return not candidates.lexical
    return candidates.dense[0].score < _UNRELATED_BELOW.get(model, -1.0)
