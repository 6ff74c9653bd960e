"""Programs and connections over a running `ssh`, asked through its control socket.

Source: OpenSSH, PROTOCOL.mux, version 4, spoken since OpenSSH 5.6 (2010). It says which exit code
is the program's and why a connection was refused; the program `ssh` as its client says neither.
"""

from __future__ import annotations

import array
import itertools
import socket
import struct
from collections.abc import Sequence

_VERSION = 4
_HELLO = 0x00000001
_NEW_SESSION, _ALIVE_CHECK = 0x10000002, 0x10000004
_NEW_STDIO_FORWARD = 0x10000008
_EXIT, _ALIVE, _OPENED = 0x80000004, 0x80000005, 0x80000006
_NO_ESCAPE_CHARACTER = 0xFFFFFFFF
_PACKET_LIMIT_BYTES = 256 << 10
_ANSWER_S = 10.0

_request_ids = itertools.count(1)


class RefusedError(Exception):
    """The running `ssh` did not do what it was asked for; the text is its reason."""


class Control:
    """A connection to the control socket. What was opened over it ends with it.

    Every method raises OSError, EOFError (that `ssh` is gone).
    """

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(_ANSWER_S)
            self._socket.connect(path)
            self._send(_HELLO, _VERSION)
            kind, fields = self._receive()
            if kind != _HELLO or fields[:4] != struct.pack(">I", _VERSION):
                message = "the control socket speaks another protocol"
                raise EOFError(message)
        except BaseException:
            self._socket.close()
            raise

    def open_session(self, line: str, streams: Sequence[socket.socket], timeout_s: float) -> None:
        """Starts `line` by the login shell there with these as stdin, stdout and stderr.

        Raises RefusedError.
        """
        flags = (0, 0, 0, 0)  # no terminal, X11, agent or subsystem
        command = line.encode(errors="surrogateescape")
        self._open(
            _NEW_SESSION, (b"", *flags, _NO_ESCAPE_CHARACTER, b"", command), streams, timeout_s
        )

    def open_stream(self, port: int, streams: Sequence[socket.socket], timeout_s: float) -> None:
        """Connects both to `port` of the loopback there: the first is read, the second written.

        Raises RefusedError.
        """
        self._open(_NEW_STDIO_FORWARD, (b"", b"127.0.0.1", port), streams, timeout_s)

    def exit_code(self, timeout_s: float) -> int | None:
        """Waits for the session's end; None if it ended without an exit code."""
        self._socket.settimeout(timeout_s)
        try:
            while True:
                kind, fields = self._receive()
                if kind == _EXIT and len(fields) >= 8:
                    return int.from_bytes(fields[4:8], "big")
        except (EOFError, ConnectionError):
            return None

    def require_alive(self) -> None:
        """Raises EOFError unless that `ssh` answers."""
        self._send(_ALIVE_CHECK, next(_request_ids))
        if self._receive()[0] != _ALIVE:
            message = "the control socket does not answer"
            raise EOFError(message)

    def close(self) -> None:
        """Ends what was opened over it. May be called twice."""
        self._socket.close()

    def _open(
        self,
        request: int,
        fields: Sequence[int | bytes],
        streams: Sequence[socket.socket],
        timeout_s: float,
    ) -> None:
        self._send(request, next(_request_ids), *fields)
        for stream in streams:
            handle = array.array("i", [stream.fileno()])
            self._socket.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handle)])
        self._socket.settimeout(timeout_s)
        kind, fields = self._receive()
        if kind != _OPENED:
            length = int.from_bytes(fields[4:8], "big")
            raise RefusedError(fields[8 : 8 + length].decode(errors="replace") or "refused")

    def _send(self, kind: int, *fields: int | bytes) -> None:
        packet = struct.pack(">I", kind)
        for field in fields:
            number = field if isinstance(field, int) else len(field)
            packet += struct.pack(">I", number) + (b"" if isinstance(field, int) else field)
        self._socket.sendall(struct.pack(">I", len(packet)) + packet)

    def _receive(self) -> tuple[int, bytes]:
        length = int.from_bytes(self._exactly(4), "big")
        if not 4 <= length <= _PACKET_LIMIT_BYTES:
            message = f"a packet of {length} bytes from the control socket"
            raise EOFError(message)
        packet = self._exactly(length)
        return int.from_bytes(packet[:4], "big"), packet[4:]

    def _exactly(self, count: int) -> bytes:
        taken = bytearray()
        while len(taken) < count:
            piece = self._socket.recv(count - len(taken))
            if not piece:
                message = "the control socket was closed"
                raise EOFError(message)
            taken += piece
        return bytes(taken)
