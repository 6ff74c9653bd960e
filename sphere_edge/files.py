"""Writes a file under another name first, so that readers see the old one or the whole new one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sphere_edge.errors import StorageError


@contextmanager
def atomic_write(path: Path, *, hint: str | None = None) -> Iterator[Path]:
    """Yields a path in the same folder to write to; renamed to `path` when the block ends.

    It has the same suffix as `path`. If the block fails, the disk is full or Ctrl-C is pressed,
    `path` keeps its old content and the temporary file is removed. Raises StorageError naming
    `path`, with `hint`, for what the system refuses.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        message = f"`{path}` cannot be written: {error.strerror or error}"
        raise StorageError(message, hint=hint) from error
    finally:
        partial.unlink(missing_ok=True)
