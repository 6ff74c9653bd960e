"""GET /health, /ready and /v1/models: what is alive, ready, and served."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from sphere_edge.server.exchange import Output, as_json
from sphere_edge.server.models import Model, Models

_OWNER = "sphere-edge"
# What is read besides the words of the request itself.
_INPUT = {"text": "text", "audio": "audio", "image": "text"}
ENDPOINTS = {
    "text": ("/v1/responses", "/v1/chat/completions", "/v1/completions", "/v1/embeddings"),
    "audio": ("/v1/audio/transcriptions", "/v1/audio/translations"),
    "image": ("/v1/images/generations", "/v1/images/edits"),
}


async def health(request: Request, _: None) -> Output:
    """The process is alive, whatever the engines do."""
    return as_json({"status": "ok"})


async def ready(request: Request, _: None) -> Output:
    """Requests are taken; 503 while the server drains."""
    if request.app.state.draining:
        return as_json({"status": "draining"}, 503, {"Retry-After": "10"})
    return as_json({"status": "ready"})


async def models(request: Request, _: None) -> Output:
    """OpenAI's list, and the same as `models`, which Codex reads."""
    table: Models = request.app.state.models
    listed = [_described(model) for model in table.all()]
    return as_json({"object": "list", "data": listed, "models": listed})


async def model(request: Request, _: None) -> Output:
    """One of them."""
    table: Models = request.app.state.models
    return as_json(_described(table.find(request.path_params["name"])))


def _described(model: Model) -> dict[str, Any]:
    served = model.served
    return {
        "id": served.name,
        "object": "model",
        "created": served.created,
        "owned_by": _OWNER,
        "task": served.task,
        "endpoints": ENDPOINTS[served.task],
        "context_length": served.context_tokens,
        "memory_bytes": served.memory_bytes,
        "input_modalities": ["text", "image"] if served.reads_images else [_INPUT[served.task]],
        "loaded": model.manager is not None,
        "running": model.queue.running,
        "waiting": model.queue.waiting,
        # Codex's and others' names for the same.
        "slug": served.name,
        "display_name": served.name,
        "context_window": served.context_tokens,
    }
