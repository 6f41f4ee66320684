"""Docs CI: whether questions are still answered from where a golden file says. Offline, and nothing is left behind."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from askbook.evaluation.answers import plain
from askbook.evaluation.run import answer_of
from chatbot_api.answering.fusion import RankedPage, rank_pages
from chatbot_api.bootstrap import open_indexing, open_services
from chatbot_api.config import Settings
from chatbot_api.models.chat_models import MAX_QUERY
from chatbot_api.models.domain import Answer, Page, PageSummary, Passage
from chatbot_api.models.paths import normal_path
from chatbot_api.services.rag_service import RagService
from qdrant_indexer.indexing import Origin, Progress, Report, index
from qdrant_indexer.pace import Ledger, Pace
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.choose import open_source
from qdrant_indexer.vector_cache import VectorCache

Status = Literal["ok", "lost", "moved", "gone", "answered"]
STATUSES: Final[tuple[Status, ...]] = ("ok", "lost", "moved", "gone", "answered")
FIRST_PAGES: Final = 5
"""An expected page that is not cited must be among so many that the search finds first."""
_FIRST_PASSAGES: Final = 3
_SHOWN_QUESTION: Final = 60

_Headings = dict[str, dict[str, Sequence[str]]]
"""By page, then by anchor: the headings down to that one."""


class BadGolden(ValueError):
    """A file that cannot be used, in a sentence that names the entry."""


# The file ---------------------------------------------------------------------------------------------


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _one_line(text: str) -> str:
    return " ".join(text.split())


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]


class Entry(BaseModel):
    """A question, and where in the book its answer stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY),
        AfterValidator(_one_line),
    ]
    page: _Text | None = None
    """Its path on the site, or its source file."""
    anchor: Annotated[_Text, AfterValidator(lambda anchor: anchor.removeprefix("#"))] | None = None
    contains: Annotated[tuple[_Text, ...], BeforeValidator(_as_list)] = ()
    """Words that one quoted passage of the page must hold, all of them."""
    answerable: bool = True

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        placed = self.page or self.anchor or self.contains
        if not self.answerable and placed:
            raise ValueError("a question that is not answerable has no page, anchor or contains")
        if self.answerable and placed and not self.page:
            raise ValueError("anchor and contains need a page")
        return self

    @property
    def is_open(self) -> bool:
        """Whether nobody has said yet where its answer stands."""
        return self.answerable and self.page is None


class _Entries(BaseModel):
    entries: Annotated[
        list[Annotated[Entry, BeforeValidator(lambda v: {"question": v} if isinstance(v, str) else v)]],
        Field(min_length=1),
    ]


def read_golden(file: Path, *, may_be_open: bool = False) -> list[Entry]:
    """Raises `BadGolden`. A plain question is an open entry."""
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as exc:
        raise BadGolden(f"{file} cannot be read: {exc.strerror}") from exc
    except (UnicodeDecodeError, yaml.YAMLError) as exc:
        raise BadGolden(f"{file} is no YAML: {_one_line(str(exc))}") from exc
    if not isinstance(raw, list):
        raise BadGolden(f"{file} must hold a list of entries, each with a question and a page")
    try:
        entries = _Entries(entries=raw).entries
    except ValidationError as exc:
        raise BadGolden(f"{file}{_told(exc, raw)}") from exc
    first: dict[str, int] = {}
    for number, entry in enumerate(entries, 1):
        if entry.is_open and not may_be_open:
            raise BadGolden(
                f"{_named(file, number, entry.question)}: page is missing; name it, say `answerable: false`, or record "
                "where it is answered now with --write"
            )
        if first.setdefault(entry.question, number) != number:
            raise BadGolden(f"{_named(file, number, entry.question)}: entry {first[entry.question]} asks the same")
    return entries


def _told(error: ValidationError, raw: Sequence[object]) -> str:
    wrong = error.errors()[0]
    message = wrong["msg"].removeprefix("Value error, ")
    _, *place = wrong["loc"]
    if not place or not isinstance(place[0], int):
        return f" holds no entry: {message}" if not raw else f": {message}"
    entry = raw[place[0]]
    question = entry.get("question") if isinstance(entry, dict) else entry
    field = ".".join(str(part) for part in place[1:])
    return f"{_named('', place[0] + 1, question)}: {f'{field}: ' if field else ''}{message}"


