"""What the product talks about: pages, passages, questions, answers. Frozen values that need nothing outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, Literal, TypeVar

T = TypeVar("T")

Vector = Sequence[float]
"""One embedding: unit length, as many numbers as the model has dimensions."""

State = Literal["answered", "partial", "not_in_docs"]
Mode = Literal["generated", "extractive", "search"]
BlockKind = Literal["paragraph", "list", "table", "code", "maths"]


# The book ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """The smallest piece of a page that is never cut: a paragraph, a list, a table, a code fence, a formula.

    `text` is what a reader sees, as plain Markdown: inline code keeps its backticks, links and emphasis keep only
    their words, code is byte-identical to its source (without the fence), a list has one `- ` or `1. ` a line, a
    table is a pipe table.
    """

    kind: BlockKind
    text: str
    language: str = ""
    """The language of a code block, as its fence names it."""
    caption: str = ""
    """The title of a code block (`title="config.yml"`)."""
    within: tuple[str, ...] = ()
    """Labels of what the block stands in, outermost first: `("Warning: Mind the gap", "npm")`."""


@dataclass(frozen=True, slots=True)
class Section:
    """The blocks under one heading, without those under its sub-headings."""

    headings: tuple[str, ...]
    """Headings from the first below the page's title down to this one; empty for the page's opening."""
    anchor: str | None
    """The id that a link can land on; None for the page's opening, which is the page itself."""
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the book as a reader can open it."""

    path: str
    """The path as the site serves it, with the base URL: `/docs/topics/publish`."""
    title: str
    source: str
    """The file it comes from, relative to the source folder, with forward slashes."""
    sections: tuple[Section, ...]
    version: str = "current"
    locale: str = "en"
    tag: str = "docs-default-current"
    """Docusaurus' name for docs instance and version together; `default` for what has no version, such as a blog."""
    latest: bool = True
    """Whether readers get this version of its docs instance when they ask for none."""
    breadcrumbs: tuple[str, ...] = ()
    """Labels of the sidebar categories above the page, outermost first."""
    position: int = 0
    """Its place in the reading order of its version and locale, from 0."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a page, small enough to search and to quote. What an answer stands on."""

    id: str
    """A UUID made of the passage's place and content: indexing the same book twice changes nothing."""
    page: str
    breadcrumbs: tuple[str, ...]
    title: str
    headings: tuple[str, ...]
    anchor: str | None
    text: str
    ordinal: int
    """Its place in the page, from 0."""
    version: str
    locale: str
    tag: str
    latest: bool
    position: int
    source: str

    @property
    def heading_path(self) -> tuple[str, ...]:
        """Breadcrumbs, page title, headings: what the text alone does not say about itself."""
        return (*self.breadcrumbs, self.title, *self.headings)

    @property
    def label(self) -> str:
        """The heading path as one line: embedded and searched with the text."""
        return " > ".join(self.heading_path)

    def its_page(self) -> PageSummary:
        return PageSummary(
            path=self.page,
            breadcrumbs=self.breadcrumbs,
            title=self.title,
            source=self.source,
            version=self.version,
            locale=self.locale,
            tag=self.tag,
            latest=self.latest,
            position=self.position,
        )


@dataclass(frozen=True, slots=True)
class PageSummary:
    """What the index knows of a page without opening it."""

    path: str
    breadcrumbs: tuple[str, ...]
    title: str
    source: str
    version: str
    locale: str
    tag: str
    latest: bool
    position: int

    @property
    def heading_path(self) -> tuple[str, ...]:
        return (*self.breadcrumbs, self.title)


@dataclass(frozen=True, slots=True)
class TitledText:
    """A text to embed, with the words that place it."""

    title: str
    text: str


# The index --------------------------------------------------------------------------------------------


