"""Words as they are compared, whatever their form, and which language a text is in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from chatbot_api.answering.support import STOP_WORDS
from chatbot_api.answering.text import stem, words

MAX_WORD: Final = 40

_WORD: Final = re.compile(r"[^\W_]+")
NAME: Final = re.compile(r"\w+")
UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def listed(words: str) -> list[str]:
    return words.split()


_IRREGULAR: Final = dict(
    pair.split(":")
    for pair in listed("""found:find thrown:throw threw:throw shown:show written:write wrote:write sent:send
    built:build kept:keep made:make ran:run chosen:choose chose:choose began:begin begun:begin left:leave lost:lose
    meant:mean taken:take took:take given:give gave:give held:hold hidden:hide hid:hide known:know knew:know seen:see
    said:say told:tell done:do went:go gone:go got:get broken:break broke:break brought:bring came:come drawn:draw
    fell:fall felt:feel fed:feed led:lead met:meet paid:pay rose:rise stood:stand understood:understand
    children:child people:person""")
)
_LANGUAGES: Final = {
    name: frozenset(little.split())
    for name, little in {
        "en": """the a an and or of to in is are was be it this that for with as on by you can not if from at have has
            will which when""",
        "de": """der die das und oder ist sind nicht ein eine einer einem einen den dem des zu im in mit für auf von
            wird werden kann sich es wenn als auch sie nach alle bei aus nur
            können müssen dürfen sollen muss darf""",
        "fr": """le la les un une des du de et ou est sont ne pas pour dans avec sur par que qui il elle ce cette en au
            aux si vous être""",
        "es": "el la los las un una de del y o es son no para en con por que se su al lo como si puede",
        "pt": "o a os as um uma de do da e ou é são não para em com por que se no na pode",
        "it": "il lo la i gli le un una di del della e o è sono non per in con da che si può",
        "nl": "de het een en of is zijn niet voor in met op van dat die te wordt kan je",
    }.items()
}
_LITTLE_WORDS: Final = frozenset[str]().union(*_LANGUAGES.values())
_SCRIPT: Final = re.compile(
    r"""(?P<greek>[\u0370-\u03ff])|(?P<cyrillic>[\u0400-\u052f])|(?P<hebrew>[\u0590-\u05ff])|(?P<arabic>[\u0600-\u06ff])
    |(?P<indic>[\u0900-\u0dff])|(?P<thai>[\u0e00-\u0e7f])|(?P<kana>[\u3040-\u30ff])|(?P<hangul>[\uac00-\ud7af])
    |(?P<han>[\u3400-\u9fff])""",
    re.VERBOSE,
)
_SIMPLE_CODE: Final = re.compile(r"`[^`\n]*`")
_MAX_SAMPLE: Final = 600
OTHER: Final = "other"
_ENOUGH: Final = 12


def stems_of(text: str) -> set[str]:
    """What the words that carry meaning share with their other forms; little words have nothing."""
    return {key for word in set(_WORD.findall(text)) for key in keys_of(word[:MAX_WORD])}


@lru_cache(maxsize=20_000)
def keys_of(word: str) -> tuple[str, ...]:
    """Of an identifier also those of its parts; pairs of characters where words are not set apart."""
    if not word.isascii() and UNSPACED.search(word):
        return tuple(word[at : at + 2] for at in range(max(1, len(word) - 1)))
    return tuple(key for key in map(key_of, words(word)) if key)


def key_of(word: str) -> str:
    if word in STOP_WORDS or word in _LITTLE_WORDS:
        return ""
    root = stem(_IRREGULAR.get(word, word))
    for ending in ("ment", "able", "er", "or", "ly", "al", "ion", "en"):
        if root.endswith(ending) and len(root) - len(ending) >= 4:
            return root[: -len(ending)][:7]
    return root[:7]


def flat_of(spoken: Iterable[str]) -> str:
    return f" {' '.join(' '.join(spoken).replace('_', ' ').split())} "


def language_of(text: str) -> str:
    """The script where it is not Latin, else the language whose little words are many; empty where that is unclear."""
    text = _SIMPLE_CODE.sub(" ", text[:_MAX_SAMPLE])
    if not text.isascii():
        letters = sum(map(str.isalpha, text))
        scripts = Counter(found.lastgroup or "" for found in _SCRIPT.finditer(text))
        if scripts.total() * 5 > letters:
            return "kana" if scripts["kana"] * 10 > letters else scripts.most_common(1)[0][0]
    counted = Counter(_WORD.findall(text.lower()))
    shares = {name: sum(counted[word] for word in counted.keys() & little) for name, little in _LANGUAGES.items()}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] * _ENOUGH < counted.total():
        return OTHER if counted.total() >= (_ENOUGH if shares[best] else _ENOUGH // 2) else ""
    return best if shares[best] > 1 else ""
