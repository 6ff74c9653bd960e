"""A device reached over SSH by paramiko, for machines without OpenSSH's client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import paramiko

from sphere_edge import errors
from sphere_edge.devices.device import (
    STALL_S,
    Ask,
    Process,
    Stream,
    connection_refused,
)
from sphere_edge.devices.remote_shell import ProgramOutput, RemoteLine
from sphere_edge.devices.shell_device import CHUNK_BYTES, EXIT_S, ShellDevice, seconds_left
from sphere_edge.devices.ssh_config import SshHost
from sphere_edge.devices.ssh_connect import Connection, connect

# A program may take this long to end after its stdin has.
_CLOSE_S = 5.0

# RFC 4254, 5.1: SSH_OPEN_ADMINISTRATIVELY_PROHIBITED.
_PROHIBITED = 1

# All that paramiko raises, on whichever thread meets it first, when a connection breaks.
_LOST = (OSError, EOFError, paramiko.SSHException)


class SshDevice(ShellDevice):
    """See ShellDevice."""

    def __init__(self, uri: str, host: SshHost, ask: Ask | None = None) -> None:
        self.uri = uri
        self._host = host
        self._ask = ask
        self._connection: Connection | None = connect(self._host, self.uri, ask)

    def start(self, argv: Sequence[str]) -> Process:
        """See Device.start."""
        line = RemoteLine(argv)
        with self._translated():
            channel = self._session()
            channel.exec_command(line.text)
        return _SshProcess(channel, line, self.uri)

    def connect(self, port: int) -> Stream:
        """See Device.connect."""
        if self._connection is None:
            message = f"{self.uri} is closed"
            raise errors.UnavailableError(message)
        target, source = ("127.0.0.1", port), ("127.0.0.1", 0)
        timeout_s = self._host.connect_timeout_s
        try:
            with self._translated():
                stream: Stream = self._connection.transport.open_channel(
                    "direct-tcpip", target, source, timeout=timeout_s
                )
        except errors.UnavailableError as error:
            refused = error.__cause__
            if not isinstance(refused, paramiko.ChannelException):
                raise
            if refused.code == _PROHIBITED:
                raise self._no_forwarding() from error
            raise connection_refused(self.uri, port) from error
        return stream

    def reconnect(self) -> None:
        """See Device.reconnect."""
        self.close()
        self._connection = connect(self._host, self.uri, self._ask)

    def close(self) -> None:
        """See Device.close."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _session(self) -> paramiko.Channel:
        if self._connection is None:
            message = f"{self.uri} is closed"
            raise errors.UnavailableError(message)
        return self._connection.transport.open_session(timeout=self._host.connect_timeout_s)

    def _exchange(
        self, argv: Sequence[str], stdin: Iterator[bytes], deadline: float | None = None
    ) -> tuple[int, str, str]:
        def left() -> float:
            return seconds_left(deadline)

        line = RemoteLine(argv)
        stdout, stderr = ProgramOutput(line, self.uri), ProgramOutput(line, self.uri)
        with self._translated(finite=deadline is not None), self._session() as channel:
            channel.settimeout(left())
            channel.exec_command(line.text)
            # Both streams are read at once: one left full would stop the program.
            failures: list[Exception] = []
            threads = [
                threading.Thread(target=_drain, args=(channel, stderr, failures), daemon=True),
                threading.Thread(target=_feed, args=(channel, stdin, failures), daemon=True),
            ]
            for thread in threads:
                thread.start()
            if deadline is None:
                # While a file goes up nothing comes down: the sender's own timeout watches it.
                threads[1].join()
            while piece := self._receive(channel, left()):
                stdout.add(piece)
            if not channel.status_event.wait(left()):
                raise TimeoutError
            threads[0].join(left())
            if failures:
                raise failures[0]
            code = channel.recv_exit_status()
        return self._ended(code if code >= 0 else None, stdout, stderr)

    @staticmethod
    def _receive(channel: paramiko.Channel, timeout_s: float) -> bytes:
        channel.settimeout(timeout_s)
        received: bytes = channel.recv(CHUNK_BYTES)
        return received

    @contextmanager
    def _translated(self, *, finite: bool = True) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            alive = self._connection is not None and self._connection.transport.is_active()
            if alive and finite:
                message = f"{self.uri} did not finish in time"
                raise errors.TimeoutError(message) from error
            message = f"lost the connection to {self.uri}"
            raise errors.UnavailableError(message) from error
        except _LOST as error:
            message = f"lost the connection to {self.uri}: {error or type(error).__name__}"
            raise errors.UnavailableError(message) from error


def _drain(channel: paramiko.Channel, stderr: ProgramOutput, failures: list[Exception]) -> None:
    try:
        while piece := channel.recv_stderr(CHUNK_BYTES):
            stderr.add(piece)
    except _LOST:
        # The reader of stdout meets the same end and reports it.
        return
    except errors.SphereEdgeError as error:
        failures.append(error)
        channel.close()


def _feed(channel: paramiko.Channel, pieces: Iterator[bytes], failures: list[Exception]) -> None:
    try:
        for piece in pieces:
            if not _is_sent(channel, piece):
                return
    except (OSError, ValueError) as error:
        failures.append(errors.StorageError(f"cannot read what is to be sent: {error}"))
        channel.close()
    else:
        _is_sent(channel, b"")


def _is_sent(channel: paramiko.Channel, piece: bytes) -> bool:
    """Sends `piece`, or the end of all if it is empty."""
    try:
        if piece:
            channel.sendall(piece)
        else:
            channel.shutdown_write()
    except _LOST:
        # The program ended before it had read everything (its exit code says why), or the
        # connection is gone (the exit code never comes).
        return False
    return True


class _SshProcess:
    def __init__(self, channel: paramiko.Channel, line: RemoteLine, uri: str) -> None:
        self._channel = channel
        self._stdout = ProgramOutput(line, uri)
        self._uri = uri
        self.has_ended = False

    def read_line(self, timeout_s: float) -> str:
        """See Process.read_line."""
        self._channel.settimeout(timeout_s)
        while (line := self._stdout.take_line()) is None:
            try:
                piece = self._channel.recv(4096)
            except TimeoutError as error:
                message = f"no answer within {timeout_s:g} s on {self._uri}"
                raise errors.TimeoutError(message) from error
            except _LOST as error:
                message = f"lost the connection to {self._uri}"
                raise errors.UnavailableError(message) from error
            if not piece:
                self.has_ended = True
                self._require_exit()
                return ""
            self._stdout.add_to_line(piece)
        return line

    def _require_exit(self) -> None:
        """Raises UnavailableError where no exit code says that the program has ended."""
        if not self._channel.status_event.wait(EXIT_S) or self._channel.recv_exit_status() < 0:
            message = f"lost the connection to {self._uri}"
            raise errors.UnavailableError(message)

    def write_line(self, text: str) -> None:
        """See Process.write_line."""
        self._channel.settimeout(STALL_S)
        try:
            self._channel.sendall(f"{text}\n".encode())
        except _LOST as error:
            message = f"lost the connection to {self._uri}"
            raise errors.UnavailableError(message) from error

    def close(self) -> None:
        """See Process.close."""
        # Its end may no longer reach us; closing the channel is all that is left then.
        with suppress(*_LOST):
            self._channel.shutdown_write()
            deadline = time.monotonic() + _CLOSE_S
            self._channel.settimeout(_CLOSE_S)
            while self._channel.recv(CHUNK_BYTES) and time.monotonic() < deadline:
                pass
        with suppress(*_LOST):
            self._channel.close()
