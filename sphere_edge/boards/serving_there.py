"""A server that runs on a board as long as we do: started, shown and ended from here."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sphere_edge import errors
from sphere_edge.boards.forwarding import Forwarding
from sphere_edge.boards.server_deployment import DeployedServer
from sphere_edge.devices.device import Device, Process
from sphere_edge.server.on_board import DRAIN, ERROR, PORT, OnBoard
from sphere_edge.server.settings import Settings

# A line every few seconds says that we are there; the server waits for several of them.
_BEAT_S = 5.0
# Signals are looked for this often.
_STEP_S = 0.5
# The first start unpacks the server, from a slow card perhaps.
_STARTS_WITHIN_S = 600.0
_LINE_LIMIT = 2000


@dataclass(frozen=True)
class Callbacks:
    """Called when the server takes requests, and with each line of its log."""

    on_ready: Callable[[], None]
    on_line: Callable[[str], None]


@dataclass(frozen=True)
class Serving:
    """What is served: `models` are names and folders on the board."""

    deployed: DeployedServer
    models: Sequence[tuple[str, str]]
    settings: Settings


def serve(
    device: Device, serving: Serving, server_socket: socket.socket, callbacks: Callbacks
) -> None:
    """Serves at the socket `server_socket` until SIGINT or SIGTERM.

    The first lets running answers end, a second one does not. On the board nothing is left: the
    server ends with us, also when the connection is lost.
    Raises UnavailableError (lost), and what the server there reports.
    """
    secret = secrets.token_hex(32)
    process = device.start(_argv(serving))
    try:
        process.write_line(_settings(serving.settings, secret))
        conversation = _Conversation(process, device.uri, callbacks.on_line)
        port = conversation.port()
        forwarding = Forwarding(device, server_socket, port, secret)
        try:
            callbacks.on_ready()
            with _signals() as received:
                conversation.go_on(received)
        finally:
            forwarding.close()
    finally:
        process.close()


def _argv(serving: Serving) -> list[str]:
    models = [f"{name}={folder}" for name, folder in serving.models]
    # One stream for both: the order of its lines is that of the server.
    return ["sh", "-c", 'exec "$@" 2>&1', "sh", *serving.deployed.argv, "serve", "-", *models]


def _settings(settings: Settings, secret: str) -> str:
    # There it is the loopback that is forwarded, whatever is bound here.
    there = replace(settings, host="127.0.0.1", port=0)
    return OnBoard(settings=there, secret=secret).model_dump_json()


class _Conversation:
    """Our lines to the server on the board, and its lines to us, which are not trusted."""

    def __init__(self, process: Process, uri: str, on_line: Callable[[str], None]) -> None:
        self._process = process
        self._uri = uri
        self._on_line = on_line
        self._beaten_at = time.monotonic()

    def port(self) -> int:
        """The port there, once the server is ready. Raises what it reports, LoadFailedError."""
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < deadline:
            line = self._next()
            if found := re.fullmatch(re.escape(PORT) + r"(\d{1,5})", line or "", re.ASCII):
                return int(found[1])
            if self._process.has_ended:
                break
        message = f"the server on {self._uri} does not start"
        raise errors.LoadFailedError(message, hint="the lines above are its log")

    def go_on(self, received: list[int]) -> None:
        """Until a signal has ended the server. Raises UnavailableError if it ends by itself."""
        answered = 0
        while not self._process.has_ended:
            if len(received) > answered:
                answered = len(received)
                if answered > 1:
                    return
                self._process.write_line(DRAIN)
            self._next()
        if not received:
            message = f"the server on {self._uri} has ended"
            raise errors.UnavailableError(message, hint="the lines above are its log")

    def _next(self) -> str | None:
        """The next line, shown if it is of the log; None if none comes at the moment."""
        if time.monotonic() - self._beaten_at > _BEAT_S:
            self._process.write_line("")
            self._beaten_at = time.monotonic()
        try:
            line = self._process.read_line(_STEP_S)
        except errors.TimeoutError:
            return None
        if line.startswith(ERROR):
            raise _reported(line.removeprefix(ERROR), self._uri)
        if not line.startswith(PORT) and (shown := _shown(line)):
            self._on_line(shown)
        return line


def _shown(line: str) -> str:
    return "".join(char for char in line[:_LINE_LIMIT] if char.isprintable()).rstrip()


def _reported(text: str, uri: str) -> errors.SphereEdgeError:
    """The error that the server there ended with."""
    try:
        error: Any = json.loads(text)["error"]
        code, message, hint = error["code"], _shown(error["message"]), error.get("hint")
        shown = _shown(hint) if isinstance(hint, str) else None
        return errors.from_status(errors.Status(code), f"on {uri}: {message}", shown)
    except (ValueError, KeyError, TypeError, RecursionError):
        return errors.LoadFailedError(f"the server on {uri} does not start: {_shown(text)}")


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that have come since; they interrupt nothing."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda given, _: received.append(given)) for number in numbers]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
