"""An emulated ARM board with an SSH server, with or without more of Debian's packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.simulate import arm_root as arm
from sphere_edge.simulate import environment
from sphere_edge.simulate.link import Link
from sphere_edge.simulate.sshd import Sshd
from tests import runtimes

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
    """A board that runs, and for which the runtime has been compiled."""
    try:
        root = arm.copy(folder / "root", more=more)
        server = Sshd(folder / "sshd", environment.another_machine(root, CPU))
        server.start()
    except errors.SphereEdgeError as error:
        pytest.skip(f"no ARM board can be had: {error.message}")
    runtimes.on_boards()
    link = Link(server.port)
    return Board(root, server, link, server.config(link.port))
