"""adb's shell and sync protocols over a connection that adbutils opened.

Sources: AOSP packages/modules/adb, SERVICES.TXT, SYNC.TXT, shell_protocol.h. adbutils speaks both
too, but its shell takes no stdin and no overall deadline, and its sync sends 4 KiB at a time,
ignores what the device sends during a transfer, and trusts 32-bit sizes.
"""

from __future__ import annotations

import select
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from sphere_edge.devices.device import STALL_S

_SHELL_HEADER = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
# SYNC_DATA_MAX of the protocol.
SYNC_DATA_BYTES = 64 << 10
_SYNC_HEADER = struct.Struct("<4sI")
# The largest packet of either protocol that a device sends is one adb payload.
_PACKET_LIMIT_BYTES = 1 << 20
# How long a slow card may take to write what it has taken.
_WRITE_OUT_S = 120.0

Sink = Callable[[bytes], object]


class SyncFailedError(Exception):
    """The device refused or broke off a transfer; the text is its reason."""


class Shell:
    """A program on the device behind the shell protocol, version 2."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, stdin: bytes) -> None:
        """Writes to the program's stdin. Raises OSError."""
        for start in range(0, len(stdin), SYNC_DATA_BYTES):
            piece = stdin[start : start + SYNC_DATA_BYTES]
            self._socket.sendall(_SHELL_HEADER.pack(_STDIN, len(piece)) + piece)

    def end_stdin(self) -> None:
        """Tells the program that its stdin is at its end. Raises OSError."""
        self._socket.sendall(_SHELL_HEADER.pack(_CLOSE_STDIN, 0))

    def receive(self, stdout: Sink, stderr: Sink, deadline: float) -> int | None:
        """Takes one packet; the exit code once the program ended.

        Raises EOFError (connection lost), TimeoutError (`deadline`, on the monotonic clock).
        """
        kind, length = _SHELL_HEADER.unpack(_exactly(self._socket, _SHELL_HEADER.size, deadline))
        if length > _PACKET_LIMIT_BYTES:
            message = f"a shell packet of {length} bytes"
            raise EOFError(message)
        payload = _exactly(self._socket, length, deadline)
        if kind == _STDOUT:
            stdout(payload)
        elif kind == _STDERR:
            stderr(payload)
        elif kind == _EXIT and payload:
            return payload[0]
        return None

    def feed(self, pieces: Iterator[bytes], output: Sink) -> int:
        """Writes `pieces` to the program's stdin, then its end; the program's exit code.

        `output` gets what it prints meanwhile. Raises EOFError (connection lost), TimeoutError (no
        byte moves for a minute), OSError.
        """
        self._socket.settimeout(STALL_S)
        code: int | None = None
        try:
            for piece in pieces:
                # A program that gives up (the disk is full) prints so before the stream breaks.
                while code is None and select.select([self._socket], [], [], 0)[0]:
                    code = self.receive(output, output, time.monotonic() + STALL_S)
                if code is not None:
                    return code
                self._socket.settimeout(STALL_S)
                self._socket.sendall(_SHELL_HEADER.pack(_STDIN, len(piece)) + piece)
            self.end_stdin()
        except (BrokenPipeError, ConnectionResetError):
            # Earlier output may still be unread.
            return self._end_of(output, time.monotonic() + 1)
        return self._end_of(output, time.monotonic() + _WRITE_OUT_S)

    def _end_of(self, output: Sink, deadline: float) -> int:
        while (code := self.receive(output, output, deadline)) is None:
            pass
        return code


def push(connection: socket.socket, remote: str, mode: int, pieces: Iterator[bytes]) -> None:
    """Writes the file `remote` from `pieces`, each at most SYNC_DATA_BYTES.

    The connection is already in sync mode. Raises SyncFailedError, EOFError, OSError.
    """
    name = f"{remote},{stat.S_IFREG | mode}".encode()
    connection.settimeout(STALL_S)
    try:
        connection.sendall(_SYNC_HEADER.pack(b"SEND", len(name)) + name)
        for piece in pieces:
            connection.sendall(_SYNC_HEADER.pack(b"DATA", len(piece)) + piece)
        connection.sendall(_SYNC_HEADER.pack(b"DONE", int(time.time()) & 0xFFFFFFFF))
    except (BrokenPipeError, ConnectionResetError):
        # A device that cannot write reports it and hangs up while we are still sending.
        with suppress(EOFError, OSError):
            _reply(connection)
        raise
    _reply(connection)


def _reply(connection: socket.socket) -> None:
    word, length = _SYNC_HEADER.unpack(_exactly(connection, _SYNC_HEADER.size))
    if word == b"FAIL":
        reason = _exactly(connection, min(length, SYNC_DATA_BYTES))
        raise SyncFailedError(reason.decode(errors="replace"))
    if word != b"OKAY":
        message = f"unexpected `{word!r}` after a file transfer"
        raise SyncFailedError(message)


def _exactly(connection: socket.socket, count: int, deadline: float | None = None) -> bytes:
    taken = bytearray()
    while len(taken) < count:
        if deadline is not None:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(min(count - len(taken), 1 << 16))
        if not piece:
            message = "connection lost"
            raise EOFError(message)
        taken += piece
    return bytes(taken)
