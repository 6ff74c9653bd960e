"""`sphere-edge serve`: puts models behind OpenAI's HTTP interface."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sphere_edge import console
from sphere_edge.errors import InvalidArgumentError, NotFoundError
from sphere_edge.server import app, serving
from sphere_edge.server.resolving import prepare, resolve
from sphere_edge.server.settings import Settings

_SHORTEST_KEY = 16


def serve(words: Sequence[str], settings: Settings, *, api_key_file: Path | None) -> None:
    """Serves the models that `words` name until a signal ends it."""
    if api_key_file is not None:
        settings = replace(settings, api_keys=_keys(api_key_file))
    if not (settings.api_keys or _is_loopback(settings.host)):
        message = f"`{settings.host}` can be reached from other machines, and no key is asked for"
        raise InvalidArgumentError(message, hint="add --api-key-file FILE, or leave out --host")
    # Before models are packaged: a port that is taken is found at once.
    with serving.bind(settings) as server_socket:
        served = resolve(words, settings, console.progress())
        prepare(served, console.progress())
        port = server_socket.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        names = ", ".join(one.name for one in served)
        console.say(f"serving {names} at http://{host}:{port}/v1 (Ctrl-C ends)")
        serving.serve(app.make(served, settings), server_socket)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _keys(path: Path) -> tuple[str, ...]:
    """One key a line; the file may be commented with `#`."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as error:
        message = f"there is no file `{path}`"
        raise NotFoundError(message) from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        message = f"`{path}` is not a text file"
        raise InvalidArgumentError(message, hint="write one key a line") from error
    keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not keys:
        message = f"`{path}` holds no key"
        raise InvalidArgumentError(message, hint="write one key a line")
    if any(len(key) < _SHORTEST_KEY or not key.isascii() for key in keys):
        message = f"a key in `{path}` is not {_SHORTEST_KEY} or more ASCII characters"
        raise InvalidArgumentError(message, hint="make one: openssl rand -hex 32")
    return keys
