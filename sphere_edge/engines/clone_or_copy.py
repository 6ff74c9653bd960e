"""Puts a model that is one file into a bundle."""

from __future__ import annotations

import fcntl
from pathlib import Path

from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import Progress

_CHUNK_BYTES = 8 * 1024 * 1024
# `FICLONE` of linux/fs.h: btrfs, xfs and others share the blocks until one side is written.
_CLONE = 0x40049409


def clone_or_copy(model: Path, writer: BundleWriter, name: str, progress: Progress) -> None:
    """Clones the file where the file system can, else copies it.

    Never a hard link: the user's file may be changed or cut off in place, and a sealed bundle (or
    a program that has mapped it) must not notice. Raises StorageError when there is not enough
    space for a copy.
    """
    target = writer.folder / name
    with model.open("rb") as source, target.open("wb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _CLONE, source.fileno())
            return
        except OSError:
            # Another disk, or a file system without clones.
            size = model.stat().st_size
        writer.require_space(size)
        with progress.step("copying the model", size, "bytes") as step:
            while chunk := source.read(_CHUNK_BYTES):
                copy.write(chunk)
                step.advance(len(chunk))