BY_WORDS: Final = "-words"
"""Ends the name of a generation without vectors."""
GENERATION: Final = rf"\d{{8}}T\d{{12}}-[0-9a-f]{{8}}(?:{BY_WORDS})?"
"""How generations are called, as a regular expression. By name, they are in the order of their making."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index was built with. A question can only be asked in the same terms."""

    generation: str
    built_at: datetime
    embedding_model: str
    dimensions: int
    has_vectors: bool
    """False while vectors are still being made: such a generation answers by words alone."""
    lexical: Mapping[str, str | float]
    """The configuration of the BM25 side, as the encoder wrote it."""
    passages: int
    pages: int
    fingerprint: str = ""
    """A hash of everything in it: two generations of one fingerprint answer alike."""
    source: str = ""
    """The folder or address that was read, as it was given."""
    source_revision: str = ""
    """The revision of the source, where it has one (a git commit)."""
    source_fingerprint: str = ""
    """A hash of everything that was read; empty where the source has none. Equal ones need no reading."""
    site_url: str = ""
    """Where the book is published, without a trailing slash; empty where that is not known."""
    default_locale: str = "en"
    """The locale that readers get when they ask for none."""
    bad_pages: int = 0
    """Pages of the source that could not be read."""

    @property
    def stamp(self) -> IndexStamp:
        return IndexStamp(self.generation, self.built_at, self.source_revision)


@dataclass(frozen=True, slots=True)
class IndexStamp:
    """Which state of the book an answer was made from."""

    generation: str
    built_at: datetime
    source_revision: str


@dataclass(frozen=True, slots=True)
class Quota:
    """What an embedding service allows and costs. 0 means: no limit, no price."""

    texts_per_minute: int
    tokens_per_minute: int
    texts_per_day: int
    dollars_per_million_tokens: float
    day_begins: int = 0
    """The hour, in UTC, at which a daily quota is refilled."""
    tokens_per_text: int = 0
    """How much of a text the service reads, and counts."""
    presumed: bool = False
    """Whether nobody said that these limits hold: they are those of the free plan."""
    account: str = ""
    """Tells one key's quota from another's, without telling the key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage on its way into the index; `vector` is None in a generation without vectors."""

    passage: Passage
    vector: Vector | None


# Asking -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the book a question is about. None means: no such bound."""

    tags: tuple[str, ...] | None = None
    """Any of these: versions of the docs instances, and `default` for what has none."""
    locale: str | None = None
    path_prefix: str | None = None
    up_to_position: int | None = None
    pages: tuple[str, ...] | None = None
    """Paths of pages: any of these."""


