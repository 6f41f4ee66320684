"""A ChatKit server over `ChatService`: our events, told as ChatKit's."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, assert_never

from chatkit.errors import CustomStreamError
from chatkit.server import ChatKitServer
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ChatKitReq,
    ErrorEvent,
    FeedbackKind,
    ProgressUpdateEvent,
    StreamingReq,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    ThreadsUpdateReq,
    ThreadUpdatedEvent,
    UserMessageItem,
    UserMessageTextContent,
    Workflow,
    WorkflowItem,
    WorkflowTaskUpdated,
    is_streaming_req,
)

from chatbot_api.answering.markers import Unmarked
from chatbot_api.chatkit_bridge import items, requests
from chatbot_api.chatkit_bridge.store import BridgeStore, Context
from chatbot_api.errors import AskbookError, BadQuestion, MessageNotFound, ThreadNotFound
from chatbot_api.models.domain import (
    AnswerEvent,
    Citation,
    CitationMade,
    Nearest,
    Outcome,
    Progress,
    Source,
    SourcesFound,
    TextDelta,
    TurnDone,
)
from chatbot_api.ports import ThreadStore
from chatbot_api.services.chat_service import ChatService, Turn
from chatbot_api.services.rag_service import RagService

logger = logging.getLogger(__name__)

_STEPS: Final = {
    "searching": ("search", "Searching the book…"),
    "reading": ("book-open", "Reading the passages…"),
    "writing": ("write", "Writing the answer…"),
}


@dataclass(frozen=True, slots=True)
class Stream:
    frames: AsyncGenerator[bytes, None]
    """Ends in an `error` frame where the request cannot be answered; raises nothing."""
    still_here: Callable[[], bytes]
    """What to send while there is nothing to say; empty: nothing that a client must understand."""


class Bridge(ChatKitServer[Context]):
    def __init__(self, chat: ChatService, rag: RagService, threads: ThreadStore) -> None:
        super().__init__(BridgeStore(threads))
        self._chat = chat
        self._rag = rag

    async def serve(self, body: bytes, *, owner: str, page: str | None, languages: str) -> Stream | bytes:
        """A stream, or the JSON of a request that is not answered by one.

        Nothing is kept before it is clear that the request can be served. Raises `Malformed` where it is none,
        `ThreadNotFound`, and for what is not streamed any other `AskbookError`: a client repeats a stream that fails
        with a status, and does not repeat one that says what is wrong.
        """
        request = requests.parse(body)
        context = Context(owner, renaming=isinstance(request, ThreadsUpdateReq))
        try:
            requests.check(request)
            await self._prepare(request, context, page, languages)
        except ThreadNotFound:
            raise
        except AskbookError as exc:
            if not is_streaming_req(request):
                raise
            logger.info("chatkit request refused code=%s cause=%s", exc.code, exc)
            return Stream(_only(error_of(exc)), lambda: b"")
        # Not the SDK's `process`: it reads the request again, which takes milliseconds, and logs as an error of ours
        # what a reader is told, such as that the thread is busy.
        if is_streaming_req(request):
            return Stream(self._frames(request, context), lambda: context.still_here)
        return await self._process_non_streaming(request, context)

    async def _prepare(self, request: ChatKitReq, context: Context, page: str | None, languages: str) -> None:
        """The turn of a request that asks something."""
        if isinstance(request, ThreadsRetryAfterItemReq):
            wanted = request.params
            context.turn = await self._chat.prepare_retry(wanted.thread_id, wanted.item_id, owner=context.owner)
            if context.turn.asked.id != wanted.item_id:
                raise MessageNotFound(f"item {wanted.item_id} is not a question")
        elif isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq):
            catalog = await self._rag.catalog()
            sent = request.params.input
            asked = requests.as_question(sent, request.metadata, catalog, page=page, languages=languages)
            thread_id = request.params.thread_id if isinstance(request, ThreadsAddUserMessageReq) else None
            context.turn = await self._chat.prepare(asked, owner=context.owner, thread_id=thread_id, begin_anew=False)
            sent.content = [UserMessageTextContent(text=asked.text)]
            sent.quoted_text = asked.selection or None

    async def _frames(self, request: StreamingReq, context: Context) -> AsyncGenerator[bytes, None]:
        try:
            if context.turn is not None:
                context.turn = await self._chat.begin(context.turn)
                context.begun = True
            async with aclosing(self._process_streaming_impl(request, context)) as events:
                async for event in events:
                    yield frame_of(event)
        except AskbookError as exc:  # before the answer has begun
            logger.warning("turn failed code=%s cause=%s", exc.code, exc)
            yield frame_of(error_of(exc))
        except Exception:  # the stream has begun: only itself can still say that it failed
            logger.exception("turn failed unexpectedly")
            yield frame_of(error_of(AskbookError()))
        finally:
            if context.begun and not context.told and context.turn is not None:
                await self._chat.abandon(context.turn)

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        if context.turn is None or input_user_message is None:
            raise CustomStreamError("There is nothing to answer here.")
        telling = _Telling(context.turn)
        thread.title = context.turn.thread.title or None
        yield telling.begin()
        context.told = True  # from here on: what has not begun to answer cannot end the turn
        try:
            async with aclosing(self._chat.answer(context.turn)) as events:
                async for event in events:
                    for told in telling.tell(event):
                        context.still_here = frame_of(told) if isinstance(told, ProgressUpdateEvent) else b""
                        yield told
        except Exception as exc:  # raised again, once what was begun is ended
            for told in telling.break_off():
                yield told
            if isinstance(exc, AskbookError):
                raise _as_stream_error(exc) from exc
            raise

    async def add_feedback(self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: Context) -> None:
        await self._chat.rate(thread_id, dict.fromkeys(map(items.own_id, item_ids)), feedback, owner=context.owner)

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: Context
    ) -> None:
        """`ChatService` has kept what the reader saw."""

    async def _process_streaming_impl(
        self, request: StreamingReq, context: Context
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """The SDK stamps a new thread with a time that has no zone, which a browser takes for its own."""
        async with aclosing(super()._process_streaming_impl(request, context)) as events:
            async for event in events:
                if isinstance(event, ThreadCreatedEvent | ThreadUpdatedEvent) and context.turn is not None:
                    event.thread.created_at = context.turn.thread.created_at
                yield event


async def _only(event: ThreadStreamEvent) -> AsyncGenerator[bytes, None]:
    yield frame_of(event)


class _Telling:
    """One turn's events as ChatKit's: a search, then a message."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._unmarked = Unmarked()
        self._begun = self._seen = False
        self._told = ""
        self._space = ""
        """White space that is told with what follows, if anything does."""
        self._sources: tuple[Source, ...] = ()
        self._citations: dict[int, Citation] = {}
        self._annotated = 0
        self._begun_at = datetime.now(UTC)
        self.searching = True
        """Whether the search was begun and not told to be over."""

    def begin(self) -> ThreadStreamEvent:
        return ThreadItemAddedEvent(item=self._workflow(items.searching(self._turn.question.text)))

    def break_off(self) -> list[ThreadStreamEvent]:
        """What was begun is ended as it will be loaded again, or taken back where nothing was said."""
        if self.searching:
            return [ThreadItemRemovedEvent(item_id=items.workflow_id(self._turn.message_id))]
        return self._end(self._told, tuple(self._citations.values()), outcome="failed") if self._begun else []

    def tell(self, event: AnswerEvent) -> list[ThreadStreamEvent]:
        match event:
            case Progress():
                icon, text = _STEPS[event.step]
                return [ProgressUpdateEvent.model_validate({"icon": icon, "text": text})]
            case SourcesFound():
                self._sources = event.sources
                return self._search_over()
            case TextDelta():
                self._told += event.text
                return [*self._message_begun(), *self._text(self._unmarked.feed(event.text)), *self._annotations()]
            case CitationMade():
                self._citations[event.citation.number] = event.citation
                return self._annotations()
            case TurnDone():
                return self._done(event)
            case _:
                assert_never(event)

    def _done(self, event: TurnDone) -> list[ThreadStreamEvent]:
        answer = event.answer
        told = self._search_over(answer.nearest) if self.searching else []
        if not self._begun:
            told += self.tell(TextDelta(answer.text))
        return [*told, *self._end(answer.text, answer.citations, answer.nearest, answer.notice)]

    def _end(
        self,
        text: str,
        citations: Sequence[Citation],
        nearest: Sequence[Nearest] = (),
        notice: str = "",
        outcome: Outcome = "done",
    ) -> list[ThreadStreamEvent]:
        self._citations.update({citation.number: citation for citation in citations})
        told = [*self._text(self._unmarked.end()), *self._annotations()]
        content = items.content_of(text, citations, nearest, notice, outcome)
        told += [self._annotation(each) for each in content.annotations[self._annotated :]]
        self._space = ""
        told += self._text(items.postscript(notice, outcome))
        told.append(self._update(AssistantMessageContentPartDone(content_index=0, content=content)))
        return [*told, ThreadItemDoneEvent(item=self._message([content]))]

    def _search_over(self, nearest: Sequence[Nearest] = ()) -> list[ThreadStreamEvent]:
        self.searching = False
        workflow = items.searched(self._sources, nearest)
        item = self._workflow(workflow)
        updated = ThreadItemUpdatedEvent(
            item_id=item.id, update=WorkflowTaskUpdated(task_index=0, task=workflow.tasks[0])
        )
        return [updated, ThreadItemDoneEvent(item=item)]

    def _message_begun(self) -> list[ThreadStreamEvent]:
        if self._begun:
            return []
        self._begun = True
        empty = AssistantMessageContent(text="", annotations=[])
        return [
            ThreadItemAddedEvent(item=self._message([])),
            self._update(AssistantMessageContentPartAdded(content_index=0, content=empty)),
        ]

    def _text(self, text: str) -> list[ThreadStreamEvent]:
        """Without the white space at the ends of an answer."""
        text = self._space + text if self._seen else text.lstrip()
        shown = text.rstrip()
        self._space = text[len(shown) :]
        if not shown:
            return []
        self._seen = True
        return [self._update(AssistantMessageContentPartTextDelta(content_index=0, delta=shown))]

    def _annotations(self) -> list[ThreadStreamEvent]:
        """Of the markers that were read and whose citations are known: a citation comes after its first marker."""
        told: list[ThreadStreamEvent] = []
        for marker in self._unmarked.markers[self._annotated :]:
            if marker.number not in self._citations:
                break
            before = self._unmarked.text[: marker.at]
            told.append(self._annotation(items.annotation(self._citations[marker.number], before)))
        return told

    def _annotation(self, annotation: Annotation) -> ThreadStreamEvent:
        index = self._annotated
        self._annotated += 1
        return self._update(
            AssistantMessageContentPartAnnotationAdded(content_index=0, annotation_index=index, annotation=annotation)
        )

    def _update(self, update: ThreadItemUpdate) -> ThreadStreamEvent:
        return ThreadItemUpdatedEvent(item_id=self._turn.message_id, update=update)

    def _message(self, content: list[AssistantMessageContent]) -> AssistantMessageItem:
        return AssistantMessageItem(
            id=self._turn.message_id, thread_id=self._turn.thread.id, created_at=self._begun_at, content=content
        )

    def _workflow(self, workflow: Workflow) -> WorkflowItem:
        return WorkflowItem(
            id=items.workflow_id(self._turn.message_id),
            thread_id=self._turn.thread.id,
            created_at=self._begun_at,
            workflow=workflow,
        )


def error_of(error: AskbookError) -> ErrorEvent:
    """What a reader may know of it."""
    text = str(error) if isinstance(error, BadQuestion) else error.public
    return ErrorEvent(code="custom", message=text, allow_retry=error.retryable)


def frame_of(event: ThreadStreamEvent) -> bytes:
    return b"data: " + event.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n\n"


def _as_stream_error(error: AskbookError) -> CustomStreamError:
    told = error_of(error)
    return CustomStreamError(told.message or "", allow_retry=told.allow_retry)
