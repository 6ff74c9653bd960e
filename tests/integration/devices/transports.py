"""The transports to a device, each with its real server: this machine, an sshd, an adb server."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import adbutils
import pytest

from sphere_edge import errors
from sphere_edge.devices import ssh_config
from sphere_edge.devices.device import Ask, Device
from sphere_edge.devices.items import Item
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.open import open_device, parse_uri
from sphere_edge.devices.ssh import SshDevice
from sphere_edge.simulate.adb_daemon import AdbDaemon
from sphere_edge.simulate.environment import HostEnvironment
from sphere_edge.simulate.link import Link
from sphere_edge.simulate.sshd import Sshd

# Programs that Android's toybox has and Debian's leaves out.
_TOYBOX_LACKS = ("sh", "dd", "tr", "sleep")
# Android's rules keep adb's shell from making hard links.
_LN_OF_ANDROID = """#!/bin/sh
case $1 in -s*) exec toybox ln "$@" ;; esac
echo "ln: cannot create hard link: Permission denied" >&2
exit 1
"""


def open_with_paramiko(uri: str, ask: Ask | None) -> Device:
    """What machines without OpenSSH's client do."""
    parsed = parse_uri(uri)
    host = ssh_config.resolve(parsed.host or "", user=parsed.user, port=parsed.port)
    ssh_config.require_end_of_jumps(host)
    return SshDevice(uri, host, ask)


def open_with_openssh(uri: str, ask: Ask | None) -> Device:
    """What machines with OpenSSH's client do; skips where there is none."""
    if not ssh_config.has_client():
        pytest.skip("OpenSSH's client is not installed (apt install openssh-client)")
    return open_device(uri, ask=ask)


# The two ways over SSH, each from a URI and who can be asked to the device.
SSH_CARRIERS: dict[str, Callable[[str, Ask | None], Device]] = {
    "ssh": open_with_openssh,
    "paramiko": open_with_paramiko,
}


@dataclass
class Transport:
    """A way to a device: `link` can be cut, where there is one; `root` is a folder there."""

    name: str
    open: Callable[[], Device]
    root: Path
    link: Link | None = None
    opened: list[Device] = field(default_factory=list)

    def device(self) -> Device:
        device = self.open()
        self.opened.append(device)
        return device

    def close(self) -> None:
        for device in self.opened:
            device.close()


def tools(folder: Path, kind: str) -> str:
    """A PATH on which the programs are those of `kind`."""
    if kind == "coreutils":
        return "/usr/bin:/bin"
    multicall = shutil.which(kind)
    if multicall is None:
        pytest.skip(f"{kind} is not installed (apt install {kind})")
    listed = ["--list"] if kind == "busybox" else []
    names = subprocess.run([multicall, *listed], capture_output=True, text=True, check=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names.stdout.split():
        (folder / name).symlink_to(multicall)
    if kind == "toybox":
        for name in _TOYBOX_LACKS:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(shutil.which(name) or "/bin/sh")
        (folder / "ln").unlink()
        (folder / "ln").write_text(_LN_OF_ANDROID)
        (folder / "ln").chmod(0o755)
        (folder / "toybox").symlink_to(multicall)
    return str(folder)


def start_sshd(folder: Path, *settings: str) -> Sshd:
    """The real sshd with these lines in its config; skips where there is none."""
    server = Sshd(folder, settings=settings)
    try:
        server.start()
    except (errors.NotFoundError, errors.UnavailableError) as error:
        pytest.skip(f"{error.message} ({error.hint})")
    return server


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    server = start_sshd(folder)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The real adb server with a home and a port of its own."""
    home = tmp_path_factory.mktemp("adb")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = dict(os.environ)
    os.environ.update(ANDROID_ADB_SERVER_PORT=str(port), HOME=str(home), ADB_MDNS="0")
    os.environ.pop("ANDROID_SERIAL", None)
    program = adbutils.adb_path()
    subprocess.run([program, "-P", str(port), "start-server"], check=True, capture_output=True)
    os.environ["HOME"] = before.get("HOME", "/")
    yield port
    subprocess.run([program, "-P", str(port), "kill-server"], check=True, capture_output=True)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(params=["local", "local-busybox", "ssh", "paramiko", "adb", "adb-toybox"])
def transport(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    yield from open_transport(request, request.param, tmp_path, monkeypatch)


@pytest.fixture(params=["ssh", "paramiko", "adb"])
def cuttable_transport(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    yield from open_transport(request, request.param, tmp_path, monkeypatch)


def open_transport(
    request: pytest.FixtureRequest, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transport]:
    kind, _, programs = name.partition("-")
    path = tools(tmp_path / "tools", programs or "coreutils")
    root = tmp_path / "device" / "store"
    root.parent.mkdir()
    if kind == "local":
        transport = Transport(name, lambda: LocalDevice({"PATH": path}), root)
        yield transport
    elif kind in SSH_CARRIERS:
        server: Sshd = request.getfixturevalue("sshd")
        link = Link(server.port)
        monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(server.config(link.port)))
        transport = Transport(name, lambda: SSH_CARRIERS[kind]("ssh://board", None), root, link)
        yield transport
        transport.close()
        link.take_down()
    else:
        request.getfixturevalue("adb_server")
        shell = f"{path}/sh" if programs else "/bin/sh"
        daemon = AdbDaemon(HostEnvironment(path, shell))
        daemon.start()
        link = Link(daemon.port)
        serial = f"127.0.0.1:{link.port}"
        transport = Transport(name, lambda: open_device(f"adb:{serial}"), root, link)
        yield transport
        adbutils.AdbClient(port=int(os.environ["ANDROID_ADB_SERVER_PORT"])).disconnect(serial)
        link.take_down()
        daemon.stop()


@pytest.fixture
def make_item(tmp_path: Path) -> Callable[..., Item]:
    """Makes a file of random bytes (the same for the same seed) or of given ones."""

    def make(path: str, content: bytes | int, *, is_program: bool = False) -> Item:
        if isinstance(content, int):
            content = random.Random(f"{path} {content}").randbytes(content)
        digest = hashlib.sha256(content).hexdigest()
        source = tmp_path / "here" / digest
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(content)
        return Item(path, source, len(content), digest, is_program)

    return make
