"""A device profile in TOML."""

from fuzz.file_with import file_with
from sphere_edge.profiles import loading


def read(data: bytes) -> None:
    """`data` as a file."""
    loading.read(file_with(data, "fuzzed.toml"))
