"""A file with the bytes of one input, for readers that want a path."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

# Where a run of fuzz.running puts such files; it removes them.
FOLDER_VARIABLE = "SE_FUZZ_FOLDER"


def file_with(data: bytes, name: str) -> Path:
    """The path of a file called `name` that holds `data`, until the next call for that name."""
    path = _folder() / name
    path.write_bytes(data)
    return path


@functools.cache
def _folder() -> Path:
    return Path(os.environ.get(FOLDER_VARIABLE) or _own().name)


@functools.cache
def _own() -> tempfile.TemporaryDirectory[str]:
    # Removed when this process ends.
    return tempfile.TemporaryDirectory(prefix="fuzz-")
