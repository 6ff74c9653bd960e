"""The lock that keeps two deploys apart: held by a process on the device, so it dies with us."""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import socket
import uuid
from contextlib import suppress
from pathlib import Path

import psutil

from sphere_edge import errors, whole_number
from sphere_edge.devices.device import Device, Process, storage_error

_SCRIPT = Path(__file__).with_name("lock.sh").read_text("utf-8")
_ANSWER_S = 30.0


class Lock:
    """Taken when made; `close` gives it back. Whoever holds it names its `token` to the store."""

    def __init__(self, device: Device, root: str) -> None:
        self._device = device
        self._root = root
        self._process: Process | None = None
        self.token = f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.take()

    def take(self) -> None:
        """Takes it, again too after a reconnect. Raises UnavailableError if another has it."""
        self.close()
        answer = self._ask(dead="")
        if answer.startswith("busy ") and self._is_dead(token := answer.split(" ")[1]):
            answer = self._ask(dead=token)
        if answer == "held":
            return
        self.close()
        if not answer.startswith("busy "):
            self._explain()
        who = "".join(char for char in answer[5:].partition(" ")[2] if char.isprintable())[:120]
        message = f"another deploy to {self._device.uri} is under way, by {who or 'someone'}"
        raise errors.UnavailableError(message, hint="try again when it is done")

    def close(self) -> None:
        """Gives the lock back. May be called twice."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _ask(self, *, dead: str) -> str:
        self.close()
        who = f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()})"
        words = ["sh", "-c", _SCRIPT, "sh", self._root, self.token, who, dead]
        self._process = self._device.start(words)
        # What a start-up file of the user's shell prints comes first.
        while line := self._process.read_line(_ANSWER_S):
            if line == "held" or line.startswith("busy "):
                return line
        return ""

    def _is_dead(self, token: str) -> bool:
        """Whether the deploy with that token ran on this machine and ended.

        When a link was cut without a word, the device may not know for hours that we are gone.
        """
        machine, _, number = token.rpartition("-")[0].rpartition("-")
        process = whole_number.parse(number) if machine == _machine() else None
        # A device may say anything; no system has larger numbers, and psutil fails on them.
        return process is not None and process < 2**31 and not psutil.pid_exists(process)

    def _explain(self) -> None:
        """Raises why the store cannot be written, after the lock's process ended silently."""
        tried = self._device.run(["sh", "-c", 'mkdir -p "$0" && : >"$0/.writable"', self._root])
        if tried.exit_code != 0:
            raise storage_error(self._device.uri, self._root, tried.last_lines)
        message = f"cannot lock the store `{self._root}` on {self._device.uri}"
        raise errors.StorageError(message, hint="does its file system have symbolic links?")


def _machine() -> str:
    """Where process numbers are ours: this start of this machine, and this container of it.

    Machines of one name are not one, and copies of an image have one machine-id.
    """
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        names = [boot.read_text("ascii").strip(), str(namespace.readlink())]
    except OSError:
        names = [socket.gethostname(), str(uuid.getnode()), str(psutil.boot_time())]
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:16]


def release(lock: Lock) -> None:
    """Gives the lock back when the device may be gone; then it is free already."""
    with suppress(errors.SphereEdgeError):
        lock.close()
