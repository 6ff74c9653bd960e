"""Runs `sphere-edge serve` as a process of its own, as a user does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from openai import OpenAI

_ENDED_WITHIN_S = 60


@dataclass(frozen=True)
class Served:
    """A server that runs; `url` is its root."""

    process: subprocess.Popen[str]
    url: str
    log: list[str]

    @property
    def openai(self) -> OpenAI:
        """The client, unchanged, which does not try again."""
        return OpenAI(base_url=f"{self.url}/v1", api_key="any key at all", max_retries=0)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_ENDED_WITHIN_S)


@contextmanager
def serving(*words: str | Path, **environment: str) -> Iterator[Served]:
    """A server on a free port with the arguments `words`; stores nothing without a `--store…`."""
    stores = any(str(word).startswith("--store") for word in words)
    store = [] if stores else ["--no-store"]
    command = [sys.executable, "-m", "sphere_edge", "serve", "--port", "0", *store]
    command += map(str, words)
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    log: list[str] = []
    try:
        yield Served(process, _address(process, log), log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_ENDED_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert process.stderr is not None
        process.stderr.close()


def _address(process: subprocess.Popen[str], log: list[str]) -> str:
    """Waits for the line that names it; what comes later is kept in `log`."""
    assert process.stderr is not None
    for line in process.stderr:
        log.append(line)
        if found := re.search(r"at (http://\S+)/v1", line):
            threading.Thread(target=_keep, args=(process, log), daemon=True).start()
            return found[1]
    raise AssertionError("".join(log))


def _keep(process: subprocess.Popen[str], log: list[str]) -> None:
    assert process.stderr is not None
    try:
        log.extend(process.stderr)
    except ValueError:
        # It was closed when the test ended.
        return
