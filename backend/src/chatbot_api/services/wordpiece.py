"""BERT's uncased WordPiece: a text to the token ids of all-MiniLM-L6-v2. Plain Python, no vendor."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Self

MAX_TOKENS = 256
MAX_WORD = 100
"""Longer words are one unknown token, as in the original."""

CACHED_WORDS = 1 << 14
CACHED_LENGTH = 64
CACHED_CHARACTERS = 1 << 13

# The ideographs that BERT sets apart, each a word of its own.
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
# Python splits at these as well; BERT drops them, and what stood on either side becomes one word.
_NOT_SPACES = dict.fromkeys((0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x1F, 0x85))


class WordPiece:
    """Safe to share between threads. Memory is bounded: the caches of words and characters have a size."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        ids = {token: number for number, token in enumerate(vocabulary)}
        self._first = {token: number for token, number in ids.items() if not token.startswith("##")}
        self._next = {token[2:]: number for token, number in ids.items() if token.startswith("##")}
        self._longest = max(map(len, ids))
        self._unknown, self._start, self._end = ids["[UNK]"], ids["[CLS]"], ids["[SEP]"]
        self._characters = _Characters()
        self._cached = lru_cache(CACHED_WORDS)(self._cut)

    @classmethod
    def packaged(cls) -> Self:
        """With the vocabulary that comes in this folder."""
        return cls(files(__package__).joinpath("vocab.txt").read_text("utf-8").splitlines())

    def ids(self, text: str, limit: int = MAX_TOKENS) -> list[int]:
        """At most `limit` ids, the marks of beginning and end included.

        `[SEP]` and its like in a text are five ordinary characters: a text cannot give marks of its own.
        """
        ids = [self._start]
        for run in text.translate(_NOT_SPACES).split():
            ids += self._cached(run) if len(run) <= CACHED_LENGTH else self._cut(run, limit)
            if len(ids) >= limit:
                break
        del ids[limit - 1 :]
        ids.append(self._end)
        return ids

    def _cut(self, run: str, limit: int = MAX_TOKENS) -> tuple[int, ...]:
        """The ids of a run of characters without spaces: words, punctuation and ideographs. Ends soon after `limit`."""
        ids: list[int] = []
        for word in run.translate(self._characters).split():
            ids += self._pieces(word)
            if len(ids) >= limit:
                break
        return tuple(ids)

    def _pieces(self, word: str) -> list[int]:
        """Always the longest piece that fits; a word that cannot be made of pieces whole is unknown."""
        if len(word) > MAX_WORD:
            return [self._unknown]
        ids: list[int] = []
        start, known = 0, self._first
        while start < len(word):
            for end in range(min(len(word), start + self._longest), start, -1):
                if (found := known.get(word[start:end])) is not None:
                    break
            else:
                return [self._unknown]
            ids.append(found)
            start, known = end, self._next
        return ids


class _Characters(dict[int, str]):
    """What becomes of a character, for `str.translate`: nothing, a lower-case letter without accents, a word apart."""

    def __missing__(self, code: int) -> str:
        made = _clean(chr(code))
        if len(self) < CACHED_CHARACTERS:
            self[code] = made
        return made


def _clean(character: str) -> str:
    category = unicodedata.category(character)
    # Code points that are not assigned yet (Cn) stay: they are unknown tokens, not nothing.
    if character == "\ufffd" or (category[0] == "C" and category != "Cn"):
        return ""
    bare = "".join(c for c in unicodedata.normalize("NFD", character) if unicodedata.category(c) != "Mn")
    # `str.lower` looks at neighbours for a final sigma; one character at a time it cannot.
    lowered = "".join(f" {c} " if _is_punctuation(c) else c.lower() for c in bare)
    return f" {lowered} " if any(low <= ord(character) <= high for low, high in _IDEOGRAPHS) else lowered


def _is_punctuation(character: str) -> bool:
    """BERT counts every ASCII sign as punctuation, `$` and `+` too."""
    return ("!" <= character <= "~" and not character.isalnum()) or unicodedata.category(character)[0] == "P"
