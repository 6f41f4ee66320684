"""Questions and answers as ChatKit's items. Pure: what is streamed and what is loaded again look the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageItem,
    CustomSummary,
    InferenceOptions,
    SearchTask,
    ThreadItem,
    ThreadMetadata,
    URLSource,
    UserMessageItem,
    UserMessageTextContent,
    Workflow,
    WorkflowItem,
)

from chatbot_api.answering.markers import unmarked
from chatbot_api.models.domain import AnswerItem, Citation, Item, Nearest, Outcome, QuestionItem, Source, Thread

_WORKFLOW: Final = "wf_"
"""Begins the id of the workflow that leads to an answer; the rest is the answer's."""
_ABOVE: Final = " / "
"""Between the names of what a section stands under."""
_UNFINISHED: Final[dict[Outcome, str]] = {
    "done": "",
    "stopped": "This answer was stopped here.",
    "failed": "This answer broke off here.",
}


def workflow_id(answer_id: str) -> str:
    return _WORKFLOW + answer_id


def own_id(item_id: str) -> str:
    """Of the question or answer that a ChatKit item belongs to."""
    return item_id.removeprefix(_WORKFLOW)


def as_thread(thread: Thread) -> ThreadMetadata:
    return ThreadMetadata(id=thread.id, title=thread.title or None, created_at=thread.created_at)


def as_items(item: Item, thread_id: str) -> list[ThreadItem]:
    """In the order in which they were told."""
    if isinstance(item, QuestionItem):
        return [as_user_message(item, thread_id)]
    return [
        WorkflowItem(
            id=workflow_id(item.id),
            thread_id=thread_id,
            created_at=item.created_at,
            workflow=searched(item.sources, item.nearest),
        ),
        as_assistant_message(item, thread_id),
    ]


def as_user_message(question: QuestionItem, thread_id: str) -> UserMessageItem:
    return UserMessageItem(
        id=question.id,
        thread_id=thread_id,
        created_at=question.created_at,
        content=[UserMessageTextContent(text=question.text)],
        quoted_text=question.selection or None,
        inference_options=InferenceOptions(),
    )


def as_assistant_message(answer: AnswerItem, thread_id: str) -> AssistantMessageItem:
    content = content_of(answer.text, answer.citations, answer.nearest, answer.notice, answer.outcome)
    return AssistantMessageItem(id=answer.id, thread_id=thread_id, created_at=answer.created_at, content=[content])


def content_of(
    text: str, citations: Sequence[Citation], nearest: Sequence[Nearest], notice: str, outcome: Outcome = "done"
) -> AssistantMessageContent:
    """Without the markers in the text, which ChatKit makes of the annotations, and without white space at its ends."""
    shown, markers = unmarked(text)
    by_number = {citation.number: citation for citation in citations}
    annotations = [annotation(by_number[each.number], shown[: each.at]) for each in markers if each.number in by_number]
    annotations += [Annotation(source=_nearest(page)) for page in nearest]
    return AssistantMessageContent(text=(shown.strip() + postscript(notice, outcome)).strip(), annotations=annotations)


def annotation(citation: Citation, before: str) -> Annotation:
    """At the last character that can be seen `before` the marker, as ChatKit's own guide places it; at none where there
    is none."""
    seen = len(before.strip())
    return Annotation(source=_source(citation.heading_path, citation.url), index=seen - 1 if seen else None)


def postscript(notice: str, outcome: Outcome = "done") -> str:
    """What the reader should know of an answer, below it."""
    said = " ".join(part for part in (_UNFINISHED[outcome], notice) if part)
    return f"\n\n*{said}*" if said else ""


def searching(question: str) -> Workflow:
    return Workflow(type="custom", tasks=[_task([], "loading", [question])])


def searched(sources: Sequence[Source], nearest: Sequence[Nearest]) -> Workflow:
    """What was read for an answer; where nothing was, what came nearest."""
    found = {source.url: _source(source.heading_path, source.url) for source in sources}
    found = found or {page.url: _nearest(page) for page in nearest}
    sections = "1 section" if len(found) == 1 else f"{len(found)} sections"
    title = f"Read {sections}" if sources else "Found nothing that answers this"
    task = _task(list(found.values()), "complete")
    return Workflow(type="custom", tasks=[task], summary=CustomSummary(title=title, icon="book-open"))


def _task(sources: list[URLSource], status: str, queries: Sequence[str] = ()) -> SearchTask:
    return SearchTask.model_validate(
        {"title": "Searching the book", "queries": list(queries), "sources": sources, "status_indicator": status}
    )


def _source(heading_path: Sequence[str], url: str) -> URLSource:
    *above, title = heading_path
    return URLSource(
        title=title, url=url, description=_ABOVE.join(above) or None, group=above[0] if len(above) > 1 else None
    )


def _nearest(page: Nearest) -> URLSource:
    return _source(page.heading_path, page.url)
