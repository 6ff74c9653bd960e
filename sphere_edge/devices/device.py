"""What every transport to a device can do, and the same error messages for all of them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sphere_edge import errors
from sphere_edge.run import Completed

DEFAULT_TIMEOUT_S = 60.0
# A transfer is given up when not one byte moves for this long.
STALL_S = 60.0
# A transfer that was cut off goes on at a multiple of this.
PART_BYTES = 16 << 20
# Parts of files that are written in their place begin at a multiple of this.
BLOCK_BYTES = 64 << 10
# A program whose line is longer is broken or hostile.
LINE_LIMIT_BYTES = 1 << 20

# Told how many more bytes were handed to the device.
Sent = Callable[[int], None]
# Asks a person for a secret; the argument says which. None where nobody can answer.
Ask = Callable[[str], str]


class Process(Protocol):
    """A program that runs on the device while we do other things; it ends when its stdin does."""

    @property
    def has_ended(self) -> bool:
        """Whether all that it printed has been read, and no more will come."""

    def read_line(self, timeout_s: float) -> str:
        """The next line of its stdout without the line end; `""` once it has ended.

        Raises errors.TimeoutError, UnavailableError.
        """

    def write_line(self, text: str) -> None:
        """Writes a line to its stdin. Raises UnavailableError once it has ended or is lost."""

    def close(self) -> None:
        """Ends its stdin and closes it. May be called twice."""


class Stream(Protocol):
    """A connection to a program on the device, as sockets have it; they and SSH's channels are."""

    def recv(self, size: int, /) -> bytes:
        """What has come, at most `size` bytes; empty at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Sends all of it."""

    def shutdown(self, how: int, /) -> None:
        """Ends one direction, or both."""

    def close(self) -> None:
        """Ends both directions."""


@dataclass(frozen=True)
class FilePart:
    """Bytes [offset, offset + length) of a file; the offset is a multiple of BLOCK_BYTES."""

    offset_bytes: int
    length_bytes: int

    def __post_init__(self) -> None:
        if self.offset_bytes % BLOCK_BYTES:
            message = f"offset `{self.offset_bytes}` is not a multiple of {BLOCK_BYTES}"
            raise errors.InvalidArgumentError(message)


class Device(Protocol):
    """A phone, a board or this machine.

    Every method raises UnavailableError when the device does not answer (any more); after
    `reconnect` it can be used again. `argv` reaches the program unchanged on every transport.
    """

    @property
    def uri(self) -> str:
        """What the user calls it: `local`, `adb:SERIAL`, `ssh://user@host:port`."""

    @property
    def default_store(self) -> str:
        """Where the store is by default; may begin with `~/`."""

    def run(
        self, argv: Sequence[str], *, timeout_s: float = DEFAULT_TIMEOUT_S, stdin: bytes = b""
    ) -> Completed:
        """Runs a program to its end; how it ended is in the result, death by signal N as -N.

        Raises errors.TimeoutError; the program is then ended or loses its streams.
        """

    def start(self, argv: Sequence[str]) -> Process:
        """Starts a program that goes on until its stdin ends."""

    def push(
        self,
        source: Path,
        remote: str,
        part: FilePart | None = None,
        sent: Sent | None = None,
    ) -> None:
        """Makes the file `remote` the same as `source`, whole or in part.

        A `part` goes to the same offset of `remote`, and the rest of it stays. The file is made if
        it is missing, its folder is not.
        Raises StorageError: full, read-only, not allowed, no such folder.
        """

    def connect(self, port: int) -> Stream:
        """Connects to a program at a port of the device's loopback.

        Raises UnavailableError (refused), UnsupportedError (this transport, or the server
        does not forward).
        """

    def reconnect(self) -> None:
        """Drops the connection, if there is one, and makes a new one."""

    def close(self) -> None:
        """Closes the connection. May be called twice."""


