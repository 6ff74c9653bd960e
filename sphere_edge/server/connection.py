"""A connection of a client, with limits that uvicorn's has not: nobody may hold one for nothing.

A connection without a request is closed after a while, however slowly bytes come, and so is one
whose client reads nothing of its answer. Where there are too many, the one goes that has been
without a request for longest. https://h11.readthedocs.io/en/latest/api.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from sphere_edge.server.exchange import encode
from sphere_edge.server.http_error import HttpError

# Of what comes before the answer to the request before it.
_MOST_AHEAD_BYTES = 64 * 1024
# A process may have 1,024 files open by default.
MOST_CONNECTIONS = 512


class Connection(H11Protocol):  # type: ignore[misc]
    """HTTP/1.1 as uvicorn speaks it; for the event loop only.

    `idle_s`: how long it may be without a whole head of a request, and how long what is left of a
    body is read after the answer. `stalled_s`: how long its client may take nothing of the answer.
    """

    idle_s = 30.0
    stalled_s = 60.0

    def connection_made(self, transport: Any) -> None:
        """As asyncio has it."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._ends_idle = self.loop.call_later(self.idle_s, self._end_idle)
        self._stalled: asyncio.TimerHandle | None = None
        if len(self.connections) > MOST_CONNECTIONS:
            _longest_idle(self.connections).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        self._ends_idle.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is waiting for its answer."""
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """As asyncio has it."""
        super().data_received(data)
        if self.is_idle:
            return
        self._ends_idle.cancel()
        if self.cycle.more_body:
            return
        # Uvicorn reads no further until the answer is sent, and would not see the client hang up.
        if len(self.conn.trailing_data[0]) > _MOST_AHEAD_BYTES:
            self.transport.abort()
        else:
            self.flow.resume_reading()

    def handle_events(self) -> None:
        """Acts on what has come."""
        try:
            super().handle_events()
        except h11.LocalProtocolError:
            # Not HTTP any more, in a place where this cannot be said: amid an answer, or after it.
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        super().on_response_complete()
        if self.is_idle and not self.transport.is_closing():
            self._idle_since = self.loop.time()
            self._ends_idle.cancel()
            self._ends_idle = self.loop.call_later(self.idle_s, self._end_idle)

    def pause_writing(self) -> None:
        """As asyncio has it: much waits to be sent."""
        super().pause_writing()
        self._await_progress()

    def resume_writing(self) -> None:
        """As asyncio has it: little waits to be sent."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are not HTTP."""
        error = HttpError(400, "what came is not HTTP/1.1, or too long", code="invalid_http")
        content = encode(error.body())
        headers = [("content-type", "application/json"), ("content-length", str(len(content)))]
        answer = h11.Response(
            status_code=400, headers=[*headers, ("connection", "close")], reason="Bad Request"
        )
        for event in (answer, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _should_upgrade(self) -> bool:
        """Never: who asks for it is answered in HTTP/1.1, as the standard has it."""
        return False

    def _end_idle(self) -> None:
        # Once all is sent, which may never be.
        self.transport.close()
        self._await_progress()

    def _await_progress(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        size = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(self.stalled_s, self._end_stalled, size)

    def _end_stalled(self, size: int) -> None:
        if self.transport.get_write_buffer_size() >= size:
            self.transport.abort()
        else:
            self._await_progress()


def _longest_idle(connections: Iterable[Connection]) -> Connection:
    """The one to close; of those that all wait for an answer, the newest."""

    def order(one: Connection) -> tuple[bool, float]:
        return not one.is_idle, one._idle_since if one.is_idle else -one._idle_since

    return min(connections, key=order)