@dataclass(frozen=True, slots=True)
class WantedScope:
    """The part of the book a reader asked about, as it was sent: not yet held against what there is."""

    version: str | None = None
    locale: str | None = None
    path_prefix: str | None = None
    up_to: str | None = None
    """A page: only it and what comes before it in the reading order."""
    pages: tuple[str, ...] = ()
    """Only these pages; empty: any."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    text: str
    vector: Vector | None
    """None where the question could not be embedded: then words alone decide."""
    scope: Scope = field(default_factory=Scope)
    limit: int = 50
    """How many candidates each side, dense and lexical, may bring."""


@dataclass(frozen=True, slots=True)
class Hit:
    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the two sides of a hybrid search found, each best first, scores as the engine gave them."""

    dense: tuple[Hit, ...] = ()
    """By cosine similarity, -1 to 1."""
    lexical: tuple[Hit, ...] = ()
    """By BM25, 0 and up, without a ceiling."""


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["reader", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it enters the core: trimmed, scope checked against the index."""

    text: str
    scope: Scope = field(default_factory=Scope)
    page: PageSummary | None = None
    """The page the reader is on."""
    selection: str = ""
    """The words the reader marked. Data, never instructions."""
    history: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked: the fixed part first, so that it can be cached, the passages and question last."""

    system: str
    history: tuple[Message, ...]
    user: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer took."""

    model: str
    input_tokens: int
    output_tokens: int
    """Those that it thought with are among them."""
    dollars: float | None = None
    """None where the prices are not known."""


# Answering --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a part of the answer stands in the book. Made by us from a passage, never by a model."""

    number: int
    title: str
    heading_path: tuple[str, ...]
    url: str
    quote: str
    """Verbatim words of the passage."""
    passage_id: str
    page: str


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an answer's text, in characters; `end` is the first one after it."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CodeSpan(Span):
    verbatim: bool
    """Whether it stands in a passage as it is; otherwise the model adapted it."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """How an answer's text holds against the passages that it was written from."""

    unsupported: tuple[Span, ...] = ()
    """Sentences that no passage bears out."""
    code: tuple[CodeSpan, ...] = ()
    """Fenced code, with its fences."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """A page to look at where the book does not answer."""

    title: str
    heading_path: tuple[str, ...]
    url: str
    page: str


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds from the question's arrival in the core; 0 where a step did not happen."""

    embed: float = 0.0
    search: float = 0.0
    first_word: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Notice:
    """Why an answer is less than it could be. `answering.notices` has all of them."""

    code: str
    """For programs: that of the error behind it, where there is one. Empty in answers kept before notices had codes."""
    text: str
    """For the reader."""


def in_words(notices: Iterable[Notice]) -> str:
    return " ".join(notice.text for notice in notices)


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    state: State
    mode: Mode
    citations: tuple[Citation, ...]
    nearest: tuple[Nearest, ...]
    index: IndexStamp
    timings: Timings
    notices: tuple[Notice, ...] = ()
    usage: Usage | None = None
    """None where no model wrote it, or the model did not tell."""
    grounding: Grounding = field(default_factory=Grounding)
    """Nothing in it where the answer is the book's own words."""

    @property
    def notice(self) -> str:
        return in_words(self.notices)


@dataclass(frozen=True, slots=True)
class Progress:
    step: Literal["searching", "reading", "writing"]


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that an answer is written from, whether or not the answer cites it."""

    title: str
    heading_path: tuple[str, ...]
    url: str
    passage_id: str


@dataclass(frozen=True, slots=True)
class SourcesFound:
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class CitationMade:
    citation: Citation
    at: int
    """Where its marker begins in the answer's text, in characters."""


@dataclass(frozen=True, slots=True)
class TurnDone:
    answer: Answer


AnswerEvent = Progress | SourcesFound | TextDelta | CitationMade | TurnDone


# Conversations ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation. It belongs to its owner and to nobody else."""

    id: str
    owner: str
    """A reader's id. Empty: whoever knows the thread's id, and it is in nobody's list."""
    created_at: datetime
    title: str = ""
    updated_at: datetime | None = None
    """When something was last asked in it."""


@dataclass(frozen=True, slots=True)
class QuestionItem:
    """What a reader asked, as it was sent. Enough to ask it again."""

    id: str
    created_at: datetime
    text: str
    page: str | None = None
    selection: str = ""
    scope: WantedScope = field(default_factory=WantedScope)
    kind: Literal["question"] = "question"


Outcome = Literal["done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class AnswerItem:
    """What a reader was told. Where it was stopped by the reader or failed, as far as it came; then its state and mode
    are what could be said of it so far, and its grounding was never judged."""

    id: str
    question_id: str
    created_at: datetime
    outcome: Outcome
    text: str
    state: State
    mode: Mode
    citations: tuple[Citation, ...] = ()
    nearest: tuple[Nearest, ...] = ()
    sources: tuple[Source, ...] = ()
    notices: tuple[Notice, ...] = ()
    grounding: Grounding = field(default_factory=Grounding)
    index: IndexStamp | None = None
    usage: Usage | None = None
    kind: Literal["answer"] = "answer"

    @property
    def notice(self) -> str:
        return in_words(self.notices)


Item = QuestionItem | AnswerItem


@dataclass(frozen=True, slots=True)
class Feedback:
    kind: Literal["positive", "negative"]
    created_at: datetime
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to answer in a thread: one turn has it at a time, and loses it at `until` if it never gives it back."""

    turn_id: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """A part of a list. `after` of the next call is the id of the last one here."""

    entries: tuple[T, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread with everything in it."""

    thread: Thread
    items: tuple[Item, ...]
    feedback: Mapping[str, Feedback]
    """By the id of the answer."""


# Looking after it -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Remark:
    """What an owner should know of a part that works."""

    text: str
    mend: str = ""
    """The command or setting that makes it better; a remark that has one is a warning."""
