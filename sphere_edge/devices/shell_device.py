"""What a device does over any kind of SSH connection, given how a program runs there.

Files go through `dd` in a plain session rather than through SFTP: there is no reply per block to
wait for, and servers without SFTP (dropbear) serve as well.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from sphere_edge import errors
from sphere_edge.devices.device import (
    DEFAULT_TIMEOUT_S,
    STALL_S,
    FilePart,
    Sent,
    exit_code_of_shell,
    failed_write,
    pieces_of,
    writer_of,
)
from sphere_edge.devices.remote_shell import ProgramOutput, no_program
from sphere_edge.run import Completed

CHUNK_BYTES = 256 << 10
# The end of a program's output and its exit code come one after the other.
EXIT_S = 10.0


class ShellDevice(ABC):
    """The part of Device that SshDevice and OpenSshDevice have in common."""

    default_store = "~/.sphere-edge"
    uri: str

    def run(
        self, argv: Sequence[str], *, timeout_s: float = DEFAULT_TIMEOUT_S, stdin: bytes = b""
    ) -> Completed:
        """See Device.run. After a timeout the program may live on there until it writes."""
        started = time.monotonic()
        code, stdout, stderr = self._exchange(argv, iter((stdin,)), started + timeout_s)
        return Completed(tuple(argv), code, stdout, stderr, time.monotonic() - started)

    def push(
        self,
        source: Path,
        remote: str,
        part: FilePart | None = None,
        sent: Sent | None = None,
    ) -> None:
        """See Device.push."""
        pieces = pieces_of(source, part, CHUNK_BYTES, sent)
        code, _, output = self._exchange(writer_of(remote, part), pieces)
        if code != 0:
            raise failed_write(self.uri, remote, code, output)

    @abstractmethod
    def _exchange(
        self, argv: Sequence[str], stdin: Iterator[bytes], deadline: float | None = None
    ) -> tuple[int, str, str]:
        """Runs `argv`, feeds it, drains it; its exit code, stdout and stderr.

        Without a deadline it goes on as long as bytes move.
        """

    def _ended(
        self, code: int | None, stdout: ProgramOutput, stderr: ProgramOutput
    ) -> tuple[int, str, str]:
        """What `_exchange` returns. `code`: None where the connection ended before it came."""
        if code is None:
            message = f"lost the connection to {self.uri}"
            raise errors.UnavailableError(message)
        if not stdout.has_begun:
            raise no_program(self.uri, stderr.text or stdout.text)
        return exit_code_of_shell(code), stdout.text, stderr.text

    def _no_forwarding(self) -> errors.UnsupportedError:
        message = f"the SSH server of {self.uri} does not forward ports"
        hint = "set `AllowTcpForwarding yes` (or `local`) in its sshd_config"
        return errors.UnsupportedError(message, hint=hint)


def seconds_left(deadline: float | None) -> float:
    """Until `deadline` (time.monotonic()); without one, as long as nothing may move."""
    return STALL_S if deadline is None else max(0.001, deadline - time.monotonic())
