"""What is in order and what is not, each with the command or setting that mends it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from chatbot_api.bootstrap import Services
from chatbot_api.errors import AskbookError

_ENOUGH_DISK: Final = 500 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    status: Literal["ok", "warning", "wrong"]
    detail: str
    mend: str = ""


async def examine(services: Services) -> AsyncIterator[Finding]:
    """One finding a subject, in the order a setup goes through them."""
    settings = services.settings
    yield _data_folder(settings.data_dir)
    yield await _index(services)
    yield await _embedder(services)
    if services.generator is None:
        yield Finding("answers", "ok", "quoted from the book, without a model")
    else:
        yield Finding("answers", "ok", f"written by {services.generator.model}")
    if settings.cors_origins:
        yield Finding("cors", "ok", f"pages of {', '.join(settings.cors_origins)} may ask")
    else:
        mend = "if the book is on another origin than this API, set CORS_ORIGINS"
        yield Finding("cors", "ok", "only pages of this API's own origin may ask", mend)


def _data_folder(folder: Path) -> Finding:
    home = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(home).free
    if free < _ENOUGH_DISK:
        return Finding("disk", "warning", f"only {free // 1024**2} MiB free for {folder}", "make room, or set DATA_DIR")
    return Finding("disk", "ok", f"{free // 1024**2} MiB free for {folder}")


async def _index(services: Services) -> Finding:
    try:
        manifest = await services.rag.manifest()
    except AskbookError as exc:
        sentence, _, mend = str(exc).partition("; ")
        return Finding("index", "wrong", sentence, mend)
    built = f"{manifest.passages} passages of {manifest.pages} pages, built {manifest.built_at:%Y-%m-%d %H:%M} UTC"
    if not manifest.has_vectors:
        return Finding("index", "warning", f"{built}, without vectors", f"run: askbook index {manifest.source}")
    return Finding("index", "ok", f"{built} from {manifest.source}")


async def _embedder(services: Services) -> Finding:
    try:
        await services.embedder.embed_question("Does the embedding model answer?")
    except AskbookError as exc:
        return Finding("embedder", "wrong", str(exc), "check GEMINI_API_KEY, or set EMBEDDER=local")
    return Finding("embedder", "ok", f"{services.embedder.model}, {services.embedder.dimensions} dimensions")
