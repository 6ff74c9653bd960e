"""`sphere-edge verify`: proves that every byte of a bundle is as it was made."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console
from sphere_edge.bundle import verify as bundle_verify


def verify(path: Path, *, as_json: bool) -> None:
    """Prints the bundle's id when it is sound; raises ModelCorruptError when it is not."""
    found = bundle_verify.verify(path, console.progress())
    manifest = found.manifest
    if as_json:
        console.write_json(
            {
                "id": manifest.id,
                "name": manifest.name,
                "files": len(manifest.files),
                "bytes": manifest.total_bytes,
                "extra_files": list(found.extra),
            }
        )
        return
    for name in found.extra:
        console.warn(f"`{name}` does not belong to the bundle")
    size = console.human_bytes(manifest.total_bytes)
    console.say(f"{len(manifest.files)} files, {size}: all as they were made")
    console.write(manifest.id)
