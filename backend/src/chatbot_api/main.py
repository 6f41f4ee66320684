"""The app: `create_app(settings)`. Importing this module does nothing else.

uvicorn --factory chatbot_api.main:create_app
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from chatbot_api import __version__
from chatbot_api.bootstrap import Services, open_services
from chatbot_api.config import Settings
from chatbot_api.observe import RequestIds, set_up_logging
from chatbot_api.routes import book, chat, errors, health
from chatbot_api.routes.edge import Bodies, LastResort


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
            app.state.services = services
            warming = asyncio.create_task(services.rag.warm_up())
            yield
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)

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
    for router in (chat.router, health.router, book.router):
        app.include_router(router)
    # The last one added is the outermost.
    app.add_middleware(Bodies, max_bytes=chosen.max_body_bytes)
    app.add_middleware(LastResort)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(chosen.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Content-Type", "X-Request-ID"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    app.add_middleware(RequestIds)
    return app
