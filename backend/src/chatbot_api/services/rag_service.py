"""A question becomes a stream of `AnswerEvent`s: search, judge, write, cite. Knows ports, never vendors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter

from chatbot_api.answering import context, evidence, extractive, follow_ups, links, prompts
from chatbot_api.answering.admission import Admission
from chatbot_api.answering.citations import CitedText
from chatbot_api.answering.fusion import rank_pages
from chatbot_api.answering.grounding import ground
from chatbot_api.answering.notices import AT_ITS_LONGEST, NO_VECTORS_YET, NOT_BORNE_OUT, WORDS_ALONE, quoted_instead
from chatbot_api.answering.scope import Catalog
from chatbot_api.errors import (
    AnswerCutShort,
    AnswerTooLong,
    AnswerWithheld,
    AskbookError,
    EmbedderUnavailable,
    IndexMismatch,
    ModelError,
    ModelPackageError,
)
from chatbot_api.models.domain import (
    Answer,
    AnswerEvent,
    Candidates,
    Citation,
    CitationMade,
    Hit,
    Manifest,
    Message,
    Mode,
    Nearest,
    Notice,
    Passage,
    Progress,
    Question,
    SearchQuery,
    Source,
    SourcesFound,
    State,
    TextDelta,
    Timings,
    TurnDone,
    Usage,
    Vector,
    WantedScope,
)
from chatbot_api.ports import Embedder, Generator, VectorStore

logger = logging.getLogger(__name__)

_NEAREST = 3
_REWRITING = 4.0
"""Seconds that a model has to make a question stand alone: a reader is waiting."""
_SECOND_THOUGHTS = 4.0
"""Seconds that a model may go on after it said that the book has no answer."""


class RagService:
    def __init__(
        self,
        embedder: Embedder,
        store: VectorStore,
        generator: Generator | None,
        *,
        context_passages: int = 12,
        candidates: int = 50,
        embed_timeout: float = 5.0,
        site_url: str = "",
    ) -> None:
        """Without a generator every answer is quoted. `site_url` wins over the one the index was built with."""
        self._embedder = embedder
        self._store = store
        self._generator = generator
        self._context_passages = context_passages
        self._candidates = candidates
        self._embed_timeout = embed_timeout
        self._site_url = site_url
        self._catalog: tuple[str, Catalog] | None = None
        self._troubles: dict[str, AskbookError] = {}

    @property
    def troubles(self) -> Mapping[str, AskbookError]:
        """Why the `embedder` or the `generator` failed when it was last asked; a part that worked is not there."""
        return self._troubles

    async def warm_up(self) -> None:
        """Loads and connects what the first question would wait for, and notes what does not work."""
        for name, part in (("embedder", self._embedder), ("generator", self._generator)):
            try:
                remarks = await part.check() if part is not None else ()
            except (EmbedderUnavailable, ModelError, ModelPackageError) as exc:
                self._note(name, exc)
                logger.warning("%s does not work code=%s cause=%s", name, exc.code, exc)
            else:
                for remark in remarks:
                    if remark.mend:
                        logger.warning("%s: %s; %s", name, remark.text, remark.mend)

    async def manifest(self) -> Manifest:
        """The index that questions are asked of. Raises as `VectorStore.manifest` does, and `IndexMismatch` where its
        vectors are of another model than ours."""
        manifest = await self._store.manifest()
        ours = (self._embedder.model, self._embedder.dimensions)
        if (manifest.embedding_model, manifest.dimensions) != ours:
            raise IndexMismatch(
                f"the index was built with {manifest.embedding_model} ({manifest.dimensions} dimensions), but the "
                f"settings say {ours[0]} ({ours[1]}); change the settings back, or run: askbook index SOURCE"
            )
        return manifest

    async def catalog(self) -> Catalog:
        """The pages that can be asked about. Raises as `manifest` does."""
        manifest = await self.manifest()
        if self._catalog is None or self._catalog[0] != manifest.generation:
            catalog = Catalog(await self._store.pages(), manifest.default_locale)
            self._catalog = (manifest.generation, catalog)
        return self._catalog[1]

    async def question(
        self,
        text: str,
        *,
        page: str | None = None,
        scope: WantedScope | None = None,
        selection: str = "",
        history: Sequence[Message] = (),
    ) -> Question:
        """A question in the index's terms. Raises `UnknownPage`, `UnknownScope`, and as `manifest` does."""
        resolved, here = (await self.catalog()).resolve(scope or WantedScope(), page)
        return Question(text.strip(), resolved, here, selection.strip(), tuple(history))

    async def get_rag_response(self, query: str) -> str:
        """The text of an answer to a question about the whole book."""
        async with aclosing(self.answer(await self.question(query))) as events:
            async for event in events:
                if isinstance(event, TurnDone):
                    return event.answer.text
        raise AnswerCutShort("the answer's events ended without TurnDone")

    async def answer(self, question: Question, *, whole: bool = False) -> AsyncGenerator[AnswerEvent, None]:
        """Ends with `TurnDone`, or raises: an `IndexError_` or `SearchUnavailable` before the first `TextDelta`,
        `AnswerCutShort` after it. Closing it stops whatever is under way.

        `whole`: nobody reads along, so what was written of an answer that breaks off can still be replaced.
        """
        clock = _Clock()
        manifest = await self.manifest()
        yield Progress("searching")
        searched, candidates, notices = await self._found(question, manifest, clock)
        hits = context.choose(rank_pages(candidates), self._context_passages)
        if question.selection and question.page is not None:
            around = await self._store.passages(question.page)
            hits = context.with_selection(hits, around, question.selection, self._context_passages)
        clock.searched()
        turn = _Turn(manifest, self._site_url or manifest.site_url, tuple(hits), notices, clock)

        depends = question.selection or _leans(question)
        if not depends and evidence.says_nothing(searched, candidates, manifest.embedding_model):
            yield turn.not_in_docs("search")
            return
        yield SourcesFound(tuple(turn.source(hit.passage) for hit in hits))
        if self._generator is not None:
            try:
                async with aclosing(self._generated(self._generator, question, turn)) as events:
                    if whole:
                        for event in [event async for event in events]:
                            yield event
                    else:
                        async for event in events:
                            yield event
                self._note("generator", None)
                return
            except ModelError as exc:
                self._note("generator", exc)
                if isinstance(exc, AnswerCutShort) and not whole:
                    raise
                logger.warning("model failed, quoting instead code=%s cause=%s", exc.code, exc)
                turn.notices.append(quoted_instead(exc))
        for event in _quoted(searched, turn):
            yield event

    async def search(self, question: Question) -> Candidates:
        """Retrieval alone, as `answer` does it."""
        _, candidates, _ = await self._found(question, await self.manifest(), _Clock())
        return candidates

    async def _found(
        self, question: Question, manifest: Manifest, clock: _Clock
    ) -> tuple[str, Candidates, list[Notice]]:
        """What was searched for, what was found, and a notice where words alone had to do.

        A question that leans on the conversation is searched for as rules make it stand alone, while a model, where
        there is one, does it better; only then is there a second search.
        """
        if self._generator is None or not _leans(question):
            return await self._looked_up(_searched(question), question, manifest, clock)
        rewriting = asyncio.create_task(self._rewritten(self._generator, question))
        try:
            found = await self._looked_up(_searched(question), question, manifest, clock)
            standalone = await rewriting
        finally:
            rewriting.cancel()
            await asyncio.gather(rewriting, return_exceptions=True)
        return await self._looked_up(standalone, question, manifest, clock) if standalone else found

    async def _rewritten(self, generator: Generator, question: Question) -> str:
        """The question as a model makes it stand alone; empty where it did not, in time."""
        asked = follow_ups.prompt(question.text, question.history)
        try:
            async with asyncio.timeout(_REWRITING), aclosing(generator.stream(asked)) as pieces:
                reply = "".join([piece async for piece in pieces if isinstance(piece, str)])
        except (ModelError, TimeoutError) as exc:
            logger.info("question not rewritten cause=%s", str(exc) or type(exc).__name__)
            return ""
        return follow_ups.as_standalone(reply)

    async def _looked_up(
        self, text: str, question: Question, manifest: Manifest, clock: _Clock
    ) -> tuple[str, Candidates, list[Notice]]:
        # The words need no vector, so they are searched for while it is made.
        by_words = asyncio.create_task(self._store.search(SearchQuery(text, None, question.scope, self._candidates)))
        try:
            vector, notices = await self._embedded(text, manifest)
            clock.embedded()
            by_meaning = Candidates()
            if vector is not None:
                by_meaning = await self._store.search(SearchQuery("", vector, question.scope, self._candidates))
            return text, Candidates(by_meaning.dense, (await by_words).lexical), notices
        finally:
            by_words.cancel()
            await asyncio.gather(by_words, return_exceptions=True)

    async def _embedded(self, text: str, manifest: Manifest) -> tuple[Vector | None, list[Notice]]:
        """The question's vector; None, with a notice, where words alone must do."""
        if not manifest.has_vectors:
            return None, [NO_VECTORS_YET]
        try:
            async with asyncio.timeout(self._embed_timeout):
                vector = await self._embedder.embed_question(text)
        except (EmbedderUnavailable, ModelPackageError, TimeoutError) as exc:
            failure = EmbedderUnavailable("no vector in time") if isinstance(exc, TimeoutError) else exc
            self._note("embedder", failure)
            logger.warning("embedder failed, searching by words code=%s cause=%s", failure.code, failure)
            return None, [WORDS_ALONE]
        self._note("embedder", None)
        return vector, []

    def _note(self, part: str, failure: AskbookError | None) -> None:
        if failure is None:
            self._troubles.pop(part, None)
        else:
            self._troubles[part] = failure

    async def _generated(
        self, generator: Generator, question: Question, turn: _Turn
    ) -> AsyncGenerator[AnswerEvent, None]:
        passages = [hit.passage for hit in turn.hits]
        cited = CitedText(passages, turn.cite)
        prompt = prompts.answer_prompt(question, passages)
        admission = Admission("\n".join([prompt.user, *(said.text for said in prompt.history)]))
        yield Progress("writing")
        try:
            async with (
                aclosing(generator.stream(prompt)) as written,
                aclosing(_as_long_as_it_matters(written, admission)) as pieces,
            ):
                async for piece in pieces:
                    if isinstance(piece, Usage):
                        turn.usage = piece
                        continue
                    turn.clock.first_word()
                    for event in admission.said(cited.feed(admission.hear(piece))):
                        yield event
                    if cited.withheld:
                        break
        except AnswerTooLong as exc:
            logger.warning("answer at its longest cause=%s", exc)
            turn.notices.append(AT_ITS_LONGEST)
        for event in admission.said([*cited.feed(admission.end()), *cited.end()]):
            yield event
        if admission.state == "not_in_docs":
            yield turn.not_in_docs("generated")
            return
        if cited.withheld:
            raise AnswerWithheld(f"{generator.model}: told what it is instructed to do")
        yield turn.generated(cited, question.text, admission.state or "answered")


