"""What an evaluation measures, what it takes for progress, and that words of others stay words in its reports."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from askbook import golden_told
from askbook.evaluation import Evaluation, Fact, Gold, GoldQuestion, evaluate, read_questions, read_run, score
from askbook.evaluation.answers import Book, faults_of, judge, plain
from askbook.evaluation.compare import compare, interval, sign_test
from askbook.evaluation.plots import rank_bars, roc, time_bars
from askbook.evaluation.report import as_html
from askbook.evaluation.run import answer_of
from askbook.evaluation.told import as_text
from askbook.golden import BadGolden, Checked, Entry, GoldenRun, Status, read_golden, worse, write_golden
from chatbot_api.errors import SourceError
from chatbot_api.models.domain import Citation, Grounding, Passage, Span, Usage
from chatbot_api.models.domain import Entry as IndexEntry
from chatbot_api.services.rag_service import RagService
from chatbot_api.testing import HashEmbedder, MemoryIndex, ScriptedGenerator
from tests.conftest import manifest, passage

TOPICS = passage("A node **publishes** `messages` to a topic.", headings=("Publish",), anchor="publish")
NAMES = passage("Topics have names.", headings=("Publish", "Names"), anchor="names", ordinal=1)
ACTIONS = passage("An action has a goal.", page="/docs/actions", title="Actions")
BOOK = (TOPICS, NAMES, ACTIONS)
HOSTILE = (
    "<img src=x onerror=alert(1)> @octocat #1 | [a](http://evil.example) `code` ``x`` </details> {{ 7 * 7 }} "
    "www.evil.example"
)


# Measuring --------------------------------------------------------------------------------------------


async def store() -> MemoryIndex:
    embedder, index = HashEmbedder(), MemoryIndex()
    async with index.generation(manifest(passages=len(BOOK), pages=2)) as generation:
        await generation.put([IndexEntry(p, await embedder.embed_question(p.text)) for p in BOOK])
        await generation.publish()
    return index


def question(id_: str = "q1", query: str = "Who publishes messages?", **fields: object) -> GoldQuestion:
    gold = [Gold(path="topics.md", grade=2, anchor="publish")]
    return GoldQuestion.model_validate({"id": id_, "query": query, "gold": gold, **fields})


async def run(*questions: GoldQuestion, answers: bool = True, generator: ScriptedGenerator | None = None) -> Evaluation:
    index = await store()
    rag = RagService(HashEmbedder(), index, generator)
    return await evaluate(rag, questions or [question()], answered_from=index if answers else None)


def test_the_measures_of_a_ranking_are_those_of_the_books() -> None:
    gold = [Gold(path="a", grade=2), Gold(path="b", grade=2), Gold(path="c", grade=1)]

    measures = score(gold, ["x", "c", "a"])

    ideal = 3 + 3 / math.log2(3) + 1 / 2
    assert measures["hit@1"] == 0
    assert measures["recall@5"] == measures["recall@10"] == 0.5
    assert measures["mrr@10"] == pytest.approx(1 / 3)
    assert measures["ndcg@10"] == pytest.approx((1 / math.log2(3) + 3 / 2) / ideal)


async def test_answers_are_measured_only_where_that_is_asked_for() -> None:
    result = await run(answers=False)

    assert result.answers is None
    assert result.by_question[0].answer is None
    assert set(result.as_json()) >= {"retrieval", "latency_ms", "gate", "questions", "by_question"}


async def test_facts_are_found_whatever_their_marks_case_and_space() -> None:
    facts = [Fact(snippet="a node [publishes](x.md)\n  _messages_"), Fact(snippet="A node eats messages")]

    answer = (await run(question(facts=facts))).by_question[0].answer

    assert answer
    assert (answer.facts, answer.facts_found, answer.facts_cited) == (2, 1, 1)


async def test_a_fact_that_the_answer_only_cites_is_counted_apart() -> None:
    model = ScriptedGenerator(["It is sent [1]."])

    answer = (await run(question(facts=[Fact(snippet="a node publishes")]), generator=model)).by_question[0].answer

    assert answer
    assert (answer.mode, answer.facts_cited) == ("generated", 1)


async def test_citations_count_where_they_land() -> None:
    result = await run(question(query="publishes messages names"))

    answer, totals = result.by_question[0].answer, result.answers
    assert answer
    assert totals
    assert (answer.citations, answer.on_gold_page, answer.with_gold_anchor) == (3, 2, 2)
    assert answer.on_gold_anchor == 2, "a heading below the right one is under it"
    assert totals["citations"] == {"of": 3, "faulty": 0, "on_gold_page": 0.6667, "on_gold_anchor": 1.0}


async def test_tokens_and_dollars_are_summed_and_a_price_that_is_not_known_is_not_zero() -> None:
    priced = ScriptedGenerator(["Yes [1].", Usage("m", 100, 10, 0.002)])
    unpriced = ScriptedGenerator(["Yes [1].", Usage("m", 100, 10)])

    known = (await run(question("a"), question("b"), generator=priced)).answers
    unknown = (await run(generator=unpriced)).answers

    assert known
    assert unknown
    assert (known["tokens"], known["dollars"]) == ({"input": 200, "output": 20}, 0.004)
    assert unknown["dollars"] is None


async def test_sentences_without_support_are_a_share_of_the_sentences() -> None:
    index = await store()
    rag = RagService(HashEmbedder(), index, ScriptedGenerator(["Nodes publish [1]. They also sing."]))
    answer = await answer_of(rag, "Who publishes messages?")
    grounded = replace(answer, grounding=Grounding(unsupported=(Span(19, 34),)))

    judged = await judge(question(), grounded, await Book.open(index))

    assert (judged.sentences, judged.unsupported) == (2, 1)


async def test_what_the_book_does_not_answer_should_be_refused_and_the_rest_not() -> None:
    model = ScriptedGenerator(["NOT_IN_DOCS"])

    result = await run(question("a"), question("b", "cake?", answerable=False, gold=[]), generator=model)

    assert result.answers
    assert (result.answers["unanswerable_recognised"], result.answers["answerable_refused"]) == (1.0, 1.0)
    assert result.answers["states"] == {"not_in_docs": 2}


async def test_a_refusal_is_told_apart_by_who_made_it() -> None:
    questions = [question("a"), question("b", "cake?", answerable=False, gold=[]), question("c", "Who eats messages?")]

    result = await run(*questions, generator=ScriptedGenerator(["NOT_IN", "_DOCS"]))

    assert result.answers
    assert result.answers["unanswerable"] == {"count": 1, "recognised": 1, "by_retrieval": 0, "by_model": 1}
    assert result.answers["answerable"] == {"count": 2, "refused": 2, "by_retrieval": 0, "by_model": 2}
    assert "by the model, after it had read: 1 of 1 unanswerable, 2 of 2 answerable" in as_text(result)
    assert "not_in_docs, by the model" in as_html(result)


async def test_what_no_model_was_asked_is_refused_by_retrieval() -> None:
    model = ScriptedGenerator(["NOT_IN_DOCS"])
    rag = RagService(HashEmbedder(), index := MemoryIndex(), model)
    async with index.generation(manifest(passages=0, pages=0)) as generation:
        await generation.publish()

    result = await evaluate(rag, [question("b", "cake?", answerable=False, gold=[])], answered_from=index)

    assert result.answers
    assert model.prompts == []
    assert result.answers["unanswerable"] == {"count": 1, "recognised": 1, "by_retrieval": 1, "by_model": 0}
    assert "alone, before a model was asked: 1 of 1 unanswerable, 0 of 0 answerable" in as_text(result)
    assert "not_in_docs, by retrieval" in as_html(result)


async def test_an_answer_is_no_refusal_of_either() -> None:
    result = await run(generator=ScriptedGenerator(["It is sent [1]. Of the rest: NOT_IN_DOCS"]))

    assert result.answers
    assert result.answers["answerable"] == {"count": 1, "refused": 0, "by_retrieval": 0, "by_model": 0}


def test_a_citation_that_leads_nowhere_is_named() -> None:
    good = Citation(1, "Topics", ("Topics",), "/docs/topics#publish:~:text=A", "publishes", TOPICS.id, "/docs/topics")
    wrong: dict[str, tuple[Citation, Sequence[Passage]]] = {
        "the page is not in the index": (good, ()),
        "it leads to another page": (replace(good, url="/docs/other#publish"), BOOK[:2]),
        "the page has no heading 'gone'": (replace(good, url="/docs/topics#gone"), BOOK[:2]),
        "the page has no passage": (replace(good, passage_id=ACTIONS.id), BOOK[:2]),
        "the quote is not verbatim": (replace(good, quote="A node eats"), BOOK[:2]),
    }

    assert faults_of(good, BOOK[:2]) == []
    for sentence, (citation, page) in wrong.items():
        [fault] = faults_of(citation, page)
        assert sentence in fault


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("you can use the `header_map` config", "You can use  the header\\_map\nconfig"),
        ("[get or find queries](about.mdx#types) fail", "get or find queries fail"),
        ("matching the given [`TextMatch`]", "matching the given TextMatch"),
        ("- **Name** the <b>share</b>", "name the share"),
        ("you should _not_ &lt;b&gt;", "You should not <b>"),
        ("| gen6   | qsv |", "| gen6 | qsv |"),
    ],
)
def test_words_are_compared_without_marks(one: str, other: str) -> None:
    assert plain(one) == plain(other)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"id": "1", "query": "a", "gold": []}', "an answerable question needs a gold page of grade 2"),
        ('{"id": "1", "query": ""}', "query: String should have at least 1 character"),
        ("{", "not JSON"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(f"\n{line}\n", encoding="utf-8")

    with pytest.raises(SourceError, match="line 2") as raised:
        read_questions(file)
    assert sentence in str(raised.value)


def test_two_questions_of_one_id_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": "1", "query": "a", "answerable": false}\n' * 2, encoding="utf-8")

    with pytest.raises(SourceError, match="line 2: another question has the id '1'"):
        read_questions(file)


# Comparing --------------------------------------------------------------------------------------------


async def test_a_run_can_be_kept_and_read_again(tmp_path: Path) -> None:
    result = await run()
    (tmp_path / "run.json").write_text(result.as_json_text(), encoding="utf-8")

    assert read_run(tmp_path / "run.json").as_json() == result.as_json()


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"retrieval": {}}'])
def test_what_is_no_run_is_refused_with_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")

    with pytest.raises(SourceError, match=r"run\.json is no run that askbook eval saved: "):
        read_run(tmp_path / "run.json")


async def test_a_run_compared_with_itself_is_the_same() -> None:
    result = await run(question("a"), question("b", "What has a goal?"))

    told = compare(result, result)

    assert {difference.verdict for difference in told.differences} == {"same"}
    assert all(side.p == 1 and not side.better and not side.worse for side in told.sides)


def ranked(result: Evaluation, ranks: Sequence[int | None]) -> Evaluation:
    """The same run with so many copies of its question, found at these ranks."""
    base = result.by_question[0]
    copies = []
    for number, rank in enumerate(ranks):
        pages = [*["x"] * ((rank or 11) - 1), "topics.md"]
        searched = base.searched["query"].model_copy(update={"rank": rank, "scores": score(base.gold, pages)})
        copies.append(base.model_copy(update={"id": f"q{number}", "searched": {"query": searched}}))
    return result.model_copy(update={"by_question": copies})


async def test_few_changes_are_not_progress_and_many_are() -> None:
    result = await run()
    before = ranked(result, [2] * 30)

    few = compare(before, ranked(result, [1] * 4 + [2] * 26))
    many = compare(before, ranked(result, [1] * 12 + [2] * 17 + [None]))

    assert {d.measure: d.verdict for d in few.differences}["query hit@1"] == "unclear"
    assert {d.measure: d.verdict for d in many.differences}["query hit@1"] == "better"
    [side] = [side for side in many.sides if side.measure == "query rank"]
    assert (len(side.better), [(c.id, c.was, c.now) for c in side.worse], side.same) == (12, [("q29", 2, None)], 17)
    assert compare(before, few_again := ranked(result, [1] * 4 + [2] * 26)) == compare(before, few_again)
    assert "better: q0 2 → 1, q1 2 → 1" in as_text(result, many)
    assert "worse: q29 2 → not found" in as_text(result, many)


async def test_questions_that_are_not_the_same_are_left_out() -> None:
    old = await run(question("a"), question("b"), question("c"))
    new = await run(question("a"), question("b", "Other words"), question("d"))

    told = compare(old, new)

    assert (told.questions, told.left_out) == (1, ("b", "c", "d"))


def test_chance_is_counted_exactly_and_drawn_alike_each_time() -> None:
    assert sign_test(0, 0) == 1
    assert sign_test(5, 0) == 0.0625
    assert sign_test(3, 3) == 1
    assert interval([0.0, 1.0, -1.0, 0.5]) == interval([0.0, 1.0, -1.0, 0.5])
    low, high = interval([0.2] * 10)
    assert low == high == pytest.approx(0.2)


# Reports ----------------------------------------------------------------------------------------------


async def test_the_report_is_one_file_and_words_of_others_stay_words() -> None:
    hostile = question(
        HOSTILE, f"{HOSTILE} messages", gold=[Gold(path=HOSTILE, grade=2), Gold(path="topics.md", grade=2)]
    )
    old, new = await run(hostile, question()), await run(hostile, question())

    page = as_html(new, old, compare(old, new))

    tags = set(re.findall(r"<([a-z][a-z0-9]*)", page))
    assert not tags & {"script", "img", "link", "iframe", "object", "a"}
    assert not re.findall(r"(?:src|href)=|url\(|@import", re.sub(r"&lt;.*?&gt;", "", page))
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert "prefers-color-scheme: dark" in page


async def test_the_reports_tables_have_headings_and_its_drawings_names() -> None:
    page = as_html(await run(question(), question("n", "cake?", answerable=False, gold=[])))

    assert page.count("<table") == page.count("<caption") == 3
    assert not re.findall(r"<th(?![^>]*scope=)[ >]", page)
    drawings = re.findall(r'<svg [^>]*role="img" aria-labelledby="([^"]+)"', page)
    assert drawings == ["plot-ranks", "plot-times", "plot-gate"]
    assert all(f'<figcaption id="{name}">' in page for name in drawings)


async def test_without_unanswerable_questions_there_is_no_curve() -> None:
    assert "plot-gate" not in as_html(await run())


def test_the_curve_of_a_perfect_gate_has_the_area_one_and_of_a_useless_one_a_half() -> None:
    perfect, useless = roc([0.9, 0.8], [0.2, 0.1], (0, 1)), roc([0.5, 0.4], [0.5, 0.4], (0, 1))

    assert perfect
    assert useless
    assert (perfect.area, useless.area) == (1.0, 0.5)
    assert roc([0.9], [], (0, 1)) is None


def test_every_question_is_in_a_bar() -> None:
    ranks = rank_bars({"query": [1, 1, 4, 11, None], "query_long": [2]})
    times = time_bars({"search": [0.0, 3.2, 7.9, 120.0]})

    counted = [int(bar.label.rsplit(" ", 1)[1]) for bar in ranks.bars]
    assert sum(counted) == 6
    assert "query, rank none: 1" in {bar.label for bar in ranks.bars}
    assert sum(int(bar.label.rsplit(" ", 1)[1]) for bar in times.bars) == 4
    assert time_bars({"search": []}).bars


# Golden files -----------------------------------------------------------------------------------------


def golden(tmp_path: Path, content: str) -> Path:
    file = tmp_path / "golden.yaml"
    file.write_text(content, encoding="utf-8")
    return file


def test_a_golden_file_says_where_answers_are_expected(tmp_path: Path) -> None:
    file = golden(
        tmp_path,
        "- {question: ' How  to publish? ', page: topics.md, anchor: '#publish', contains: a node}\n"
        "- {question: Cake, answerable: false}\n",
    )

    first, second = read_golden(file)

    assert first == Entry(question="How to publish?", page="topics.md", anchor="publish", contains=("a node",))
    assert (second.answerable, second.page) == (False, None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "must hold a list of entries"),
        ("a: b", "must hold a list of entries"),
        ("[]", "holds no entry"),
        ("- [", "is no YAML"),
        ("- {question: A, page: a}\n- {question: B, pgae: b}", 'entry 2 ("B"): pgae: Extra inputs'),
        ("- {question: A, page: 7}", 'entry 1 ("A"): page: Input should be a valid string'),
        ("- {page: a}", "entry 1: question: Field required"),
        ("- 7", "entry 1"),
        ("- {question: '', page: a}", "entry 1: question: String should have at least 1 character"),
        ("- {question: A, anchor: x}", 'entry 1 ("A"): anchor and contains need a page'),
        ("- {question: A, page: a, answerable: false}", "a question that is not answerable has no page"),
        ("- A", 'entry 1 ("A"): page is missing; name it'),
        ("- {question: A, page: a}\n- {question: A, page: b}", 'entry 2 ("A"): entry 1 asks the same'),
        ("- !!python/object/apply:os.system ['true']", "is no YAML"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(BadGolden) as raised:
        read_golden(golden(tmp_path, content))
    assert str(raised.value).startswith(f"{tmp_path / 'golden.yaml'}")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadGolden, match=r"none\.yaml cannot be read: No such file"):
        read_golden(tmp_path / "none.yaml")


def test_what_is_written_is_read_again_under_the_same_comment(tmp_path: Path) -> None:
    file = golden(tmp_path, "# Ours\n\n# and yours\n- Plain?\n")
    entries = [
        Entry(question="Ünïcode: 'yes' #no?", page="/docs/a", anchor="b", contains=("one",)),
        Entry(question="two", page="/docs/a", contains=("one", "two")),
        Entry(question="- none", answerable=False),
    ]

    write_golden(file, entries)

    assert read_golden(file) == entries
    assert file.read_text(encoding="utf-8").startswith("# Ours\n\n# and yours\n- question: ")
    assert list(tmp_path.iterdir()) == [file]


def checked(question: str = "How?", status: Status = "ok", **fields: object) -> Checked:
    return Checked.model_validate(
        {"question": question, "status": status, "page": "/docs/a", "anchor": None, "detail": "", **fields}
    )


def golden_run(*entries: Checked) -> GoldenRun:
    return GoldenRun(pages=3, passages=9, entries=entries)


def test_the_first_line_is_the_verdict() -> None:
    fine = golden_run(checked())
    broken = golden_run(checked("A"), checked("B", "lost"), checked("C", "moved"))

    assert golden_told.as_markdown(fine).splitlines()[0] == "**All 1 questions are answered as recorded.**"
    assert golden_told.as_markdown(broken).splitlines()[0] == (
        "**2 of 3 questions are not answered as recorded: lost 1, moved 1.**"
    )


def test_with_another_run_only_what_changed_counts_and_is_shown() -> None:
    before = golden_run(checked("A", "lost"), checked("B"), checked("C", "lost"))
    now = golden_run(checked("A", "lost"), checked("B"), checked("C"), checked("D", "gone"))

    told = golden_told.as_markdown(now, before)

    table = [line for line in told.splitlines() if line.startswith("| `")]
    assert [each.question for each in worse(now, before)] == ["D"]
    assert worse(golden_run(checked("A", "gone")), before) == []
    assert [(row.split(" | ")[0], row.split(" | ")[2:4]) for row in table] == [
        ("| `C`", ["lost", "ok"]),
        ("| `D`", ["new", "page gone"]),
    ]
    assert "1 of 4 questions are not answered as recorded: page gone 1; 1 more were not before." in told


@pytest.mark.parametrize(
    "words",
    [
        HOSTILE,
        "`",
        "a``",
        "\\| @octocat",
        "\\\\| <script>alert(1)</script>",
        "x\n\n# heading\n- @octocat\n<!-- -->",
        "|".join("abc"),
        "<!-- @octocat",
        "\u202egnp.exe \x1b[31m",
        "@octocat " * 200,
    ],
)
def test_words_of_others_are_only_code_in_the_markdown(words: str) -> None:
    each = checked(words, "lost", page=words[:90], anchor="x", detail=f"no {words}", cited=[words])
    told = golden_told.as_markdown(golden_run(each))

    tokens = MarkdownIt("commonmark").enable("table").parse(told)
    rows = [token for token in tokens if token.type == "td_open"]
    blocks = [token.content.strip() for token in tokens if token.type == "html_block"]
    shown = [child for token in tokens for child in token.children or []]
    assert len(rows) == 4
    assert blocks == ["<details>\n<summary>All 1 questions</summary>", "</details>"]
    assert {child.type for child in shown} <= {"text", "code_inline", "strong_open", "strong_close"}
    assert not [
        child for child in shown if child.type == "text" and re.search(r"[@<>`|\[]|evil|octocat", child.content)
    ]
    assert _code_of(shown)
    assert told.isprintable() or not re.search(r"[\x00-\x09\x0b-\x1f\u202a-\u202e]", told)


def _code_of(tokens: Sequence[Token]) -> list[str]:
    return [token.content for token in tokens if token.type == "code_inline"]


def test_a_question_is_shown_as_it_was_asked() -> None:
    asked = "Is `a|b` <b>C:\\d</b> & @me?"
    tokens = MarkdownIt("commonmark").enable("table").parse(golden_told.as_markdown(golden_run(checked(asked, "lost"))))

    shown = [child for token in tokens for child in token.children or []]
    assert _code_of(shown)[0] == asked


def test_a_long_list_fits_into_a_comment() -> None:
    many = golden_run(*(checked(f"{number} " + "|" * 300, "lost", detail="d" * 300) for number in range(1000)))

    told = golden_told.as_markdown(many)

    assert len(told.encode()) < 65_536
    assert re.search(r"^… and \d+ more\.$", told, re.MULTILINE)
    assert told.endswith("passages.\n")
