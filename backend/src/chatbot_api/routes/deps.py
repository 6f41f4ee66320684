"""What routes depend on."""

from __future__ import annotations

from fastapi import Request

from chatbot_api.bootstrap import Services


async def services(request: Request) -> Services:
    """Opened by the app's lifespan. Async, since FastAPI sends what is not to a thread."""
    return request.app.state.services  # type: ignore[no-any-return]  # put there by the lifespan
