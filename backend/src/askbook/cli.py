"""The command line: arguments in, sentences or JSON out. Everything it does is done elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeVar
from uuid import uuid4

import typer
from pydantic import ValidationError

from chatbot_api.config import Settings
from chatbot_api.errors import AskbookError, DayUsedUp, EmbedderDenied, EmbedderUnavailable

if TYPE_CHECKING:
    from chatbot_api.bootstrap import Services
    from chatbot_api.models.domain import Answer, Manifest
    from chatbot_api.ports import Embedder
    from qdrant_indexer.indexing import Estimate, Progress, Report
    from qdrant_indexer.pace import Ledger, Pace

FAILED: Final = 1
WRONG_USAGE: Final = 2
RESUMABLE: Final = 3
VECTORS: Final = "vectors.sqlite"
FETCHED: Final = "pages.sqlite"
QUOTAS: Final = "quotas.sqlite"

_GO_ON: Final = "What was embedded is kept: run the same command again to go on."

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

app = typer.Typer(
    help="Ask a Docusaurus book. Settings come from the environment and from .env; `askbook doctor` checks them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    app()


@app.command()
def index(
    source: Annotated[
        str | None, typer.Argument(help="A Docusaurus site: its folder, its build, its address.", show_default=False)
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Build the index anew even where nothing changed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Drop pages, however many of them are gone.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where a page could not be read.")] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what it would cost, and do nothing.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Publish the generation before this one.")] = False,
    as_json: Json = False,
) -> None:
    """Make the index equal to the book. Run it again after every change, or after it was stopped: it goes on."""
    settings = _settings()
    if rollback:
        manifest = _run(_roll_back(settings))
        report = {"generation": manifest.generation, "built_at": manifest.built_at.isoformat()}
        text = f"generation {manifest.generation} of {manifest.built_at:%Y-%m-%d %H:%M} UTC is published again"
        typer.echo(json.dumps(report, indent=2) if as_json else text)
        return
    if source is None:
        _fail("SOURCE is missing: askbook index path/to/your/site", WRONG_USAGE)
    if estimate:
        told = _run(_estimate(settings, _place(source)))
        typer.echo(json.dumps(asdict(told), indent=2) if as_json else _estimate_as_text(told))
        return
    with _resumable(as_json=as_json):
        report_of_run = asyncio.run(_index(settings, _place(source), full=full, force=force, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(asdict(report_of_run), indent=2))
    else:
        _tell_report(report_of_run)
    if strict and report_of_run.bad:
        raise typer.Exit(FAILED)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question, in quotes.")],
    page: Annotated[str | None, typer.Option(help="Path of the page the reader is on.")] = None,
    selection: Annotated[str, typer.Option(help="Text the reader marked on that page.")] = "",
    as_json: Json = False,
) -> None:
    """Ask one question and print the answer with its citations."""
    from chatbot_api.models.chat_models import ChatRequest, as_response

    try:
        request = ChatRequest(query=question, page=page, selection=selection)
    except ValidationError as exc:
        _fail(_sentences(exc), WRONG_USAGE)
    show = (lambda _: None) if as_json else _print_piece
    answer, thread_id, message_id = _run(_ask(_settings(), request.query, request.page, request.selection, show))
    if as_json:
        print(as_response(answer, thread_id, message_id).model_dump_json(indent=2))  # noqa: T201
    else:
        _tell_sources(answer)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; HOST by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; PORT by default.", min=0, max=65535)] = None,
) -> None:
    """Serve the API and a page to try it."""
    import uvicorn

    from chatbot_api.main import create_app

    settings = _settings()
    _run(_tables_are_ours(settings))
    host, port = host or settings.host, settings.port if port is None else port
    typer.echo(f"Ask on http://{host}:{port} (Ctrl+C ends it)")
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the setup, and say what mends what is wrong."""
    from askbook.doctor import Finding, examine

    async def look() -> list[Finding]:
        async with _services(_settings()) as services:
            return [finding async for finding in examine(services)]

    findings = _run(look())
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))  # noqa: T201
    else:
        for finding in findings:
            mend = f"\n{'':>19}{finding.mend}" if finding.mend else ""
            typer.echo(f"{finding.status:<8} {finding.subject:<9} {finding.detail}{mend}")
    if any(finding.status == "wrong" for finding in findings):
        raise typer.Exit(FAILED)