def _named(file: Path | str, number: int, question: object) -> str:
    asked = _one_line(question) if isinstance(question, str) else ""
    return f"{file}, entry {number}" + (f' ("{asked[:_SHOWN_QUESTION]}")' if asked else "")


def write_golden(file: Path, entries: Iterable[Entry]) -> None:
    """Over the one that is there, all or nothing. Comments above its first entry stay."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    head = next((number for number, line in enumerate(lines) if line.strip() and line[0] != "#"), len(lines))
    entries_as_yaml = "\n".join(
        yaml.safe_dump([_as_yaml(entry)], sort_keys=False, allow_unicode=True, width=1000) for entry in entries
    )
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text("".join(lines[:head]) + entries_as_yaml, encoding="utf-8")
    fresh.replace(file)


def _as_yaml(entry: Entry) -> dict[str, Any]:
    fields = entry.model_dump(exclude_defaults=True)
    if entry.contains:
        fields["contains"] = entry.contains[0] if len(entry.contains) == 1 else list(entry.contains)
    return fields


# The result -------------------------------------------------------------------------------------------


class Checked(BaseModel):
    """An entry, held against a build of the book."""

    model_config = ConfigDict(frozen=True)

    question: str
    status: Status
    page: str | None
    """As the golden file names it."""
    anchor: str | None
    detail: str
    """What happened, for people; empty where all is well."""
    nearest: str | None = None
    """Where the entry's answer seems to be now: `/docs/page#anchor`."""
    cited: Sequence[str] = ()
    """Where the answer stands now, best first."""


class GoldenRun(BaseModel):
    model_config = ConfigDict(frozen=True)

    pages: int
    passages: int
    entries: Sequence[Checked]
    bad_pages: Mapping[str, str] = {}
    """Why pages could not be read, by source."""

    @property
    def counts(self) -> dict[Status, int]:
        found = Counter(each.status for each in self.entries)
        return {status: found[status] for status in STATUSES}

    def as_json(self, *, passed: bool) -> dict[str, Any]:
        return {"passed": passed, "golden": self.counts, **self.model_dump(mode="json")}


