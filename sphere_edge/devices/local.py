"""The machine we run on as a device: the same store, for people without one and for servers."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import platformdirs

from sphere_edge import errors
from sphere_edge.devices.device import (
    DEFAULT_TIMEOUT_S,
    FilePart,
    Process,
    Sent,
    Stream,
    connection_refused,
    longer,
    storage_error,
)
from sphere_edge.run import Completed, run

_CHUNK_BYTES = 4 << 20
_CONNECT_TIMEOUT_S = 10


class LocalDevice:
    """Programs run as children of this process; `environment` is added to theirs."""

    uri = "local"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
        self.default_store = str(platformdirs.user_data_path("sphere-edge") / "store")

    def run(
        self, argv: Sequence[str], *, timeout_s: float = DEFAULT_TIMEOUT_S, stdin: bytes = b""
    ) -> Completed:
        """See Device.run."""
        return run(argv, timeout_s=timeout_s, env=self._environment, stdin=stdin, check=False)

    def start(self, argv: Sequence[str]) -> Process:
        """See Device.start."""
        try:
            return _LocalProcess(
                subprocess.Popen(
                    list(argv),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, **self._environment},
                    start_new_session=True,
                )
            )
        except OSError as error:
            message = f"cannot start `{argv[0]}`: {error.strerror or error}"
            raise errors.NotFoundError(message) from error

    def push(
        self,
        source: Path,
        remote: str,
        part: FilePart | None = None,
        sent: Sent | None = None,
    ) -> None:
        """See Device.push."""
        offset = part.offset_bytes if part else 0
        left = part.length_bytes if part else source.stat().st_size
        with source.open("rb") as given:
            given.seek(offset)
            try:
                # Not open(…, "r+b"): that does not make a missing file.
                flags = os.O_WRONLY | os.O_CREAT | (0 if part else os.O_TRUNC)
                descriptor = os.open(remote, flags, 0o600)
                with os.fdopen(descriptor, "wb") as taken:
                    taken.seek(offset)
                    while left and (piece := given.read(min(left, _CHUNK_BYTES))):
                        taken.write(piece)
                        left -= len(piece)
                        if sent is not None:
                            sent(len(piece))
            except OSError as error:
                raise storage_error(self.uri, remote, error.strerror or str(error)) from error

    def connect(self, port: int) -> Stream:
        """See Device.connect."""
        try:
            stream = socket.create_connection(("127.0.0.1", port), timeout=_CONNECT_TIMEOUT_S)
        except OSError as error:
            raise connection_refused(self.uri, port) from error
        # What comes may take any time.
        stream.settimeout(None)
        return stream

    def reconnect(self) -> None:
        """Nothing to do: this machine is always there."""

    def close(self) -> None:
        """Nothing to do."""


class _LocalProcess:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._rest = b""
        self.has_ended = False

    def read_line(self, timeout_s: float) -> str:
        """See Process.read_line."""
        stdout = _pipe(self._process.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(timeout_s):
                    message = f"no answer within {timeout_s:g} s on local"
                    raise errors.TimeoutError(message)
                piece = os.read(stdout.fileno(), 4096)
                if not piece:
                    self.has_ended = True
                    return ""
                self._rest = longer(self._rest, piece, "local")
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")

    def write_line(self, text: str) -> None:
        """See Process.write_line."""
        stdin = _pipe(self._process.stdin)
        try:
            stdin.write(f"{text}\n".encode())
            stdin.flush()
        except (OSError, ValueError) as error:
            message = "the program on local has ended"
            raise errors.UnavailableError(message) from error

    def close(self) -> None:
        """See Process.close."""
        # What was not flushed goes nowhere if the program is gone.
        with suppress(OSError):
            _pipe(self._process.stdin).close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _pipe(self._process.stdout).close()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        message = "a child process has no pipe"
        raise errors.InternalError(message)
    return stream
