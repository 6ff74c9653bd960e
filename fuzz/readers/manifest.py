"""The manifest of a bundle, bundle.json."""

from pathlib import Path

from sphere_edge.bundle import read as reading


def read(data: bytes) -> None:
    """`data` as a manifest."""
    reading.parse(data, Path("fuzzed"))
