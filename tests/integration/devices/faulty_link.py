"""A TCP link to a server on this machine that can be cut, stalled or refused at a chosen byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class FaultyLink:
    """Connect to `port`; what is sent goes on to `target_port` until the link is told to fail."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._left: int | None = None
        self._every = 0
        self._cuts = 0
        # Called when `cut_after` cuts.
        self.on_cut: Callable[[], object] = lambda: None
        self.sent_bytes = 0
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut_after(self, count: int, *, times: int = 1) -> None:
        """Breaks every connection once `count` more bytes went to the device, `times` times."""
        with self._lock:
            self._left, self._every, self._cuts = count, count, times

    def cut(self) -> None:
        """Breaks all connections now."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def take_down(self) -> None:
        """From now on connections are refused."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self.cut()

    def bring_up(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target_port), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._pairs.append((near, far))
            for source, sink, counts in ((near, far, True), (far, near, False)):
                pump = threading.Thread(target=self._pump, args=(source, sink, counts), daemon=True)
                pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                if counts and self._is_cut_by(piece, sink):
                    break
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        # The other direction's pump closes the other end.
        source.close()

    def _is_cut_by(self, piece: bytes, sink: socket.socket) -> bool:
        with self._lock:
            self.sent_bytes += len(piece)
            if self._left is None:
                return False
            self._left -= len(piece)
            if self._left > 0:
                return False
            kept = piece[: len(piece) + self._left]
            self._cuts -= 1
            self._left = self._every if self._cuts > 0 else None
        sink.sendall(kept)
        self.on_cut()
        self.cut()
        return True
