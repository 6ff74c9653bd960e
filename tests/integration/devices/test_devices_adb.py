"""adb with its real server: the states of devices, and what adbutils hides."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import adbutils
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sphere_edge import __main__, errors
from sphere_edge.devices import adb, adb_host
from sphere_edge.devices.device import FilePart
from sphere_edge.simulate.adb_daemon import AdbDaemon
from tests.waiting import wait_until

Phone = Callable[..., AdbDaemon]


@pytest.fixture
def phone(adb_server: int) -> Iterator[Phone]:
    """Starts a device daemon with these settings; the adb server does not know it yet."""
    started: list[AdbDaemon] = []

    def start(**settings: object) -> AdbDaemon:
        daemon = AdbDaemon(**settings)  # type: ignore[arg-type]
        daemon.start()
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        adb_host.server().disconnect(serial(daemon))
        daemon.stop()


def serial(daemon: AdbDaemon) -> str:
    return f"127.0.0.1:{daemon.port}"


def test_a_device_in_the_network_is_connected_by_naming_it(phone: Phone) -> None:
    daemon = phone()
    device = adb.AdbDevice(serial(daemon))
    assert device.run(["echo", "hello"]).stdout == "hello\n"
    assert [(one.serial, one.is_ready) for one in adb_host.listed()] == [(serial(daemon), True)]


def test_a_key_the_owner_accepts_opens_the_device(phone: Phone) -> None:
    daemon = phone(owner="willing")
    assert adb.AdbDevice(serial(daemon)).run(["true"]).exit_code == 0
    assert len(daemon.keys) == 1


def test_only_the_first_key_is_accepted() -> None:
    daemon = AdbDaemon(owner="willing")
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
    offered = [base64.b64encode(_android_key(key.public_key().public_numbers())) for key in keys]
    assert daemon.accepts(offered[0] + b" me@here\0")
    assert not daemon.accepts(offered[1] + b" other@here\0")


def _android_key(numbers: rsa.RSAPublicNumbers) -> bytes:
    """Word count, n0inv, modulus, r² and exponent, as Android writes a key of 2048 bits."""
    modulus = numbers.n.to_bytes(256, "little")
    return struct.pack("<II", 64, 0) + modulus + bytes(256) + struct.pack("<I", numbers.e)


def test_an_unauthorized_device_says_what_to_do_on_its_screen(phone: Phone) -> None:
    daemon = phone(owner="unwilling")
    with pytest.raises(errors.UnavailableError) as caught:
        adb.AdbDevice(serial(daemon))
    states = [one for one in adb_host.listed() if one.serial == serial(daemon)]
    assert [one.state for one in states] == ["unauthorized"]
    assert "Allow USB debugging" in (states[0].advice or "")
    assert "Allow USB debugging" in (caught.value.hint or "")


@contextmanager
def listing(*lines: str) -> Iterator[int]:
    """The port of an adb server that lists these devices: no daemon of ours plays all states.

    `lines`: serial, tab, state, tab, what the long list says behind them.
    """
    split = [line.split("\t") for line in lines]
    short = "".join(f"{serial}\t{state}\n" for serial, state, _ in split).encode()
    long = "".join(f"{serial:22} {state} {tags}\n" for serial, state, tags in split).encode()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    near, _ = server.accept()
                    with near:
                        # The first connection only asks whether there is a server.
                        if asked := near.recv(4):
                            text = long if near.recv(int(asked, 16)).endswith(b"-l") else short
                            near.sendall(b"OKAY%04x%s" % (len(text), text))

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_every_state_of_a_phone_is_listed_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(tmp_path / "none"))
    why = "(user in plugdev group; are your udev rules wrong?); see [http://developer.android.com]"
    with listing(
        "39A1\tdevice\tusb:1-1 product:shiba model:Pixel_8 device:shiba transport_id:1",
        "39A2\tunauthorized\tusb:1-2 transport_id:2",
        "39A3\toffline\tusb:1-3 transport_id:3",
        f"39A4\tno permissions {why}\tusb:1-4",
        "39A5\trecovery\tusb:1-5 product:a model:b transport_id:5",
        "39A6\tsideload\tusb:1-6",
        "39A7\tbootloader\tusb:1-7",
        "39A8\tsomething-new\tusb:1-8",
        "adb-2A-x (2)._adb-tls-connect._tcp\tdevice\tproduct:a model:Pixel_6 transport_id:9",
    ) as port:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        assert __main__.main(["devices", "--json"]) == 0
        found = {one["uri"]: one for one in json.loads(capsys.readouterr().out)["devices"]}
        assert found["adb:39A1"] == {
            "uri": "adb:39A1",
            "state": "device",
            "description": "Pixel_8",
            "advice": None,
        }
        # mDNS numbers phones of the same name: the serial has a blank.
        blank = found["adb:adb-2A-x (2)._adb-tls-connect._tcp"]
        assert (blank["state"], blank["description"]) == ("device", "Pixel_6")
        for serial, state, advice in (
            ("39A2", "unauthorized", "Allow USB debugging"),
            ("39A3", "offline", "plug it in again"),
            ("39A4", "no permissions", "udev rules"),
            ("39A5", "recovery", "restart it into the system"),
            ("39A6", "sideload", "restart it into the system"),
            ("39A7", "bootloader", "restart it into the system"),
            ("39A8", "something-new", "plug it in again"),
        ):
            assert found[f"adb:{serial}"]["state"] == state
            assert advice in found[f"adb:{serial}"]["advice"]
        assert __main__.main(["devices", "adb:39A4"]) == errors.Status.UNAVAILABLE
        printed = capsys.readouterr().err
        assert "adb:39A4 is no permissions" in printed
        assert "plugdev" in printed


def test_a_device_that_is_not_there_says_so(adb_server: int) -> None:
    with pytest.raises(errors.UnavailableError, match="`127.0.0.1:1`"):
        adb.AdbDevice("127.0.0.1:1")
    with pytest.raises(errors.UnavailableError, match="adb:39A1 is not attached"):
        adb.AdbDevice("39A1")


def test_a_failed_connection_is_an_error_though_adb_calls_it_a_success(adb_server: int) -> None:
    with pytest.raises(errors.UnavailableError, match="cannot connect"):
        adb_host.connect_network("127.0.0.1:1")


def test_a_failed_pairing_is_an_error_though_adb_calls_it_a_success(adb_server: int) -> None:
    with pytest.raises(errors.UnavailableError, match="cannot pair with `127.0.0.1:1`") as caught:
        adb_host.pair("127.0.0.1:1", "123456")
    assert "pairing code" in (caught.value.hint or "")


def test_the_only_device_needs_no_name_but_one_of_two_does(phone: Phone) -> None:
    with pytest.raises(errors.NotFoundError, match="no device is attached"):
        adb.AdbDevice()
    first, second = phone(), phone()
    adb_host.connect_network(serial(first))
    assert adb.AdbDevice().uri == f"adb:{serial(first)}"
    adb_host.connect_network(serial(second))
    with pytest.raises(errors.InvalidArgumentError, match="more than one") as caught:
        adb.AdbDevice()
    assert serial(second) in caught.value.message


def test_a_device_without_exit_codes_is_unsupported(phone: Phone) -> None:
    daemon = phone(features="cmd")
    with pytest.raises(errors.UnsupportedError) as caught:
        adb.AdbDevice(serial(daemon))
    assert "Android 7" in (caught.value.hint or "")


def test_a_failing_program_is_seen_to_fail(phone: Phone) -> None:
    assert adb.AdbDevice(serial(phone())).run(["false"]).exit_code == 1


def test_a_file_beyond_32_bits_is_not_cut_to_what_sync_says(phone: Phone, tmp_path: Path) -> None:
    # 5 GiB say 1 GiB over sync. Only the shell is asked for sizes.
    device = adb.AdbDevice(serial(phone()))
    with (tmp_path / "large").open("wb") as file:
        file.truncate(5 << 30)
    sizes = adbutils.AdbDevice(adb_host.server(), serial=device.uri[4:]).sync.stat(
        f"{tmp_path}/large"
    )
    assert sizes.size == 1 << 30
    (tmp_path / "end").write_bytes(b"e" * 70_000)
    with (tmp_path / "end").open("r+b") as file:
        file.truncate((4 << 30) + 70_000)
    start = 4 << 30
    with (tmp_path / "end").open("r+b") as file:
        file.seek(start)
        file.write(b"E" * 70_000)
    device.push(tmp_path / "end", f"{tmp_path}/large", FilePart(start, 70_000))
    with (tmp_path / "large").open("rb") as file:
        file.seek(start)
        assert file.read(70_000) == b"E" * 70_000
    assert (tmp_path / "large").stat().st_size == 5 << 30


def test_a_device_that_cannot_write_says_why_while_the_file_is_on_its_way(
    phone: Phone, tmp_path: Path
) -> None:
    device = adb.AdbDevice(serial(phone()))
    (tmp_path / "sent").write_bytes(bytes(8_000_000))
    with pytest.raises(errors.StorageError, match="folder does not exist"):
        device.push(tmp_path / "sent", f"{tmp_path}/no/such/folder/file")


def test_a_restart_in_the_middle_of_a_program_is_unavailable_and_it_comes_back(
    phone: Phone,
) -> None:
    daemon = phone()
    device = adb.AdbDevice(serial(daemon))
    process = device.start(["sh", "-c", "echo up; cat"])
    assert process.read_line(10) == "up"
    daemon.stop()
    assert process.read_line(10) == ""
    process.close()
    wait_until(lambda: not any(one.is_ready for one in adb_host.listed()))
    with pytest.raises(errors.UnavailableError):
        device.run(["true"])
    daemon.start()
    device.reconnect()
    assert device.run(["true"]).exit_code == 0


def test_the_users_adb_and_port_are_honoured(
    adb_server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = tmp_path / "called"
    own = tmp_path / "adb"
    own.write_text(f'#!/bin/sh\necho "$@" > {called}\necho broken >&2\nexit 1\n')
    own.chmod(0o755)
    monkeypatch.setenv("ADB", str(own))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "5998")
    with pytest.raises(errors.UnavailableError, match="broken"):
        adb_host.server()
    assert called.read_text() == "-P 5998 start-server\n"
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "none")
    with pytest.raises(errors.InvalidArgumentError, match="ANDROID_ADB_SERVER_PORT"):
        adb_host.server()


@pytest.mark.parametrize("port", ["none", ""])
def test_a_port_that_is_none_is_said_or_left_out_from_the_first_import_on(
    port: str, tmp_path: Path
) -> None:
    own = tmp_path / "adb"
    own.write_text("#!/bin/sh\necho this one >&2\nexit 1\n")
    own.chmod(0o755)
    environment = {**os.environ, "ADB": str(own), "ANDROID_ADB_SERVER_PORT": port}
    environment["ANDROID_ADB_SERVER_HOST"] = "127.0.0.2"
    words = [sys.executable, "-m", "sphere_edge", "devices", "adb"]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode in (errors.Status.INVALID_ARGUMENT, errors.Status.UNAVAILABLE)
    told = "ANDROID_ADB_SERVER_PORT is `none`" if port else "this one"
    assert told in ended.stderr


def test_nothing_of_these_tests_uses_the_users_own_server(adb_server: int) -> None:
    assert os.environ["ANDROID_ADB_SERVER_PORT"] == str(adb_server) != "5037"
