"""The application: every path, and what answers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from sphere_edge.server import (
    audio,
    body,
    chat,
    completions,
    conversations,
    embeddings,
    form,
    images,
    left_out,
    metrics,
    openapi,
    page,
    query,
    responses,
    status,
    stored_responses,
)
from sphere_edge.server.access import Access
from sphere_edge.server.audio_types import TranscriptionForm, TranslationForm
from sphere_edge.server.chat_types import ChatBody, CompletionBody
from sphere_edge.server.conversations import ConversationBody, ItemsBody, MetadataBody
from sphere_edge.server.embeddings import EmbeddingBody
from sphere_edge.server.exchange import Endpoint, nothing, refused, send_reply
from sphere_edge.server.http_error import HttpError, not_found
from sphere_edge.server.image_types import ImageBody
from sphere_edge.server.kept_sequences import KeptSequences
from sphere_edge.server.metrics import Metrics
from sphere_edge.server.models import Models, Served
from sphere_edge.server.openapi import Operation
from sphere_edge.server.response_types import ResponseBody
from sphere_edge.server.settings import Settings
from sphere_edge.server.store import Store
from sphere_edge.server.stored_responses import ListQuery, RetrieveQuery

_RESPONSE = "/v1/responses/{id}"
_CONVERSATION = "/v1/conversations/{id}"
OPERATIONS = (
    Operation("GET", "/health", status.health),
    Operation("GET", "/ready", status.ready),
    Operation("GET", "/metrics", metrics.metrics),
    Operation("GET", "/v1/models", status.models),
    Operation("GET", "/v1/models/{name:path}", status.model),
    Operation("POST", "/v1/responses", responses.answer, ResponseBody),
    Operation("POST", "/v1/responses/input_tokens", responses.input_tokens, ResponseBody),
    Operation("GET", _RESPONSE, stored_responses.retrieve, query=RetrieveQuery),
    Operation("DELETE", _RESPONSE, stored_responses.delete),
    Operation("POST", f"{_RESPONSE}/cancel", stored_responses.cancel),
    Operation("GET", f"{_RESPONSE}/input_items", stored_responses.input_items, query=ListQuery),
    Operation("POST", "/v1/conversations", conversations.create, ConversationBody),
    Operation("GET", _CONVERSATION, conversations.retrieve),
    Operation("POST", _CONVERSATION, conversations.update, MetadataBody),
    Operation("DELETE", _CONVERSATION, conversations.delete),
    Operation("GET", f"{_CONVERSATION}/items", conversations.items, query=ListQuery),
    Operation("POST", f"{_CONVERSATION}/items", conversations.add_items, ItemsBody),
    Operation("GET", f"{_CONVERSATION}/items/{{item}}", conversations.item),
    Operation("DELETE", f"{_CONVERSATION}/items/{{item}}", conversations.delete_item),
    Operation("POST", "/v1/chat/completions", chat.answer, ChatBody),
    Operation("POST", "/v1/completions", completions.answer, CompletionBody),
    Operation("POST", "/v1/embeddings", embeddings.answer, EmbeddingBody),
    Operation(
        "POST", "/v1/audio/transcriptions", audio.transcriptions, TranscriptionForm, ("file",)
    ),
    Operation("POST", "/v1/audio/translations", audio.translations, TranslationForm, ("file",)),
    Operation("POST", "/v1/images/generations", images.generations, ImageBody),
    Operation("POST", "/v1/images/edits", images.edits, ImageBody, ("image", "mask")),
)
# What is there for people, and describes itself.
_PAGES = (
    Operation("GET", "/openapi.json", openapi.served),
    Operation("GET", "/", page.index),
    Operation("GET", "/page/{name}", page.file),
)


def make(served: Sequence[Served], settings: Settings) -> Any:
    """The ASGI application that serves `served`."""
    routes = [*left_out.routes(), *(_route(one) for one in (*OPERATIONS, *_PAGES))]
    app = Starlette(routes=routes, exception_handlers={404: _no_path, 405: _no_method})
    app.state.settings = settings
    app.state.store = None if settings.store is None else Store(settings.store, settings)
    app.state.kept = _kept(app.state.store, settings)
    app.state.models = Models(served, settings, app.state.kept)
    app.state.metrics = Metrics(app.state.models)
    app.state.description = openapi.document(OPERATIONS, _names(served))
    # The jobs of responses, by their ids.
    app.state.running_responses = {}
    app.state.draining = False
    return app


def _names(served: Sequence[Served]) -> dict[str, list[str]]:
    """By path, the models that can do it."""
    return {
        path: [one.name for one in served if one.task == task]
        for task, paths in status.ENDPOINTS.items()
        for path in paths
    }


def _kept(store: Store | None, settings: Settings) -> KeptSequences | None:
    if store is None or settings.store is None or not settings.sequence_bytes:
        return None
    folder = settings.store.with_name(f"{settings.store.name}.sequences")
    return KeptSequences(store, folder, settings.sequence_bytes)


def guarded(app: Any) -> Any:
    """`app` behind the checks of who may call."""
    return Access(app, app.state.settings)


def _route(one: Operation) -> Any:
    async def read(request: Request) -> Any:
        if one.query is not None:
            return await query.read(request, one.query)
        if one.body is None:
            return await nothing(request)
        if one.files:
            return await form.read(request, one.body, one.files)
        return await body.read(request, one.body)

    return Route(one.path, Endpoint(one.path, read, one.answer), methods=[one.method])


async def _no_path(request: Request, error: Exception) -> Any:
    return _refusal(not_found(f"there is no `{request.url.path[:200]}` here (see /openapi.json)"))


async def _no_method(request: Request, error: Exception) -> Any:
    message = f"`{request.url.path[:200]}` does not take {request.method}"
    return _refusal(HttpError(405, message, code="method_not_allowed"))


def _refusal(error: HttpError) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send_reply(send, refused(error))

    return answer
