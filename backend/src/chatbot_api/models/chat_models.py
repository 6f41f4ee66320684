"""What crosses the wire: `POST /chat`, its events, and problems."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from chatbot_api.models.domain import Answer, Citation, Grounding, Mode, Nearest, State, Timings

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


class ChatRequest(_Wire):
    query: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY),
        AfterValidator(_readable),
    ] = Field(description="The question, 1 to 4,000 characters after trimming.")
    thread_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = Field(
        None, description="A conversation to go on with, from an earlier answer."
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
    grounding: GroundingModel
    index: IndexModel
    timings_ms: TimingsModel


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
        grounding=as_grounding(answer.grounding),
        index=IndexModel(
            generation=answer.manifest.generation,
            built_at=answer.manifest.built_at,
            source_revision=answer.manifest.source_revision,
        ),
        timings_ms=as_timings(answer.timings),
    )


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
