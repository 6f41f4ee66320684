"""What is in order and what is not, each with the command or setting that mends it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from chatbot_api.bootstrap import Services
from chatbot_api.config import Settings
from chatbot_api.errors import AskbookError
from chatbot_api.models.domain import Manifest, Remark
from chatbot_api.services.thread_service import FILE
from qdrant_indexer.sources.choose import open_source

_ENOUGH_DISK: Final = 500 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    status: Literal["ok", "warning", "wrong"]
    detail: str
    mend: str = ""


async def examine(services: Services) -> AsyncIterator[Finding]:
    """One or more findings a subject, in the order a setup goes through them. Spends nothing of any quota."""
    settings = services.settings
    yield _data_folder(settings.data_dir)
    with _told("engine", "check QDRANT_HOST and QDRANT_API_KEY, or take both away for the embedded engine") as engine:
        engine += _findings("engine", await services.store.check())
    for finding in engine:
        yield finding
    manifest = None
    with _told("index", "run: askbook index SOURCE") as index:
        manifest = await services.rag.manifest()
        index.append(_index(manifest))
    for finding in index:
        yield finding
    if manifest is not None:
        yield await asyncio.to_thread(_freshness, manifest)
    with _told("embedder", _mend(settings.embeds_with)) as embedder:
        embedder += _findings("embedder", await services.embedder.check())
    for finding in embedder:
        yield finding
    answers: list[Finding] = []
    if services.generator is None:
        answers.append(Finding("answers", "ok", "quoted from the book, without a model"))
    else:
        with _told("answers", _mend(settings.answers_with)) as answers:
            answers += _findings("answers", await services.generator.check())
    for finding in answers:
        yield finding
    if settings.database_url is None and not (settings.data_dir / FILE).exists():
        threads = [Finding("threads", "ok", "no conversation was kept here yet")]
    else:
        with _told("threads", "check DATABASE_URL, or take it away for a file in DATA_DIR") as threads:
            threads += _findings("threads", await services.threads.check())
    for finding in threads:
        yield finding
    yield _origins(settings, settings.site_url or (manifest.site_url if manifest else ""))


@contextmanager
def _told(subject: str, mend: str) -> Iterator[list[Finding]]:
    """Findings that end with what went wrong on the way."""
    findings: list[Finding] = []
    try:
        yield findings
    except AskbookError as exc:
        sentence, _, its_own = str(exc).partition("; ")
        findings.append(Finding(subject, "wrong", sentence, its_own or mend))


def _findings(subject: str, remarks: Sequence[Remark]) -> list[Finding]:
    return [Finding(subject, "warning" if remark.mend else "ok", remark.text, remark.mend) for remark in remarks]


def _mend(chosen: str) -> str:
    match chosen:
        case "gemini":
            return "check GEMINI_API_KEY and the network, or set EMBEDDER=local and ANSWERS=extractive"
        case "openai":
            return "check OPENAI_BASE_URL and that the server runs, or set EMBEDDER=local and ANSWERS=extractive"
        case _:
            return "install Askbook again: make setup"


def _data_folder(folder: Path) -> Finding:
    home = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(home).free
    if free < _ENOUGH_DISK:
        return Finding("disk", "warning", f"only {free // 1024**2} MiB free for {folder}", "make room, or set DATA_DIR")
    return Finding("disk", "ok", f"{free // 1024**2} MiB free for {folder}")


def _index(manifest: Manifest) -> Finding:
    built = f"{manifest.passages} passages of {manifest.pages} pages, built {manifest.built_at:%Y-%m-%d %H:%M} UTC"
    space = f"{manifest.embedding_model}, {manifest.dimensions} dimensions"
    if not manifest.has_vectors:
        return Finding("index", "warning", f"{built}, without vectors", f"run: askbook index {manifest.source}")
    return Finding("index", "ok", f"{built} from {manifest.source} with {space}")


def _freshness(manifest: Manifest) -> Finding:
    """Whether the source is still what was read. A published site is not fetched again for that."""
    place = manifest.source
    if not manifest.source_fingerprint or place.startswith(("http://", "https://")):
        return Finding(
            "source", "ok", f"{place} was read on {manifest.built_at:%Y-%m-%d}; it is not fetched to compare"
        )
    try:
        with open_source(place, Path(":memory:")) as source:
            fresh = source.fingerprint() == manifest.source_fingerprint
    except (AskbookError, OSError):
        return Finding("source", "warning", f"{place} cannot be read here any more", "run: askbook index SOURCE")
    if fresh:
        return Finding("source", "ok", f"{place} is as it was read")
    return Finding("source", "warning", f"{place} has changed since it was read", f"run: askbook index {place}")


def _origins(settings: Settings, site_url: str) -> Finding:
    allowed = settings.cors_origins
    site = urlsplit(site_url)
    origin = f"{site.scheme}://{site.netloc}"
    if site.netloc and "*" not in allowed and origin not in allowed:
        detail = f"pages of {origin} may not ask, unless this API is reached under that address too"
        return Finding("cors", "warning", detail, f"set CORS_ORIGINS={','.join((*allowed, origin))}")
    if not allowed:
        mend = "if the book is on another origin than this API, set CORS_ORIGINS"
        return Finding("cors", "ok", "only pages of this API's own origin may ask", mend)
    return Finding("cors", "ok", f"pages of {', '.join(allowed)} may ask")
