"""The runtimes that tests share: with what any of them needs, so that each is compiled once."""

from __future__ import annotations

from sphere_edge.toolchain import native, targets
from sphere_edge.toolchain.native import NativeBuild

# What an emulated Raspberry Pi 5 gets. A second level would cost its minutes of compiling again.
BOARD = targets.NAMED["linux-arm64-dotprod"]


def here() -> NativeBuild:
    """This machine's, with all engines."""
    return native.build(targets.host(), engines=native.ALL_ENGINES)


def on_boards() -> NativeBuild:
    """That of emulated ARM boards, for texts and speech."""
    return native.build(BOARD)
