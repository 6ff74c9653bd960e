"""The header of a safetensors file."""

import io
from pathlib import Path

from sphere_edge.formats import safetensors


def read(data: bytes) -> None:
    """`data` as a file."""
    safetensors.read_header_from(Path("fuzzed.safetensors"), io.BytesIO(data))
