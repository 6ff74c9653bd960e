"""The actions of store.sh: runs one on the device and says what its exit code means."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import errors
from sphere_edge.devices.device import Device, failed_write
from sphere_edge.devices.lock import Lock
from sphere_edge.run import Completed

_SCRIPT = Path(__file__).with_name("store.sh").read_bytes()

NO_PROGRAMS = 21
LOCK_LOST = 22
DAMAGED = 23
NO_SHA256 = 25
NO_BUNDLE = 26


class StoreScript:
    """store.sh for the store `root` on `device`."""

    def __init__(self, device: Device, root: str) -> None:
        self.device = device
        self.root = root

    def call(
        self, action: str, *words: str, lock: Lock | None = None, timeout_s: float = 120
    ) -> Completed:
        """Runs a action that has to succeed; `lock` for those that change something."""
        completed = self.attempt(action, *words, lock=lock, timeout_s=timeout_s)
        self.require(completed)
        return completed

    def attempt(
        self, action: str, *words: str, lock: Lock | None = None, timeout_s: float = 120
    ) -> Completed:
        """Runs a action that may fail in a way the caller knows about."""
        token = lock.token if lock is not None else "-"
        argv = ["sh", "-s", "--", action, self.root, token, *words]
        return self.device.run(argv, stdin=_SCRIPT, timeout_s=timeout_s)

    def require(self, completed: Completed) -> None:
        """Raises what a failed action means to the user."""
        code, output = completed.exit_code, completed.last_lines
        uri = self.device.uri
        if code == 0:
            return
        if code == LOCK_LOST:
            message = f"the store `{self.root}` on {uri} was taken over by another deploy"
            raise errors.UnavailableError(message, hint="try again when it is done")
        if code == NO_PROGRAMS:
            message = f"programs cannot be started from `{self.root}` on {uri}"
            hint = "its file system is mounted noexec: choose another folder with --store"
            raise errors.StorageError(message, hint=hint)
        if code == NO_SHA256:
            message = f"{uri} has no program that computes sha256"
            raise errors.UnsupportedError(message, hint="install coreutils or busybox there")
        if code == NO_BUNDLE:
            message = f"cannot switch on {uri}: {output}"
            raise errors.NotFoundError(
                message, hint="`sphere-edge device list` shows what is there"
            )
        raise failed_write(uri, self.root, code, output)
