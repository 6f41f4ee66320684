"""What the passages bear out and what they do not, by hand: none of these was used to choose a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from time import process_time

import pytest
from hypothesis import example, settings
from hypothesis import given as given_any
from hypothesis import strategies as st

from chatbot_api.answering.extractive import as_paragraph, extracts
from chatbot_api.answering.grounding import ground
from chatbot_api.models.domain import Hit, Passage
from tests.conftest import passage

SCHEDULER = passage(
    """The scheduler wakes every 30 seconds and looks for jobs that are due. Jobs that fail are tried again three times.

Backups are enabled by default. They are written to `/var/lib/orchard/backups` before the schema is upgraded. A backup
cannot be restored while workers are running.

- `max_workers`: How many jobs may run at once. Default: `4`
- `grace_period`: Seconds to wait for a running job when the server stops. Default: `20`

```yaml
scheduler:
  max_workers: 4
  timezone: Europe/Berlin
```""",
    page="/docs/scheduler",
    title="Scheduler",
)
TOKENS = passage(
    """Requests must carry a token in the `X-Orchard-Token` header. Tokens expire after 24 hours and can be renewed with
`orchard token renew --force`. Administrators may revoke the tokens of every user; a revoked token is never accepted
again. Version 2.4 and later sign tokens with Ed25519; older versions use RSA.

The upload limit is 1,500 MB for each file. Larger files are rejected with status 413.""",
    page="/docs/tokens",
    title="Tokens",
    ordinal=1,
)
THEMES = passage(
    """A theme changes the colours of the dashboard. Readers choose a theme in their profile, and the choice is kept in
the browser. Dark themes reduce glare at night. Themes are loaded after the plugins.""",
    page="/docs/themes",
    title="Themes",
    ordinal=2,
)
KALENDER = passage(
    """Der Kalender zeigt alle Termine der Woche. Termine lassen sich mit der Maus verschieben. Gelöschte Termine werden
