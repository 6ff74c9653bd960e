"""A TCP link to a server on this machine that can be cut, stalled, slowed or refused at will."""

from __future__ import annotations

import math
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

_PIECE_BYTES = 64 << 10
# TCP payload of an Ethernet frame, and how many later packets reveal a gap (RFC 5681).
_PACKET_BYTES, _DUPLICATE_ACKS = 1448, 3
# Linux waits at least this long before it retransmits on its own.
_RESEND_TIMER_S = 0.2
# How much a delayed link buffers before its sender has to wait.
_IN_FLIGHT_BYTES = 4 << 20


@dataclass(frozen=True)
class Quality:
    """How bad a link is from the start.

    `bytes_per_s` and `delay_s` (one way) hold for each direction of each connection. `loss` is the
    fraction of packets delayed as TCP delays what it sends again: as on any TCP connection, the two
    ends lose nothing.
    """

    bytes_per_s: float | None = None
    delay_s: float = 0.0
    loss: float = 0.0


class Link:
    """Connect to `port`; what is sent goes on to `target_port` until the link is made to fail."""

    def __init__(self, target_port: int, *, port: int = 0, quality: Quality = Quality()) -> None:
        self.target_port = target_port
        self.bytes_per_s = quality.bytes_per_s
        self.delay_s = quality.delay_s
        self.loss = quality.loss
        self._chance = random.Random(0)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
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

    def stall(self) -> None:
        """From now on nothing moves, without an error on either side."""
        self._flows.clear()

    def flow(self) -> None:
        """Ends a stall."""
        self._flows.set()

    def take_down(self) -> None:
        """From now on connections are refused."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self.cut()

    def bring_up(self) -> None:
        """Connections are accepted again, on the same port."""
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
                far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((near, far))
            for source, sink, counts in ((near, far, True), (far, near, False)):
                pump = threading.Thread(target=self._pump, args=(source, sink, counts), daemon=True)
                pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        onward = _Onward(sink, self.delay_s) if self.delay_s else sink
        with suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                self._flows.wait()
                if self.bytes_per_s:
                    time.sleep(len(piece) / self.bytes_per_s)
                if self.loss:
                    time.sleep(self._held_up_s(len(piece)))
                if counts and self._is_cut_by(piece, sink):
                    break
                onward.sendall(piece)
        if isinstance(onward, _Onward):
            onward.end()
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        # The other direction's pump closes the other end.
        source.close()

    def _held_up_s(self, size: int) -> float:
        """How long `size` bytes wait for packets that are sent again."""
        packets = math.ceil(size / _PACKET_BYTES)
        if self._chance.random() >= 1 - (1 - self.loss) ** packets:
            return 0.0
        # Later packets reveal the gap after a round trip; for a last one only the timer does.
        return 2 * self.delay_s if packets > _DUPLICATE_ACKS else _RESEND_TIMER_S

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


class _Onward:
    """Sends each piece `delay_s` after it came, in order."""

    def __init__(self, sink: socket.socket, delay_s: float) -> None:
        self._sink, self._delay_s = sink, delay_s
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._changed = threading.Condition()
        self._ended = False
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def sendall(self, piece: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._held < _IN_FLIGHT_BYTES or self._failure)
            if self._failure is not None:
                raise self._failure
            self._pieces.append((time.monotonic() + self._delay_s, piece))
            self._held += len(piece)
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def _send(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self._ended)
                if not self._pieces:
                    return
                due, piece = self._pieces[0]
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self._sink.sendall(piece)
            except OSError as error:
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._pieces.popleft()
                self._held -= len(piece)
                self._changed.notify_all()
