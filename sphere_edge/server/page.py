"""The page at /: a chat, a transcript, an image and the models' memory; plain files, no build."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.requests import Request

from sphere_edge.server.exchange import Output, Reply
from sphere_edge.server.http_error import not_found

_FOLDER = Path(__file__).parent / "page_files"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
# Nothing from elsewhere, nothing inline, and in nobody's frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def index(request: Request, _: None) -> Output:
    """The page."""
    return await asyncio.to_thread(_reply, "index.html")


async def file(request: Request, _: None) -> Output:
    """Its style and script."""
    return await asyncio.to_thread(_reply, request.path_params["name"])


def _reply(name: str) -> Reply:
    if name not in {path.name for path in _FOLDER.iterdir()}:
        message = f"the page has no file `{name[:100]}`"
        raise not_found(message)
    path = _FOLDER / name
    headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
    return Reply(path.read_bytes(), f"{_TYPES[path.suffix]}; charset=utf-8", headers=headers)
