"""A phone reached through adb: adbutils for the server, our own framing for the traffic."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sphere_edge import errors
from sphere_edge.devices import adb_wire
from sphere_edge.devices.adb_host import (
    CONNECT_TIMEOUT_S,
    AdbState,
    adbutils,
    connect_network,
    listed,
    server,
)
from sphere_edge.devices.device import (
    DEFAULT_TIMEOUT_S,
    FilePart,
    Process,
    Sent,
    Stream,
    exit_code_of_shell,
    failed_write,
    longer,
    pieces_of,
    remote_line,
    storage_error,
    writer_of,
)
from sphere_edge.run import OUTPUT_LIMIT_BYTES, Completed

# A device that was plugged in or restarted just now is "offline" for a moment.
_SETTLE_S = 3.0


class AdbDevice:
    """`serial` None: the only device that is attached."""

    default_store = "/data/local/tmp/sphere-edge"

    def __init__(self, serial: str | None = None) -> None:
        self._client = server()
        self._serial = serial or os.environ.get("ANDROID_SERIAL") or self._only_one()
        self.uri = f"adb:{self._serial}"
        self._open()

    def run(
        self, argv: Sequence[str], *, timeout_s: float = DEFAULT_TIMEOUT_S, stdin: bytes = b""
    ) -> Completed:
        """See Device.run. `stdin` is sent before output is read, so it should be modest."""
        started = time.monotonic()
        deadline = started + timeout_s
        stdout, stderr = bytearray(), bytearray()
        code: int | None = None
        with self._translated(), self._shell(argv) as connection:
            connection.settimeout(timeout_s)
            shell = adb_wire.Shell(connection)
            try:
                shell.send(stdin)
                shell.end_stdin()
            except (BrokenPipeError, ConnectionResetError):
                # It may have ended without reading; then its exit code is still there to read.
                deadline = min(deadline, time.monotonic() + 1)
            while code is None:
                code = shell.receive(stdout.extend, stderr.extend, deadline)
                if len(stdout) + len(stderr) > OUTPUT_LIMIT_BYTES:
                    message = f"`{argv[0]}` on {self.uri} prints too much output"
                    raise errors.UnavailableError(message)
        return Completed(
            tuple(argv),
            exit_code_of_shell(code),
            stdout.decode(errors="replace"),
            stderr.decode(errors="replace"),
            time.monotonic() - started,
        )

    def start(self, argv: Sequence[str]) -> Process:
        """See Device.start."""
        with self._translated():
            return _AdbProcess(self._open_shell(argv), self.uri)

    def push(
        self,
        source: Path,
        remote: str,
        part: FilePart | None = None,
        sent: Sent | None = None,
    ) -> None:
        """See Device.push."""
        if part is None:
            self._send(source, remote, sent)
            return
        # The sync protocol writes whole files only, and deletes what a cut left of one. `dd` keeps
        # it, writes each byte once, and reports what goes wrong with its exit code.
        output = b""

        def take(piece: bytes) -> None:
            nonlocal output
            output = longer(output, piece, self.uri)

        pieces = pieces_of(source, part, adb_wire.SYNC_DATA_BYTES, sent)
        with self._translated(finite=False), self._shell(writer_of(remote, part)) as connection:
            code = adb_wire.Shell(connection).feed(pieces, take)
        if code != 0:
            raise failed_write(self.uri, remote, code, output.decode(errors="replace"))

    def connect(self, port: int) -> Stream:
        """See Device.connect."""
        message = f"no port of {self.uri} is forwarded"
        raise errors.UnsupportedError(message, hint="`adb forward` does that")

    def reconnect(self) -> None:
        """See Device.reconnect."""
        self._client = server()
        self._open()

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def _only_one(self) -> str:
        devices = listed(self._client)
        ready = [device for device in devices if device.is_ready]
        if len(ready) == 1:
            return ready[0].serial
        if not devices:
            message = "no device is attached to adb"
            hint = "switch on USB debugging in the phone's developer options and plug it in"
            raise errors.NotFoundError(message, hint=hint)
        states = ", ".join(f"adb:{device.serial} ({device.state})" for device in devices)
        if ready:
            message = f"more than one device is attached to adb: {states}"
            raise errors.InvalidArgumentError(message, hint="name one, as `--device adb:SERIAL`")
        message = f"no device attached to adb is ready: {states}"
        raise errors.UnavailableError(message, hint=devices[0].advice)

    def _open(self) -> None:
        """Waits a moment for the device to be ready; connects to it if it is in the network."""
        deadline = time.monotonic() + _SETTLE_S
        while not (state := self._state()).is_ready:
            # A stale network entry stays "offline" for ever: remove it and connect again.
            if ":" in self._serial and state.state in ("absent", "offline"):
                if state.state == "offline":
                    self._client.disconnect(self._serial)
                try:
                    connect_network(self._serial)
                except errors.UnavailableError:
                    # Also when its owner has yet to allow us; then it is there, unauthorized.
                    if self._state().state == "absent":
                        raise
            elif state.state == "absent" or time.monotonic() > deadline:
                raise self._not_ready(state)
            time.sleep(0.1)
        request = f"host-serial:{self._serial}:features"
        with self._translated(), self._connected(request) as connection:
            features = connection.read_string_block()
        if "shell_v2" not in features.split(","):
            message = f"{self.uri} has an adb that does not report exit codes"
            raise errors.UnsupportedError(message, hint="Android 7 or newer is needed")

    def _state(self) -> AdbState:
        for device in listed(self._client):
            if device.serial == self._serial:
                return device
        return AdbState(self._serial, "absent")

    def _not_ready(self, state: AdbState) -> errors.SphereEdgeError:
        if state.state == "absent":
            others = ", ".join(f"adb:{device.serial}" for device in listed(self._client))
            message = f"{self.uri} is not attached"
            hint = f"attached are: {others}" if others else "see `sphere-edge devices`"
            return errors.UnavailableError(message, hint=hint)
        return errors.UnavailableError(f"{self.uri} is {state.state}", hint=state.advice)

    def _connected(self, *requests: str) -> adbutils.AdbConnection:
        """A connection to the server after it granted `requests`; the caller closes it.

        adbutils' own open_transport leaves its socket open when the server refuses.
        """
        connection = self._client.make_connection(timeout=CONNECT_TIMEOUT_S)
        try:
            for request in requests:
                connection.send_command(request)
                connection.check_okay()
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_shell(self, argv: Sequence[str]) -> adbutils.AdbConnection:
        service = f"shell,v2,raw:{remote_line(argv)}"
        return self._connected(f"host:transport:{self._serial}", service)

    @contextmanager
    def _shell(self, argv: Sequence[str]) -> Iterator[socket.socket]:
        with self._open_shell(argv) as connection:
            yield connection.conn

    @contextmanager
    def _sync(self) -> Iterator[socket.socket]:
        with self._connected(f"host:transport:{self._serial}", "sync:") as connection:
            yield connection.conn

    def _send(self, source: Path, remote: str, sent: Sent | None) -> None:
        pieces = pieces_of(source, None, adb_wire.SYNC_DATA_BYTES, sent)
        with self._translated(finite=False), self._sync() as connection:
            try:
                adb_wire.push(connection, remote, 0o600, pieces)
            except adb_wire.SyncFailedError as error:
                raise storage_error(self.uri, remote, str(error)) from error

    @contextmanager
    def _translated(self, *, finite: bool = True) -> Iterator[None]:
        """`finite`: a timeout is the program's; else the connection's, over which nothing moves."""
        try:
            yield
        # TimeoutError is also an OSError and adbutils' own is also an AdbError: first.
        except (TimeoutError, adbutils.AdbTimeout) as error:
            if not finite:
                message = f"lost the connection to {self.uri}: nothing moves"
                raise errors.UnavailableError(message) from error
            message = f"{self.uri} did not finish in time"
            raise errors.TimeoutError(message) from error
        except (adbutils.AdbError, EOFError, OSError) as error:
            state = self._state()
            if not state.is_ready:
                raise self._not_ready(state) from error
            message = f"lost the connection to {self.uri}: {error or type(error).__name__}"
            raise errors.UnavailableError(message) from error


class _AdbProcess:
    def __init__(self, connection: adbutils.AdbConnection, uri: str) -> None:
        self._connection = connection
        self._shell = adb_wire.Shell(connection.conn)
        self._uri = uri
        self._stdout = b""
        self._ended = False

    @property
    def has_ended(self) -> bool:
        """See Process.has_ended."""
        return self._ended and b"\n" not in self._stdout

    def read_line(self, timeout_s: float) -> str:
        """See Process.read_line."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._stdout:
            if self._ended:
                return ""
            try:
                code = self._shell.receive(self._take, lambda _: None, deadline)
            except TimeoutError as error:
                message = f"no answer within {timeout_s:g} s on {self._uri}"
                raise errors.TimeoutError(message) from error
            except (EOFError, OSError):
                code = -1
            self._ended = code is not None
        line, _, self._stdout = self._stdout.partition(b"\n")
        return line.decode(errors="replace")

    def _take(self, piece: bytes) -> None:
        self._stdout = longer(self._stdout, piece, self._uri)

    def write_line(self, text: str) -> None:
        """See Process.write_line."""
        try:
            self._shell.send(f"{text}\n".encode())
        except OSError as error:
            message = f"lost the connection to {self._uri}"
            raise errors.UnavailableError(message) from error

    def close(self) -> None:
        """See Process.close."""
        if self._connection.closed:
            return
        try:
            self._shell.end_stdin()
            deadline = time.monotonic() + 5
            while self._shell.receive(lambda _: None, lambda _: None, deadline) is None:
                if time.monotonic() > deadline:
                    break
        except (EOFError, OSError):
            # Its end no longer reaches us; closing the connection is all that is left.
            self._ended = True
        finally:
            self._connection.close()