@app.command()
def export(
    reader: Annotated[str | None, typer.Option(help="Only what is kept of this reader, by its id.")] = None,
) -> None:
    """Print the conversations that are kept, oldest first, one JSON object a line."""
    _run(_export(_settings(), reader))


@app.command()
def forget(
    reader: Annotated[str, typer.Argument(help="The reader's id, as `askbook export` prints it.")],
) -> None:
    """Remove everything that is kept of a reader."""
    removed = _run(_forget(_settings(), reader))
    typer.echo(f"removed {removed} conversation{'' if removed == 1 else 's'}")


@app.command("eval")
def evaluate(
    questions: Annotated[
        Path | None, typer.Argument(help="A file with one question a line, as JSON.", show_default=False)
    ] = None,
    answers: Annotated[bool, typer.Option("--answers", help="Have them answered as well, and check that.")] = False,
    golden: Annotated[Path | None, typer.Option(help="Instead of QUESTIONS: what a site must answer, as YAML.")] = None,
    site: Annotated[str | None, typer.Option(help="With --golden: the site to check, built or as Markdown.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="With --golden: note where questions are answered now.")
    ] = False,
    compare: Annotated[Path | None, typer.Option(help="A run that was saved: tell what got better or worse.")] = None,
    save: Annotated[Path | None, typer.Option(help="Keep this run in a file, to compare others with it.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with plots, for a browser.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="With --golden: write a summary for a pull request.")] = None,
    as_json: Json = False,
) -> None:
    """Measure how well questions are answered, or check that a site still answers them."""
    if golden is None:
        if questions is None:
            _fail("QUESTIONS is missing: askbook eval questions.jsonl", WRONG_USAGE)
        if site or write or markdown:
            _fail("--site, --write and --markdown go with --golden", WRONG_USAGE)
        _measure(questions, answers=answers, compare=compare, save=save, html=html, as_json=as_json)
    else:
        if questions or answers or html:
            _fail("QUESTIONS, --answers and --html do not go with --golden", WRONG_USAGE)
        if site is None:
            _fail("--site is missing: askbook eval --golden golden.yaml --site build/", WRONG_USAGE)
        _check(golden, site, write=write, compare=compare, save=save, markdown=markdown, as_json=as_json)


@app.command()
def migrate() -> None:
    """Make the tables of conversations, or bring them up to date. An SQLite file does that by itself."""
    from chatbot_api.services.thread_service import ThreadService

    settings = _settings()
    found, now = _run(ThreadService(settings.database_url, settings.data_dir).migrate())
    if found == now:
        typer.echo(f"the tables of conversations are up to date: revision {now}")
    else:
        typer.echo(
            f"the tables of conversations are {'made' if found is None else 'brought up to date'}: revision {now}"
        )


# Doing ------------------------------------------------------------------------------------------------


async def _index(settings: Settings, place: str, *, full: bool, force: bool, quiet: bool) -> Report:
    from chatbot_api.bootstrap import open_indexing
    from qdrant_indexer.indexing import Origin
    from qdrant_indexer.indexing import index as run_index
    from qdrant_indexer.pace import Ledger
    from qdrant_indexer.sources.choose import open_source
    from qdrant_indexer.vector_cache import VectorCache

    with (
        _progress(quiet=quiet) as on_progress,
        open_source(place, settings.data_dir / FETCHED, _as_fetching(on_progress)) as source,
        VectorCache(settings.data_dir / VECTORS) as cache,
        Ledger(settings.data_dir / QUOTAS) as ledger,
    ):
        async with open_indexing(settings) as services:
            return await run_index(
                source.pages,
                origin=Origin(
                    source=place,
                    revision=source.revision(),
                    site_url=settings.site_url or source.site_url,
                    default_locale=source.default_locale,
                    fingerprint=source.fingerprint(),
                ),
                embedder=services.embedder,
                vector_index=services.vector_index,
                cache=cache,
                pace=_pace(settings, services.embedder, ledger),
                full=full,
                force=force,
                on_progress=on_progress,
            )


async def _estimate(settings: Settings, place: str) -> Estimate:
    from chatbot_api.bootstrap import open_indexing
    from qdrant_indexer.indexing import estimate
    from qdrant_indexer.pace import Ledger
    from qdrant_indexer.sources.choose import open_source
    from qdrant_indexer.vector_cache import VectorCache

    with (
        open_source(place, settings.data_dir / FETCHED) as source,
        VectorCache(_if_there(settings.data_dir / VECTORS)) as cache,
        Ledger(_if_there(settings.data_dir / QUOTAS)) as ledger,
    ):
        async with open_indexing(settings) as services:
            pace = _pace(settings, services.embedder, ledger)
            return estimate(source.pages(), embedder=services.embedder, cache=cache, pace=pace)


def _pace(settings: Settings, embedder: Embedder, ledger: Ledger) -> Pace:
    from qdrant_indexer.pace import Pace

    return Pace(embedder.quota, ledger, share=1 - settings.embed_share_for_questions)


def _if_there(file: Path) -> Path:
    """What only looks makes no files."""
    return file if file.exists() else Path(":memory:")


def _as_fetching(on_progress: Callable[[Progress], None]) -> Callable[[int, int], None]:
    from qdrant_indexer.indexing import Progress

    return lambda done, total: on_progress(Progress("fetching", done, total))


def _place(source: str) -> str:
    """An address as it is; a folder in full, so that the same one is always called the same."""
    return source if source.startswith(("http://", "https://")) else str(Path(source).resolve())


async def _roll_back(settings: Settings) -> Manifest:
    from chatbot_api.bootstrap import open_indexing

    async with open_indexing(settings) as services, services.vector_index.writing():
        return await services.vector_index.roll_back()


async def _ask(
    settings: Settings, query: str, page: str | None, selection: str, show: Callable[[str], None]
) -> tuple[Answer, str, str]:
    from chatbot_api.models.domain import TextDelta, TurnDone

    async with _services(settings) as services:
        question = await services.rag.question(query, page=page, selection=selection)
        async with aclosing(services.rag.answer(question)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    show(event.text)
                elif isinstance(event, TurnDone):
                    return event.answer, uuid4().hex, uuid4().hex
    raise AskbookError("the answer ended without its end")


async def _tables_are_ours(settings: Settings) -> None:
    """A server does not start on tables of another version, which the app would tell with a stack trace."""
    from chatbot_api.bootstrap import open_threads
    from chatbot_api.errors import ThreadsUnavailable

    if settings.database_url is not None:
        async with open_threads(settings) as threads:
            with suppress(ThreadsUnavailable):
                await threads.check()


async def _export(settings: Settings, reader: str | None) -> None:
    from chatbot_api.bootstrap import open_threads
    from chatbot_api.models.chat_models import as_conversation

    async with open_threads(settings) as archive, aclosing(archive.export(reader)) as conversations:
        async for had in conversations:
            told = as_conversation(had.thread, had.items, had.feedback).model_dump(mode="json")
            print(json.dumps({"reader": had.thread.owner, **told}, ensure_ascii=False))  # noqa: T201


async def _forget(settings: Settings, reader: str) -> int:
    from chatbot_api.bootstrap import open_threads

    async with open_threads(settings) as archive:
        return await archive.forget(reader)


def _measure(
    questions: Path, *, answers: bool, compare: Path | None, save: Path | None, html: Path | None, as_json: bool
) -> None:
    from askbook import evaluation
    from askbook.evaluation.compare import compare as compared_with
    from askbook.evaluation.told import as_text

    async def measure() -> tuple[evaluation.Evaluation | None, evaluation.Evaluation]:
        wanted = evaluation.read_questions(questions)
        old = evaluation.read_run(compare) if compare else None
        # Remembered vectors would make the answers look quicker than a reader's.
        settings = _settings().model_copy(update={"question_cache_size": 0})
        async with _services(settings) as services:
            with _counting(len(wanted)) as on_asked:
                store = services.store if answers else None
                return old, await evaluation.evaluate(services.rag, wanted, answered_from=store, on_asked=on_asked)

    old, result = _run(measure())
    comparison = compared_with(old, result) if old else None
    with _told():
        if save:
            save.write_text(result.as_json_text(), encoding="utf-8")
        if html:
            from askbook.evaluation.report import as_html

            html.write_text(as_html(result, old, comparison), encoding="utf-8")
    if as_json:
        compared = {"compared": comparison.as_json()} if comparison else {}
        typer.echo(json.dumps({**result.as_json(), **compared}, indent=2))
    else:
        typer.echo(as_text(result, comparison))


def _check(
    golden: Path,
    site: str,
    *,
    write: bool,
    compare: Path | None,
    save: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    from askbook import golden_told
    from askbook.golden import BadGolden, check, read_golden, read_golden_run, worse, write_golden

    settings = _settings()
    try:
        entries = read_golden(golden, may_be_open=write)
        before = read_golden_run(compare) if compare else None
    except BadGolden as exc:
        _fail(str(exc), WRONG_USAGE)
    place = _place(site)
    if site.startswith(("http://", "https://")) or not Path(place).is_dir():
        _fail(f"--site {site}: it is no folder", WRONG_USAGE)
    vectors = settings.data_dir / VECTORS if settings.data_dir.is_dir() else None
    with _told(), _progress(quiet=as_json) as on_progress:
        run, filled = asyncio.run(check(entries, place, settings, vectors=vectors, on_progress=on_progress))
    passed = not worse(run, before)
    told = json.dumps(run.as_json(passed=passed), indent=2, ensure_ascii=False)
    with _told():
        if write:
            write_golden(golden, filled)
        if save:
            save.write_text(told + "\n", encoding="utf-8")
        if markdown:
            markdown.write_text(golden_told.as_markdown(run, before), encoding="utf-8")
    typer.echo(told if as_json else golden_told.as_text(run, before))
    for source, reason in run.bad_pages.items():
        typer.echo(f"skipped {source}: {reason}", err=True)
    if not passed:
        raise typer.Exit(FAILED)


@asynccontextmanager
async def _services(settings: Settings) -> AsyncGenerator[Services, None]:
    from chatbot_api.bootstrap import open_services

    async with open_services(settings) as services:
        yield services


# Failing ----------------------------------------------------------------------------------------------


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as exc:
        _fail(_sentences(exc), WRONG_USAGE)


def _run(work: Coroutine[Any, Any, T]) -> T:
    with _told():
        return asyncio.run(work)


@contextmanager
def _told() -> Generator[None, None, None]:
    """Errors as sentences."""
    try:
        yield
    except AskbookError as exc:
        _fail(str(exc), FAILED)
    except OSError as exc:
        _fail(f"{exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}", FAILED)


@contextmanager
def _resumable(*, as_json: bool) -> Generator[None, None, None]:
    """As `_told`, for work that the same command continues."""
    with _told():
        try:
            yield
        except EmbedderDenied:
            raise
        except DayUsedUp as exc:
            stopped = {
                "stopped": exc.code,
                "embedded": exc.embedded,
                "remaining": exc.remaining,
                "until": exc.until.isoformat(),
            }
            _stop(str(exc), stopped if as_json else None)
        except EmbedderUnavailable as exc:
            _stop(f"{exc}\n{_GO_ON}", {"stopped": exc.code} if as_json else None)
        except KeyboardInterrupt:
            _stop(f"Stopped. {_GO_ON}", {"stopped": "interrupted"} if as_json else None)


def _stop(sentence: str, as_json: dict[str, Any] | None) -> NoReturn:
    if as_json is not None:
        typer.echo(json.dumps(as_json, indent=2))
    _fail(sentence, RESUMABLE)


def _fail(sentence: str, code: int) -> NoReturn:
    typer.echo(f"askbook: {sentence}", err=True)
    raise typer.Exit(code)


def _sentences(error: ValidationError) -> str:
    """What is wrong, without the value: it may be a secret."""
    told = []
    for wrong in error.errors():
        name = ".".join(str(part) for part in wrong["loc"]).upper()
        message = wrong["msg"].removeprefix("Value error, ")
        told.append(f"{name}: {message}" if name else message)
    return "; ".join(told)


# Telling ----------------------------------------------------------------------------------------------


@contextmanager
def _progress(*, quiet: bool) -> Generator[Callable[[Progress], None], None, None]:
    """A bar on a terminal, a line for each step elsewhere, nothing for programs."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        with Bars(*columns, console=Console(stderr=True)) as bars:
            tasks: dict[str, Any] = {}

            def move(progress: Progress) -> None:
                if progress.step not in tasks:
                    tasks[progress.step] = bars.add_task(progress.step, total=progress.total, left="")
                bars.update(tasks[progress.step], completed=progress.done, left=_left(progress))

            yield move
    else:
        seen: set[str] = set()

        def say(progress: Progress) -> None:
            if progress.step not in seen:
                seen.add(progress.step)
                typer.echo(f"{progress.step} {progress.total or ''}".rstrip(), err=True)
            if progress.waiting:
                typer.echo(f"{progress.step} {progress.done} of {progress.total}: {_left(progress)}", err=True)

        yield say


@contextmanager
def _counting(total: int) -> Generator[Callable[[int], None], None, None]:
    """How many of so many questions are through, on a terminal alone."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("asking", total=total)
        yield lambda done: bars.update(task, completed=done)


def _left(progress: Progress) -> str:
    """How long it will still take, and why it stands still."""
    if progress.seconds_left is None or progress.done == progress.total:
        return ""
    left = f"{_duration(progress.seconds_left)} left"
    return f"{left}, waiting {progress.waiting:.0f} s for the quota" if progress.waiting else left


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if minutes >= 5 else f"{minutes}:{rest:02} min"


def _tell_report(report: Report) -> None:
    for skip in report.bad:
        typer.echo(f"skipped {skip.source}: {skip.reason}", err=True)
    for source in report.by_words:
        typer.echo(f"by words alone {source}: the model refused the text of a passage", err=True)
    left_out = len(report.skipped) - len(report.bad)
    notes = [f"{len(report.bad)} skipped"] if report.bad else []
    notes += [f"{left_out} left out by their authors"] if left_out else []
    typer.echo(
        f"{report.pages} pages, {report.passages} passages: written {report.written}, dropped {report.dropped}, "
        f"kept {report.kept}; embedded {report.embedded}{''.join(f'; {note}' for note in notes)}"
    )
    typer.echo(f"generation {report.generation}{'' if report.published else ' (nothing changed)'}")


def _estimate_as_text(told: Estimate) -> str:
    lines = [
        f"{told.pages} pages, {told.passages} passages",
        f"to embed: {told.to_embed} texts, about {told.tokens:,} tokens; calls: {told.calls}",
    ]
    if told.minutes or told.dollars:
        days = f", spread over {told.days} days" if told.days > 1 else ""
        limits = "the free plan's limits, if that is yours" if told.presumed else "your plan's limits"
        lines.append(f"about ${told.dollars:.2f}, {told.minutes:g} minutes at {limits}{days}")
    elif told.to_embed:
        lines.append("costs nothing: the model runs on this machine")
    return "\n".join(lines)


def _print_piece(text: str) -> None:
    typer.echo(text, nl=False)


def _tell_sources(answer: Answer) -> None:
    if answer.state == "not_in_docs":
        typer.echo(answer.text)
    typer.echo("\n")
    for citation in answer.citations:
        typer.echo(f"[{citation.number}] {' > '.join(citation.heading_path)}\n    {citation.url}")
    for near in answer.nearest:
        typer.echo(f"  - {' > '.join(near.heading_path)}\n    {near.url}")
    notice = f"; {answer.notice}" if answer.notice else ""
    typer.echo(f"\n({answer.state}, {answer.mode}, {answer.timings.total:.0f} ms{notice})")
