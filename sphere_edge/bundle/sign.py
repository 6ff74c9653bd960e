"""Signs a bundle that exists."""

from __future__ import annotations

import os
from pathlib import Path

from sphere_edge.bundle import archive, files, signatures
from sphere_edge.bundle.ed25519 import PrivateKey
from sphere_edge.bundle.signatures import Signed
from sphere_edge.bundle.verify import verify
from sphere_edge.console import SILENT, Progress
from sphere_edge.files import atomic_write


def sign(path: Path, key: PrivateKey, progress: Progress = SILENT) -> Signed:
    """Adds `key`'s signature to the bundle at `path`; all that it then has.

    Every file is proven first: nobody signs what is damaged. A `.sphere` file is written anew.
    Raises what `verify` and `signatures.sign` raise, and StorageError.
    """
    proven = verify(path, progress)
    made = signatures.sign(proven.manifest, proven.read.manifest, key, proven.signed)
    if path.is_file():
        with archive.Archive(path) as packed, atomic_write(path) as partial:
            packed.with_signatures(made, partial, progress)
    else:
        hint = "make the folder writable, or copy the bundle"
        with (
            atomic_write(path / files.SIGNATURES, hint=hint) as partial,
            partial.open("wb") as out,
        ):
            out.write(made)
            out.flush()
            os.fsync(out.fileno())
    return signatures.parse(made, str(path))
