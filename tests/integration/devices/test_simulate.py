"""Simulated devices as their users have them: the command, the real adb, restarts and bad links."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import adbutils
import pytest

from sphere_edge import errors
from sphere_edge.devices.adb import AdbDevice
from sphere_edge.devices.device import Device
from sphere_edge.devices.open import open_device
from sphere_edge.simulate import environment
from sphere_edge.simulate.adb_daemon import AdbDaemon
from sphere_edge.simulate.environment import RootEnvironment
from sphere_edge.simulate.link import Link, Quality
from sphere_edge.simulate.sshd import Sshd
from tests.waiting import wait_until

Start = Callable[..., "Simulated"]


class Simulated:
    """`sphere-edge simulate …` as a process, up and running."""

    def __init__(self, *words: str, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sphere_edge", "simulate", *words, "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_DATA_HOME": str(home)},
        )
        assert self._process.stdout is not None
        document = ""
        while not is_whole(document):
            line = self._process.stdout.readline()
            assert line, self._process.communicate()[1]
            document += line
        self.told: dict[str, Any] = json.loads(document)

    def type(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        with self._process:
            self._process.kill()

    def end(self, number: signal.Signals) -> str:
        self._process.send_signal(number)
        said = self._process.communicate(timeout=300)[1]
        assert self._process.returncode == 0, said
        return said


def is_whole(document: str) -> bool:
    try:
        json.loads(document)
    except ValueError:
        return False
    return True


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Start]:
    started: list[Simulated] = []

    def start(*words: str) -> Simulated:
        started.append(Simulated(*words, home=tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture(scope="module")
def rooted(tmp_path_factory: pytest.TempPathFactory) -> RootEnvironment:
    """A root of its own with this machine's programs."""
    try:
        return environment.this_machine(tmp_path_factory.mktemp("root"))
    except (errors.UnsupportedError, errors.NotFoundError) as error:
        pytest.skip(error.message)


@pytest.fixture
def phone(adb_server: int, rooted: RootEnvironment) -> Iterator[AdbDaemon]:
    daemon = AdbDaemon(rooted)
    daemon.start()
    yield daemon
    adbutils.AdbClient(port=adb_server).disconnect(f"127.0.0.1:{daemon.port}")
    daemon.stop()


def real_adb(port: int, *words: str) -> subprocess.CompletedProcess[str]:
    program = [adbutils.adb_path(), "-P", str(port), *words]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)


def test_the_command_plays_a_phone_until_it_is_interrupted(
    adb_server: int, rooted: RootEnvironment, simulate: Start, tmp_path: Path
) -> None:
    simulated = simulate("adb")
    device = open_device(str(simulated.told["uri"]))
    device.run(["sh", "-c", "echo kept >/data/local/tmp/a; echo lost >/tmp/a"])
    simulated.type("cut")
    simulated.type("restart")
    wait_until(lambda: seen(device, "/tmp/a") == "")
    assert seen(device, "/data/local/tmp/a") == "kept\n"
    said = simulated.end(signal.SIGINT)
    adbutils.AdbClient(port=adb_server).disconnect(device.uri[4:])
    assert "restart: done" in said
    assert "has stopped" in said
    assert (tmp_path / "sphere-edge/simulate/adb-root/data/local/tmp/a").exists()


def seen(device: Device, path: str) -> str | None:
    try:
        device.reconnect()
        return device.run(["sh", "-c", f"cat {path} 2>/dev/null || true"]).stdout
    except errors.UnavailableError:
        return None


def test_the_command_plays_a_board(
    rooted: RootEnvironment, simulate: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = simulate("ssh", "--delay-ms", "5")
    for name, value in simulated.told["environment"].items():
        monkeypatch.setenv(name, value)
    device = open_device("ssh://board")
    assert device.run(["sh", "-c", "pwd; echo $HOME; id -u"]).stdout == "/\n/root\n0\n"
    words = ["a b", "$HOME", "it's", ""]
    assert device.run(["printf", "<%s>", *words]).stdout == "<a b><$HOME><it's><>"
    assert device.run(["sh", "-c", "kill -9 $$"]).exit_code == -9
    device.close()
    simulated.end(signal.SIGTERM)


def test_a_taken_port_is_said() -> None:
    with AdbTaken() as port:
        completed = subprocess.run(
            [*(sys.executable, "-m", "sphere_edge", "simulate", "adb", "--here"), "--port", port],
            capture_output=True,
            text=True,
            check=False,
        )
    assert completed.returncode == errors.Status.STORAGE
    assert f"cannot listen on port {port}" in completed.stderr


class AdbTaken:
    """A port that is in use."""

    def __enter__(self) -> str:
        self._daemon = AdbDaemon()
        self._daemon.start()
        return str(self._daemon.port)

    def __exit__(self, *_: object) -> None:
        self._daemon.stop()


def test_a_folder_without_a_shell_is_no_root(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFoundError, match="no /bin/sh"):
        environment.another_machine(tmp_path)


def test_a_devices_links_are_followed_within_its_root(tmp_path: Path) -> None:
    device = RootEnvironment(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "up").symlink_to("../../../../etc")
    (tmp_path / "absolute").symlink_to("/data/file")
    (tmp_path / "loop").symlink_to("loop")
    assert device.path("/data/up/passwd") == tmp_path / "etc" / "passwd"
    assert device.path("/absolute") == tmp_path / "data" / "file"
    assert device.path("../../x") == tmp_path / "x"
    assert device.path("/loop").parent == tmp_path
    shared = RootEnvironment(tmp_path, shared=(Path("/usr"),))
    assert shared.path("/data/../usr/bin/sh") == Path("/usr/bin/sh")
    with pytest.raises(OSError, match="Read-only"):
        shared.path("/usr/no", to_write=True)


def test_googles_own_adb_pushes_pulls_and_lists(
    phone: AdbDaemon, adb_server: int, tmp_path: Path
) -> None:
    asked: list[str] = []
    phone.on_service = asked.append
    serial = f"127.0.0.1:{phone.port}"
    assert "connected to" in real_adb(adb_server, "connect", serial).stdout
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(3_000_003))
    pushed = real_adb(adb_server, "-s", serial, "push", str(sent), "/data/local/tmp/sent")
    assert pushed.returncode == 0, pushed.stderr
    digest = hashlib.sha256(sent.read_bytes()).hexdigest()
    hashed = real_adb(adb_server, "-s", serial, "shell", "sha256sum /data/local/tmp/sent; exit 3")
    assert (hashed.stdout.split()[0], hashed.returncode) == (digest, 3)
    back = tmp_path / "back"
    real_adb(adb_server, "-s", serial, "pull", "/data/local/tmp/sent", str(back))
    assert back.read_bytes() == sent.read_bytes()
    listed = real_adb(adb_server, "-s", serial, "ls", "/data/local/tmp").stdout
    assert "sent" in [line.split()[-1] for line in listed.splitlines()]
    refused = real_adb(adb_server, "-s", serial, "push", str(sent), "/usr/no")
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stdout + refused.stderr
    assert "sync:" in asked


