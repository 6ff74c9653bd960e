"""A file of trusted keys."""

from fuzz.file_with import file_with
from sphere_edge.bundle.trust import TrustedKeys


def read(data: bytes) -> None:
    """`data` as a file."""
    TrustedKeys.read(file_with(data, "trusted.json"))
