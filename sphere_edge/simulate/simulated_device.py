"""A simulated device as a whole: its server, the programs behind it, and the link to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import platformdirs

from sphere_edge import console, errors
from sphere_edge.simulate import android, environment
from sphere_edge.simulate.adb_daemon import AdbDaemon, Owner
from sphere_edge.simulate.environment import Environment, HostEnvironment
from sphere_edge.simulate.link import Link, Quality
from sphere_edge.simulate.sshd import Sshd


@dataclass(frozen=True)
class Faults:
    """What is wrong with the link to the simulated device from the start."""

    cut_after_bytes: int | None = None
    cuts: int = 1
    delay_ms: float = 0.0
    bytes_per_s: float | None = None
    loss_percent: float = 0.0


@dataclass(frozen=True)
class Options:
    """Where the device's programs run, and the loopback port that it is reached on (0: a free one).

    `root`: its `/`, a folder that exists; `arm`: a small ARM system run by qemu, with `android` one
    that answers as an Android phone does; `on_host`: this machine itself. By default a root of its
    own with this machine's programs. `cpu`: the emulated CPU of ARM programs, as qemu names it.
    """

    root: Path | None = None
    arm: bool = False
    android: bool = False
    on_host: bool = False
    cpu: str | None = None
    port: int = 0
    faults: Faults = Faults()


class Server(Protocol):
    """The device's end of the link."""

    port: int

    def start(self) -> None:
        """Starts listening."""

    def stop(self) -> None:
        """Ends the server, its connections and programs."""

    def restart(self) -> None:
        """Does what a restart of the device does."""


@dataclass(frozen=True)
class SimulatedDevice:
    """A running device. `variables`: environment variables that a client needs to reach it."""

    uri: str
    link: Link
    server: Server
    # Commands that reach it, for people.
    commands: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def actions(self) -> dict[str, Callable[[], None]]:
        """What breaks and mends the link, by name."""
        return {
            "cut": self.link.cut,
            "stall": self.link.stall,
            "flow": self.link.flow,
            "down": self.link.take_down,
            "up": self.link.bring_up,
            "restart": self.server.restart,
        }


@contextmanager
def adb_phone(
    options: Options, owner: Owner, progress: console.Progress = console.SILENT
) -> Iterator[SimulatedDevice]:
    """A phone that adb reaches, until the block ends.

    Raises InvalidArgumentError, StorageError (port taken), and what making its root raises.
    """
    daemon = AdbDaemon(_environment(options, "adb", progress), owner=owner, model="Simulated phone")
    with _linked(daemon, options) as link:
        uri = f"adb:127.0.0.1:{link.port}"
        commands = (f"sphere-edge devices {uri}", f"adb connect 127.0.0.1:{link.port}")
        yield SimulatedDevice(uri, link, daemon, commands)


@contextmanager
def ssh_board(
    options: Options, progress: console.Progress = console.SILENT
) -> Iterator[SimulatedDevice]:
    """A board with an SSH server, until the block ends; raises what `adb_phone` and sshd raise."""
    server = Sshd(_folder("sshd"), _environment(options, "ssh", progress))
    with _linked(server, options) as link:
        config = str(server.config(link.port))
        commands = (f"export SPHERE_EDGE_SSH_CONFIG={config}", "sphere-edge devices ssh://board")
        variables = {"SPHERE_EDGE_SSH_CONFIG": config}
        yield SimulatedDevice("ssh://board", link, server, commands, variables)


def _folder(name: str) -> Path:
    return platformdirs.user_data_path("sphere-edge") / "simulate" / name


def _environment(options: Options, kind: str, progress: console.Progress) -> Environment:
    if options.android and not options.arm:
        message = "--android needs --arm: phones are 64-bit ARM"
        raise errors.InvalidArgumentError(message)
    if options.on_host:
        return HostEnvironment()
    if options.root is not None:
        return environment.another_machine(options.root.absolute(), options.cpu)
    if options.arm:
        name = f"{kind}-{'android' if options.android else 'arm'}-root"
        made = environment.arm(_folder(name), options.cpu, progress)
        if options.android:
            android.furnish(made.folder)
        return made
    return environment.this_machine(_folder(f"{kind}-root"))


@contextmanager
def _linked(server: Server, options: Options) -> Iterator[Link]:
    faults = options.faults
    server.start()
    try:
        try:
            quality = Quality(faults.bytes_per_s, faults.delay_ms / 1000, faults.loss_percent / 100)
            link = Link(server.port, port=options.port, quality=quality)
        except OSError as error:
            message = f"cannot listen on port {options.port}: {error.strerror}"
            raise errors.StorageError(message, hint="name another with --port") from error
        if faults.cut_after_bytes is not None:
            link.cut_after(faults.cut_after_bytes, times=faults.cuts)
        yield link
        link.take_down()
    finally:
        server.stop()
