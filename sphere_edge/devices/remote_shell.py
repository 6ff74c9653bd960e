"""A command line for a login shell of any kind, of which nothing but starting `sh` is asked.

csh knows no line ends inside quotes, and start-up files print what they like before a command.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Sequence

from sphere_edge import errors
from sphere_edge.devices.device import LINE_LIMIT_BYTES
from sphere_edge.run import OUTPUT_LIMIT_BYTES

# What stands for itself in every shell, in single quotes around double quotes.
_PLAIN = re.compile(rb"[A-Za-z0-9 _./:=,@+-]")


class RemoteLine:
    """`argv` as `text`, a line that any login shell takes.

    Both streams of the program begin after the line `mark`. Death by signal N becomes the exit
    code 128 + N of `sh`.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.mark = f"sphere-edge-{secrets.token_hex(8)}"
        words = shlex.join(argv)
        script = f'echo {self.mark}; echo {self.mark} >&2; set -- {words}; "$@"; exit $?'
        # Octal escapes of printf(1), `%b`: no quotes, line ends, `!` or `$` are left.
        encoded = "".join(
            chr(byte) if _PLAIN.match(bytes((byte,))) else f"\\0{byte:03o}"
            for byte in os.fsencode(script)
        )
        self.text = f'sh -c \'eval "$(printf %b "{encoded}")"\''


class ProgramOutput:
    """One stream of a program that a `RemoteLine` started."""

    def __init__(self, line: RemoteLine, device_uri: str) -> None:
        self._mark = f"{line.mark}\n".encode()
        self._uri = device_uri
        self._bytes = bytearray()
        self.has_begun = False

    def add(self, piece: bytes) -> None:
        """Takes the next piece. Raises UnavailableError if there is too much of it."""
        if len(self._bytes) + len(piece) > OUTPUT_LIMIT_BYTES:
            message = f"a program on {self._uri} prints too much output"
            raise errors.UnavailableError(message)
        searched = max(0, len(self._bytes) - len(self._mark))
        self._bytes += piece
        if not self.has_begun and (at := self._bytes.find(self._mark, searched)) >= 0:
            del self._bytes[: at + len(self._mark)]
            self.has_begun = True

    @property
    def text(self) -> str:
        """What the program printed so far; before it begins, what the login shell did."""
        return self._bytes.decode(errors="replace")

    def take_line(self) -> str | None:
        """Removes and returns the program's next whole line, without its end; None: not yet."""
        if not self.has_begun or b"\n" not in self._bytes:
            return None
        line, _, rest = self._bytes.partition(b"\n")
        self._bytes = rest
        return line.decode(errors="replace")

    def add_to_line(self, piece: bytes) -> None:
        """As `add`, for who takes lines. Raises UnavailableError if no line is that long."""
        self.add(piece)
        if len(self._bytes) > LINE_LIMIT_BYTES:
            message = f"a program on {self._uri} prints a line without end"
            raise errors.UnavailableError(message)


def no_program(device_uri: str, output: str) -> errors.UnavailableError:
    """A login shell that ended without starting anything, and what it output."""
    message = f"the login shell on {device_uri} does not start `sh`"
    lines = output.strip().splitlines()[-3:]
    hint = "it says: " + " | ".join(lines) if lines else "is the account allowed to run programs?"
    return errors.UnavailableError(message, hint=hint)
