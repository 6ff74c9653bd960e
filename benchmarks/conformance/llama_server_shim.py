"""llama-server's flags and habits in front of our server, so that its own tests run against ours.

llama_server_tests.py starts it in place of llama-server. Of the flags, it takes those that ours has
for the same and refuses those that ask for something else. What llama-server's clients leave out is
put in: `/v1`, the model's name (it has one model and ignores the name), and its defaults for
`max_tokens`, `temperature` and `seed`, which its command line sets. Answers are not touched.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_WITHOUT_VALUE = (
    "--offline",
    "--cont-batching",
    "--embedding",
    "--jinja",
    "--no-jinja",
    "--verbose",
)
_WITHOUT_VALUE += ("--no-slots", "--kv-unified", "--metrics")
_IGNORED = ("--hf-repo", "--hf-file", "--batch-size", "--ubatch-size", "-fa", "--n-gpu-layers")
_READ = ("--host", "--port", "--api-key", "--ctx-size", "--parallel", "--alias", "--n-predict")
_READ += ("--temp", "--seed", "--threads", "--pooling")
_PREFIX = "/v1"
_ENDPOINTS = ("/chat/completions", "/completions", "/embeddings", "/responses", "/models")


def main() -> None:
    """Serves the model that the environment names until a signal ends it."""
    flags = _flags(sys.argv[1:])
    # Flags that are refused would otherwise wait for a second of imports.
    from sphere_edge.server import app, serving
    from sphere_edge.server.resolving import resolve
    from sphere_edge.server.settings import Settings

    model = Path(os.environ[f"LLAMA_SERVER_TESTS_{_kind(flags)}"])
    key = flags.get("--api-key")
    settings = Settings(
        host=flags["--host"],
        port=int(flags["--port"]),
        api_keys=(key,) if key else (),
        extensions=True,
        parallel=int(flags.get("--parallel", 1)),
        # llama-server divides its context among the sequences.
        context_tokens=int(flags["--ctx-size"]) // int(flags.get("--parallel", 1)),
        # Their models are tiny; on a busy machine, threads only wait for each other.
        threads=int(flags.get("--threads", 1)),
    )
    name = flags.get("--alias", "model")
    with serving.bind(settings) as socket:
        application = app.make(resolve([f"{name}={model}"], settings), settings)
        application.add_middleware(_Habits, name=name, defaults=_defaults(flags))
        serving.serve(application, socket)


def _kind(flags: dict[str, str]) -> str:
    """Which of the models: how vectors are pooled is written in its file."""
    if "--embedding" not in flags:
        return "TEXT"
    pooling = flags.get("--pooling")
    if pooling == "none":
        message = "left out: --pooling none"
        raise SystemExit(message)
    return "EMBEDDING" if pooling is None else f"EMBEDDING_{pooling.upper()}"


def _flags(words: list[str]) -> dict[str, str]:
    flags: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in _WITHOUT_VALUE:
            flags[word] = ""
        elif word in _IGNORED + _READ:
            flags[word] = rest.pop(0)
        else:
            message = f"left out: {word}"
            raise SystemExit(message)
    return flags


def _defaults(flags: dict[str, str]) -> dict[str, Any]:
    return {
        "max_tokens": int(flags.get("--n-predict", 64)),
        "temperature": float(flags["--temp"]),
        "seed": int(flags["--seed"]),
    }


class _Habits:
    """An ASGI application around ours."""

    def __init__(self, inner: Any, name: str, defaults: dict[str, Any]) -> None:
        self._inner = inner
        self._name = name
        self._defaults = defaults

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith(_ENDPOINTS):
            path = _PREFIX + path
            scope = {**scope, "path": path, "raw_path": path.encode()}
        if scope["method"] == "POST":
            receive = await self._changed(path, receive)
        await self._inner(scope, receive, send)

    async def _changed(self, path: str, receive: Any) -> Any:
        """The body with what its client left out."""
        content, more = b"", True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if isinstance(body, dict):
            content = json.dumps(self._completed(path, body)).encode()
        first = {"type": "http.request", "body": content, "more_body": False}

        async def again() -> Any:
            nonlocal first
            message, first = first, None
            return message or await receive()

        return again

    def _completed(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.startswith("/v1/responses"):
            return {"temperature": self._defaults["temperature"], **body, "model": self._name}
        if path.startswith("/v1/embeddings"):
            return {**body, "model": self._name}
        return {**self._defaults, **body, "model": self._name}


if __name__ == "__main__":
    main()
