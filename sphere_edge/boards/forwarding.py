"""A port of this machine that leads to a program on a board, as `ssh -L` does."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import paramiko

from sphere_edge import errors
from sphere_edge.devices.device import Device, Stream

_PIECE_BYTES = 64 << 10
# What a broken connection raises, at either end.
_LOST = (OSError, EOFError, paramiko.SSHException)


class Forwarding:
    """Accepts connections at `server_socket` until `close`, and leads them to `port` there.

    There each begins with the line `secret`; the other bytes are not looked at. A connection that
    the board refuses is closed.
    """

    def __init__(
        self, device: Device, server_socket: socket.socket, port: int, secret: str
    ) -> None:
        self._device = device
        self._server_socket = server_socket
        self._port = port
        self._secret = f"{secret}\n".encode("ascii")
        self._open: set[Stream] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stops accepting and ends all connections. May be called twice."""
        # A thread that waits in accept() does not wake up for a close alone.
        with suppress(OSError):
            self._server_socket.shutdown(socket.SHUT_RDWR)
        self._server_socket.close()
        with self._lock:
            streams = list(self._open)
        for one in streams:
            _end(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server_socket.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            there = self._device.connect(self._port)
        except errors.SphereEdgeError:
            # Why, the log of the server and the end of the whole say.
            client.close()
            return
        with self._lock:
            self._open |= {client, there}
        try:
            there.sendall(self._secret)
            back = threading.Thread(target=_copy, args=(there, client), daemon=True)
            back.start()
            _copy(client, there)
            back.join()
        except _LOST:
            return
        finally:
            for one in (client, there):
                _end(one)
            with self._lock:
                self._open -= {client, there}


def _copy(source: Stream, target: Stream) -> None:
    """Until `source` ends; then `target` is ended, so that half-closed connections work."""
    try:
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except _LOST:
        # One end is gone: the other one learns it.
        _end(source)
        _end(target)


def _end(stream: Stream) -> None:
    with suppress(*_LOST):
        stream.shutdown(socket.SHUT_RDWR)
    with suppress(*_LOST):
        stream.close()
