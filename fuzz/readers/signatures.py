"""The signatures of a bundle, bundle.sig.json."""

from sphere_edge.bundle import signatures


def read(data: bytes) -> None:
    """`data` as a file."""
    signatures.parse(data, "fuzzed")
