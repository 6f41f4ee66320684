"""`POST /session`: a token that says who a reader is."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends

from chatbot_api.bootstrap import Services
from chatbot_api.models.chat_models import SessionModel
from chatbot_api.routes.deps import MAY_SIGN_IN, authorization, no_store, services
from chatbot_api.routes.errors import described

router = APIRouter(dependencies=[Depends(no_store)])
_PROBLEMS: Final = described(
    {
        401: "The token in the header is not valid here, or a reader without an account gets none.",
        503: "It cannot be checked at the moment who the reader is.",
    }
)


@router.post("/session", response_model=SessionModel, responses=_PROBLEMS, openapi_extra=MAY_SIGN_IN)
async def session(
    services: Annotated[Services, Depends(services)],
    authorization: Annotated[str | None, Depends(authorization)],
) -> SessionModel:
    """A token for a new reader without an account; with a valid token in the header, a new one for the same reader."""
    begun = await services.readers.begin(authorization)
    return SessionModel(token=begun.token, expires_at=begun.expires_at, reader=begun.reader)