nach 14 Tagen endgültig entfernt. Der Kalender kann nicht von Gästen bearbeitet werden.""",
    page="/docs/kalender",
    title="Kalender",
    locale="de",
    ordinal=3,
)
BOOK = (SCHEDULER, TOKENS, THEMES)


def unsupported(
    text: str, cited: Sequence[Passage] = (), given: Sequence[Passage] = BOOK, question: str = ""
) -> list[str]:
    numbered = dict(enumerate(cited, 1))
    return [text[span.start : span.end] for span in ground(text, numbered, given, question).unsupported]


TRUE = [
    ("The scheduler looks for due jobs every 30 seconds [1].", SCHEDULER),
    ("Every half minute, i.e. 30 s, the scheduler looks for jobs that are due [1].", SCHEDULER),
    ("A failing job is tried again 3 times [1].", SCHEDULER),
    ("By default, backups are on [1].", SCHEDULER),
    ("Backups go to `/var/lib/orchard/backups` before an upgrade of the schema [1].", SCHEDULER),
    ("You cannot restore a backup while the workers run [1].", SCHEDULER),
    ("Set `scheduler.max_workers` to say how many jobs may run at once [1].", SCHEDULER),
    (
        "- `grace_period` is how many seconds the server waits for a running job when it stops (default 20) [1]",
        SCHEDULER,
    ),
    ("Each request needs a token in the `X-Orchard-Token` header [1].", TOKENS),
    ("A token expires after one day (24 hours) [1].", TOKENS),
    ("Tokens expire after 1 day [1].", TOKENS),
    ("Renew a token with `orchard token renew --force` [1].", TOKENS),
    ("Tokens that were revoked are never accepted again [1].", TOKENS),
    ("Tokens are signed with Ed25519 since version 2.4 [1].", TOKENS),
    ("Files may be uploaded up to a limit of 1500 MB [1].", TOKENS),
    ("Files may be uploaded up to a limit of 1.5 GB [1].", TOKENS),
    ("Larger files are rejected: the status is 413 [1].", TOKENS),
    ("Themes change the dashboard's colours, and the browser keeps the choice [1].", THEMES),
    ("Themes load after plugins [1].", THEMES),
    ("Der Planer sucht alle 30 Sekunden nach fälligen Aufträgen [1].", SCHEDULER),
    ("Mit `max_workers` stellen Sie ein, wie viele Aufträge gleichzeitig laufen dürfen (Standard: 4) [1].", SCHEDULER),
    ("Les jetons expirent après 24 heures et se renouvellent avec `orchard token renew --force` [1].", TOKENS),
    ("El límite de subida es de 1.500 MB por archivo; los más grandes se rechazan con el estado 413 [1].", TOKENS),
    ("令牌在24小时后过期，可以用`orchard token renew --force`更新[1]。", TOKENS),  # noqa: RUF001
    ("Gelöschte Termine entfernt der Kalender nach 14 Tagen endgültig [1].", KALENDER),
    ("Gäste können den Kalender nicht bearbeiten [1].", KALENDER),
]
FALSE = [
    ("The scheduler looks for due jobs every 45 seconds [1].", SCHEDULER),
    ("Jobs that fail are never tried again [1].", SCHEDULER),
    ("Backups are disabled by default [1].", SCHEDULER),
    ("Backups are not enabled by default [1].", SCHEDULER),
    ("Backups are written after the schema is upgraded [1].", SCHEDULER),
    ("A backup can be restored while workers are running [1].", SCHEDULER),
    ("Backups are written to `/var/lib/orchard/snapshots` [1].", SCHEDULER),
    ("The scheduler also supports Kubernetes and sends its logs to Grafana [1].", SCHEDULER),
    ("The scheduler wakes every 30 seconds and looks for jobs that are due [1].", THEMES),
    ("Requests must not carry a token in the `X-Orchard-Token` header [1].", TOKENS),
    ("Requests must carry a token in the `X-Pear-Token` header [1].", TOKENS),
    ("Renew a token with `orchard token renew --quiet` [1].", TOKENS),
    ("Version 2.6 and later sign tokens with Ed25519 [1].", TOKENS),
    ("Smaller files are rejected with status 413 [1].", TOKENS),
    ("Dark themes increase glare at night [1].", THEMES),
    ("Every plugin brings its own dark theme, chosen by an administrator [1].", THEMES),
    ("Der Planer sucht alle 45 Sekunden nach fälligen Aufträgen [1].", SCHEDULER),
    ("Les jetons expirent après 48 heures [1].", TOKENS),
    ("Los trabajos se configuran con `job_limit` [1].", SCHEDULER),
    ("令牌在48小时后过期[1]。", TOKENS),
    ("Gelöschte Termine werden nach 30 Tagen endgültig entfernt [1].", KALENDER),
    ("Der Kalender kann von Gästen bearbeitet werden [1].", KALENDER),
]


@pytest.mark.parametrize(("text", "source"), TRUE)
def test_what_a_passage_says_in_other_words_is_borne_out(text: str, source: Passage) -> None:
    assert unsupported(text, [source], (*BOOK, source)) == []


@pytest.mark.parametrize(("text", "source"), FALSE)
def test_what_no_passage_says_is_not(text: str, source: Passage) -> None:
    assert len(unsupported(text, [source], (*BOOK, source))) == 1


@pytest.mark.xfail(strict=True, reason="words alone do not tell what belongs to what")
@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("`max_workers`: How many jobs may run at once. Default: `20` [1]", SCHEDULER),
        ("Administrators renew the tokens of every user [1].", TOKENS),
        ("The dashboard is kept in the browser [1].", THEMES),
    ],
)
def test_what_is_put_together_wrongly_from_true_parts_is_not_seen(text: str, source: Passage) -> None:
    assert unsupported(text, [source])


# Statements and their markers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Pears are blue [1].", ["Pears are blue"]),
        ("  Pears are blue. [1]  ", ["Pears are blue."]),
        ("Pears are blue.[1][2] Dark themes reduce glare at night.[2]", ["Pears are blue."]),
        ("Backups are enabled by default [1]. Pears are blue [1].", ["Pears are blue"]),
        ("Pears, e.g. Conference, are blue [1].", ["Pears, e.g. Conference, are blue"]),
        ("Use `pear. Blue` now [1].", ["Use `pear. Blue` now"]),
        ("- Pears are blue\n- Backups are enabled by default\n\n[1]", ["Pears are blue"]),
        ("1. Pears are blue [1]\n2. Plums sing loudly [1]", ["Pears are blue", "Plums sing loudly"]),
        ("> Pears are blue [1].", ["Pears are blue"]),
        ("| Fruit | Colour |\n| --- | --- |\n| pear | blue |", ["Fruit | Colour", "pear | blue"]),
        ("梨是蓝色的[1]。计划程序每30秒醒来一次[1]。", []),
    ],
)
def test_a_span_is_the_statement_alone(text: str, spans: list[str]) -> None:
    assert unsupported(text, [SCHEDULER, THEMES]) == spans


@pytest.mark.parametrize(
    "text",
    [
        "# Blue pears",
        "**Blue pears**",
        "Pears do this:",
        "Are pears blue?",
        "In short:",
        "Yes.",
        "The book does not say whether pears are blue.",
        "However, the documentation doesn't mention pears [1].",
        "Das Buch sagt nicht, ob Birnen blau sind.",
        "La documentation ne précise pas la couleur des poires.",
        "El libro no menciona las peras.",
        "文档没有提到梨。",
        "---",
        "[1]",
        "",
    ],
)
def test_what_states_nothing_about_the_matter_is_not_judged(text: str) -> None:
    assert unsupported(text, [SCHEDULER]) == []


def test_without_a_marker_of_its_own_a_statement_takes_the_next_in_its_paragraph() -> None:
    text = "Dark themes reduce glare at night. Backups are enabled by default [1]."

    assert unsupported(text, [SCHEDULER]) == ["Dark themes reduce glare at night."]


def test_a_paragraph_without_markers_is_held_against_everything_given() -> None:
    text = "Dark themes reduce glare at night.\n\nBackups are enabled by default [1]."

    assert unsupported(text, [SCHEDULER]) == []


def test_two_markers_bear_out_a_sentence_together() -> None:
    text = "Backups are enabled by default, and dark themes reduce glare at night [1][2]."

    assert unsupported(text, [SCHEDULER, THEMES]) == []
    assert unsupported(text.replace("[2]", ""), [SCHEDULER, THEMES]) != []


def test_words_of_the_question_count_neither_for_nor_against() -> None:
    question = "Does the frobnicator of the scheduler wake every 30 seconds?"

    assert (
        unsupported("The frobnicator of the scheduler wakes every 30 seconds [1].", [SCHEDULER], question=question)
        == []
    )
    assert unsupported("The frobnicator of the scheduler melts snow [1].", [SCHEDULER], question=question) != []


# Code -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "verbatim"),
    [
        ("```yaml\nscheduler:\n  max_workers: 4\n```", True),
        ("```\nmax_workers: 4  \ntimezone: Europe/Berlin\n```", True),
        ("~~~\n\n      max_workers: 4\n      timezone: Europe/Berlin\n\n~~~", True),
        ("```bash\norchard token renew --force\n```", True),
        ("```yaml\nscheduler:\n  max_workers: 8\n```", False),
        ("```yaml\nscheduler:\nmax_workers: 4\n```", False),
        ("```yaml\nscheduler:\n  timezone: Europe/Berlin\n```", False),
        ("```yaml\nworkers: 4\n```", False),
    ],
)
def test_code_is_verbatim_where_its_lines_stand_together_in_a_passage(code: str, verbatim: bool) -> None:
    text = f"Write this:\n\n{code}\n\nBackups are enabled by default [1]."

    (span,) = ground(text, {1: SCHEDULER}, BOOK).code

    assert text[span.start : span.end] == code
    assert span.verbatim is verbatim


# Whatever comes ---------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    (
        *("[1]", "[2]", "[9]", "`", "```", "```\n", "~~~\n", "$$\n", "\n", "\n\n", ". ", "。", "- ", "1. ", "> ", "| "),
        *("# ", "**", "\\", "\\[", "_", "*", "[", "]", ":", "-", "--x", "1,000", "2.4.1", "24 h", "not ", "isn't "),
        *("Dark ", "themes ", "\u202e", "令牌"),
    )
)
ANYTHING = st.lists(PIECES | st.text(max_size=4), max_size=40).map("".join)


@given_any(ANYTHING, ANYTHING, ANYTHING)
@example("--x\\\n", "", "")
@settings(max_examples=600, deadline=None)
def test_spans_lie_within_the_text_and_do_not_overlap(text: str, source: str, question: str) -> None:
    given = [passage(source), THEMES]

    found = ground(text, {1: given[0], 2: THEMES}, given, question)

    for spans in (found.unsupported, found.code):
        edges = [edge for span in spans for edge in (span.start, span.end)]
        assert edges == sorted(edges)
        assert all(0 <= span.start < span.end <= len(text) for span in spans)
    for span in found.unsupported:
        said = text[span.start : span.end]
        assert said == said.strip()
        assert said.endswith(("\\[1]", "\\[2]")) or not said.endswith(("[1]", "[2]"))
        assert all(span.end <= code.start or code.end <= span.start for code in found.code)
    assert ground(text, {1: given[0], 2: THEMES}, given, question) == found


@given_any(st.lists(ANYTHING, min_size=1, max_size=3), ANYTHING)
@example(["$$\n[1] a. B\n$$", "c"], "")
@example(["`[2]` a. B `c"], "")
@example(["[1]```\n$$\n[1]", ""], "")
@settings(max_examples=1500, deadline=None)
def test_an_answer_in_the_books_own_words_is_never_unsupported(texts: list[str], question: str) -> None:
    hits = [Hit(passage(text, ordinal=n), 1.0) for n, text in enumerate(texts)]
    found = extracts(question, hits)
    text = "\n\n".join(as_paragraph(extract, number)[0] for number, extract in enumerate(found, 1))

    grounding = ground(text, {n: e.passage for n, e in enumerate(found, 1)}, [hit.passage for hit in hits], question)

    assert [text[span.start : span.end] for span in grounding.unsupported] == []


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "1", " ", ".", "Pears are blue. ", "e.g. A ", "` `` ", "[1]", "a-a", "\\", "1 111 ", "**", "- x\n"),
        *("```\n", "not, ", "|", ">", "a_", "aB", "\n \n", '"', "令", "1.1", "<a", "``` ", "x. [1] "),
    ],
)
def test_hostile_text_takes_no_more_than_its_length(unit: str) -> None:
    seconds(unit, 1_000)
    assert seconds(unit, 200_000) < 0.5 + 40 * seconds(unit, 20_000)


def test_a_megabyte_of_sentences_is_judged_in_seconds() -> None:
    assert seconds("Pears are blue and never enabled by default. ", 1_000_000) < 30


def seconds(unit: str, length: int) -> float:
    text = (unit * length)[:length] + "x"
    began = process_time()
    ground(text, {1: SCHEDULER}, BOOK)
    return process_time() - began
