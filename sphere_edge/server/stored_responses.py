"""GET, DELETE and the rest of /v1/responses/{id}: what was stored, and what still runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.requests import Request

from sphere_edge.server.exchange import Events, Output, as_json, event
from sphere_edge.server.http_error import HttpError, invalid, not_found
from sphere_edge.server.query import Query, Truth
from sphere_edge.server.response_events import Document
from sphere_edge.server.store import Stored

_ALL_SAVED = "all that is stored comes back"


class RetrieveQuery(Query):
    """GET /v1/responses/{id}."""

    left_out: ClassVar[Mapping[str, str]] = {"include": _ALL_SAVED}
    stream: Truth = False
    starting_after: Annotated[int, Field(ge=-1, le=2**53)] = -1


class ListQuery(Query):
    """Of lists of items: all after the item `after`, the newest first or last."""

    left_out: ClassVar[Mapping[str, str]] = {"before": "use `after`", "include": _ALL_SAVED}
    order: Literal["asc", "desc"] = "desc"
    after: str = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 20


async def retrieve(request: Request, query: RetrieveQuery) -> Output:
    """The response, or with `stream=true` its events after number `starting_after`."""
    stored = await _stored(request)
    if query.stream:
        return Events(_again(stored.events, query.starting_after))
    if query.starting_after != -1:
        message = "`starting_after` needs `stream=true`"
        raise invalid(message, "starting_after")
    return as_json(stored.document)


async def delete(request: Request, _: None) -> Output:
    """Forgets it."""
    id = request.path_params["id"]
    store = request.app.state.store
    is_response = id.startswith("resp_")
    if store is None or not is_response or not await asyncio.to_thread(store.delete, id):
        raise _missing(id)
    if request.app.state.kept is not None:
        await asyncio.to_thread(request.app.state.kept.sweep)
    return as_json({"id": id, "object": "response", "deleted": True})


async def cancel(request: Request, _: None) -> Output:
    """Ends one that runs; whoever waits for it gets it as far as it came."""
    id = request.path_params["id"]
    job = request.app.state.running_responses.get(id)
    if job is None:
        await _stored(request)
        message = f"`{id}` does not run any more"
        raise HttpError(400, message, code="not_running", param="response_id")
    await job.end()
    return as_json({"id": id, "object": "response", "status": "cancelled"})


async def input_items(request: Request, query: ListQuery) -> Output:
    """What it was asked with."""
    stored = await _stored(request)
    return as_json(page(stored.input, query))


def page(items: list[Document], query: ListQuery) -> Document:
    """A list, the oldest first, as OpenAI pages it. Raises HttpError."""
    listed = items if query.order == "asc" else items[::-1]
    if query.after:
        ids = [item.get("id") for item in listed]
        if query.after not in ids:
            message = f"no item has the id `{query.after[:100]}`"
            raise invalid(message, "after")
        listed = listed[ids.index(query.after) + 1 :]
    shown: list[Any] = listed[: query.limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(listed) > len(shown),
    }


async def _stored(request: Request) -> Stored:
    id, store = request.path_params["id"], request.app.state.store
    found: Stored | None = None
    if store is not None:
        found = await asyncio.to_thread(store.response, id)
    if found is None:
        raise _missing(id)
    return found


def _missing(id: str) -> HttpError:
    return not_found(f"there is no stored response `{id[:100]}`", "response_id")


async def _again(events: list[Document], after: int) -> AsyncGenerator[bytes, None]:
    for one in events:
        if one["sequence_number"] > after:
            yield event(one, one["type"])
