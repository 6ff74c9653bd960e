"""A server of ours on a free port, as the scripts of this folder ask it."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STARTED_WITHIN_S = 900


@dataclass(frozen=True)
class Served:
    """One that answers; it stores nothing unless `words` said so."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Its root."""
        return f"http://127.0.0.1:{self.port}"

    def read(self, path: str) -> bytes:
        """The body of a GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def serving(words: Sequence[str]) -> Iterator[Served]:
    """`sphere-edge serve` with the arguments `words`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = [] if "--store" in words else ["--no-store"]
    command = [sys.executable, "-m", "sphere_edge", "serve", "--port", str(port), *store, *words]
    process = subprocess.Popen(command)
    served = Served(process, port)
    try:
        end = time.monotonic() + _STARTED_WITHIN_S
        while not _is_healthy(served):
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.2)
        yield served
    finally:
        process.terminate()
        process.wait()


def program(name: str) -> str:
    """A program that pip installed, also where the environment was not activated."""
    folders = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    found = shutil.which(name, path=folders)
    if found is None:
        sys.exit(f"`{name}` is not installed")
    return found


def _is_healthy(served: Served) -> bool:
    try:
        return b"ok" in served.read("/health")
    except OSError:
        return False
