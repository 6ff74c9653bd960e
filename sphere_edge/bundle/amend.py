"""Adds what was measured to a bundle that exists."""

from __future__ import annotations

import os
from pathlib import Path

from sphere_edge.bundle.manifest import Manifest, Quality, bundle_id, document_of, render
from sphere_edge.bundle.read import MANIFEST, manifest_bytes, parse
from sphere_edge.errors import InvalidArgumentError, StorageError


def record_quality(folder: Path, quality: Quality) -> Manifest:
    """Writes `quality` into bundle.json of the bundle folder, which gives it a new id.

    No other file changes: what is deployed of it already is not sent again. Raises
    InvalidArgumentError for a `.sphere` file, StorageError where bundle.json cannot be written.
    """
    if not folder.is_dir():
        message = f"nothing can be recorded in `{folder}`"
        raise InvalidArgumentError(message, hint="name the folder of a bundle")
    before = parse(manifest_bytes(folder), folder)
    document = document_of(before.model_copy(update={"quality": quality}))
    document["id"] = bundle_id(document)
    amended = Manifest.model_validate(document)
    partial = folder / f".{MANIFEST}.partial"
    try:
        with partial.open("wb") as out:
            out.write(render(document))
            out.flush()
            os.fsync(out.fileno())
        partial.replace(folder / MANIFEST)
    except OSError as error:
        message = f"`{folder / MANIFEST}` cannot be written: {error.strerror}"
        raise StorageError(message, hint="make the folder writable, or copy the bundle") from error
    finally:
        partial.unlink(missing_ok=True)
    return amended
