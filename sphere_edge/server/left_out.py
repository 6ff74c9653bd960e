"""Endpoints of OpenAI's that are not here: refused by name, which a client can show to its user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.routing import Route

from sphere_edge.server.chat_types import NO_FILES
from sphere_edge.server.exchange import Endpoint, Output, nothing
from sphere_edge.server.http_error import unsupported_endpoint

_CONVERSATIONS = "use /v1/responses and /v1/conversations"
# Each with all that is below it: https://platform.openai.com/docs/api-reference
_REASONS: Mapping[str, str] = {
    "/v1/responses/compact": "use `truncation`",
    "/v1/chat/completions/{id}": "stored answers are those of /v1/responses",
    "/v1/assistants": _CONVERSATIONS,
    "/v1/audio/speech": "no model here speaks",
    "/v1/batches": "an answer is made while its client waits",
    "/v1/containers": "nothing is run for a client",
    "/v1/evals": "models are only run here",
    "/v1/files": NO_FILES,
    "/v1/fine_tuning": "models are only run here",
    "/v1/images/variations": "use /v1/images/edits",
    "/v1/moderations": "nothing is moderated here",
    "/v1/realtime": "use /v1/audio/transcriptions",
    "/v1/threads": _CONVERSATIONS,
    "/v1/uploads": NO_FILES,
    "/v1/vector_stores": NO_FILES,
    "/v1/videos": "no model here makes videos",
}


def routes() -> list[Route]:
    """Before those with ids, for which `compact` could be one."""
    found = []
    for path, reason in _REASONS.items():
        endpoint = Endpoint(path, nothing, _refusing(path, reason))
        found += [Route(path, endpoint), Route(f"{path}/{{rest:path}}", endpoint)]
    return found


def _refusing(path: str, reason: str) -> Callable[[Request, None], Awaitable[Output]]:
    async def answer(request: Request, _: None) -> Output:
        raise unsupported_endpoint(path, reason)

    return answer
