"""What a phone sends over adb: packets of a program's output, and the answer to a transfer."""

import socket
from collections.abc import Callable
from contextlib import suppress

from sphere_edge.devices.adb_wire import Shell, SyncFailedError, push


def read(data: bytes) -> None:
    """`data` as all that a phone sends before it hangs up."""
    _answered(data, lambda phone: Shell(phone).feed(iter([b"stdin"]), lambda output: None))
    _answered(data, lambda phone: push(phone, "/data/local/tmp/x", 0o644, iter([b"content"])))


def _answered(data: bytes, talk: Callable[[socket.socket], object]) -> None:
    ours, phone = socket.socketpair()
    with ours, phone:
        phone.sendall(data)
        phone.shutdown(socket.SHUT_WR)
        # What both say that they raise; devices/adb.py makes errors with codes of these.
        with suppress(EOFError, OSError, SyncFailedError):
            talk(ours)
