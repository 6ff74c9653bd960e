"""An emulated ARM board over SSH that has Debian's Python, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sphere_edge import errors, packaging, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.simulate import arm_root as arm
from sphere_edge.simulate import environment
from sphere_edge.simulate.link import Link
from sphere_edge.simulate.sshd import Sshd
from tests import made_bundles

# What a Raspberry Pi 5 has.
CPU = "cortex-a76"


@dataclass(frozen=True)
class Board:
    """A board: its root folder here, its server, the link to it, and the client's settings."""

    root: Path
    server: Sshd
    link: Link
    config: Path


def start(folder: Path, more: tuple[str, ...]) -> Board:
    try:
        root = arm.copy(folder / "root", more=more)
        server = Sshd(folder / "sshd", environment.another_machine(root, CPU))
        server.start()
    except errors.SphereEdgeError as error:
        pytest.skip(f"no ARM board can be had: {error.message}")
    link = Link(server.port)
    return Board(root, server, link, server.config(link.port))


@pytest.fixture(scope="session")
def running_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    board = start(tmp_path_factory.mktemp("board"), ("python3",))
    yield board
    board.link.take_down()
    board.server.stop()


@pytest.fixture
def board(running_board: Board, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setenv("SPHERE_EDGE_SSH_CONFIG", str(running_board.config))
    return running_board


@pytest.fixture(scope="session")
def compiled() -> Path:
    """The built-in text model for that board."""
    options = PackageOptions(quantization="q4")
    return made_bundles.made(packaging.TINY, profiles.load("raspberry-pi-5"), options).folder
