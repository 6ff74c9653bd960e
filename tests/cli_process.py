"""Runs `sphere-edge` as a process of its own, as a user does, or in this one, which costs less."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from sphere_edge import __main__

COMMAND = [sys.executable, "-m", "sphere_edge"]


def sphere_edge(
    *words: str | Path,
    stdin: str = "",
    cwd: Path | None = None,
    timeout_s: float = 300,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """The ended process with all it said."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


def in_process(
    *words: str | Path, stdin: str = "", cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The same without a process: for what Python prints, where nothing is about processes.

    What a command imports is imported once for all tests of a worker; TVM takes seconds each time.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with _surroundings(stdin, cwd, environment), redirect_stdout(out), redirect_stderr(err):
        code = __main__.main([str(word) for word in words])
    said = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return subprocess.CompletedProcess([*COMMAND, *map(str, words)], int(code), *said)


@contextmanager
def _surroundings(stdin: str, cwd: Path | None, environment: dict[str, str]) -> Iterator[None]:
    """What a process has of its own, and what `main` changes in it, put back at the end."""
    logger = logging.getLogger("sphere_edge")
    handlers, propagates = [*logger.handlers], logger.propagate
    before = sys.stdin, Path.cwd(), dict(os.environ), signal.getsignal(signal.SIGTERM)
    sys.stdin = io.StringIO(stdin)
    os.environ.update(environment)
    os.chdir(cwd or before[1])
    try:
        yield
    finally:
        sys.stdin = before[0]
        os.chdir(before[1])
        os.environ.clear()
        os.environ.update(before[2])
        signal.signal(signal.SIGTERM, before[3])
        logger.handlers[:], logger.propagate = handlers, propagates


def refused(run: subprocess.CompletedProcess[str], code: int, *sentences: str) -> None:
    """It ended with `code`, an `error: …` and a `hint: …`, no traceback and no data."""
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    said, _, hint = run.stderr.rpartition("\n\nhint: ")
    error = said.splitlines()[-1]
    assert error.startswith("error: ")
    assert not error.endswith(".")
    assert hint.strip()
    assert run.stdout == ""
    for sentence in sentences:
        assert sentence in run.stderr
