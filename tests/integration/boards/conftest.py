"""An emulated ARM board over SSH that has Debian's Python, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated_board import Board, start

from sphere_edge import packaging, profiles
from sphere_edge.engines.options import PackageOptions
from tests import made_bundles


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


@pytest.fixture(scope="session")
def hearing() -> Path:
    """The built-in speech model for that board."""
    return made_bundles.made(packaging.TINY_WHISPER, profiles.load("raspberry-pi-5")).folder
