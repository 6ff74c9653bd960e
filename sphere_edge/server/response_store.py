"""How responses meet the store: what came before, what is kept, items with ids."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from pydantic import TypeAdapter

from sphere_edge.errors import StorageError
from sphere_edge.server import http_error
from sphere_edge.server.http_error import HttpError, invalid, not_found, unsupported
from sphere_edge.server.kept_sequences import Lineage
from sphere_edge.server.response_events import Document, GrowingResponse, new_id
from sphere_edge.server.response_types import Item, MessageItem, ReferenceItem, ResponseBody
from sphere_edge.server.store import Store, Stored

_log = logging.getLogger("sphere_edge")
_ITEMS: TypeAdapter[list[Any]] = TypeAdapter(list[Item])
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "additional_tools": "at",
}


def items_of(store: Store | None, body: ResponseBody) -> tuple[list[Document], list[Document]]:
    """What came before, and the input: items with ids, references replaced. Raises HttpError."""
    given = body.input
    if isinstance(given, str):
        given = [MessageItem(role="user", content=given)]
    before = _history(store, body)
    return before, resolved(store, [item_of(item) for item in given])


def item_of(item: Any) -> Document:
    """A typed item as it is kept and listed."""
    document: Document = item.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(item, ReferenceItem):
        return document
    if isinstance(item, MessageItem) and isinstance(item.content, str):
        part: Document = {"type": "input_text", "text": item.content}
        if item.role == "assistant":
            part = {"type": "output_text", "text": item.content, "annotations": []}
        document["content"] = [part]
    return {
        **document,
        "id": item.id or new_id(_PREFIXES[item.type]),
        "status": item.status or "completed",
    }


def typed(items: list[Document]) -> list[Any]:
    """Items as typed values; they were checked when they came."""
    return _ITEMS.validate_python(items)


def conversation_of(body: ResponseBody) -> str | None:
    """The conversation's id."""
    given = body.conversation
    return given if given is None or isinstance(given, str) else given.id


def _history(store: Store | None, body: ResponseBody) -> list[Document]:
    conversation, previous = conversation_of(body), body.previous_response_id
    if store is None:
        for name in ("previous_response_id", "conversation"):
            if getattr(body, name) is not None:
                message = f"`{name}` needs the store, which the server was started without"
                raise unsupported(message, name)
        if body.store:
            message = "nothing is stored: the server was started with --no-store"
            raise unsupported(message, "store")
        return []
    if conversation is not None and previous is not None:
        message = "`conversation` and `previous_response_id` exclude each other"
        raise invalid(message, "previous_response_id")
    if conversation is not None:
        if store.conversation(conversation) is None:
            raise no_conversation(conversation)
        return store.items(conversation)
    if previous is None:
        return []
    found = store.history(previous)
    if found is None:
        message = f"the response `{previous}`, or one before it, is not stored (any more)"
        raise HttpError(
            400, message, code="previous_response_not_found", param="previous_response_id"
        )
    return found


def lineage_of(store: Store | None, body: ResponseBody, response: Document) -> Lineage | None:
    """Where the sequence of `response` belongs, before it is made; None if nowhere."""
    if store is None:
        return None
    if (conversation := conversation_of(body)) is not None:
        return Lineage(conversation, (conversation,))
    owner = response["id"] if response["store"] else None
    before = () if body.previous_response_id is None else store.chain(body.previous_response_id)
    return Lineage(owner, tuple(before)) if owner or before else None


def resolved(store: Store | None, items: list[Document]) -> list[Document]:
    """`items` with what their references name. Raises HttpError."""
    return [_resolved(store, item) for item in items]


def _resolved(store: Store | None, item: Document) -> Document:
    if item["type"] != "item_reference":
        return item
    found = None if store is None else store.item(item["id"])
    if found is None:
        message = f"there is no stored item `{item['id']}`"
        raise invalid(message, "input", "item_not_found")
    return found


def no_conversation(id: str) -> HttpError:
    """404."""
    return not_found(f"there is no conversation `{id}`", "conversation_id")


async def keeping(
    events: AsyncGenerator[Document, None],
    response: GrowingResponse,
    keep: Callable[[list[Document]], None],
    *,
    is_streamed: bool,
) -> AsyncGenerator[Document, None]:
    """The same events; before the last one is seen, `keep` stores the response with all of them.

    Where that fails, a streamed response fails, too; of another one StorageError is raised.
    """
    seen: list[Document] = []
    async with aclosing(events):
        async for event in events:
            seen.append(event)
            if "response" in event and event["response"]["status"] != "in_progress":
                try:
                    await asyncio.to_thread(keep, seen)
                except StorageError as error:
                    if not is_streamed:
                        raise
                    _log.error("%s", error)
                    for one in response.fail(http_error.of(error), instead_of=event):
                        yield one
                    return
            yield event


def keep(
    store: Store, response: GrowingResponse, given: list[Document], events: list[Document]
) -> None:
    """Stores what is to be stored of a response that has ended. Raises StorageError."""
    document = response.document
    conversation = document["conversation"]
    store.save(
        Stored(document, given, events),
        is_kept=document["store"],
        conversation=None if conversation is None else conversation["id"],
    )
