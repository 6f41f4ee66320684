"""What a ChatKit client sent, held against what there is here. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from chatkit.types import (
    ChatKitReq,
    ItemsFeedbackReq,
    ItemsListReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsRetryAfterItemReq,
    ThreadsUpdateReq,
    UserMessageInput,
    UserMessageTagContent,
)
from pydantic import TypeAdapter, ValidationError

from chatbot_api.answering.scope import Catalog
from chatbot_api.chatkit_bridge import Malformed
from chatbot_api.errors import BadQuestion
from chatbot_api.models.chat_models import ChatRequest, ScopeRequest
from chatbot_api.models.domain import QuestionItem, WantedScope
from chatbot_api.services.item_json import readable

_ADAPTER: Final[TypeAdapter[ChatKitReq]] = TypeAdapter(ChatKitReq)
_SUPPORTED: Final = (
    ThreadsCreateReq,
    ThreadsAddUserMessageReq,
    ThreadsRetryAfterItemReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ItemsListReq,
    ItemsFeedbackReq,
    ThreadsUpdateReq,
    ThreadsDeleteReq,
)
THIS_PAGE: Final = "this_page"
WHOLE_BOOK: Final = "whole_book"
_MOST_ON_A_PAGE: Final = 100
_LONGEST_TITLE: Final = 200
_LONGEST_HEADER: Final = 200
_LONGEST_NAME: Final = 100


def parse(body: bytes) -> ChatKitReq:
    """Raises `Malformed` where it is not a request of ChatKit."""
    try:
        return _ADAPTER.validate_json(body)
    except ValidationError as exc:
        raise Malformed(exc.errors(include_url=False, include_input=False)) from exc


def check(request: ChatKitReq) -> None:
    """Raises `BadQuestion` where it is not served here, or not as it is asked. Cuts a list to what is given at most."""
    if not isinstance(request, _SUPPORTED):
        raise BadQuestion(f"{request.type} is not served here: answers hold no widgets, tools or files.")
    if isinstance(request, ThreadsListReq | ItemsListReq) and request.params.limit is not None:
        request.params.limit = min(max(request.params.limit, 1), _MOST_ON_A_PAGE)
    if isinstance(request, ItemsFeedbackReq) and not 1 <= len(request.params.item_ids) <= _MOST_ON_A_PAGE:
        raise BadQuestion(f"items.feedback takes 1 to {_MOST_ON_A_PAGE} item_ids.")
    if isinstance(request, ThreadsUpdateReq):
        request.params.title = readable(" ".join(request.params.title.split()))
        seen = any(char.isprintable() and char != " " for char in request.params.title)
        if not seen or len(request.params.title) > _LONGEST_TITLE:
            raise BadQuestion(f"A title has 1 to {_LONGEST_TITLE} characters, and some that can be seen.")


def as_question(
    sent: UserMessageInput, metadata: Mapping[str, Any], catalog: Catalog, *, page: str | None, languages: str
) -> QuestionItem:
    """`page`: where the reader is, from a header; metadata's `page` wins. `languages`: an `Accept-Language`, for who
    points at no place of the book. Raises `BadQuestion`."""
    if sent.attachments:
        raise BadQuestion("Files cannot be sent here.")
    if sent.inference_options.model is not None:
        raise BadQuestion("There is no choice of models here: leave inference_options.model out.")
    try:
        checked = ChatRequest(
            query="".join(part.text for part in sent.content),
            page=metadata.get("page", page),
            selection=sent.quoted_text or "",
            scope=ScopeRequest.model_validate(metadata.get("scope") or {}),
        )
    except ValidationError as exc:
        raise BadQuestion(_first(exc)) from exc
    here = catalog.find(checked.page) if checked.page else None
    scope = WantedScope(**(checked.scope or ScopeRequest()).model_dump())
    pages = [*scope.pages, *_mentioned(sent, catalog)]
    if _tool(sent) == THIS_PAGE:
        if here is None:
            raise BadQuestion("The page you are on is not in the index, so it cannot be asked about alone.")
        pages.append(here.path)
    locale = scope.locale
    if locale is None and not (here or pages or scope.up_to or scope.path_prefix):
        locale = next((wanted for wanted in _languages(languages) if wanted in catalog.locales), None)
    return QuestionItem(
        id=uuid4().hex,
        created_at=datetime.now(UTC),
        text=readable(checked.query),
        page=here.path if here else None,
        selection=readable(checked.selection),
        scope=replace(scope, pages=tuple(dict.fromkeys(pages)), locale=locale),
    )


def _mentioned(sent: UserMessageInput, catalog: Catalog) -> Iterator[str]:
    for part in sent.content:
        if isinstance(part, UserMessageTagContent):
            page = catalog.find(str(part.data.get("path", part.id)))
            if page is not None:
                yield page.path


def _tool(sent: UserMessageInput) -> str:
    choice = sent.inference_options.tool_choice
    if choice is None:
        return WHOLE_BOOK
    if choice.id not in (THIS_PAGE, WHOLE_BOOK):
        raise BadQuestion(f"There is no tool {choice.id[:100]!r} here: known are {THIS_PAGE!r} and {WHOLE_BOOK!r}.")
    return choice.id


def _languages(header: str) -> list[str]:
    """`de-AT,en;q=0.5` as `de-AT`, `de`, `en`: those first that are wanted most, as they are listed."""
    names = [part.split(";")[0].strip() for part in header[:_LONGEST_HEADER].split(",")]
    return [name for full in names for name in dict.fromkeys((full, full.split("-")[0])) if name]


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, as a sentence."""
    wrong = error.errors(include_input=False, include_url=False)[0]
    reason = wrong["ctx"]["error"] if wrong["type"] == "value_error" else wrong["msg"]
    return f"{_place(wrong['loc'])}: {reason}."


def _place(loc: Sequence[int | str]) -> str:
    """The names in it may be a client's, and come to stand in a log."""
    place = ".".join(map(str, loc))
    names = {"": "metadata.scope", "query": "The question", "selection": "The quoted text", "page": "metadata.page"}
    return names.get(place) or f"metadata.scope.{ascii(place[:_LONGEST_NAME])[1:-1]}"
