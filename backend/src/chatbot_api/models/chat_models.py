"""What crosses the wire: `POST /chat`, its events, and problems."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from chatbot_api.models.domain import (
    Answer,
    Citation,
    Feedback,
    Grounding,
    Item,
    Mode,
    Nearest,
    Notice,
    Outcome,
    QuestionItem,
    State,
    Thread,
    Timings,
)

MAX_QUERY = 4_000


def _readable(text: str) -> str:
    """Refuses a text in which nothing can be seen, such as one of zero-width characters."""
    if not any(unicodedata.category(char)[0] in "LMNPS" for char in text):
        raise ValueError("The text has no visible character")
    return text


_Path = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScopeRequest(_Wire):
    """The part to search. Without it: version and locale of the reader's page, else the latest and the default."""

    version: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    locale: Annotated[str, StringConstraints(min_length=1, max_length=35)] | None = None
    path_prefix: _Path | None = Field(None, description="Only pages at or below this path.")
    up_to: _Path | None = Field(None, description="Only this page and what comes before it in the reading order.")
    pages: Annotated[tuple[_Path, ...], Field(max_length=20)] = Field((), description="Only these pages.")


_Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class ChatRequest(_Wire):
    query: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY),
        AfterValidator(_readable),
    ] = Field(description="The question, 1 to 4,000 characters after trimming.")
    thread_id: _Id | None = Field(None, description="A conversation to go on with, from an earlier answer.")
    retry_of: _Id | None = Field(
        None,
        description="The message of that conversation to answer once more; the new answer takes the old one's place.",
    )
    page: _Path | None = Field(None, description="Path of the page the reader is on.")
    selection: Annotated[str, StringConstraints(max_length=MAX_QUERY), AfterValidator(lambda v: v and _readable(v))] = (
        Field("", description="Text the reader marked on that page.")
    )
    scope: ScopeRequest | None = None
    stream: bool = Field(False, description="Answer as server-sent events. `Accept: text/event-stream` does the same.")


class CitationModel(BaseModel):
    number: int
    title: str
    heading_path: list[str]
    url: str
    quote: str
    passage_id: str


class NearestModel(BaseModel):
    title: str
    heading_path: list[str]
    url: str


class SpanModel(BaseModel):
    """A part of `response`, in characters (code points); `end` is the first one after it."""

    start: int
    end: int


class CodeSpanModel(SpanModel):
    verbatim: bool


class GroundingModel(BaseModel):
    unsupported: list[SpanModel] = Field(description="Sentences that no passage bears out.")
    code: list[CodeSpanModel] = Field(description="Fenced code, and whether it stands in a passage as it is.")


class IndexModel(BaseModel):
    generation: str
    built_at: datetime
    source_revision: str


class TimingsModel(BaseModel):
    embed: float
    search: float
    first_word: float
    total: float


class ChatResponse(BaseModel):
    response: str
    state: State
    mode: Mode
    citations: list[CitationModel]
    nearest: list[NearestModel]
    thread_id: str
    message_id: str
    notice: str = Field(description="Why the answer is less than it could be, in plain words; empty where it is not.")
    notice_codes: list[str] = Field(description="The same for programs: a code for each sentence of `notice`.")
    grounding: GroundingModel
    index: IndexModel
    timings_ms: TimingsModel


class FeedbackModel(BaseModel):
    kind: Literal["positive", "negative"]
    comment: str


class QuestionItemModel(BaseModel):
    kind: Literal["question"] = "question"
    id: str
    created_at: datetime
    text: str
    page: str | None
    selection: str


class AnswerItemModel(BaseModel):
    kind: Literal["answer"] = "answer"
    id: str
    question_id: str
    created_at: datetime
    outcome: Outcome = Field(
        description="`stopped` by the reader or with the server, or `failed`: then it is what there was until then."
    )
    response: str
    state: State
    mode: Mode
    citations: list[CitationModel]
    nearest: list[NearestModel]
    notice: str
    notice_codes: list[str] = Field(description="Empty where the answer was kept before notices had codes.")
    grounding: GroundingModel
    feedback: FeedbackModel | None


class ThreadModel(BaseModel):
    id: str
    title: str
    created_at: datetime
    updated_at: datetime


class ThreadsModel(BaseModel):
    """The reader's conversations, the one that was asked in last first."""

    threads: list[ThreadModel]
    has_more: bool = Field(description="Whether there are more `after` the last one here.")


class ConversationModel(ThreadModel):
    """A conversation and what was said in it, oldest first."""

    items: list[Annotated[QuestionItemModel | AnswerItemModel, Field(discriminator="kind")]]
    has_more: bool = Field(description="Whether there is more `after` the last item here.")


