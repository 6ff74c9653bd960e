"""Runs outside programs: start, wait, turn every failure into one of our errors."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge import errors

# How long a program may take to tidy up after SIGTERM before it is killed.
GRACE_S = 2.0
# A daemon that the program left behind (adb's server) keeps the pipes open, so their end is not
# enough: look this often whether the program itself has ended.
_POLL_S = 0.2
_LAST_LINES = 12
# A program whose output is worth more memory than this is broken or hostile.
OUTPUT_LIMIT_BYTES = 64 << 20

Line = Callable[[str], None]


@dataclass(frozen=True)
class Completed:
    """A program that ended: what was run, how it ended and its output (decoded as UTF-8)."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def last_lines(self) -> str:
        """The end of its output, where programs put the reason of a failure."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return "\n".join(lines[-_LAST_LINES:])


class ProgramFailedError(errors.InternalError):
    """An outside program ended with a non-zero exit code; `completed` has the details."""

    def __init__(self, completed: Completed) -> None:
        name = Path(completed.argv[0]).name
        ending = (
            f"died of signal {-completed.exit_code}"
            if completed.exit_code < 0
            else f"failed with exit code {completed.exit_code}"
        )
        output = completed.last_lines
        super().__init__(f"`{name}` {ending}" + (f":\n{output}" if output else ""))
        self.completed = completed


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    check: bool = True,
    on_line: Line | None = None,
    how_to_get: str | None = None,
) -> Completed:
    """Runs `argv` (never through a shell) and returns its output.

    `env` is added to this process's environment. With `on_line`, stderr is merged into stdout and
    each line is handed over, on this thread, as soon as it is complete. `how_to_get` is the hint
    when the program is not installed.

    Whatever ends the wait early (timeout, Ctrl-C, an exception in `on_line`) ends the program and
    its children too. Raises NotFoundError (no such program), errors.TimeoutError, UnavailableError
    (output without end), and with `check` ProgramFailedError.
    """
    words = tuple(os.fspath(word) for word in argv)
    started = time.monotonic()
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        options = {
            "cwd": cwd,
            "env": None if env is None else {**os.environ, **env},
            "stdin": given,
            "stderr": subprocess.PIPE if on_line is None else subprocess.STDOUT,
        }
        process = _start(words, options, how_to_get)
    try:
        stdout, stderr = _communicate(process, started + timeout_s, on_line)
    except _DeadlinePassed:
        message = f"`{Path(words[0]).name}` did not end within {timeout_s:g} s"
        raise errors.TimeoutError(message) from None
    finally:
        _end(process)
    seconds = time.monotonic() - started
    completed = Completed(words, process.returncode, stdout, stderr, seconds)
    if check and completed.exit_code != 0:
        raise ProgramFailedError(completed)
    return completed


class _DeadlinePassed(Exception):  # noqa: N818  never leaves this file
    pass


def _start(
    words: tuple[str, ...], options: Mapping[str, Any], how_to_get: str | None
) -> subprocess.Popen[bytes]:
    """With `options` of Popen, in a process group of its own, so that its children end with it."""
    cwd = options["cwd"]
    try:
        return subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True, **options)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        if cwd is not None and not cwd.is_dir():
            message = f"no such folder: `{cwd}`"
            raise errors.NotFoundError(message) from error
        message = f"cannot start `{words[0]}`: {(error.strerror or 'not found').lower()}"
        raise errors.NotFoundError(message, hint=how_to_get) from error


def _communicate(
    process: subprocess.Popen[bytes], deadline: float, on_line: Line | None
) -> tuple[str, str]:
    """Reads both pipes to their ends, or until the program is gone; then waits for it."""
    output: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    lines = _Lines(on_line)
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, name)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise _DeadlinePassed
            # Polled before reading: what a program wrote before it ended is then still read.
            ended = process.poll() is not None
            ready = selector.select(min(left, _POLL_S))
            if not ready and ended:
                break
            for key, _ in ready:
                piece = os.read(key.fd, 1 << 16)
                if not piece:
                    selector.unregister(key.fileobj)
                output[key.data] += piece
                if len(output[key.data]) > OUTPUT_LIMIT_BYTES:
                    message = f"`{_name(process)}` prints too much output"
                    raise errors.UnavailableError(message)
                lines.feed(piece)
    lines.end()
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _DeadlinePassed from None
    return output["stdout"].decode(errors="replace"), output["stderr"].decode(errors="replace")


def _name(process: subprocess.Popen[bytes]) -> str:
    words = process.args
    return Path(os.fsdecode(words[0])).name if isinstance(words, tuple) else str(words)


class _Lines:
    """Cuts bytes into lines; a carriage return, as progress displays use it, also ends one."""

    def __init__(self, on_line: Line | None) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        if self._on_line is None:
            return
        *whole, self._rest = (self._rest + piece).replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            self._on_line(line.decode(errors="replace"))

    def end(self) -> None:
        if self._on_line is not None and self._rest:
            self._on_line(self._rest.decode(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process group if the program still runs, politely first; closes the pipes."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also for children that outlived their parent or ignored SIGTERM.
            _signal_group(process, signal.SIGKILL)
            process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
