"""Where ports meet adapters. The only place that chooses between them, opens them and closes them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatbot_api.config import Settings
from chatbot_api.ports import Embedder, Generator, ThreadArchive, ThreadStore, VectorIndex, VectorStore
from chatbot_api.services.chat_service import ChatService
from chatbot_api.services.edge_service import EdgeIndex, EdgeStore
from chatbot_api.services.fallback_generator import FallbackGenerator
from chatbot_api.services.gemini_models import quota_of
from chatbot_api.services.gemini_service import GeminiService
from chatbot_api.services.local_service import LocalService
from chatbot_api.services.question_embedder import QuestionEmbedder
from chatbot_api.services.rag_service import RagService
from chatbot_api.services.reader_service import Accounts, ReaderService
from chatbot_api.services.thread_service import ThreadService

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
    threads: ThreadStore
    archive: ThreadArchive
    readers: ReaderService


@dataclass(frozen=True, slots=True)
class IndexingServices:
    """What an index run works with."""

    embedder: Embedder
    vector_index: VectorIndex


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncGenerator[Services, None]:
    """Quick: models load with the first question, the index with the first look at it."""
    async with AsyncExitStack() as stack:
        models = _models(settings, embed_timeout=settings.embed_timeout_seconds)
        embedder = QuestionEmbedder(models.embedder, remembered=settings.question_cache_size)
        generator = None
        if models.generators:
            generator = FallbackGenerator(models.generators, first_word_timeout=settings.first_word_timeout_seconds)
        store = _store(settings)
        for opened in (store, embedder, *((generator,) if generator else ())):
            stack.push_async_callback(opened.close)
        threads = _threads(settings)
        readers = _readers(settings)
        stack.push_async_callback(threads.close)
        stack.push_async_callback(readers.close)
        rag = RagService(
            embedder,
            store,
            generator,
            context_passages=settings.context_passages,
            embed_timeout=settings.embed_timeout_seconds,
            site_url=settings.site_url,
        )
        chat = ChatService(rag, threads, longest_turn=_longest_turn(settings))
        yield Services(settings, rag, chat, store, embedder, generator, threads, threads, readers)


@asynccontextmanager
async def open_indexing(settings: Settings) -> AsyncGenerator[IndexingServices, None]:
    async with AsyncExitStack() as stack:
        embedder = _models(settings, embed_timeout=_PATIENT_SECONDS).embedder
        vector_index = _index(settings)
        stack.push_async_callback(embedder.close)
        stack.push_async_callback(vector_index.close)
        yield IndexingServices(embedder, vector_index)


@asynccontextmanager
async def open_threads(settings: Settings) -> AsyncGenerator[ThreadService, None]:
    threads = _threads(settings)
    try:
        yield threads
    finally:
        await threads.close()


def _threads(settings: Settings) -> ThreadService:
    return ThreadService(settings.database_url, settings.data_dir)


def _readers(settings: Settings) -> ReaderService:
    accounts = None
    if settings.site_jwks_url is not None or settings.site_jwt_key is not None:
        accounts = Accounts(
            audience=settings.site_jwt_audience or "",
            issuer=settings.site_jwt_issuer,
            jwks_url=settings.site_jwks_url,
            key=settings.site_jwt_key,
        )
    return ReaderService(
        secret_file=settings.data_dir / "session.secret",
        secrets=settings.session_secrets,
        days=settings.session_days,
        anonymous=settings.anonymous_readers,
        accounts=accounts,
    )


def _longest_turn(settings: Settings) -> float:
    """Seconds: everything a turn may wait for, one after the other, and some to spare."""
    models = 1 + max(len(settings.gemini_answer_fallback_models), len(settings.openai_answer_fallback_models))
    searches = 4 * settings.qdrant_timeout_seconds + 2 * settings.embed_timeout_seconds
    return searches + models * settings.first_word_timeout_seconds + settings.answer_timeout_seconds + 30


@dataclass(frozen=True, slots=True)
class _Models:
    embedder: Embedder
    generators: Sequence[Generator]


def _models(settings: Settings, *, embed_timeout: float) -> _Models:
    """Those that the settings choose. Making one loads and connects nothing."""
    vendors: Mapping[str, Callable[[Settings, float], _Models]] = {
        "gemini": _gemini,
        "openai": _openai,
        "local": _local,
        "extractive": _local,
    }
    chosen = {name: vendors[name](settings, embed_timeout) for name in (settings.embeds_with, settings.answers_with)}
    return _Models(chosen[settings.embeds_with].embedder, chosen[settings.answers_with].generators)


def _local(settings: Settings, _: float = 0.0) -> _Models:
    return _Models(LocalService(threads=settings.local_model_threads), ())


def _gemini(settings: Settings, embed_timeout: float) -> _Models:
    if settings.gemini_api_key is None:
        raise ValueError("GEMINI_API_KEY is not set")
    service = GeminiService(
        settings.gemini_api_key,
        embedding_model=settings.gemini_embedding_model,
        embedding_dimensions=settings.gemini_embedding_dimensions,
        answer_models=(settings.gemini_answer_model, *settings.gemini_answer_fallback_models),
        base_url=settings.gemini_base_url,
        api_version=settings.gemini_api_version,
        embed_timeout=embed_timeout,
        answer_timeout=settings.answer_timeout_seconds,
        quota=quota_of(
            settings.gemini_embedding_model,
            settings.gemini_api_key,
            texts_per_minute=settings.gemini_embed_texts_per_minute,
            tokens_per_minute=settings.gemini_embed_tokens_per_minute,
            texts_per_day=settings.gemini_embed_texts_per_day,
            dollars_per_million_tokens=settings.gemini_embed_dollars_per_million_tokens,
        ),
        prices=_prices(settings),
    )
    return _Models(service.embedder, service.generators)


def _openai(settings: Settings, embed_timeout: float) -> _Models:
    from chatbot_api.services.openai_service import OpenAIClient, OpenAIEmbedder, OpenAIGenerator

    if settings.openai_base_url is None:
        raise ValueError("OPENAI_BASE_URL is not set")
    client = OpenAIClient(settings.openai_base_url, settings.openai_api_key)
    embedder = _local(settings).embedder
    if settings.openai_embedding_model is not None and settings.openai_embedding_dimensions is not None:
        embedder = OpenAIEmbedder(
            client,
            settings.openai_embedding_model,
            dimensions=settings.openai_embedding_dimensions,
            timeout=embed_timeout,
            question_prefix=settings.openai_question_prefix,
            passage_prefix=settings.openai_passage_prefix,
        )
    answer_models = (settings.openai_answer_model or "", *settings.openai_answer_fallback_models)
    generators = [
        OpenAIGenerator(
            client,
            model,
            timeout=settings.answer_timeout_seconds,
            first_chunk_timeout=settings.first_word_timeout_seconds,
            chunk_timeout=settings.first_word_timeout_seconds,
            prices=_prices(settings),
        )
        for model in answer_models
        if model
    ]
    return _Models(embedder, generators)


def _prices(settings: Settings) -> tuple[float, float] | None:
    """Of a million tokens read, and of a million written."""
    prices = (settings.answer_dollars_per_million_input_tokens, settings.answer_dollars_per_million_output_tokens)
    return None if prices[0] is None or prices[1] is None else (prices[0], prices[1])


def _store(settings: Settings) -> VectorStore:
    if settings.qdrant_host is None:
        return EdgeStore(settings.data_dir / "index")
    return _qdrant(settings)


def _index(settings: Settings) -> VectorIndex:
    if settings.qdrant_host is None:
        return EdgeIndex(settings.data_dir / "index")
    return _qdrant(settings)


def _qdrant(settings: Settings) -> QdrantService:
    from chatbot_api.services.qdrant_service import QdrantService  # its client takes a second to import

    return QdrantService.connect(
        str(settings.qdrant_host),
        settings.qdrant_api_key,
        settings.qdrant_collection_name,
        settings.data_dir,
        grpc_port=settings.qdrant_grpc_port,
        timeout=settings.qdrant_timeout_seconds,
        quantization=settings.qdrant_quantization,
        oversampling=settings.qdrant_oversampling,
        shards=settings.qdrant_shards,
        replicas=settings.qdrant_replicas,
    )
