"""Where ports meet adapters. The only place that chooses between them, opens them and closes them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatbot_api.config import Settings
from chatbot_api.models.domain import Quota
from chatbot_api.ports import Embedder, Generator, VectorIndex, VectorStore
from chatbot_api.services.chat_service import ChatService
from chatbot_api.services.edge_service import EdgeIndex, EdgeStore
from chatbot_api.services.gemini_service import GeminiService
from chatbot_api.services.local_service import LocalService
from chatbot_api.services.rag_service import RagService
from chatbot_api.services.thread_service import MemoryThreads

if TYPE_CHECKING:
    from chatbot_api.services.qdrant_service import QdrantService

_PATIENT_SECONDS: Final = 60.0
"""How long the indexer waits for one batch of vectors: nobody is waiting for it."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes and the command work with."""

    settings: Settings
    rag: RagService
    chat: ChatService
    store: VectorStore
    embedder: Embedder
    generator: Generator | None


@dataclass(frozen=True, slots=True)
class IndexingServices:
    """What an index run works with."""

    embedder: Embedder
    vector_index: VectorIndex


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncGenerator[Services, None]:
    """Quick: models load with the first question, the index with the first look at it."""
    async with AsyncExitStack() as stack:
        gemini = _gemini(settings, embed_timeout=settings.embed_timeout_seconds)
        embedder = _embedder(settings, gemini)
        generator = gemini.generator if gemini is not None and settings.answers_with_gemini else None
        store = _store(settings)
        for opened in (store, embedder, *((generator,) if generator else ())):
            stack.push_async_callback(opened.close)
        rag = RagService(
            embedder,
            store,
            generator,
            context_passages=settings.context_passages,
            embed_timeout=settings.embed_timeout_seconds,
            site_url=settings.site_url,
        )
        yield Services(settings, rag, ChatService(rag, MemoryThreads()), store, embedder, generator)


@asynccontextmanager
async def open_indexing(settings: Settings) -> AsyncGenerator[IndexingServices, None]:
    async with AsyncExitStack() as stack:
        embedder = _embedder(settings, _gemini(settings, embed_timeout=_PATIENT_SECONDS))
        vector_index = _index(settings)
        stack.push_async_callback(embedder.close)
        stack.push_async_callback(vector_index.close)
        yield IndexingServices(embedder, vector_index)


def _gemini(settings: Settings, *, embed_timeout: float) -> GeminiService | None:
    if settings.gemini_api_key is None:
        return None
    return GeminiService(
        settings.gemini_api_key,
        embedding_model=settings.gemini_embedding_model,
        embedding_dimensions=settings.gemini_embedding_dimensions,
        answer_model=settings.gemini_answer_model,
        base_url=settings.gemini_base_url,
        api_version=settings.gemini_api_version,
        embed_timeout=embed_timeout,
        answer_timeout=settings.answer_timeout_seconds,
        quota=Quota(
            texts_per_minute=settings.gemini_embed_texts_per_minute,
            tokens_per_minute=settings.gemini_embed_tokens_per_minute,
            texts_per_day=settings.gemini_embed_texts_per_day,
            dollars_per_million_tokens=settings.gemini_embed_dollars_per_million_tokens,
        ),
    )


def _embedder(settings: Settings, gemini: GeminiService | None) -> Embedder:
    if gemini is not None and settings.embeds_with_gemini:
        return gemini.embedder
    return LocalService(threads=settings.local_model_threads)


def _store(settings: Settings) -> VectorStore:
    return EdgeStore(settings.data_dir / "index") if settings.qdrant_host is None else _qdrant(settings)


def _index(settings: Settings) -> VectorIndex:
    return EdgeIndex(settings.data_dir / "index") if settings.qdrant_host is None else _qdrant(settings)


def _qdrant(settings: Settings) -> QdrantService:
    from chatbot_api.services.qdrant_service import QdrantService  # its client takes a second to import

    return QdrantService.connect(
        str(settings.qdrant_host), settings.qdrant_api_key, settings.qdrant_collection_name, settings.data_dir
    )
