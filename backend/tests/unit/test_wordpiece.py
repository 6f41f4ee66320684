import hashlib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot_api.services.wordpiece import WordPiece

WORDPIECE = WordPiece.packaged()
START, END, UNKNOWN = 101, 102, 100

# The ids are those of the model's own tokenizer.json, read by the `tokenizers` package.
KNOWN = {
    "nothing": ("", []),
    "only spaces": (" \t\n", []),
    "punctuation stands alone": ("Hello, world!", [7592, 1010, 2088, 999]),
    "the longest piece first": ("unaffable", [14477, 20961, 3468]),
    "a file name": ("docusaurus.config.js", [9986, 10383, 20089, 1012, 9530, 8873, 2290, 1012, 1046, 2015]),
    "code": ("`npm run build`", [1036, 27937, 2213, 2448, 3857, 1036]),
    "ASCII signs are punctuation": ("$HOME/.env", [1002, 2188, 1013, 1012, 4372, 2615]),
    "accents go": ("Café naïve ÅNGSTRÖM", [7668, 15743, 17076, 15687]),
    "accents of their own go too": ("Cafe\u0301", [7668]),
    "a sign without its stroke": ("x\u2260y", [1060, 1027, 1061]),
    "a Greek question mark": ("\u037e", [1025]),
    "no final sigma is made": (
        "\u039f\u0394\u039f\u03a3 \u03c3\u03b1\u03c2",
        [1169, 29722, 29730, 29733, 1173, 14608, 19579],
    ),
    "ideographs stand alone": ("日本語 docs", [1864, 1876, 1950, 9986, 2015]),
    "Hangul in its letters": ("한국어", [1469, 30006, 30021, 29991, 30014, 30020, 29999, 30008]),
    "controls join": ("a\u200bb\x0bc\x85d\ufffde", [5925, 3207]),
    "spaces of all kinds part": ("a\u00a0b\u2028c\u3000d", [1037, 1038, 1039, 1040]),
    "ligatures stay": ("\u0130stanbul \ufb01ne \u00bd", [9960, 1984, 2638, 1092]),
    "marks are plain text": ("[SEP] [MASK]", [1031, 19802, 1033, 1031, 7308, 1033]),
    "what is not in the vocabulary": ("\U0001f44d ok", [UNKNOWN, 7929]),
    "a hundred letters": ("a" * 100, [13360, *[11057] * 48, 2050]),
    "one more": ("a" * 101, [UNKNOWN]),
}


@pytest.mark.parametrize(("text", "ids"), KNOWN.values(), ids=KNOWN)
def test_the_ids_are_the_original_tokenizers(text: str, ids: list[int]) -> None:
    assert WORDPIECE.ids(text) == [START, *ids, END]


def test_the_vocabulary_is_the_official_file() -> None:
    vocabulary = files("chatbot_api.services").joinpath("vocab.txt").read_bytes()

    assert vocabulary.count(b"\n") == len(vocabulary.decode().splitlines()) == 30_522
    assert hashlib.sha256(vocabulary).hexdigest() == "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"


@given(st.text(), st.integers(2, 40))
def test_a_limit_cuts_the_end_and_nothing_else(text: str, limit: int) -> None:
    whole = WORDPIECE.ids(text, 10_000)

    assert WORDPIECE.ids(text, limit) == [*whole[:-1][: limit - 1], END]


@given(st.text(), st.text())
def test_words_do_not_see_their_neighbours(one: str, other: str) -> None:
    both = WORDPIECE.ids(f"{one} {other}", 10_000)

    assert both == WORDPIECE.ids(one, 10_000)[:-1] + WORDPIECE.ids(other, 10_000)[1:]


@given(st.text(st.characters(), max_size=200))
def test_any_characters_give_ids_even_half_ones(text: str) -> None:
    ids = WORDPIECE.ids(f"{text}\ud800")

    assert ids[0] == START
    assert ids[-1] == END
    assert all(0 < number < 30_522 for number in ids)


@pytest.mark.parametrize("run", ["x" * 100_000, "字" * 100_000, "~!" * 50_000])
def test_a_run_without_spaces_is_cut_like_any_text(run: str) -> None:
    assert len(WORDPIECE.ids(run)) <= 256
    assert WORDPIECE.ids(run, 40) == [*WORDPIECE.ids(run)[:-1][:39], END]


def test_a_word_seen_before_gives_the_same_ids() -> None:
    fresh = WordPiece.packaged()

    assert [fresh.ids("Sidebars, sidebars!") for _ in range(2)] == [WORDPIECE.ids("Sidebars, sidebars!")] * 2
