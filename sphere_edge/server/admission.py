"""Connections that begin with a secret line: for a server whose loopback others share.

On a board every user reaches the loopback. Who forwards a port there sends the secret first, so
that HTTP clients, a browser among them, need no key.
"""

from __future__ import annotations

import hmac
from typing import Any

from sphere_edge.server.connection import Connection

# How long a connection may take to say the secret.
_PATIENCE_S = 10.0


def protocol(secret: str) -> Any:
    """The HTTP protocol for connections that begin with the line `secret`."""
    expected = f"{secret}\n".encode("ascii")

    class Admitting(Connection):
        """Speaks HTTP after the secret; hangs up on whoever says something else."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._first: bytes | None = b""
            self._hang_up = self.loop.call_later(_PATIENCE_S, transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._hang_up.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._first is None:
                super().data_received(data)
                return
            self._first += data
            if len(self._first) < len(expected):
                return
            said, rest = self._first[: len(expected)], self._first[len(expected) :]
            if not hmac.compare_digest(said, expected):
                self.transport.close()
                return
            self._hang_up.cancel()
            self._first = None
            if rest:
                super().data_received(rest)

    return Admitting
