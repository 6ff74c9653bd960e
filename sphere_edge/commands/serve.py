"""`sphere-edge serve`: puts models behind OpenAI's HTTP interface."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sphere_edge import console
from sphere_edge.bundle.read import Bundle, is_bundle
from sphere_edge.errors import InvalidArgumentError, NotFoundError
from sphere_edge.server import app, serving
from sphere_edge.server.resolving import named, resolve
from sphere_edge.server.settings import Settings

_SHORTEST_KEY = 16


def serve(
    words: Sequence[str], settings: Settings, *, api_key_file: Path | None, uri: str | None = None
) -> None:
    """Serves the models that `words` name until a signal ends it; `uri`: on that device."""
    if api_key_file is not None:
        settings = replace(settings, api_keys=_keys(api_key_file))
    if not (settings.api_keys or _is_loopback(settings.host)):
        message = f"`{settings.host}` can be reached from other machines, and no key is asked for"
        raise InvalidArgumentError(message, hint="add --api-key-file FILE, or leave out --host")
    if settings.trusted_keys is not None:
        from sphere_edge.bundle.trust import TrustedKeys

        # Models are opened when they are asked for: a wrong file is told at once.
        TrustedKeys.read(settings.trusted_keys)
    if uri is not None:
        _serve_there(words, settings, uri)
        return
    # Before models are packaged: a port that is taken is found at once.
    with serving.bind(settings) as server_socket:
        served = resolve(words, settings, console.progress())
        names = [one.name for one in served]
        serving.serve(
            app.make(served, settings),
            server_socket,
            lambda: _say_serving(names, settings.host, server_socket),
        )


def _serve_there(words: Sequence[str], settings: Settings, uri: str) -> None:
    """On the device `uri`, reached through a port of this machine."""
    # SSH and what packages models are half a second of imports.
    from sphere_edge.boards import python_there, server_deployment, serving_there
    from sphere_edge.boards.serving_there import Callbacks, Serving
    from sphere_edge.devices.open import opened
    from sphere_edge.devices.store import Store

    server_deployment.require_board(uri)
    if settings.draft_models:
        message = "--draft-model does not go with --device"
        raise InvalidArgumentError(message, hint="leave it out; --prompt-lookup works there, too")
    bundles = [_bundle(word) for word in words]
    names = [name for name, _ in bundles]
    for name in names:
        if names.count(name) > 1:
            message = f"two models are named `{name}`"
            raise InvalidArgumentError(message, hint="give one another name: NAME=BUNDLE")
    with serving.bind(settings) as server_socket, opened(uri) as device:
        # Before anything is sent: a board without Python is told so at once.
        python_there.find(device)
        store = Store(device)
        found = [bundle for _, bundle in bundles]
        folders = server_deployment.deploy_bundles(
            store, found, settings.trusted_keys, console.progress()
        )
        # They lie beside each bundle there.
        settings = replace(settings, trusted_keys=None)
        manifests = [bundle.manifest for bundle in found]
        deployed = server_deployment.deploy_server(
            store, server_deployment.SHARED, manifests, console.progress()
        )
        if settings.store is not None:
            settings = replace(settings, store=Path(store.root) / "responses.sqlite")
        there = Serving(deployed, list(zip(names, folders, strict=True)), settings)
        callbacks = Callbacks(
            lambda: _say_serving(names, settings.host, server_socket, f" from {uri}"), console.say
        )
        serving_there.serve(device, there, server_socket, callbacks)


def _bundle(word: str) -> tuple[str, Bundle]:
    """The name and bundle of NAME=BUNDLE or BUNDLE."""
    name, path = named(word)
    if not is_bundle(path):
        message = f"`{path}` is not a bundle, and only bundles are served on a device"
        hint = f"make one for it: `sphere-edge package {path} --profile PROFILE`"
        raise InvalidArgumentError(message, hint=hint)
    bundle = Bundle.open(path, console.progress())
    return name or bundle.manifest.name, bundle


def _say_serving(
    names: Sequence[str], host: str, server_socket: socket.socket, source: str = ""
) -> None:
    port = server_socket.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    models = ", ".join(names)
    console.say(f"serving {models}{source} at http://{shown}:{port}/v1 (Ctrl-C ends)")


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
