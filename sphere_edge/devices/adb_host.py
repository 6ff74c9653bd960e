"""The adb server of this machine and what it lists; phones in a network connected and paired."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass

from sphere_edge import errors, whole_number
from sphere_edge.run import run
from sphere_edge.toolchain import compilers

# Names a program outside the PATH; the same variable that Google's own tools honour.
ADB_VARIABLE = "ADB"
_PORT_VARIABLE = "ANDROID_ADB_SERVER_PORT"
_DEFAULT_PORT = 5037
CONNECT_TIMEOUT_S = 15.0


def port() -> int:
    """The port of the user's adb server. Raises InvalidArgumentError."""
    text = os.environ.get(_PORT_VARIABLE, str(_DEFAULT_PORT))
    number = whole_number.parse(text)
    if number is None or not 0 < number < 65536:
        message = f"{_PORT_VARIABLE} is `{text}`, which is not a port"
        raise errors.InvalidArgumentError(message)
    return number


# adbutils reads the variable while it is imported, and fails on a value that is not a port.
port()
import adbutils as adbutils  # noqa: E402


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
    "`plugdev`, log in again and plug it in again",
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
    number = port()
    host = os.environ.get("ANDROID_ADB_SERVER_HOST", "127.0.0.1")
    try:
        socket.create_connection((host, number), timeout=3).close()
    except OSError:
        # adbutils would start it, too, but ignores ADB and hides why it failed.
        program = os.environ.get(ADB_VARIABLE) or compilers.adb()
        if program is None:
            # The wheels of adbutils bring it along, but there is none for ARM.
            message = "the program `adb` is not installed"
            hint = (
                f"install it (Debian, Ubuntu: `apt install adb`), or name it: {ADB_VARIABLE}=/path"
            )
            raise errors.UnavailableError(message, hint=hint) from None
        started = run([program, "-P", str(number), "start-server"], timeout_s=30, check=False)
        if started.exit_code != 0:
            # It prints a page before the line that counts.
            why = "; ".join(started.last_lines.splitlines()[-3:])
            message = f"the adb server does not start: {why}"
            hint = f"try `{program} start-server`; another adb is named with {ADB_VARIABLE}=/path"
            raise errors.UnavailableError(message, hint=hint) from None
    return adbutils.AdbClient(host=host, port=number)


def listed(client: adbutils.AdbClient | None = None) -> list[AdbState]:
    """Every device the server knows of, in whatever state. Raises UnavailableError."""
    # Not adbutils' list(): it cuts serials and states at their first blank, and the numbered names
    # that a network gives to phones of one name have blanks. Only the short form ends the serial
    # with a tab; only the long one has the model.
    client = client or server()
    try:
        short, long = (_listing(client, request) for request in ("host:devices", "host:devices-l"))
    except (adbutils.AdbError, OSError, EOFError, ValueError) as error:
        message = f"the adb server does not answer: {error}"
        raise errors.UnavailableError(message) from error
    found = []
    for line in short:
        serial, _, state = line.partition("\t")
        # Behind it adb says in brackets which permissions.
        state = "no permissions" if state.startswith("no permissions") else state.strip()
        found.append(AdbState(serial, state, _model(serial, long)))
    return found


def _listing(client: adbutils.AdbClient, request: str) -> list[str]:
    with client.make_connection(timeout=CONNECT_TIMEOUT_S) as connection:
        connection.send_command(request)
        connection.check_okay()
        text: str = connection.read_string_block()
    return [line for line in text.splitlines() if line]


def _model(serial: str, lines: list[str]) -> str | None:
    for line in lines:
        if line.startswith(f"{serial} ") and (model := re.search(r" model:(\S+)", line)):
            return model[1]
    return None


def connect_network(address: str) -> None:
    """`adb connect` for a device in the network, `host:port`. Raises UnavailableError."""
    try:
        reply = server().connect(address, timeout=CONNECT_TIMEOUT_S)
    except (adbutils.AdbError, OSError, EOFError) as error:
        reply = str(error)
    # The protocol reports every outcome as a success; only the text differs.
    if not reply.startswith(("connected to", "already connected to")):
        message = f"cannot connect to `{address}`: {reply.strip()}"
        hint = (
            "switch on wireless debugging there; Android 11 or newer is paired once first: "
            "`sphere-edge device pair HOST:PORT`, with the port and code that the phone shows"
        )
        raise errors.UnavailableError(message, hint=hint)


def pair(address: str, code: str) -> None:
    """`adb pair` with a device that shows `address` and `code`. Raises UnavailableError."""
    try:
        with server().make_connection(timeout=CONNECT_TIMEOUT_S) as connection:
            connection.send_command(f"host:pair:{code}:{address}")
            connection.check_okay()
            # The server accepts the request with one reply and sends the outcome in a second.
            connection.check_okay()
            reply = connection.read_string_block()
    except (adbutils.AdbError, OSError, EOFError, ValueError) as error:
        reply = str(error)
    # As with `connect`, only the text differs.
    if not reply.startswith("Successfully paired"):
        message = f"cannot pair with `{address}`: {reply.strip()}"
        hint = (
            "wireless debugging > `Pair device with pairing code` shows both, for a minute or two"
        )
        raise errors.UnavailableError(message, hint=hint)
