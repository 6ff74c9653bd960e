"""Puts a model that is one file into a bundle."""

from __future__ import annotations

import os
from pathlib import Path

from sphere_edge.bundle.write import BundleWriter
from sphere_edge.console import Progress

_CHUNK_BYTES = 8 * 1024 * 1024


def link_or_copy(model: Path, writer: BundleWriter, name: str, progress: Progress) -> None:
    """Links the file where the disk can, else copies it: a model is large and never changed.

    Raises StorageError when there is not enough space for a copy.
    """
    target = writer.folder / name
    try:
        os.link(model, target)
    except OSError:
        # Another disk, or a file system without links.
        size = model.stat().st_size
        writer.require_space(size)
        with (
            progress.step("copying the model", size, "bytes") as step,
            model.open("rb") as source,
            target.open("wb") as copy,
        ):
            while chunk := source.read(_CHUNK_BYTES):
                copy.write(chunk)
                step.advance(len(chunk))
