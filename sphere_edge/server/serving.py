"""Runs the application: a socket, uvicorn, and an end that first finishes what has begun."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import uvicorn

from sphere_edge.errors import UnavailableError
from sphere_edge.server import admission, allocator, app
from sphere_edge.server.connection import Connection
from sphere_edge.server.kept_sequences import KeptSequences
from sphere_edge.server.models import Models
from sphere_edge.server.settings import Settings

_HEADER_BYTES = 64 * 1024
# How long what is kept of a response may outlive it.
_SWEEP_S = 600.0
# How long freed memory may stay with the process.
_TRIM_S = 2.0


def bind(settings: Settings) -> socket.socket:
    """The bound socket. Raises UnavailableError if the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((settings.host, settings.port))
        server.listen(1024)
    except (OSError, OverflowError) as error:
        server.close()
        reason = getattr(error, "strerror", None) or str(error)
        message = f"cannot use `{settings.host}:{settings.port}`: {reason.lower()}"
        raise UnavailableError(message, hint="choose another --port") from error
    return server


def serve(
    application: Any,
    server_socket: socket.socket,
    on_ready: Callable[[], object] = lambda: None,
    *,
    secret: str | None = None,
) -> None:
    """Until SIGTERM or SIGINT, which lets running answers end, up to their time limit.

    A second one ends the process at once, and so does one that comes before the first request.
    `on_ready` is called before the first request is taken, after models were opened if the settings
    say so. `secret`: the line that each connection has to begin with.
    """
    allocator.keep_little()
    # Its warnings are about what clients send, each time.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    # It warns about each client that hangs up while it is written to.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    # It warns about each byte behind a form's end, and the client is told what is wrong.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app.guarded(application),
        http=Connection if secret is None else admission.protocol(secret),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(Connection.idle_s),
        # No answer takes longer, but its body may still be coming, or wait for its turn.
        timeout_graceful_shutdown=math.ceil(application.state.settings.timeout_s),
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
    server = uvicorn.Server(config)

    def on_signal(number: int, _: Any) -> None:
        # A signal comes between two instructions of the loop, which these are fit for.
        if server.should_exit or not server.started:
            # Threads would be waited for, one that opens a model for minutes. Files are written
            # beside and renamed, and SQLite's are whole at any moment.
            os._exit(0)
        # It would show where each request was that is ended because it takes too long.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        server.should_exit = True
        application.state.draining = True

    # Uvicorn's own would raise the signal again at its end, and so end with an error.
    server.handle_exit = on_signal
    # It has them while it serves; models are opened before and closed after that.
    before = {one: signal.signal(one, on_signal) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        asyncio.run(_served(server, application, server_socket, on_ready))
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


async def _served(
    server: Any, application: Any, server_socket: socket.socket, on_ready: Callable[[], object]
) -> None:
    models = application.state.models
    tasks = [asyncio.ensure_future(models.close_idle()), asyncio.ensure_future(_trim(models))]
    if application.state.kept is not None:
        tasks.append(asyncio.ensure_future(_sweep(application.state.kept)))
    try:
        if application.state.settings.opens_at_start:
            await models.open_all()
        on_ready()
        await server.serve(sockets=[server_socket])
    finally:
        for task in tasks:
            task.cancel()
        await models.close()
        if application.state.store is not None:
            application.state.store.close()


async def _sweep(kept: KeptSequences) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        await asyncio.to_thread(kept.sweep)


async def _trim(models: Models) -> None:
    """After work that a model has done, not while nobody asks."""
    trimmed_at = 0.0
    while True:
        await asyncio.sleep(_TRIM_S)
        if models.used_at > trimmed_at:
            trimmed_at = time.monotonic()
            await asyncio.to_thread(allocator.give_back)