def test_version_2_of_sync_knows_files_beyond_32_bits(
    phone: AdbDaemon, adb_server: int, rooted: RootEnvironment
) -> None:
    serial = f"127.0.0.1:{phone.port}"
    real_adb(adb_server, "connect", serial)
    large = rooted.path("/data/local/tmp/large")
    with large.open("wb") as file:
        file.truncate(5 << 30)
    listed = real_adb(adb_server, "-s", serial, "ls", "/data/local/tmp").stdout
    sizes = {line.split()[-1]: int(line.split()[1], 16) for line in listed.splitlines()}
    large.unlink()
    assert sizes["large"] == 5 << 30


def test_a_restart_ends_programs_and_those_they_started(phone: AdbDaemon) -> None:
    device = AdbDevice(f"127.0.0.1:{phone.port}")
    process = device.start(["sh", "-c", "sleep 1234 & echo $!; cat"])
    child = int(process.read_line(10))
    assert Path(f"/proc/{child}").exists()
    phone.restart()
    wait_until(lambda: not is_alive(child))
    process.close()
    wait_until(lambda: seen(device, "/tmp/nothing") == "")


def is_alive(process: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def test_an_adb_reboot_is_a_restart(phone: AdbDaemon, adb_server: int) -> None:
    device = AdbDevice(f"127.0.0.1:{phone.port}")
    device.run(["touch", "/tmp/here"])
    real_adb(adb_server, "-s", device.uri[4:], "reboot")
    wait_until(lambda: seen(device, "/tmp/here") == "" and "here" not in ls(device))


def ls(device: Device) -> str:
    try:
        return device.run(["ls", "/tmp"]).stdout
    except errors.UnavailableError:
        return "here"


def test_a_board_restarts_on_the_same_port(rooted: RootEnvironment, tmp_path: Path) -> None:
    server = Sshd(tmp_path, rooted)
    try:
        server.start()
    except errors.NotFoundError as error:
        pytest.skip(error.message)
    port = server.port
    server.restart()
    assert server.port == port
    server.stop()
    server.stop()


def test_packets_that_are_sent_again_hold_up_those_behind_them_and_nothing_is_missing() -> None:
    import socket

    sent = os.urandom(2_000_000)
    with socket.create_server(("127.0.0.1", 0)) as sink:
        link = Link(sink.getsockname()[1], quality=Quality(delay_s=0.01, loss=0.01))
        started = time.monotonic()
        with socket.create_connection(("127.0.0.1", link.port)) as near:
            far, _ = sink.accept()
            with far:
                near.sendall(sent)
                near.shutdown(socket.SHUT_WR)
                received = bytearray()
                while piece := far.recv(1 << 20):
                    received += piece
        link.take_down()
    assert received == sent
    # Of some thirty pieces a third is held up for a round trip.
    assert time.monotonic() - started > 0.1


def test_a_link_has_the_latency_and_speed_it_was_given() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as echo:
        link = Link(echo.getsockname()[1], quality=Quality(4e6, delay_s=0.05))
        with socket.create_connection(("127.0.0.1", link.port)) as near:
            far, _ = echo.accept()
            with far:
                started = time.monotonic()
                near.sendall(b"ping")
                assert far.recv(4) == b"ping"
                far.sendall(b"pong")
                assert near.recv(4) == b"pong"
                assert time.monotonic() - started >= 0.1
                started = time.monotonic()
                near.sendall(bytes(1_000_000))
                left = 1_000_000
                while left:
                    left -= len(far.recv(left))
                assert time.monotonic() - started >= 0.25
                link.stall()
                near.sendall(b"late")
                far.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    far.recv(4)
                link.flow()
                far.settimeout(5)
                assert far.recv(4) == b"late"
        link.take_down()
