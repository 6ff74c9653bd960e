"""Runs the application: a socket, uvicorn, and an end that first finishes what has begun."""

from __future__ import annotations

import asyncio
import logging
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
    """Until SIGTERM or SIGINT, which lets running answers end; a second one does not.

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
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
    server = uvicorn.Server(config)

    def on_signal(number: int, _: Any) -> None:
        # A signal comes between two instructions of the loop, which these are fit for.
        server.force_exit = server.should_exit
        if server.force_exit:
            # It would show where each request was when it was ended.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        server.should_exit = True
        application.state.draining = True

    # Uvicorn's own would raise the signal again at its end, and so end with an error.
    server.handle_exit = on_signal
    asyncio.run(_served(server, application, server_socket, on_ready))


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
        await models.close(at_once=server.force_exit)
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
