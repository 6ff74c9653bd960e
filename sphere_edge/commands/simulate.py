"""`sphere-edge simulate adb|ssh`: a device on this machine; words typed there break its link."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

import platformdirs

from sphere_edge import console, errors
from sphere_edge.simulate import android, place
from sphere_edge.simulate.adb_daemon import AdbDaemon, Owner
from sphere_edge.simulate.link import Link
from sphere_edge.simulate.place import HostPlace, Place
from sphere_edge.simulate.sshd import Sshd


@dataclass(frozen=True)
class Faults:
    """What is wrong with the link to the simulated device from its start."""

    cut_after_bytes: int | None = None
    cuts: int = 1
    delay_ms: float = 0.0
    bytes_per_s: float | None = None
    loss_percent: float = 0.0


@dataclass(frozen=True)
class Where:
    """Where the device's programs run: in a root (given, ARM or this machine's), or here."""

    root: Path | None = None
    arm: bool = False
    cpu: str | None = None
    here: bool = False
    port: int = 0
    # Whether the ARM system has Android's ways.
    android: bool = False


class Server(Protocol):
    """The device's end of the link."""

    port: int

    def start(self) -> None:
        """Listens."""

    def stop(self) -> None:
        """Ends all of it."""

    def restart(self) -> None:
        """What the device's restart does."""


def simulate_adb(where: Where, faults: Faults, owner: Owner, *, as_json: bool) -> None:
    """A phone for adb. Raises what its place and port can raise."""
    daemon = AdbDaemon(_place(where, "adb"), owner=owner, model="Simulated phone")
    with _linked(daemon, where, faults) as link:
        uri = f"adb:127.0.0.1:{link.port}"
        lines = [f"sphere-edge devices {uri}", f"adb connect 127.0.0.1:{link.port}"]
        _serve(uri, {}, lines, daemon, link, as_json=as_json)


def simulate_ssh(where: Where, faults: Faults, *, as_json: bool) -> None:
    """A board with an SSH server. Raises what its place, port and sshd can raise."""
    server = Sshd(_folder("sshd"), _place(where, "ssh"))
    with _linked(server, where, faults) as link:
        config = str(server.config(link.port))
        lines = [f"export SPHERE_EDGE_SSH_CONFIG={config}", "sphere-edge devices ssh://board"]
        environment = {"SPHERE_EDGE_SSH_CONFIG": config}
        _serve("ssh://board", environment, lines, server, link, as_json=as_json)


def _folder(name: str) -> Path:
    return platformdirs.user_data_path("sphere-edge") / "simulate" / name


def _place(where: Where, kind: str) -> Place:
    if where.android and not where.arm:
        message = "--android needs --arm: phones are 64-bit ARM"
        raise errors.InvalidArgumentError(message)
    if where.here:
        return HostPlace()
    if where.root is not None:
        return place.another_machine(where.root.absolute(), where.cpu)
    if where.arm:
        name = f"{kind}-{'android' if where.android else 'arm'}-root"
        made = place.arm(_folder(name), where.cpu, console.progress())
        if where.android:
            android.furnish(made.folder)
        return made
    return place.this_machine(_folder(f"{kind}-root"))


@contextmanager
def _linked(server: Server, where: Where, faults: Faults) -> Iterator[Link]:
    server.start()
    try:
        try:
            link = Link(
                server.port,
                port=where.port,
                delay_s=faults.delay_ms / 1000,
                bytes_per_s=faults.bytes_per_s,
                loss=faults.loss_percent / 100,
            )
        except OSError as error:
            message = f"cannot listen on port {where.port}: {error.strerror}"
            raise errors.StorageError(message, hint="name another with --port") from error
        if faults.cut_after_bytes is not None:
            link.cut_after(faults.cut_after_bytes, times=faults.cuts)
        yield link
        link.take_down()
    finally:
        server.stop()


def _serve(
    uri: str,
    environment: dict[str, str],
    lines: list[str],
    server: Server,
    link: Link,
    *,
    as_json: bool,
) -> None:
    """Says how to reach the device, then obeys what is typed until Ctrl-C or SIGTERM."""
    if as_json:
        console.write_json({"uri": uri, "environment": environment})
    else:
        for line in lines:
            console.write(line)
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    words = _words(server, link)
    console.say(f"{uri} is up until Ctrl-C; type {', '.join(words)} to break its link")
    threading.Thread(target=_obey, args=(words,), daemon=True).start()
    try:
        # A wait without a timeout would not let signals in on every system.
        while not ended.wait(1):
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    console.say(f"{uri} is gone; {console.human_bytes(link.sent_bytes)} were sent to it")


def _words(server: Server, link: Link) -> dict[str, Callable[[], None]]:
    return {
        "cut": link.cut,
        "stall": link.stall,
        "flow": link.flow,
        "down": link.take_down,
        "up": link.bring_up,
        "restart": server.restart,
    }


def _obey(words: dict[str, Callable[[], None]]) -> None:
    for line in sys.stdin:
        word = line.strip()
        if word in words:
            words[word]()
            console.say(f"{word}: done")
        elif word:
            console.warn(f"`{word}` is none of {', '.join(words)}")
