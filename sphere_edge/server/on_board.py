"""The server on a board: what the file that was sent there does, in the board's own Python.

    sphere-edge-server.pyz serve SETTINGS NAME=BUNDLE...
    sphere-edge-server.pyz ready SETTINGS

SETTINGS is a JSON file, or `-`: the first line of stdin. Then the server ends with its stdin, and
when no line has come there for a while: whoever started it is gone, though the connection may not
know yet.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sphere_edge import console, resources
from sphere_edge.bundle.files import TRUSTED_KEYS
from sphere_edge.bundle.read import read_manifest
from sphere_edge.errors import InvalidArgumentError, SphereEdgeError, StorageError
from sphere_edge.profiles import describe
from sphere_edge.runtime import library
from sphere_edge.server import app, serving
from sphere_edge.server.bundled import of_bundle
from sphere_edge.server.models import Served
from sphere_edge.server.settings import Settings

# Lines of ours on stdout begin like this; all others are the log.
PORT, ERROR = "== port ", "== error "
# On stdin: let running answers end, then end.
DRAIN = "drain"
# As long as a link may be cut before the server ends.
_SILENCE_S = 45.0
# What a second signal does not end by then, such as a model that is being read, is left to die.
_ENDS_WITHIN_S = 20.0
_READY_TIMEOUT_S = 10.0
_SETTINGS_LIMIT_BYTES = 1 << 20
# Of 256 random bits in hexadecimal digits.
_SECRET = r"[0-9a-f]{64}"


class OnBoard(BaseModel):
    """What the server is started with; `key_file`: keys, one a line, read at each start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: Settings
    secret: Annotated[str, Field(pattern=f"^{_SECRET}$")] | None = None
    key_file: Path | None = None

    @property
    def complete(self) -> Settings:
        """The settings with the keys of the key file."""
        if self.key_file is None:
            return self.settings
        keys = self.key_file.read_text(encoding="ascii").split()
        return replace(self.settings, api_keys=(*self.settings.api_keys, *keys))


def main(archive: Path, words: Sequence[str]) -> int:
    """Does what `words` say for the file at `archive`; the exit code."""
    # STORE/bundles/ID/server/FILE: what is written lies in the same store, and goes with it.
    store = archive.parents[3]
    os.environ.setdefault(resources.CACHE_VARIABLE, str(store / "cache"))
    library.use(archive.parents[1] / "runtime/lib/libsphere_edge.so")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        if len(words) < 2 or words[0] not in ("serve", "ready"):
            message = f"there is no action `{' '.join(words[:1])}`"
            raise InvalidArgumentError(message, hint="serve SETTINGS NAME=BUNDLE, ready SETTINGS")
        action, source, *models = words
        wanted = _read(source)
        if action == "ready":
            return _ready(wanted.complete)
        _serve(wanted, models, is_led=source == "-")
    except (SphereEdgeError, OSError) as error:
        failure = error if isinstance(error, SphereEdgeError) else StorageError(str(error))
        print(f"{ERROR}{json.dumps(console.error_as_json(failure))}", flush=True)  # noqa: T201
        return failure.code
    return 0


def _read(source: str) -> OnBoard:
    if source == "-":
        text = sys.stdin.buffer.readline(_SETTINGS_LIMIT_BYTES)
    else:
        with Path(source).open("rb") as file:
            text = file.read(_SETTINGS_LIMIT_BYTES)
    try:
        return TypeAdapter(OnBoard).validate_json(text)
    except ValidationError as error:
        message = f"the settings of the server are not valid: {describe(error)}"
        raise InvalidArgumentError(message) from error


def _serve(wanted: OnBoard, words: Sequence[str], *, is_led: bool) -> None:
    settings = wanted.complete
    if settings.store is not None:
        settings.store.parent.mkdir(parents=True, exist_ok=True)
    pairs = [word.partition("=")[::2] for word in words]
    served = [_row(name, Path(path), settings) for name, path in pairs]
    if is_led:
        threading.Thread(target=_follow, daemon=True).start()
    with serving.bind(settings) as server_socket:
        port = server_socket.getsockname()[1]

        def on_ready() -> None:
            print(f"{PORT}{port}", flush=True)  # noqa: T201
            _notify("READY=1")

        serving.serve(app.make(served, settings), server_socket, on_ready, secret=wanted.secret)


def _row(name: str, bundle: Path, settings: Settings) -> Served:
    """What `deploy --trusted` and `serve --trusted` have put beside the bundle holds here.

    Raises OSError where the folder around the bundle cannot be read.
    """
    served = of_bundle(name, bundle, read_manifest(bundle), settings)
    # As the runner looks for it: a dangling link is an error, and does not count as a missing file.
    keys = bundle.resolve().parent / TRUSTED_KEYS
    try:
        keys.lstat()
    except FileNotFoundError:
        return served
    return replace(served, trusted_keys=keys)


def _follow() -> None:
    """Ends this process when whoever started it says so, or is gone."""
    heard_at = time.monotonic()

    def end_after_silence() -> None:
        while time.monotonic() - heard_at < _SILENCE_S:
            time.sleep(1)
        _end()

    threading.Thread(target=end_after_silence, daemon=True).start()
    # Not through sys.stdin: Python could not end while a thread waits in there.
    while said := os.read(sys.stdin.fileno(), 4096):
        heard_at = time.monotonic()
        if DRAIN.encode() in said:
            os.kill(os.getpid(), signal.SIGTERM)
    _end()


def _end() -> None:
    """At once: answers that are running have nobody to go to."""
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
    time.sleep(_ENDS_WITHIN_S)
    os._exit(0)


def _notify(state: str) -> None:
    """Tells systemd, if that started us: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        # An abstract one begins with a zero byte.
        name = "\0" + address[1:] if address.startswith("@") else address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(state.encode(), name)


def _ready(settings: Settings) -> int:
    """Asks the server that was started with these settings; 0 if it takes requests."""
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host
    name = f"[{host}]" if ":" in host else host
    keys = settings.api_keys
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    request = urllib.request.Request(f"http://{name}:{settings.port}/ready", headers=headers)
    opener: Any = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_READY_TIMEOUT_S) as answer:
        answer.read()
        print("ready", flush=True)  # noqa: T201
    return 0
