"""From a question to an answer over fakes: what is searched, who writes, what is cited, what is said on failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from chatbot_api.answering import prompts
from chatbot_api.answering.notices import AT_ITS_LONGEST, NO_VECTORS_YET, NOT_BORNE_OUT, WORDS_ALONE
from chatbot_api.errors import (
    AnswerCutShort,
    AnswerTooLong,
    AnswerWithheld,
    AskbookError,
    EmbedderUnavailable,
    IndexMismatch,
    IndexMissing,
    ModelDenied,
    ModelGone,
    ModelRateLimited,
    ModelUnavailable,
    SearchUnavailable,
    UnknownPage,
    UnknownScope,
)
from chatbot_api.models.domain import (
    Answer,
    AnswerEvent,
    Candidates,
    CitationMade,
    Entry,
    Message,
    Notice,
    Passage,
    Prompt,
    SearchQuery,
    SourcesFound,
    TextDelta,
    TurnDone,
    Usage,
    Vector,
    WantedScope,
)
from chatbot_api.services.rag_service import RagService
from chatbot_api.testing import HashEmbedder, MemoryIndex, ScriptedGenerator
from tests.conftest import manifest, passage

TOPICS = passage("A node publishes messages to a topic. Topics have names.", page="/docs/topics", position=1)
ACTIONS = passage("An action has a goal and sends feedback.", page="/docs/actions", title="Actions", position=2)
OLD = passage("A node sends messages to a topic.", page="/docs/1.0/topics", version="1.0")


async def book(*passages: Passage, **changes: object) -> tuple[HashEmbedder, MemoryIndex]:
    embedder, index = HashEmbedder(), MemoryIndex()
    passages = passages or (TOPICS, ACTIONS)
    wanted = manifest(passages=len(passages), **changes)
    async with index.generation(wanted) as generation:
        await generation.put(
            [Entry(p, await embedder.embed_question(p.text) if wanted.has_vectors else None) for p in passages]
        )
        await generation.publish()
    embedder.asked.clear()
    return embedder, index


async def events_of(rag: RagService, text: str, **asked: object) -> list[AnswerEvent]:
    question = await rag.question(text, **asked)  # type: ignore[arg-type]  # the test names the fields
    return [event async for event in rag.answer(question)]


async def answer_of(rag: RagService, text: str, **asked: object) -> Answer:
    last = (await events_of(rag, text, **asked))[-1]
    assert isinstance(last, TurnDone)
    return last.answer


async def test_without_a_model_the_best_passages_are_quoted_with_their_links() -> None:
    embedder, index = await book()

    answer = await answer_of(RagService(embedder, index, None, site_url="https://book.example"), "What is a topic?")

    assert (answer.state, answer.mode, answer.notice) == ("answered", "extractive", "")
    assert "A node publishes messages to a topic." in answer.text
    first = answer.citations[0]
    assert first.number == 1
    assert first.quote in TOPICS.text
    assert first.url.startswith("https://book.example/docs/topics#:~:text=")
    assert "[1]" in answer.text


async def test_a_model_answers_from_the_passages_and_its_pointers_become_citations() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["Nodes publish ", "to topics [", "1]. Bye [7]."])

    events = await events_of(RagService(embedder, index, model), "What is a topic?")

    done = events[-1]
    assert isinstance(done, TurnDone)
    assert done.answer.text == "Nodes publish to topics [1]. Bye."
    assert (done.answer.mode, [c.page for c in done.answer.citations]) == ("generated", ["/docs/topics"])
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == done.answer.text
    assert [e.at for e in events if isinstance(e, CitationMade)] == [24]
    assert '<passage number="1"' in model.prompts[0].user
    assert "What is a topic?" in model.prompts[0].user


async def test_sources_are_told_before_the_first_word() -> None:
    embedder, index = await book()

    events = await events_of(RagService(embedder, index, ScriptedGenerator(["Yes [1]."])), "What is a topic?")

    kinds = [type(event) for event in events]
    assert kinds.index(SourcesFound) < kinds.index(TextDelta)


async def test_the_models_own_admission_is_not_in_docs_with_the_nearest_pages() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["NOT_IN", "_DOCS"])

    answer = await answer_of(RagService(embedder, index, model), "What is a topic's price?")

    assert (answer.state, answer.citations) == ("not_in_docs", ())
    assert answer.nearest[0].page == "/docs/topics"
    assert "NOT_IN_DOCS" not in answer.text


async def test_what_an_admission_took_is_kept_with_it() -> None:
    embedder, index = await book()
    usage = Usage("scripted", 100, 4, 0.5)

    answer = await answer_of(RagService(embedder, index, ScriptedGenerator(["NOT_IN_DOCS", usage])), "What is a topic?")

    assert (answer.state, answer.usage) == ("not_in_docs", usage)


@pytest.mark.parametrize("said", [["NOT_IN_DOCS"], ["NOT_IN_DOCS\n", "The pages do not say."]])
async def test_a_model_that_does_not_end_after_an_admission_is_left(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot_api.services.rag_service._SECOND_THOUGHTS", 0.01)
    embedder, index = await book()
    model = ScriptedGenerator([*said, " Still [1]."], gate=len(said))

    async with asyncio.timeout(5):
        answer = await answer_of(RagService(embedder, index, model), "What is a topic?")

    assert (answer.state, answer.mode) == ("not_in_docs", "generated")
    assert model.stopped.is_set()


@pytest.mark.parametrize("error", [AnswerCutShort("cut"), AnswerTooLong("MAX_TOKENS"), AnswerWithheld("filter")])
async def test_what_fails_after_an_admission_changes_nothing(error: AskbookError) -> None:
    embedder, index = await book()
    usage = Usage("scripted", 100, 4, 0.5)
    model = ScriptedGenerator(["NOT_IN_DOCS", usage], error=error)

    answer = await answer_of(RagService(embedder, index, model), "What is a topic?")

    assert (answer.state, answer.mode, answer.notice, answer.usage) == ("not_in_docs", "generated", "", usage)


async def test_an_admission_that_is_followed_by_citations_is_an_answer_in_part() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(
        ["NOT_IN_DOCS", "\n\nStill, a node publishes ", "messages to a topic [1", "]. So", " it is."]
    )

    events = await events_of(RagService(embedder, index, model), "What is a topic?")

    done = events[-1]
    assert isinstance(done, TurnDone)
    assert (done.answer.state, len(done.answer.citations)) == ("partial", 1)
    assert done.answer.text == "Still, a node publishes messages to a topic [1]. So it is."
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == done.answer.text


async def test_of_an_admission_nothing_is_told_before_its_end() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["NOT_IN_DOCS\n", "The pages ", "do not say."])

    events = await events_of(RagService(embedder, index, model), "What is a topic?")

    assert not [event for event in events if isinstance(event, TextDelta)]


async def test_an_admission_of_a_part_without_that_part_is_one_of_all() -> None:
    embedder, index = await book()

    answer = await answer_of(RagService(embedder, index, ScriptedGenerator(["PARTLY_IN_DOCS"])), "What is a topic?")

    assert answer.state == "not_in_docs"
    assert answer.text


async def test_a_question_that_shares_nothing_with_the_book_costs_no_model_call() -> None:
    embedder, index = await book(has_vectors=False)
    model = ScriptedGenerator(["Nonsense."])

    answer = await answer_of(RagService(embedder, index, model), "zzz qqq")

    assert (answer.state, answer.mode) == ("not_in_docs", "search")
    assert model.prompts == []


@pytest.mark.parametrize(
    "error",
    [ModelUnavailable("cause"), ModelRateLimited("cause"), ModelDenied("cause")],
    ids=lambda error: error.code,
)
async def test_when_the_model_fails_the_book_is_quoted_and_the_reader_is_told(error: AskbookError) -> None:
    embedder, index = await book()

    answer = await answer_of(RagService(embedder, index, ScriptedGenerator(error=error)), "What is a topic?")

    assert (answer.state, answer.mode) == ("answered", "extractive")
    assert answer.notices == (Notice(error.code, error.public),)
    assert answer.citations
    assert "cause" not in answer.text + answer.notice


async def test_an_answer_that_breaks_off_is_an_error_and_not_an_answer() -> None:
    embedder, index = await book()
    rag = RagService(embedder, index, ScriptedGenerator(["Nodes publish "], error=AnswerCutShort("cut")))

    with pytest.raises(AnswerCutShort):
        await events_of(rag, "What is a topic?")


async def test_where_nobody_reads_along_an_answer_that_breaks_off_is_replaced_by_the_books_words() -> None:
    embedder, index = await book()
    rag = RagService(embedder, index, ScriptedGenerator(["Nodes publish "], error=AnswerCutShort("cut")))
    question = await rag.question("What is a topic?")

    events = [event async for event in rag.answer(question, whole=True)]

    assert isinstance(events[-1], TurnDone)
    answer = events[-1].answer
    assert answer.mode == "extractive"
    assert answer.notices == (Notice(ModelUnavailable.code, ModelUnavailable.public),)
    assert "Nodes publish" not in "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_an_answer_at_its_longest_is_kept_and_the_reader_is_told() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["Nodes publish [1], "], error=AnswerTooLong("MAX_TOKENS"))

    answer = await answer_of(RagService(embedder, index, model), "What is a topic?")

    assert (answer.text, answer.mode) == ("Nodes publish [1],", "generated")
    assert len(answer.citations) == 1
    assert answer.notices == (AT_ITS_LONGEST,)


async def test_what_an_answer_took_is_kept_with_it_and_is_not_its_text() -> None:
    embedder, index = await book()
    usage = Usage("scripted", 100, 10, 0.5)

    answer = await answer_of(RagService(embedder, index, ScriptedGenerator(["Yes [1].", usage])), "What is a topic?")

    assert (answer.text, answer.usage) == ("Yes [1].", usage)


async def test_troubles_are_known_until_the_part_works_again() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(error=ModelDenied("key"))
    rag = RagService(embedder, index, model)
    embedder.error = EmbedderUnavailable("down")
    await answer_of(rag, "What is a topic?")
    before = {part: error.code for part, error in rag.troubles.items()}

    embedder.error = model.error = None
    model.pieces = ["Yes [1]."]
    await answer_of(rag, "What is a topic?")

    assert before == {"embedder": "embedder_unavailable", "generator": "model_denied"}
    assert rag.troubles == {}


async def test_warming_up_finds_what_does_not_work_before_a_reader_does() -> None:
    embedder, index = await book()
    rag = RagService(embedder, index, ScriptedGenerator(error=ModelGone("retired")))

    await rag.warm_up()

    assert {part: error.code for part, error in rag.troubles.items()} == {"generator": "model_gone"}


class Slow(HashEmbedder):
    """Makes the vector when the words have been searched for, and not before."""

    def __init__(self) -> None:
        super().__init__()
        self.words_searched = asyncio.Event()

    async def embed_question(self, text: str) -> Vector:
        await self.words_searched.wait()
        return await super().embed_question(text)


class Watched(MemoryIndex):
    def __init__(self, embedder: Slow) -> None:
        super().__init__()
        self._embedder = embedder

    async def search(self, query: SearchQuery) -> Candidates:
        if query.vector is None:
            self._embedder.words_searched.set()
        return await super().search(query)


async def test_words_are_searched_for_while_the_vector_is_made() -> None:
    embedder = Slow()
    index = Watched(embedder)
    async with index.generation(manifest(passages=1)) as generation:
        await generation.put([Entry(TOPICS, await HashEmbedder().embed_question(TOPICS.text))])
        await generation.publish()

    async with asyncio.timeout(5):
        answer = await answer_of(RagService(embedder, index, None), "What is a topic?")

    assert answer.notice == ""
    assert answer.citations


async def test_when_the_embedder_fails_words_are_searched_and_the_reader_is_told() -> None:
    embedder, index = await book()
    embedder.error = EmbedderUnavailable("down")

    answer = await answer_of(RagService(embedder, index, None), "What is a topic?")

    assert answer.citations[0].page in ("/docs/topics", "/docs/1.0/topics")
    assert answer.notices == (WORDS_ALONE,)


async def test_while_vectors_are_being_made_words_are_searched_and_the_reader_is_told() -> None:
    embedder, index = await book(has_vectors=False)

    answer = await answer_of(RagService(embedder, index, None), "What is a topic?")

    assert answer.citations
    assert answer.notices == (NO_VECTORS_YET,)
    assert embedder.asked == []


async def test_a_store_that_is_down_is_an_error_and_never_not_in_docs() -> None:
    embedder, index = await book()
    rag = RagService(embedder, index, None)
    question = await rag.question("What is a topic?")
    index.error = SearchUnavailable("down")

    with pytest.raises(SearchUnavailable):
        _ = [event async for event in rag.answer(question)]


async def test_an_index_of_another_model_is_refused_with_the_command_that_mends_it() -> None:
    _, index = await book()

    with pytest.raises(IndexMismatch, match="run: askbook index SOURCE"):
        await RagService(HashEmbedder(model="another"), index, None).question("What is a topic?")


async def test_before_the_first_index_there_is_nothing_to_ask() -> None:
    with pytest.raises(IndexMissing):
        await RagService(HashEmbedder(), MemoryIndex(), None).question("What is a topic?")


async def test_the_readers_page_sets_version_and_locale() -> None:
    embedder, index = await book(TOPICS, ACTIONS, OLD)

    answer = await answer_of(RagService(embedder, index, None), "messages to a topic", page="/docs/1.0/topics/")

    assert {c.page for c in answer.citations} == {"/docs/1.0/topics"}


async def test_up_to_never_shows_what_comes_later() -> None:
    embedder, index = await book()

    answer = await answer_of(RagService(embedder, index, None), "goal topic", scope=WantedScope(up_to="/docs/topics"))

    assert {c.page for c in answer.citations} == {"/docs/topics"}


@pytest.mark.parametrize(
    ("asked", "error", "sentence"),
    [
        ({"page": "/docs/topicz"}, UnknownPage, "Known pages: /docs/topics, /docs/actions"),
        ({"scope": WantedScope(version="9")}, UnknownScope, "Known: current"),
        ({"scope": WantedScope(locale="fr")}, UnknownScope, "Known: en"),
        ({"scope": WantedScope(path_prefix="/nowhere")}, UnknownScope, "holds no page"),
        ({"scope": WantedScope(up_to="/docs/none")}, UnknownPage, "Known pages"),
    ],
)
async def test_an_unknown_place_is_refused_naming_what_there_is(
    asked: dict[str, object], error: type[AskbookError], sentence: str
) -> None:
    embedder, index = await book()

    with pytest.raises(error, match=sentence):
        await RagService(embedder, index, None).question("topic", **asked)  # type: ignore[arg-type]  # as parametrized


async def test_a_selection_brings_its_passage_first_and_reaches_the_model_as_data() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["It publishes [1]."])

    answer = await answer_of(
        RagService(embedder, index, model), "What does this mean?", page="/docs/topics", selection="Topics have names."
    )

    assert answer.citations[0].page == "/docs/topics"
    assert "<selection>\nTopics have names.\n</selection>" in model.prompts[0].user


async def test_the_conversation_so_far_reaches_the_model() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["Yes [1]."])
    history = (Message("reader", "Hello"), Message("assistant", "Hi"))

    await answer_of(RagService(embedder, index, model), "What is a topic?", history=history)

    assert model.prompts[0].history == history


async def test_a_reader_who_leaves_stops_the_model() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["Nodes ", "never said"], gate=1)
    rag = RagService(embedder, index, model)

    async with aclosing(rag.answer(await rag.question("What is a topic?"))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break

    assert model.stopped.is_set()


async def test_a_cancelled_turn_stops_the_model() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["Nodes "], gate=0)
    turn = asyncio.create_task(events_of(RagService(embedder, index, model), "What is a topic?"))
    await model.waiting.wait()

    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn

    assert model.stopped.is_set()


async def test_get_rag_response_is_the_text_of_the_answer() -> None:
    embedder, index = await book()

    text = await RagService(embedder, index, ScriptedGenerator(["Nodes publish [1]."])).get_rag_response("What is it?")

    assert text == "Nodes publish [1]."


# Follow-ups -------------------------------------------------------------------------------------------

SAID = (Message("reader", "What does an action send?"), Message("assistant", "Feedback [1]."))


class Rewriter(ScriptedGenerator):
    """Makes a question stand alone, and answers."""

    def __init__(self, standalone: str, error: AskbookError | None = None) -> None:
        super().__init__(["Yes [1]."])
        self._standalone = standalone
        self._failure = error

    @property
    def rewritings(self) -> int:
        return sum("understandable without the conversation" in prompt.system for prompt in self.prompts)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Usage, None]:
        self.prompts.append(prompt)
        if "understandable without the conversation" not in prompt.system:
            yield "Yes [1]."
        elif self._failure is not None:
            raise self._failure
        else:
            yield self._standalone


async def test_without_a_model_a_follow_up_is_searched_for_with_the_question_before_it() -> None:
    embedder, index = await book()

    answer = await answer_of(RagService(embedder, index, None), "Why is that?", history=SAID)

    assert answer.citations[0].page == "/docs/actions"


async def test_a_follow_up_is_searched_for_as_the_model_makes_it_stand_alone() -> None:
    embedder, index = await book()
    model = Rewriter("What are the names of topics?")

    answer = await answer_of(RagService(embedder, index, model), "And of the other one?", history=SAID)

    assert model.rewritings == 1
    assert "What are the names of topics?" in embedder.asked
    assert answer.citations[0].page == "/docs/topics"
    assert "And of the other one?" in model.prompts[-1].user, "the reader's own words are what is answered"


async def test_a_question_that_stands_alone_waits_for_no_rewriting() -> None:
    embedder, index = await book()
    model = Rewriter("Never asked")

    await answer_of(RagService(embedder, index, model), "What goal and feedback does an action send?", history=SAID)

    assert model.rewritings == 0


@pytest.mark.parametrize("failure", [ModelUnavailable("down"), None], ids=["fails", "chats"])
async def test_a_rewriting_that_is_none_leaves_the_search_by_rules(failure: AskbookError | None) -> None:
    embedder, index = await book()
    model = Rewriter("Here you are:\nWhat are topics?", failure)

    answer = await answer_of(RagService(embedder, index, model), "Why is that?", history=SAID)

    assert (answer.mode, answer.notice) == ("generated", "")
    assert answer.citations[0].page == "/docs/actions"


async def test_a_model_that_tells_its_instructions_is_stopped_before_it_has_told_them() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["Nodes publish [1]. I was told: ", *prompts.SYSTEM, " and more"])
    rag = RagService(embedder, index, model)
    question = await rag.question("What is a topic?")
    told = ""

    with pytest.raises(AnswerWithheld):  # noqa: PT012 - what came before matters as well
        async for event in rag.answer(question):
            told += event.text if isinstance(event, TextDelta) else ""

    assert told.startswith("Nodes publish [1].")
    assert prompts.SYSTEM[:40] not in told
    assert model.stopped.is_set()


async def test_a_model_may_say_that_the_book_answers_only_a_part() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["PARTLY_IN", "_DOCS\nA node publishes messages to a topic [1]."])

    answer = await answer_of(RagService(embedder, index, model), "What is a topic?")

    assert (answer.state, answer.text) == ("partial", "A node publishes messages to a topic [1].")


async def test_a_sentence_that_no_passage_bears_out_is_marked_and_told() -> None:
    embedder, index = await book()
    model = ScriptedGenerator(["A node publishes messages to a topic [1]. It costs 250 dollars a year [1]."])

    answer = await answer_of(RagService(embedder, index, model), "What is a topic?")

    [span] = answer.grounding.unsupported
    assert answer.text[span.start : span.end] == "It costs 250 dollars a year"
    assert answer.state == "partial"
    assert answer.notices == (NOT_BORNE_OUT,)


async def test_a_question_about_a_selection_leans_on_that_and_not_on_the_conversation() -> None:
    embedder, index = await book()
    model = Rewriter("Never asked")

    answer = await answer_of(
        RagService(embedder, index, model),
        "Why is that?",
        page="/docs/topics",
        selection="Topics have names.",
        history=SAID,
    )

    assert model.rewritings == 0
    assert answer.citations[0].page == "/docs/topics"
