"""BM25 term weights from Qdrant's own encoder, for the embedded engine and a server alike. Imports only the encoder of
`qdrant_edge`; it needs no model and no network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, SparseVector, StopwordsSet, TokenizerType

from chatbot_api.models.domain import Passage

_AVERAGE_LENGTH: Final = 128.0
_DEFAULT_LOCALE: Final = "en"
_LANGUAGES: Final = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}
"""Languages whose endings and stop words the encoder knows, by the first part of a locale."""
_WITHOUT_SPACES: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese: a whole sentence would be one word."""


@dataclass(frozen=True, slots=True)
class TermWeights:
    """A sparse vector: term ids, and a weight for each."""

    indices: list[int]
    values: list[float]


class Bm25Encoder:
    """Words by the language of the passage's locale. `getByRole` is a word, and so are `get`, `by` and `role`: the
    encoder's tokenizer for code beat the one for words on both development sets (benchmarks/RETRIEVAL.md)."""

    @property
    def configuration(self) -> dict[str, str | float]:
        """What goes into the manifest: an index is only asked by the encoder that filled it."""
        return {
            "tokenizer": "code, and words of scripts without spaces",
            "language": "by locale",
            "avg_len": _AVERAGE_LENGTH,
            "k": 1.2,
            "b": 0.75,
        }

    def of_passage(self, passage: Passage) -> TermWeights:
        text = f"{passage.label}\n{passage.text}"
        return _union([bm25.embed_document(text) for bm25 in _encoders(text, passage.locale)])

    def of_question(self, text: str, locale: str | None) -> TermWeights:
        return _union([bm25.embed_query(text) for bm25 in _encoders(text, locale or _DEFAULT_LOCALE)])


def _encoders(text: str, locale: str) -> list[Bm25]:
    by_language = _encoder(_LANGUAGES.get(re.split(r"[-_]", locale.lower())[0]), TokenizerType.Code)
    if _WITHOUT_SPACES.search(text):
        return [by_language, _encoder(None, TokenizerType.Multilingual)]
    return [by_language]


@cache
def _encoder(language: str | None, tokenizer: TokenizerType) -> Bm25:
    if language is not None:
        return Bm25(Bm25Config(avg_len=_AVERAGE_LENGTH, tokenizer=tokenizer, language=language))
    nothing = StopwordsSet(languages=set(), custom=set())
    return Bm25(Bm25Config(avg_len=_AVERAGE_LENGTH, tokenizer=tokenizer, stopwords=nothing, stemmer=DisabledStemmer()))


def _union(vectors: list[SparseVector]) -> TermWeights:
    """Each term once, with its greatest weight."""
    weights: dict[int, float] = {}
    for vector in vectors:
        for index, value in zip(vector.indices, vector.values, strict=True):
            weights[index] = max(value, weights.get(index, 0.0))
    return TermWeights(list(weights), list(weights.values()))
