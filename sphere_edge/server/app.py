"""The application: every path, and what answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from sphere_edge.server import audio, body, chat, form, images, responses, status
from sphere_edge.server.access import Access
from sphere_edge.server.audio_types import TranscriptionForm, TranslationForm
from sphere_edge.server.chat_types import ChatBody
from sphere_edge.server.exchange import Endpoint, Output, nothing, refused, send_reply
from sphere_edge.server.http_error import HttpError, not_found
from sphere_edge.server.image_types import ImageBody
from sphere_edge.server.models import Models, Served
from sphere_edge.server.response_types import ResponseBody
from sphere_edge.server.settings import Settings


def make(served: Sequence[Served], settings: Settings) -> Any:
    """The ASGI application that serves `served`."""
    app = Starlette(routes=_routes(), exception_handlers={404: _no_path, 405: _no_method})
    app.state.settings = settings
    app.state.models = Models(served, settings)
    app.state.draining = False
    return app


def guarded(app: Any) -> Any:
    """`app` behind the checks of who may call."""
    return Access(app, app.state.settings)


def _routes() -> list[Any]:
    return [
        _get("/health", status.health),
        _get("/ready", status.ready),
        _get("/v1/models", status.models),
        _get("/v1/models/{name:path}", status.model),
        _post("/v1/responses", ResponseBody, responses.answer),
        _post("/v1/chat/completions", ChatBody, chat.answer),
        _post_form("/v1/audio/transcriptions", TranscriptionForm, audio.transcriptions),
        _post_form("/v1/audio/translations", TranslationForm, audio.translations),
        _post("/v1/images/generations", ImageBody, images.generations),
        _post_form("/v1/images/edits", ImageBody, images.edits),
    ]


def _get(path: str, answer: Callable[[Request, None], Awaitable[Output]]) -> Any:
    return Route(path, Endpoint(nothing, answer), methods=["GET"])


def _post(path: str, into: Any, answer: Any) -> Any:
    async def read(request: Request) -> Any:
        return await body.read(request, into)

    return Route(path, Endpoint(read, answer), methods=["POST"])


def _post_form(path: str, into: Any, answer: Any) -> Any:
    async def read(request: Request) -> Any:
        return await form.read(request, into)

    return Route(path, Endpoint(read, answer), methods=["POST"])


async def _no_path(request: Request, error: Exception) -> Any:
    return _refusal(not_found(f"there is no `{request.url.path[:200]}` here (see /openapi.json)"))


async def _no_method(request: Request, error: Exception) -> Any:
    message = f"`{request.url.path[:200]}` does not take {request.method}"
    return _refusal(HttpError(405, message, code="method_not_allowed"))


def _refusal(error: HttpError) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send_reply(send, refused(error))

    return answer
