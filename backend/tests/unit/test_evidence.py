"""When the book is said to say nothing, from retrieval alone; and the many questions that are not judged."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import pytest

from chatbot_api.answering.evidence import says_nothing, signals
from chatbot_api.models.domain import Candidates, Hit, Passage
from tests.conftest import passage

LOCAL = "all-minilm-l6-v2-int8"
UNKNOWN = "gemini-embedding-001"
PROSE = "This is how you set up a camera with the {} that it has, and what to do if it is not found in your network."
SUBJECTS = ("zone", "recorder", "stream", "detector", "motion", "snapshot", "retention", "audio", "proxy", "clip")
BOOK = [
    passage(PROSE.format(f"{one} {other}"), page=f"/docs/{one}", title=one.title(), ordinal=number)
    for one in SUBJECTS
    for number, other in enumerate(("mask", "timeout", "password"))
]


def found(best: float, rest: float, book: list[Passage] | None = None, words: bool = True) -> Candidates:
    """What both sides found: by meaning one passage and then all others, by words the same."""
    passages = BOOK if book is None else book
    dense = tuple(Hit(p, best if number == 0 else rest) for number, p in enumerate(passages))
    return Candidates(dense, tuple(Hit(p, 1.0) for p in passages) if words else ())


def test_what_is_far_does_not_stand_out_and_lacks_the_words_is_not_in_the_book() -> None:
    question = "What is the best season to travel to Lisbon with small children?"

    assert says_nothing(question, found(0.2, 0.15), LOCAL)


@pytest.mark.parametrize(
    ("question", "best", "rest"),
    [
        ("What is the best season to travel to Lisbon with small children?", 0.75, 0.6),
        ("What is the best season to travel to Lisbon with small children?", 0.5, 0.2),
        ("What is the timeout of the recorder?", 0.4, 0.3),
    ],
    ids=["near", "stands out", "has its words"],
)
def test_one_good_sign_is_enough_to_ask_the_model(question: str, best: float, rest: float) -> None:
    assert not says_nothing(question, found(best, rest), LOCAL)


@pytest.mark.parametrize("best", [0.05, 0.5, 0.95])
def test_the_cosines_of_a_space_that_was_not_measured_decide_nothing(best: float) -> None:
    assert not says_nothing("What is the timeout of the recorder?", found(best, best), UNKNOWN)
    assert says_nothing("Is it possible to bake sourdough bread with it?", found(best, best), UNKNOWN)


def test_in_such_a_space_a_few_of_the_words_are_enough() -> None:
    question = "What do I do if the recorder of my neighbour explodes?"

    assert says_nothing(question, found(0.1, 0.1), LOCAL)
    assert not says_nothing(question, found(0.1, 0.1), UNKNOWN)


def test_the_cosines_of_an_english_model_decide_nothing_about_a_book_in_another_language() -> None:
    question = "What do I do if the recorder of my neighbour explodes?"
    not_english = [replace(p, locale="de") for p in BOOK]

    assert not says_nothing(question, found(0.1, 0.1, not_english), LOCAL)


def test_words_alone_can_tell_as_well() -> None:
    by_words = Candidates(lexical=found(0, 0).lexical)

    assert says_nothing("Is it possible to bake sourdough bread with it?", by_words, LOCAL)
    assert not says_nothing("What is the timeout of the recorder?", by_words, LOCAL)


def test_where_nothing_was_found_there_is_nothing() -> None:
    assert says_nothing("zzz qqq", Candidates(), LOCAL)
    assert says_nothing("Wie lange?", Candidates(), UNKNOWN)


@pytest.mark.parametrize("model", [LOCAL, UNKNOWN])
@pytest.mark.parametrize(
    "question",
    [
        "Wie lange werden die Aufnahmen aufbewahrt?",
        "Warum wird keine Person auf der Kamera erkannt?",
        "Comment activer la détection du son dans la vue en direct ?",
        "¿Cómo puedo cambiar la contraseña de la cámara?",
        "Как долго хранятся записи?",
        "録画はどのくらい保存されますか",
        "Aufnahmen auf NAS speichern",
    ],
)
def test_a_question_in_another_language_is_not_judged(question: str, model: str) -> None:
    assert not says_nothing(question, found(0.1, 0.05), model)
    assert not says_nothing(question, found(0.1, 0.05, words=False), model)


def test_a_question_in_the_language_of_its_book_is_not_judged_where_words_have_no_spaces_between_them() -> None:
    book = [passage(f"录像会保存{n}天。您可以在设置中更改。", page=f"/docs/{n}", locale="zh") for n in range(30)]

    assert not says_nothing("如何更换摄像头的镜头", found(0.1, 0.05, book), UNKNOWN)


@pytest.mark.parametrize("model", [LOCAL, UNKNOWN])
@pytest.mark.parametrize(
    "question",
    [
        "webrtc",
        "Kubernetes",
        "onMount",
        "isEmptyRender",
        "index_mismatch",
        "ECONNREFUSED 127.0.0.1:5000",
        "What is rollbcak?",
        "what is an unkownIdentifier?",
        "pizza recipe",
        "TypeError: undefined has no properties",
        "?",
        "42",
        "how to do it",
    ],
)
def test_a_word_an_identifier_and_keywords_are_not_judged(question: str, model: str) -> None:
    assert not says_nothing(question, found(0.1, 0.05), model)


@pytest.mark.parametrize("model", [LOCAL, UNKNOWN])
def test_a_paste_is_not_judged(model: str) -> None:
    paste = "the camera is not found in the log:\n" + "\n".join(
        f"[{name}] ERROR at frame_{name}.py in run_{name}: could not allocate" for name in "abcdefghijklmnopqrstuvw"
    )

    assert not says_nothing(paste, found(0.1, 0.05), model)


@pytest.mark.parametrize("model", [LOCAL, UNKNOWN])
def test_a_few_passages_are_nothing_to_judge_against(model: str) -> None:
    question = "What is the best season to travel to Lisbon with small children?"

    assert not says_nothing(question, found(0.1, 0.05, BOOK[:5]), model)


def test_the_lead_is_over_the_mean_of_all_that_were_found() -> None:
    told = signals("the timeout of the recorder", found(0.6, 0.2, BOOK[:5]))

    assert told.nearest == 0.6
    assert told.lead == pytest.approx(0.6 - (0.6 + 4 * 0.2) / 5)


def test_a_rare_word_covers_more_of_a_question_than_a_common_one() -> None:
    with_the_rare_one = signals("camera of the zone", found(0.5, 0.5)).coverage
    without = signals("camera of the sourdough", found(0.5, 0.5)).coverage

    assert with_the_rare_one == 1.0
    assert without < 0.1


def test_a_word_covers_its_other_forms_and_the_names_it_is_part_of() -> None:
    book = [passage("Call `useSelector` where it is configured.", page="/docs/hooks"), *BOOK]

    assert signals("configuring selectors", found(0.5, 0.5, book)).coverage == 1.0


def test_a_decision_takes_less_than_a_millisecond_or_so() -> None:
    candidates = found(0.2, 0.15)
    question = "What is the best season to travel to Lisbon with small children, and is it warm enough to swim?"

    fastest = min(_taken(question, candidates) for _ in range(20))

    assert fastest < 0.002


def _taken(question: str, candidates: Candidates) -> float:
    start = perf_counter()
    says_nothing(question, candidates, LOCAL)
    return perf_counter() - start
