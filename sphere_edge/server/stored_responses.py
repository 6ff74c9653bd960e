"""GET, DELETE and the rest of /v1/responses/{id}: what was stored, and what still runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request

from sphere_edge.server.exchange import Events, Output, as_json, event
from sphere_edge.server.http_error import HttpError, invalid, not_found, unsupported
from sphere_edge.server.response_events import Document
from sphere_edge.server.store import Stored

_MOST_LISTED = 100
# Digits; Python refuses to read thousands of them.
_LONGEST_NUMBER = 18


async def retrieve(request: Request, _: None) -> Output:
    """The response, or with `stream=true` its events after number `starting_after`."""
    stored = await _stored(request)
    if request.query_params.get("stream") not in ("true", "1"):
        return as_json(stored.document)
    after = request.query_params.get("starting_after", "-1")
    if not after.removeprefix("-").isdecimal() or len(after) > _LONGEST_NUMBER:
        message = f"not a number: `{after[:40]}`"
        raise invalid(message, "starting_after")
    return Events(_again(stored.events, int(after)))


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


async def compact(request: Request, _: None) -> Output:
    """Refused: nobody here shortens a conversation but `truncation`."""
    message = "`/v1/responses/compact` is not supported: use `truncation`"
    raise unsupported(message)


async def input_items(request: Request, _: None) -> Output:
    """What it was asked with."""
    stored = await _stored(request)
    return as_json(page(stored.input, request, newest_first=True))


def page(items: list[Document], request: Request, *, newest_first: bool) -> Document:
    """A list as OpenAI pages it: `order`, `after` and `limit`. Raises HttpError."""
    query = request.query_params
    order = query.get("order", "desc" if newest_first else "asc")
    if order not in ("asc", "desc"):
        message = f"invalid value `{order[:40]}`; expected asc or desc"
        raise invalid(message, "order")
    limit = query.get("limit", "20")
    is_number = limit.isdecimal() and len(limit) <= _LONGEST_NUMBER
    if not is_number or not 1 <= int(limit) <= _MOST_LISTED:
        message = f"not a number from 1 to {_MOST_LISTED}: `{limit[:40]}`"
        raise invalid(message, "limit")
    listed = items if order == "asc" else items[::-1]
    if (after := query.get("after")) is not None:
        ids = [item.get("id") for item in listed]
        if after not in ids:
            message = f"no item has the id `{after[:100]}`"
            raise invalid(message, "after")
        listed = listed[ids.index(after) + 1 :]
    shown: list[Any] = listed[: int(limit)]
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
