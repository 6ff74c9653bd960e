"""The devices that can be named without knowing their address: local, adb's, and ssh_config's."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge import errors
from sphere_edge.console import SILENT, Progress


@dataclass(frozen=True)
class KnownDevice:
    """`state`: `ready`, `in ssh config` or adb's own word, of which `device` means ready.

    `advice`: what to do if it is not ready.
    """

    uri: str
    state: str
    description: str | None = None
    advice: str | None = None


def known_devices(progress: Progress = SILENT) -> list[KnownDevice]:
    """All of them; warns if adb cannot be asked."""
    return [KnownDevice("local", "ready", "this machine"), *_adb(progress), *_ssh()]


def _adb(progress: Progress) -> list[KnownDevice]:
    try:
        # Importing it reads the user's settings for adb.
        from sphere_edge.devices import adb_host

        states = adb_host.listed()
    except errors.SphereEdgeError as error:
        progress.warn(error.message)
        return []
    return [KnownDevice(f"adb:{one.serial}", one.state, one.model, one.advice) for one in states]


def _ssh() -> list[KnownDevice]:
    from sphere_edge.devices import ssh_config

    return [KnownDevice(f"ssh://{host}", "in ssh config") for host in ssh_config.named_hosts()]
