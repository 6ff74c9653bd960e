"""Writes a file beside its place first, so that what lies there is whole or as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sphere_edge.errors import StorageError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside `path`, with its ending, to write to; renamed to `path` when the block is done.

    When the block fails, a disk is full or Ctrl-C comes, `path` stays as it was and nothing is left
    beside it. Raises StorageError naming `path` for what the system refuses.
    """
    beside = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        message = f"`{path}` cannot be written: {error.strerror or error}"
        raise StorageError(message) from error
    finally:
        beside.unlink(missing_ok=True)
