"""A port here that leads to a program on a device, through a real sshd and on this machine."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.boards.forwarding import Forwarding
from sphere_edge.devices import ssh_config
from sphere_edge.devices.device import Device
from sphere_edge.devices.local import LocalDevice
from sphere_edge.devices.open import open_device
from sphere_edge.devices.ssh import SshDevice
from sphere_edge.simulate.sshd import Sshd

SECRET = "5" * 64


class Echo:
    """A program on the device: sends back what comes, after the secret, and then an end."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one, _ = self.listening.accept()
                threading.Thread(target=self._echo, args=(one,), daemon=True).start()

    def _echo(self, one: socket.socket) -> None:
        with one, suppress(OSError):
            while piece := one.recv(1 << 16):
                one.sendall(piece)
            one.sendall(b"end")


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.listening.close()


def started(folder: Path, *settings: str) -> Sshd:
    server = Sshd(folder, settings=settings)
    try:
        server.start()
    except errors.SphereEdgeError as error:
        pytest.skip(error.message)
    return server


@pytest.fixture(params=["local", "ssh", "paramiko"])
def device(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Device]:
    if request.param == "local":
        yield LocalDevice()
        return
    server = started(tmp_path / "sshd")
    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(server.config(server.port)))
    if request.param == "paramiko":
        opened: Device = SshDevice("ssh://board", ssh_config.resolve("board"))
    else:
        opened = open_device("ssh://board")
    with closing(opened):
        yield opened
    server.stop()


@pytest.fixture
def port(device: Device, echo: Echo) -> Iterator[int]:
    """Of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    forwarding = Forwarding(device, listening, echo.port, SECRET)
    yield listening.getsockname()[1]
    forwarding.close()


def received(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def test_what_is_sent_arrives_after_the_secret_and_a_half_close_is_passed_on(port: int) -> None:
    sent = random.Random(0).randbytes(3 << 20)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        got: list[bytes] = []
        # Both ways at once: an end that only sends would fill all buffers.
        reader = threading.Thread(target=lambda: got.append(received(client)))
        reader.start()
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        reader.join()
    assert got[0] == f"{SECRET}\n".encode() + sent + b"end"


def test_many_connections_do_not_mix(port: int) -> None:
    clients = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(8)]
    for number, client in enumerate(clients):
        client.sendall(f"client {number}".encode())
    for number, client in enumerate(clients):
        client.shutdown(socket.SHUT_WR)
        assert received(client) == f"{SECRET}\nclient {number}end".encode()
        client.close()


def test_a_port_where_nobody_listens_is_refused_and_the_next_connection_works(
    device: Device, echo: Echo
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    with pytest.raises(errors.UnavailableError, match=f"nothing answers at port {nobody} of"):
        device.connect(nobody)
    device.connect(echo.port).close()


def test_closing_ends_the_connections_and_frees_the_port(device: Device, echo: Echo) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    forwarding = Forwarding(device, listening, echo.port, SECRET)
    with socket.create_connection(address, timeout=60) as client:
        assert client.recv(10) == SECRET[:10].encode()
        forwarding.close()
        forwarding.close()
        with suppress(ConnectionResetError):
            received(client)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=60)


def test_an_ssh_server_that_forwards_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: Echo
) -> None:
    server = started(tmp_path / "sshd", "AllowTcpForwarding no")
    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(server.config(server.port)))
    refused = pytest.raises(errors.UnsupportedError, match="does not forward ports")
    with closing(open_device("ssh://board")) as device, refused as found:
        device.connect(echo.port)
    assert "AllowTcpForwarding" in str(found.value.hint)
    server.stop()
