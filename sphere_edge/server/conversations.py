"""/v1/conversations: https://platform.openai.com/docs/api-reference/conversations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request

from sphere_edge.server.body import Body
from sphere_edge.server.chat_types import Metadata
from sphere_edge.server.exchange import Output, as_json
from sphere_edge.server.http_error import not_found, unsupported
from sphere_edge.server.response_events import Document, new_id
from sphere_edge.server.response_store import item_of, no_conversation, resolved
from sphere_edge.server.response_types import Item
from sphere_edge.server.store import Store
from sphere_edge.server.stored_responses import ListQuery, page

_MOST_ITEMS = 20


class ConversationBody(Body):
    """POST /v1/conversations."""

    items: Annotated[list[Item], Field(max_length=_MOST_ITEMS)] | None = None
    metadata: Metadata | None = None


class MetadataBody(Body):
    """POST /v1/conversations/{id}."""

    metadata: Metadata | None


class ItemsBody(Body):
    """POST /v1/conversations/{id}/items."""

    items: Annotated[list[Item], Field(min_length=1, max_length=_MOST_ITEMS)]


async def create(request: Request, body: ConversationBody) -> Output:
    """A new one."""
    document: Document = {
        "id": new_id("conv"),
        "object": "conversation",
        "created_at": int(time.time()),
        "metadata": body.metadata or {},
    }
    await asyncio.to_thread(_make, _store(request), document, body.items or [])
    return as_json(document)


async def retrieve(request: Request, _: None) -> Output:
    """What it says of itself."""
    return as_json(await _found(request))


async def update(request: Request, body: MetadataBody) -> Output:
    """Other metadata."""
    document = {**await _found(request), "metadata": body.metadata or {}}
    await asyncio.to_thread(_store(request).put_conversation, document)
    return as_json(document)


async def delete(request: Request, _: None) -> Output:
    """Forgets it and its items."""
    document = await _found(request)
    await asyncio.to_thread(_store(request).delete, document["id"])
    await _forget_sequence(request, document["id"])
    return as_json({"id": document["id"], "object": "conversation.deleted", "deleted": True})


async def items(request: Request, query: ListQuery) -> Output:
    """Its items, the newest first."""
    document = await _found(request)
    listed = await asyncio.to_thread(_store(request).items, document["id"])
    return as_json(page(listed, query))


async def add_items(request: Request, body: ItemsBody) -> Output:
    """More items at its end."""
    document = await _found(request)
    added = await asyncio.to_thread(_add, _store(request), document["id"], body.items)
    return as_json(page(added, ListQuery(order="asc")))


async def item(request: Request, _: None) -> Output:
    """One of them."""
    document = await _found(request)
    listed = await asyncio.to_thread(_store(request).items, document["id"])
    for one in listed:
        if one["id"] == request.path_params["item"]:
            return as_json(one)
    raise _no_item(request)


async def delete_item(request: Request, _: None) -> Output:
    """Forgets one of them; the conversation as it is then."""
    document = await _found(request)
    delete: Callable[[str, str], bool] = _store(request).delete_item
    if not await asyncio.to_thread(delete, document["id"], request.path_params["item"]):
        raise _no_item(request)
    await _forget_sequence(request, document["id"])
    return as_json(document)


async def _forget_sequence(request: Request, id: str) -> None:
    """What is kept of it has the text that was deleted."""
    if request.app.state.kept is not None:
        await asyncio.to_thread(request.app.state.kept.forget, id)


def _make(store: Store, document: Document, typed: list[Any]) -> None:
    store.put_conversation(document, _resolved(store, typed))


def _add(store: Store, id: str, typed: list[Any]) -> list[Document]:
    documents = _resolved(store, typed)
    store.add_items(id, documents)
    return documents


def _resolved(store: Store, typed: list[Any]) -> list[Document]:
    return resolved(store, [item_of(one) for one in typed])


def _store(request: Request) -> Store:
    store: Store | None = request.app.state.store
    if store is None:
        message = "conversations need the store, which the server was started without"
        raise unsupported(message)
    return store


async def _found(request: Request) -> Document:
    id = request.path_params["id"]
    document = await asyncio.to_thread(_store(request).conversation, id)
    if document is None:
        raise no_conversation(id[:100])
    return document


def _no_item(request: Request) -> Any:
    return not_found(f"there is no item `{request.path_params['item'][:100]}`", "item_id")