async def _as_long_as_it_matters(
    written: AsyncGenerator[str | Usage, None], admission: Admission
) -> AsyncGenerator[str | Usage, None]:
    """All of an answer. Once the model said that the book has none, what it says in time, and whatever fails then
    changes nothing: it may still point at a passage, and at its end it tells what it took."""
    until = None
    while True:
        if admission.state != "not_in_docs":
            until = None
        elif until is None:
            until = asyncio.get_running_loop().time() + _SECOND_THOUGHTS
        try:
            async with asyncio.timeout_at(until):
                piece = await anext(written, None)
        except (ModelError, TimeoutError):
            if until is None:
                raise
            return
        if piece is None:
            return
        yield piece


class _Clock:
    """Milliseconds since a question arrived."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._embed = self._search = self._first_word = 0.0

    def embedded(self) -> None:
        self._embed = self._now()

    def searched(self) -> None:
        self._search = self._now() - self._embed

    def first_word(self) -> None:
        self._first_word = self._first_word or self._now()

    def timings(self) -> Timings:
        return Timings(self._embed, self._search, self._first_word, self._now())

    def _now(self) -> float:
        return round((perf_counter() - self._start) * 1000, 2)


class _Turn:
    """What every way of answering one question needs at its end."""

    def __init__(
        self, manifest: Manifest, site_url: str, hits: tuple[Hit, ...], notices: list[Notice], clock: _Clock
    ) -> None:
        self.hits = hits
        self.notices = notices
        self.clock = clock
        self.usage: Usage | None = None
        self._manifest = manifest
        self._site_url = site_url

    def cite(self, number: int, passage: Passage, quote: str) -> Citation:
        return Citation(
            number=number,
            title=passage.title,
            heading_path=passage.heading_path,
            url=links.passage_url(passage, quote, self._site_url),
            quote=quote,
            passage_id=passage.id,
            page=passage.page,
        )

    def source(self, passage: Passage) -> Source:
        url = links.passage_url(passage, "", self._site_url)
        return Source(passage.title, passage.heading_path, url, passage.id)

    def done(
        self, text: str, state: State, mode: Mode, citations: tuple[Citation, ...], nearest: tuple[Nearest, ...] = ()
    ) -> TurnDone:
        timings, notices = self.clock.timings(), tuple(self.notices)
        return TurnDone(
            Answer(text, state, mode, citations, nearest, self._manifest.stamp, timings, notices, self.usage)
        )

    def generated(self, cited: CitedText, asked: str, state: State) -> TurnDone:
        """An answer with sentences that no passage bears out is one in part, whatever the model says."""
        text = cited.text.strip()
        given = [hit.passage for hit in self.hits]
        by_id = {passage.id: passage for passage in given}
        behind = {citation.number: by_id[citation.passage_id] for citation in cited.citations}
        grounding = ground(text, behind, given, asked)
        if grounding.unsupported:
            self.notices.append(NOT_BORNE_OUT)
        done = self.done(text, "partial" if grounding.unsupported else state, "generated", cited.citations)
        return TurnDone(replace(done.answer, grounding=grounding))

    def not_in_docs(self, mode: Mode) -> TurnDone:
        pages = dict.fromkeys(hit.passage.its_page() for hit in self.hits)
        nearest = tuple(
            Nearest(page.title, page.heading_path, links.page_url(page, self._site_url), page.path)
            for page in list(pages)[:_NEAREST]
        )
        text = "This book does not seem to answer that."
        if nearest:
            text += " The closest pages are: " + ", ".join(near.title for near in nearest) + "."
        return self.done(text, "not_in_docs", mode, (), nearest)


def _quoted(searched: str, turn: _Turn) -> list[AnswerEvent]:
    events: list[AnswerEvent] = []
    citations: list[Citation] = []
    text = ""
    for number, extract in enumerate(extractive.extracts(searched, turn.hits), 1):
        paragraph, at = extractive.as_paragraph(extract, number)
        glue = "\n\n" if text else ""
        citation = turn.cite(number, extract.passage, extract.quote)
        events += [TextDelta(glue + paragraph), CitationMade(citation, len(text) + len(glue) + at)]
        text += glue + paragraph
        citations.append(citation)
    turn.clock.first_word()
    return [*events, turn.done(text, "answered", "extractive", tuple(citations))]


def _searched(question: Question) -> str:
    """What is looked for, without a model: a question about a selection is about its words too, and one that leans on
    the conversation about what was asked before."""
    if question.selection:
        return f"{question.text}\n{question.selection[:1000]}"
    return follow_ups.by_rules(question.text, question.history) if _leans(question) else question.text


def _leans(question: Question) -> bool:
    """Where the reader marked something, that is what the question points at."""
    return not question.selection and follow_ups.leans(question.text, question.history)
