"""The app: `create_app(settings)`. Importing this module does nothing else.

uvicorn --factory chatbot_api.main:create_app
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from chatbot_api import __version__
from chatbot_api.bootstrap import Services, open_services
from chatbot_api.config import Settings
from chatbot_api.errors import ThreadsUnavailable
from chatbot_api.observe import RequestIds, set_up_logging
from chatbot_api.ports import ThreadStore
from chatbot_api.routes import book, chat, chatkit, entities, errors, health, session, threads, widget
from chatbot_api.routes.chatkit import BridgeOpener
from chatbot_api.routes.edge import Bodies, LastResort
from chatbot_api.routes.streaming import Streams
from chatbot_api.services import retention

_HEADERS: Final = (
    "Content-Type",
    "Authorization",
    "X-Request-ID",
    "Askbook-Page",
    # Sent by ChatKit's own client.
    "ChatKit-Frame-Instance-ID",
    "ChatKit-Device-ID",
)


def create_app(
    settings: Settings | None = None,
    opener: Callable[[Settings], AbstractAsyncContextManager[Services]] = open_services,
) -> FastAPI:
    """Without settings: those of the environment and `.env`."""
    chosen = settings or Settings()
    set_up_logging(chosen.log_level, chosen.log_format)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        async with opener(chosen) as services:
            if chosen.database_url is not None:
                await _checked(services.threads)
            app.state.services = services
            app.state.streams = streams = Streams(keep_alive_seconds=chosen.keep_alive_seconds)
            app.state.chatkit = BridgeOpener(services)
            beside = asyncio.create_task(_beside(services, chosen.retention_days))
            yield
            await streams.close()
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)

    app = FastAPI(
        title="Askbook",
        version=__version__,
        description="Answers questions about a book from that book alone, with citations.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    errors.install(app)
    app.mount("/static", book.static_files)
    for router in (
        chat.router,
        chatkit.router,
        session.router,
        threads.router,
        entities.router,
        health.router,
        book.router,
        widget.router,
    ):
        app.include_router(router)
    # The last one added is the outermost.
    app.add_middleware(Bodies, max_bytes=chosen.max_body_bytes)
    app.add_middleware(LastResort)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(chosen.cors_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=_HEADERS,
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    app.add_middleware(RequestIds)
    return app


async def _beside(services: Services, retention_days: int) -> None:
    """What goes on beside the answering of requests. One thing after the other: each imports much."""
    await services.rag.warm_up()
    await services.chat.warm_up()
    await retention.keep_to(services.archive, retention_days)


async def _checked(threads: ThreadStore) -> None:
    """An owner who set a database learns at once that its tables are not of this version. One that is not reachable
    may come back: answers are not kept until then, and say so."""
    with suppress(ThreadsUnavailable):
        await threads.check()
