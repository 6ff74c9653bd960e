"""From a device's name (`local`, `adb:SERIAL`, `ssh://user@host:port`) to an open `Device`."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from sphere_edge import console, errors
from sphere_edge.devices.device import Ask, Device


@dataclass(frozen=True)
class DeviceUri:
    """A device's name, taken apart: `serial` only for adb, the others only for ssh."""

    kind: str
    serial: str | None = None
    user: str | None = None
    host: str | None = None
    port: int | None = None

    @property
    def text(self) -> str:
        """The name itself, in a form that `parse_uri` takes."""
        if self.kind != "ssh":
            return self.kind if self.serial is None else f"{self.kind}:{self.serial}"
        user = "" if self.user is None else f"{quote(self.user, safe='')}@"
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        return f"ssh://{user}{host}{'' if self.port is None else f':{self.port}'}"


@dataclass(frozen=True)
class StoreAddress:
    """The store in the folder `store` of the device `uri`; None: the device's usual one."""

    uri: str
    store: str | None = None


# No leading `-`: these words also reach the command lines of other programs.
_SERIAL = re.compile(r"(?![-\s]).{0,127}\S")
_HOST = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9._:%\-]{0,254}")
# What OpenSSH refuses in a user's name (valid_ruser in ssh.c), a ProxyCommand might execute.
_USER = re.compile(r"(?!-)(?!.*\s-)(?!.*\\$)[^'`\";&<>|(){}]{1,255}")
_FORMS = "use `local`, `adb:SERIAL` or `ssh://user@host:port`"


def parse_uri(uri: str) -> DeviceUri:
    """Takes `uri` apart. Raises InvalidArgumentError."""
    if uri == "local":
        return DeviceUri("local")
    if uri == "adb":
        return DeviceUri("adb")
    if uri.startswith("adb:") and uri.isprintable() and _SERIAL.fullmatch(uri[4:]):
        return DeviceUri("adb", serial=uri[4:])
    # urlsplit would drop line ends.
    if uri.startswith("ssh://") and uri.isprintable():
        return _parse_ssh(uri)
    message = f"`{uri}` does not name a device"
    raise errors.InvalidArgumentError(message, hint=_FORMS)


def _parse_ssh(uri: str) -> DeviceUri:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        message = f"`{uri}` does not name a device: {error}"
        raise errors.InvalidArgumentError(message, hint=_FORMS) from error
    if parts.password is not None:
        message = "a password does not belong in a device's name, where every log shows it"
        hint = "use a key, or let sphere-edge ask for the password"
        raise errors.InvalidArgumentError(message, hint=hint)
    extra = parts.path not in ("", "/") or parts.query or parts.fragment
    host = parts.hostname and parts.netloc.rpartition("@")[2]
    # urlsplit lowers the case; ssh_config's Host patterns are case-sensitive.
    host = re.sub(r":\d*$", "", host or "").strip("[]")
    user = None if parts.username is None else unquote(parts.username)
    user_is_odd = user is not None and not (user.isprintable() and _USER.fullmatch(user))
    if extra or user_is_odd or not _HOST.fullmatch(host):
        message = f"`{uri}` does not name a device"
        raise errors.InvalidArgumentError(message, hint=_FORMS)
    return DeviceUri("ssh", user=user, host=host, port=port)


# A transport is imported only when it is used: paramiko and adbutils each take 0.2 s to import.
def _open_local(uri: DeviceUri, ask: Ask | None) -> Device:
    from sphere_edge.devices.local import LocalDevice

    return LocalDevice()


def _open_ssh(uri: DeviceUri, ask: Ask | None) -> Device:
    from sphere_edge.devices import ssh_config

    host = ssh_config.resolve(uri.host or "", user=uri.user, port=uri.port)
    ssh_config.require_end_of_jumps(host)
    # Who gets in with `ssh` gets in here; paramiko is for machines without it.
    if ssh_config.has_client():
        from sphere_edge.devices.openssh import OpenSshDevice

        return OpenSshDevice(uri.text, host, ask)
    from sphere_edge.devices.ssh import SshDevice

    return SshDevice(uri.text, host, ask)


def _open_adb(uri: DeviceUri, ask: Ask | None) -> Device:
    from sphere_edge.devices.adb import AdbDevice

    return AdbDevice(uri.serial)


KINDS: dict[str, Callable[[DeviceUri, Ask | None], Device]] = {
    "local": _open_local,
    "ssh": _open_ssh,
    "adb": _open_adb,
}


def open_device(uri: str, *, ask: Ask | None = None) -> Device:
    """Connects to the device; `ask` is called for a password or passphrase if one is needed.

    Raises InvalidArgumentError (no such form of name), NotFoundError (no such device),
    UnavailableError (it does not answer, or denies access).
    """
    parsed = parse_uri(uri)
    return KINDS[parsed.kind](parsed, ask)


@contextmanager
def opened(uri: str) -> Iterator[Device]:
    """The device, closed at the end; asks for a password only where a person can type one."""
    ask = (lambda what: getpass.getpass(f"{what}: ")) if console.is_interactive() else None
    device = open_device(uri, ask=ask)
    try:
        yield device
    finally:
        device.close()


def pair_phone(address: str, code: str) -> None:
    """Pairs adb with the phone that shows `address` (HOST:PORT) and `code`.

    Raises InvalidArgumentError, UnavailableError.
    """
    from sphere_edge.devices import adb_host

    uri = parse_uri(f"adb:{address}")
    if not code.isdecimal():
        message = "a pairing code has only digits"
        raise errors.InvalidArgumentError(message, hint="the phone shows six")
    adb_host.pair(uri.serial or address, code)