def read_golden_run(file: Path) -> GoldenRun:
    """What `--json` or `--save` wrote. Raises `BadGolden`."""
    try:
        return GoldenRun.model_validate_json(file.read_bytes())
    except OSError as exc:
        raise BadGolden(f"{file} cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        place = ".".join(str(part) for part in exc.errors()[0]["loc"])
        raise BadGolden(f"{file} is no run over a golden file: {place or 'not JSON'}") from exc


def worse(run: GoldenRun, before: GoldenRun | None) -> list[Checked]:
    """What is not well, but for what was not well before either."""
    broken = {each.question for each in before.entries if each.status != "ok"} if before else set()
    return [each for each in run.entries if each.status != "ok" and each.question not in broken]


# Checking ---------------------------------------------------------------------------------------------


async def check(
    entries: Sequence[Entry],
    site: str,
    settings: Settings,
    *,
    vectors: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> tuple[GoldenRun, list[Entry]]:
    """The run, and the entries with the open ones filled in with where they are answered now.

    `vectors` is a file to keep vectors in; all else is in a temporary folder. Raises as `indexing.index` does.
    """
    with tempfile.TemporaryDirectory(prefix="askbook-") as folder:
        offline = _offline(settings, Path(folder))
        headings: _Headings = {}
        report = await _index(site, offline, vectors or Path(folder) / "vectors.sqlite", headings, on_progress)
        async with open_services(offline) as services:
            manifest = await services.rag.manifest()
            pages = _Pages(await services.store.pages(), headings, manifest.default_locale)
            filled, checked = [], []
            for entry in entries:
                seen = await _ask(services.rag, entry, pages)
                filled.append(fill(entry, seen) if entry.is_open else entry)
                checked.append(judge(filled[-1], pages, seen))
    bad = {skipped.source: skipped.reason for skipped in report.bad}
    return GoldenRun(pages=report.pages, passages=report.passages, entries=checked, bad_pages=bad), filled


def _offline(settings: Settings, folder: Path) -> Settings:
    here = {"data_dir": folder, "qdrant_host": None, "embedder": "local", "answers": "extractive", "site_url": ""}
    return settings.model_copy(update=here)


async def _index(
    site: str,
    settings: Settings,
    vectors: Path,
    headings: _Headings,
    on_progress: Callable[[Progress], None],
) -> Report:
    with (
        open_source(site, settings.data_dir / "pages.sqlite") as source,
        VectorCache(vectors) as cache,
        Ledger(settings.data_dir / "quotas.sqlite") as ledger,
    ):
        async with open_indexing(settings) as services:
            return await index(
                lambda: _noting(source.pages(), headings),
                origin=Origin(source=site, default_locale=source.default_locale),
                embedder=services.embedder,
                vector_index=services.vector_index,
                cache=cache,
                pace=Pace(services.embedder.quota, ledger),
                on_progress=on_progress,
            )


def _noting(pages: Iterable[Page | Skipped], headings: _Headings) -> Iterator[Page | Skipped]:
    """A heading without a text of its own has no passage, and can be linked to all the same."""
    for page in pages:
        if isinstance(page, Page):
            of_page = headings.setdefault(normal_path(page.path), {})
            for section in page.sections:
                if section.anchor:
                    of_page.setdefault(section.anchor, section.headings)
        yield page


class _Pages:
    """What can be expected: pages, and anchors on them."""

    def __init__(self, pages: Sequence[PageSummary], headings: _Headings, default_locale: str) -> None:
        # The latest version last: it is the one that a source file names.
        ordered = sorted(pages, key=lambda page: page.latest)
        self._by_source = {page.source: page for page in ordered}
        self._by_path = {normal_path(page.path): page for page in ordered}
        self._headings = headings
        self._default_locale = default_locale

    def find(self, name: str) -> PageSummary | None:
        """By its path or its source file."""
        source = name.removeprefix("./")
        return (
            self._by_path.get(normal_path(name))
            or self._by_source.get(source)
            or self._by_source.get(source.removeprefix("docs/"))
        )

    def like(self, name: str) -> str | None:
        """A page that is called much the same."""
        named = {**{source: page.path for source, page in self._by_source.items()}, **{p: p for p in self._by_path}}
        close = get_close_matches(name, list(named), n=1, cutoff=0.8)
        return named[close[0]] if close else None

    def anchors(self, page: PageSummary) -> Mapping[str, Sequence[str]]:
        """Each with the headings down to its own."""
        return self._headings.get(normal_path(page.path), {})

    def is_asked_for(self, page: PageSummary) -> bool:
        """Whether readers who are on no page ask about it: it is of the latest version and the default locale."""
        return page.latest and page.locale == self._default_locale


@dataclass(frozen=True, slots=True)
class Seen:
    """What a question finds."""

    answer: Answer
    ranked: Sequence[RankedPage]
    cited: Sequence[Passage]
    """What the answer quotes, in its order."""

    def of_page(self, page: PageSummary) -> Sequence[Passage]:
        """Its passages that the answer quotes or, where it quotes none, those that the search found first."""
        quoted = [passage for passage in self.cited if passage.page == page.path]
        found = [hit.passage for each in self.ranked[:FIRST_PAGES] if each.page == page.path for hit in each.hits]
        return quoted or found[:_FIRST_PASSAGES]

    def all(self) -> Iterator[Passage]:
        yield from self.cited
        yield from (hit.passage for page in self.ranked for hit in page.hits)


async def _ask(rag: RagService, entry: Entry, pages: _Pages) -> Seen:
    """An entry of an older version or another locale is asked there, as by a reader of its page."""
    expected = pages.find(entry.page) if entry.page else None
    page = expected.path if expected and not pages.is_asked_for(expected) else None
    answer = await answer_of(rag, entry.question, page=page)
    ranked = rank_pages(await rag.search(await rag.question(entry.question, page=page)))
    by_id = {hit.passage.id: hit.passage for each in ranked for hit in each.hits}
    cited = [by_id[citation.passage_id] for citation in answer.citations if citation.passage_id in by_id]
    return Seen(answer, ranked, cited)


def fill(entry: Entry, seen: Seen) -> Entry:
    """Where the question is answered now."""
    if seen.answer.state == "not_in_docs" or not seen.cited:
        return Entry(question=entry.question, answerable=False)
    best = seen.cited[0]
    return Entry(question=entry.question, page=best.page, anchor=best.anchor)


def judge(entry: Entry, pages: _Pages, seen: Seen) -> Checked:
    refused = seen.answer.state == "not_in_docs"
    if entry.page is None:
        where = f"it is answered from {_place(seen.cited[0])}" if seen.cited else "it is answered"
        return _checked(entry, seen, "ok" if refused else "answered", "" if refused else where)
    page = pages.find(entry.page)
    if page is None:
        now = pages.like(entry.page) or (_place(seen.cited[0]) if seen.cited else None)
        return _checked(entry, seen, "gone", "the page is not in the build" + _unless_none("; nearest: ", now), now)
    passages = seen.of_page(page)
    if refused:
        return _checked(entry, seen, "lost", "it is refused as not in the docs")
    if not passages:
        now = _place(seen.cited[0]) if seen.cited else None
        detail = f"the page is neither cited nor among the first {FIRST_PAGES}"
        return _checked(entry, seen, "lost", detail + _unless_none("; cited instead: ", now), now)
    holding = [passage for passage in passages if _holds(passage, entry.contains)]
    if not holding:
        now = next((_place(passage) for passage in seen.all() if _holds(passage, entry.contains)), None)
        detail = f"no quoted passage of the page holds {_words(entry.contains)}"
        return _checked(entry, seen, "lost", detail + _unless_none("; found at ", now), now)
    return _anchored(entry, page, pages.anchors(page), holding, seen)


def _anchored(
    entry: Entry, page: PageSummary, anchors: Mapping[str, Sequence[str]], holding: Sequence[Passage], seen: Seen
) -> Checked:
    """An entry whose page is found, by what became of its anchor."""
    if not entry.anchor:
        return _checked(entry, seen, "ok")
    if entry.anchor not in anchors:
        nearest = _nearest(entry, page, anchors, holding)
        return _checked(entry, seen, "moved", f"the heading #{entry.anchor} is gone; nearest: {nearest}", nearest)
    above = tuple(anchors[entry.anchor])
    if entry.contains and not any(passage.headings[: len(above)] == above for passage in holding):
        now = _place(holding[0])
        return _checked(entry, seen, "moved", f"{_words(entry.contains)} is now found at {now}", now)
    return _checked(entry, seen, "ok")


def _nearest(entry: Entry, page: PageSummary, anchors: Iterable[str], holding: Sequence[Passage]) -> str:
    """Where its words are; else the heading that is called much the same; else what the question finds on the page."""
    close = get_close_matches(entry.anchor or "", list(anchors), n=1, cutoff=0.6)
    return f"{page.path}#{close[0]}" if close and not entry.contains else _place(holding[0])


def _holds(passage: Passage, words: Sequence[str]) -> bool:
    text = plain(passage.text)
    return all(plain(each) in text for each in words)


def _place(passage: Passage) -> str:
    return passage.page + _unless_none("#", passage.anchor)


def _words(contains: Sequence[str]) -> str:
    return " and ".join(f'"{each}"' for each in contains)


def _unless_none(before: str, value: str | None) -> str:
    return "" if value is None else before + value


def _checked(entry: Entry, seen: Seen, status: Status, detail: str = "", nearest: str | None = None) -> Checked:
    return Checked(
        question=entry.question,
        status=status,
        page=entry.page,
        anchor=entry.anchor,
        detail=detail,
        nearest=nearest,
        cited=list(dict.fromkeys(map(_place, seen.cited))),
    )
