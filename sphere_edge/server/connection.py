"""A connection of a client, with limits that uvicorn's has not: nobody may hold one for nothing.

A connection without a request is closed after a while, however slowly bytes come, and so is one
whose client reads nothing of its answer. Where there are too many, the one goes that has been
without a request for longest. https://h11.readthedocs.io/en/latest/api.html
"""

from __future__ import annotations

import resource
from collections.abc import Iterable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from sphere_edge.server.exchange import encode
from sphere_edge.server.http_error import HttpError

# Of what comes before the answer to the request before it.
_MOST_AHEAD_BYTES = 64 * 1024
# So often is looked whether a client takes its answer, until it is let go.
_LOOKS = 4


def most_connections() -> int:
    """Half of the files that this process may have open, and at most 512."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 512 if files == resource.RLIM_INFINITY else max(1, min(512, files // 2))


class Connection(H11Protocol):  # type: ignore[misc]
    """HTTP/1.1 as uvicorn speaks it; for the event loop only.

    `idle_s`: how long it may be without a whole head of a request, and how long what is left of a
    body is read after the answer. `stalled_s`: how long its client may take nothing of the answer.
    `most`: how many there may be.
    """

    idle_s = 30.0
    stalled_s = 60.0
    most = most_connections()

    def connection_made(self, transport: Any) -> None:
        """As asyncio has it."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._ends_idle = self.loop.call_later(self.idle_s, self._end_idle)
        self._unsent = 0
        self._looks_in_vain = 0
        self._next_look = self.loop.call_later(self.stalled_s / _LOOKS, self._look_at_client)
        if len(self.connections) > self.most:
            _longest_idle(self.connections).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        self._ends_idle.cancel()
        self._next_look.cancel()
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is waiting for its answer."""
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """As asyncio has it."""
        if self.conn.their_state is h11.MUST_CLOSE:
            # Behind the last request, a late newline perhaps; read on, to see the client hang up.
            return
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

    def resume_writing(self) -> None:
        """As asyncio has it: little waits to be sent."""
        self._looks_in_vain = 0
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

    def _look_at_client(self) -> None:
        """Ends a connection that waits for nothing but its client to take what was sent."""
        unsent = self.transport.get_write_buffer_size()
        if not self.transport.is_closing() and not self.flow.write_paused:
            unsent = 0
        # Looks are counted, not seconds: the event loop itself may have been late.
        in_vain = 0 < self._unsent <= unsent
        self._looks_in_vain = self._looks_in_vain + 1 if in_vain else 0
        if self._looks_in_vain == _LOOKS:
            self.transport.abort()
            return
        self._unsent = unsent
        self._next_look = self.loop.call_later(self.stalled_s / _LOOKS, self._look_at_client)


def _longest_idle(connections: Iterable[Connection]) -> Connection:
    """The one to close; of those that all wait for an answer, the newest."""

    def order(one: Connection) -> tuple[bool, float]:
        return not one.is_idle, one._idle_since if one.is_idle else -one._idle_since

    return min(connections, key=order)
