"""A file in memory with the bytes of one input, for readers that want a path."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_FOLDERS: list[Path] = []


def file_with(data: bytes, name: str) -> Path:
    """The path of a file called `name` that holds `data`, until the next call for that name."""
    path = _folder() / name
    path.write_bytes(data)
    return path


def _folder() -> Path:
    if not _FOLDERS:
        memory = Path("/dev/shm")
        place = memory if os.access(memory, os.W_OK) else None
        _FOLDERS.append(Path(tempfile.mkdtemp(prefix="fuzz-", dir=place)))
        atexit.register(shutil.rmtree, _FOLDERS[0], ignore_errors=True)
    return _FOLDERS[0]
