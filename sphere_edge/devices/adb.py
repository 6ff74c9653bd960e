"""A phone reached through adb: adbutils for the server, our own framing for the traffic."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import adbutils

from sphere_edge import errors
from sphere_edge.devices import adb_wire
from sphere_edge.devices.device import (
    DEFAULT_TIMEOUT_S,
    OUTPUT_LIMIT_BYTES,
    Process,
    Sent,
    exit_code_of_shell,
    failed_write,
    remote_line,
    storage_error,
)
from sphere_edge.run import Completed, run

# Names a program outside the PATH; the same variable that Google's own tools honour.
ADB_VARIABLE = "ADB"
_PORT_VARIABLE = "ANDROID_ADB_SERVER_PORT"
_DEFAULT_PORT = 5037
_BLOCK_BYTES = 64 << 10
_CONNECT_TIMEOUT_S = 15.0
# A device that was plugged in or restarted just now is "offline" for a moment.
_SETTLE_S = 3.0


@dataclass(frozen=True)
class AdbState:
    """A device as the adb server lists it; `state` is adb's own word."""

    serial: str
    state: str
    model: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether programs can be started on it."""
        return self.state == "device"

    @property
    def advice(self) -> str | None:
        """What the user does about a device that is not ready."""
        unknown = "plug it in again, or restart it; then `sphere-edge devices` once more"
        return None if self.is_ready else _ADVICE.get(self.state, unknown)


_ADVICE = {
    "unauthorized": "unlock its screen and accept `Allow USB debugging`; if it does not ask, "
    "revoke USB debugging authorizations in the developer options and plug it in again",
    "authorizing": "unlock its screen and accept `Allow USB debugging`",
    "offline": "plug it in again, or restart it; over the network: `adb disconnect` and connect",
    "no permissions": "this user may not open USB devices: install the udev rules "
    "(Debian, Ubuntu: `apt install android-sdk-platform-tools-common`), join the group "
    "`plugdev`, log in anew and plug it in again",
    "recovery": "it is in recovery mode: restart it into the system",
    "sideload": "it is in sideload mode: restart it into the system",
    "bootloader": "it is in the bootloader: restart it into the system",
    "connecting": "wait a moment and try again",
    "rescue": "it is in rescue mode: restart it into the system",
    "host": "it is another computer, not a device",
    "detached": "another program has taken it: `adb attach`, or plug it in again",
}


def server() -> adbutils.AdbClient:
    """The adb server, started if none runs, with the user's adb (ADB, PATH) or the bundled one.

    Raises UnavailableError, InvalidArgumentError (ANDROID_ADB_SERVER_PORT).
    """
    text = os.environ.get(_PORT_VARIABLE) or str(_DEFAULT_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        message = f"{_PORT_VARIABLE} is `{text}`, which is no port"
        raise errors.InvalidArgumentError(message)
    host = os.environ.get("ANDROID_ADB_SERVER_HOST", "127.0.0.1")
    try:
        socket.create_connection((host, int(text)), timeout=3).close()
    except OSError:
        # adbutils would start it too, but knows neither ADB nor says why it failed.
        program = os.environ.get(ADB_VARIABLE) or adbutils.adb_path()
        started = run([program, "-P", text, "start-server"], timeout_s=30, check=False)
        if started.exit_code != 0:
            # It says a page of things before the one that counts.
            why = "; ".join(started.last_lines.splitlines()[-3:])
            message = f"the adb server does not start: {why}"
            hint = f"try `{program} start-server`; another adb is named with {ADB_VARIABLE}=/path"
            raise errors.UnavailableError(message, hint=hint) from None
    return adbutils.AdbClient(host=host, port=int(text))


def listed(client: adbutils.AdbClient | None = None) -> list[AdbState]:
    """Every device the server knows of, in whatever state. Raises UnavailableError."""
    # Not device_list(): it leaves out those that are unauthorized or offline.
    try:
        infos = (client or server()).list(extended=True)
    except (adbutils.AdbError, OSError, EOFError, ValueError) as error:
        message = f"the adb server does not answer: {error}"
        raise errors.UnavailableError(message) from error
    # adbutils cuts "no permissions (…)" at its first blank.
    return [
        AdbState(
            info.serial,
            "no permissions" if info.state == "no" else info.state,
            info.tags.get("model"),
        )
        for info in infos
    ]


def connect_network(address: str) -> None:
    """`adb connect` for a device in the network, `host:port`. Raises UnavailableError."""
    try:
        said = server().connect(address, timeout=_CONNECT_TIMEOUT_S)
    except (adbutils.AdbError, OSError, EOFError) as error:
        said = str(error)
    # The protocol calls every outcome a success; only the text tells.
    if not said.startswith(("connected to", "already connected to")):
        message = f"cannot connect to `{address}`: {said.strip()}"
        hint = (
            "switch on wireless debugging there; Android 11 or newer is paired once first: "
            "`sphere-edge device pair HOST:PORT`, with the port and code that the phone shows"
        )
        raise errors.UnavailableError(message, hint=hint)


def pair(address: str, code: str) -> None:
    """`adb pair` with a device that shows `address` and `code`. Raises UnavailableError."""
    try:
        with server().make_connection(timeout=_CONNECT_TIMEOUT_S) as connection:
            connection.send_command(f"host:pair:{code}:{address}")
            connection.check_okay()
            # The server takes the request with one answer and tells its outcome with a second.
            connection.check_okay()
            said = connection.read_string_block()
    except (adbutils.AdbError, OSError, EOFError, ValueError) as error:
        said = str(error)
    # As with `connect`, only the text tells.
    if not said.startswith("Successfully paired"):
        message = f"cannot pair with `{address}`: {said.strip()}"
        hint = (
            "wireless debugging > `Pair device with pairing code` shows both, for a minute or two"
        )
        raise errors.UnavailableError(message, hint=hint)


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
                    message = f"`{argv[0]}` on {self.uri} does not stop talking"
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
        *,
        offset_bytes: int = 0,
        length_bytes: int | None = None,
        sent: Sent | None = None,
    ) -> None:
        """See Device.push; `offset_bytes` is a multiple of 64 KiB."""
        if offset_bytes % _BLOCK_BYTES:
            message = f"offset `{offset_bytes}` is not a multiple of {_BLOCK_BYTES}"
            raise errors.InvalidArgumentError(message)
        if offset_bytes == 0 and length_bytes is None:
            self._send(source, remote, source.stat().st_size, sent)
            return
        # The sync protocol writes whole files only, and deletes what a cut left of one. `dd` keeps
        # it, writes each byte once, and reports what goes wrong with its exit code.
        length = source.stat().st_size - offset_bytes if length_bytes is None else length_bytes
        seek = offset_bytes // _BLOCK_BYTES
        words = [f"of={remote}", f"bs={_BLOCK_BYTES}", f"seek={seek}", "conv=notrunc"]
        said = bytearray()
        with self._translated(), self._shell(["dd", *words]) as connection:
            pieces = _pieces(source, offset_bytes, length, sent)
            code = adb_wire.Shell(connection).feed(pieces, said.extend)
        if code != 0:
            raise failed_write(self.uri, remote, code, said.decode(errors="replace"))

    def pull(self, remote: str, target: Path) -> None:
        """See Device.pull."""
        # A missing path would come back as an empty success.
        if self.run(["test", "-f", remote]).exit_code != 0:
            message = f"there is no file `{remote}` on {self.uri}"
            raise errors.NotFoundError(message)
        with TemporaryDirectory(dir=target.parent, prefix=".pull-") as beside:
            arrived = Path(beside) / "file"
            with arrived.open("wb") as file, self._translated(), self._sync() as connection:
                try:
                    adb_wire.pull(connection, remote, file.write)
                except adb_wire.SyncFailedError as error:
                    message = f"cannot read `{remote}` on {self.uri}: {error}"
                    raise errors.NotFoundError(message) from error
            arrived.replace(target)

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
            # A stale network entry stays "offline" for ever: take it out and connect anew.
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
        with self._translated(), self._asked(request) as connection:
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

    def _asked(self, *requests: str) -> adbutils.AdbConnection:
        """A connection to the server after it granted `requests`; the caller closes it.

        adbutils' own open_transport leaves its socket open when the server refuses.
        """
        connection = self._client.make_connection(timeout=_CONNECT_TIMEOUT_S)
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
        return self._asked(f"host:transport:{self._serial}", service)

    @contextmanager
    def _shell(self, argv: Sequence[str]) -> Iterator[socket.socket]:
        with self._open_shell(argv) as connection:
            yield connection.conn

    @contextmanager
    def _sync(self) -> Iterator[socket.socket]:
        with self._asked(f"host:transport:{self._serial}", "sync:") as connection:
            yield connection.conn

    def _send(self, source: Path, remote: str, length_bytes: int, sent: Sent | None) -> None:
        pieces = _pieces(source, 0, length_bytes, sent)
        with self._translated(), self._sync() as connection:
            try:
                adb_wire.push(connection, remote, 0o600, pieces)
            except adb_wire.SyncFailedError as error:
                raise storage_error(self.uri, remote, str(error)) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        # TimeoutError is also an OSError and adbutils' own is also an AdbError: first.
        except (TimeoutError, adbutils.AdbTimeout) as error:
            message = f"{self.uri} did not finish in time"
            raise errors.TimeoutError(message) from error
        except (adbutils.AdbError, EOFError, OSError) as error:
            state = self._state()
            if not state.is_ready:
                raise self._not_ready(state) from error
            message = f"lost the connection to {self.uri}: {error or type(error).__name__}"
            raise errors.UnavailableError(message) from error


def _pieces(
    source: Path, offset_bytes: int, length_bytes: int, sent: Sent | None
) -> Iterator[bytes]:
    left = length_bytes
    with source.open("rb") as file:
        file.seek(offset_bytes)
        while left and (piece := file.read(min(left, adb_wire.SYNC_DATA_BYTES))):
            yield piece
            left -= len(piece)
            if sent is not None:
                sent(len(piece))


class _AdbProcess:
    def __init__(self, connection: adbutils.AdbConnection, uri: str) -> None:
        self._connection = connection
        self._shell = adb_wire.Shell(connection.conn)
        self._uri = uri
        self._said = bytearray()
        self._ended = False

    def read_line(self, timeout_s: float) -> str:
        """See Process.read_line."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._said:
            if self._ended:
                return ""
            try:
                code = self._shell.receive(self._said.extend, lambda _: None, deadline)
            except TimeoutError as error:
                message = f"no answer within {timeout_s:g} s on {self._uri}"
                raise errors.TimeoutError(message) from error
            except (EOFError, OSError):
                code = -1
            self._ended = code is not None
        line, _, self._said = self._said.partition(b"\n")
        return line.decode(errors="replace")

    def close(self) -> None:
        """See Process.close."""
        if self._connection.closed:
            return
        try:
            self._shell.end_stdin()
            deadline = time.monotonic() + 5
            while self._shell.receive(lambda _: None, lambda _: None, deadline) is None:
                pass
        except (EOFError, OSError):
            # Its end no longer reaches us; closing the connection is all that is left.
            self._ended = True
        finally:
            self._connection.close()