class ExportModel(BaseModel):
    """Everything that is kept of a reader."""

    threads: list[ConversationModel]


class FeedbackRequest(_Wire):
    thread_id: _Id
    message_id: _Id = Field(description="An answer of that conversation.")
    kind: Literal["positive", "negative"] | None = Field(description="null takes it back.")
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1_000)] = ""


class EntityModel(BaseModel):
    """A page that can be mentioned."""

    id: str = Field(description="The page's path, as `scope.pages` takes it.")
    title: str
    group: str = Field(description="What the page stands under in the book; empty at the top.")
    url: str


class EntitiesModel(BaseModel):
    entities: list[EntityModel]


class SessionModel(BaseModel):
    token: str = Field(description="To be sent as `Authorization: Bearer`.")
    expires_at: datetime
    reader: str = Field(description="The reader's id: conversations are kept under it.")


class Problem(BaseModel):
    """RFC 9457 problem details. `code` is for programs, `detail` for people (a list of places for a 422)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | list[dict[str, Any]]
    code: str
    request_id: str


class Health(BaseModel):
    """`ready`: every component works. `degraded`: answers come, but less good ones. `down`: no answer can come."""

    status: Literal["ready", "degraded", "down"]
    version: str
    components: dict[str, Component]
    index: IndexModel | None


class Component(BaseModel):
    status: Literal["ready", "waiting", "degraded", "down"]
    detail: str


class Config(BaseModel):
    """What a page may know."""

    version: str
    mode: Mode
    site_url: str
    versions: list[str]
    locales: list[str]
    max_query: int
    chatkit_domain_key: str


def as_response(answer: Answer, thread_id: str, message_id: str) -> ChatResponse:
    return ChatResponse(
        response=answer.text,
        state=answer.state,
        mode=answer.mode,
        citations=[as_citation(citation) for citation in answer.citations],
        nearest=[as_nearest(nearest) for nearest in answer.nearest],
        thread_id=thread_id,
        message_id=message_id,
        notice=answer.notice,
        notice_codes=as_codes(answer.notices),
        grounding=as_grounding(answer.grounding),
        index=IndexModel(
            generation=answer.index.generation,
            built_at=answer.index.built_at,
            source_revision=answer.index.source_revision,
        ),
        timings_ms=as_timings(answer.timings),
    )


def as_item(item: Item, feedback: Mapping[str, Feedback]) -> QuestionItemModel | AnswerItemModel:
    if isinstance(item, QuestionItem):
        return QuestionItemModel(
            id=item.id, created_at=item.created_at, text=item.text, page=item.page, selection=item.selection
        )
    said = feedback.get(item.id)
    return AnswerItemModel(
        id=item.id,
        question_id=item.question_id,
        created_at=item.created_at,
        outcome=item.outcome,
        response=item.text,
        state=item.state,
        mode=item.mode,
        citations=[as_citation(citation) for citation in item.citations],
        nearest=[as_nearest(nearest) for nearest in item.nearest],
        notice=item.notice,
        notice_codes=as_codes(item.notices),
        grounding=as_grounding(item.grounding),
        feedback=FeedbackModel(kind=said.kind, comment=said.comment) if said else None,
    )


def as_thread(thread: Thread) -> ThreadModel:
    updated_at = thread.updated_at or thread.created_at
    return ThreadModel(id=thread.id, title=thread.title, created_at=thread.created_at, updated_at=updated_at)


def as_conversation(
    thread: Thread, items: Sequence[Item], feedback: Mapping[str, Feedback], *, has_more: bool = False
) -> ConversationModel:
    told = [as_item(item, feedback) for item in items]
    return ConversationModel(**as_thread(thread).model_dump(), items=told, has_more=has_more)


def as_codes(notices: Sequence[Notice]) -> list[str]:
    return [notice.code for notice in notices if notice.code]


def as_grounding(grounding: Grounding) -> GroundingModel:
    return GroundingModel(
        unsupported=[SpanModel(start=span.start, end=span.end) for span in grounding.unsupported],
        code=[CodeSpanModel(start=code.start, end=code.end, verbatim=code.verbatim) for code in grounding.code],
    )


def as_citation(citation: Citation) -> CitationModel:
    return CitationModel(
        number=citation.number,
        title=citation.title,
        heading_path=list(citation.heading_path),
        url=citation.url,
        quote=citation.quote,
        passage_id=citation.passage_id,
    )


def as_nearest(nearest: Nearest) -> NearestModel:
    return NearestModel(title=nearest.title, heading_path=list(nearest.heading_path), url=nearest.url)


def as_timings(timings: Timings) -> TimingsModel:
    return TimingsModel(embed=timings.embed, search=timings.search, first_word=timings.first_word, total=timings.total)
