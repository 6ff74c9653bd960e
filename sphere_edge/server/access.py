"""Who may call: Host and Origin of the request, and the key; an ASGI application around another.

A page of another site in the user's browser reaches a server on loopback: its Origin is foreign, or
its Host is a name that was made to mean this machine (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from sphere_edge.server.clients import let_in
from sphere_edge.server.exchange import refused, send_reply
from sphere_edge.server.http_error import HttpError
from sphere_edge.server.settings import Settings

# The page asks for a key itself: a browser cannot be told to send one for it. Its files are those
# of every installation, and what they show comes from other paths.
_OPEN_PATHS = ("/health", "/")
_OPEN_FOLDER = "/page/"
_SLASHES = re.compile("//+")
_ONCE = (b"host", b"origin", b"authorization")


class Access:
    """Lets through what is allowed, answers the rest."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Clients put `http://localhost:8080/` and `/v1/models` together as they are.
        scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        origin = headers.get("origin")
        try:
            _check_once(scope["headers"])
            self._check_host(headers.get("host", ""))
            self._check_origin(origin, headers.get("host", ""))
            if scope["method"] == "OPTIONS" and origin is not None:
                await _preflight(send, origin)
                return
            if not _is_open(scope["path"]):
                self._check_key(headers, scope)
        except HttpError as error:
            await send_reply(send, refused(error))
            return
        await self._app(scope, receive, send if origin is None else _with_origin(send, origin))

    def _check_host(self, host: str) -> None:
        name = _host_name(host.lower())
        allowed = {"localhost", *map(str.lower, self._settings.hosts)}
        if name in allowed or _is_address(name):
            return
        message = f"the host `{name[:100]}` is not one of this server (--allow-host adds one)"
        raise HttpError(403, message, code="host_not_allowed")

    def _check_origin(self, origin: str | None, host: str) -> None:
        allowed = self._settings.origins
        if origin is None or "*" in allowed or origin in allowed:
            return
        # The server's own page.
        if _is_at(origin, host):
            return
        message = f"pages of `{origin[:100]}` may not call this server (--allow-origin lets them)"
        raise HttpError(403, message, code="origin_not_allowed")

    def _check_key(self, headers: dict[str, str], scope: Any) -> None:
        keys = self._settings.api_keys
        if not keys:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _is_one_of(given.strip(), keys):
            let_in(scope, given.strip())
            return
        message = "the API key is missing or wrong (send it as `Authorization: Bearer KEY`)"
        headers_back = {"WWW-Authenticate": "Bearer"}
        raise HttpError(
            401,
            message,
            code="invalid_api_key",
            type="authentication_error",
            headers=headers_back,
        )


def _check_once(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuses two of what decides: whatever stands before this server may have read the other."""
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            message = f"the header `{name.decode()}` comes twice"
            raise HttpError(400, message, code="invalid_http")


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def _is_one_of(given: str, keys: Iterable[str]) -> bool:
    """All are compared, each in constant time."""
    encoded = given.encode("utf-8", "surrogateescape")
    return any([hmac.compare_digest(encoded, key.encode()) for key in keys])


def _is_at(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:  # such as `http://[`
        return False


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1 : host.find("]")]
    # A full name may end with the root's dot.
    return (host.rpartition(":")[0] if ":" in host else host).removesuffix(".")


def _is_address(name: str) -> bool:
    """No name was resolved for an address, so none can have been rebound."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cors(origin: str) -> list[tuple[bytes, bytes]]:
    return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]


async def _preflight(send: Any, origin: str) -> None:
    headers = [
        *_cors(origin),
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", b"*, Authorization"),
        (b"access-control-max-age", b"600"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _with_origin(send: Any, origin: str) -> Any:
    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_cors(origin)]}
        await send(message)

    return sent
