"""Adds what was measured to a bundle that exists."""

from __future__ import annotations

import os
from pathlib import Path

from sphere_edge.bundle.files import MANIFEST, SIGNATURES
from sphere_edge.bundle.manifest import Manifest, Quality, bundle_id, document_of, render
from sphere_edge.bundle.read import manifest_bytes, parse
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.files import atomic_write


def record_quality(folder: Path, quality: Quality) -> Manifest:
    """Writes `quality` into bundle.json of the bundle folder, which gives it a new id.

    No other file changes: what is deployed of it already is not sent again. Signatures, which are
    for the former id, are removed. Raises InvalidArgumentError for a `.sphere` file, StorageError
    where bundle.json cannot be written.
    """
    if not folder.is_dir():
        message = f"nothing can be recorded in `{folder}`"
        raise InvalidArgumentError(message, hint="name the folder of a bundle")
    before = parse(manifest_bytes(folder), folder)
    document = document_of(before.model_copy(update={"quality": quality}))
    document["id"] = bundle_id(document)
    amended = Manifest.model_validate(document)
    hint = "make the folder writable, or copy the bundle"
    with atomic_write(folder / MANIFEST, hint=hint) as partial, partial.open("wb") as out:
        out.write(render(document))
        out.flush()
        os.fsync(out.fileno())
    (folder / SIGNATURES).unlink(missing_ok=True)
    return amended