def remote_line(argv: Sequence[str]) -> str:
    """`argv` as one command line, for transports that pass a line to a shell (adb, SSH).

    The outer `sh` turns death by signal N into the exit code 128 + N, which both report.
    """
    return shlex.join(["sh", "-c", '"$@"; exit $?', "sh", *argv])


def exit_code_of_shell(code: int) -> int:
    """A shell's 128 + N as -N, the way `sphere_edge.run` reports death by signal N."""
    return 128 - code if 128 < code <= 128 + 64 else code


def read_file(device: Device, remote: str, *, limit_bytes: int = 1 << 20) -> str:
    """The beginning of a text file on the device, at most `limit_bytes` of it.

    Raises NotFoundError if it cannot be read.
    """
    completed = device.run(["head", "-c", str(limit_bytes), remote])
    if completed.exit_code != 0:
        message = f"cannot read `{remote}` on {device.uri}: {completed.last_lines}"
        raise errors.NotFoundError(message)
    return completed.stdout


def longer(line: bytes, piece: bytes, device_uri: str) -> bytes:
    """`line` and what came after it. Raises UnavailableError if no line is that long."""
    if len(line) + len(piece) > LINE_LIMIT_BYTES:
        message = f"a program on {device_uri} prints a line without end"
        raise errors.UnavailableError(message)
    return line + piece


def pieces_of(
    source: Path, part: FilePart | None, piece_bytes: int, sent: Sent | None
) -> Iterator[bytes]:
    """What a push sends of `source`, in pieces of at most `piece_bytes`, each counted by `sent`."""
    left = part.length_bytes if part else source.stat().st_size
    with source.open("rb") as file:
        file.seek(part.offset_bytes if part else 0)
        while left and (piece := file.read(min(left, piece_bytes))):
            yield piece
            left -= len(piece)
            if sent is not None:
                sent(len(piece))


def writer_of(remote: str, part: FilePart | None) -> list[str]:
    """The program that writes its stdin to `remote`, each byte once; its exit code says if."""
    seek = (f"seek={part.offset_bytes // BLOCK_BYTES}", "conv=notrunc") if part else ()
    return ["env", "LC_ALL=C", "dd", f"of={remote}", f"bs={BLOCK_BYTES}", *seek]


def connection_refused(device_uri: str, port: int) -> errors.UnavailableError:
    """A refused connection to the device's loopback."""
    return errors.UnavailableError(f"nothing answers at port {port} of {device_uri}")


def failed_write(device_uri: str, remote: str, code: int, reason: str) -> errors.SphereEdgeError:
    """What the exit code of a program that was to write `remote` means to the user."""
    signal = -code if code < 0 else code - 128
    if signal > 0:
        # A device that restarts ends its programs before its connection.
        message = f"a program on {device_uri} was ended by signal {signal}"
        return errors.UnavailableError(message, hint="did it restart, or run out of memory?")
    return storage_error(device_uri, remote, reason or f"exit code {code}")


def storage_error(device_uri: str, remote: str, reason: str) -> errors.StorageError:
    """A failed write, explained by the kernel's message in `reason`."""
    for sign, cause, hint in _WRITE_FAILURES:
        if sign in reason.lower():
            return errors.StorageError(f"`{remote}` on {device_uri}: {cause}", hint=hint)
    return errors.StorageError(f"cannot write `{remote}` on {device_uri}: {reason.strip()}")


_WRITE_FAILURES = (
    (
        "no space left",
        "the device is full",
        "free space there: `sphere-edge device gc --device URI` removes bundles no longer in use",
    ),
    ("quota exceeded", "the user's quota is used up", "free space on the device"),
    (
        "read-only file system",
        "the file system is read-only",
        "choose a writable folder with --store",
    ),
    (
        "permission denied",
        "not allowed to write there",
        "choose a folder of yours with --store",
    ),
    ("operation not permitted", "not allowed to write there", "choose a folder with --store"),
    ("no such file or directory", "its folder does not exist", None),
    ("not a directory", "its folder does not exist", None),
    ("file too large", "the file system cannot hold a file that large", None),
)
