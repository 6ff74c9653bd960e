"""`sphere-edge verify`: proves that every byte of a bundle is as it was made."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console
from sphere_edge.bundle import verify as bundle_verify
from sphere_edge.bundle.trust import TrustedKeys


def verify(path: Path, trusted: Path | None, *, as_json: bool) -> None:
    """Prints the bundle's id when it is sound; raises ModelCorruptError when it is not.

    `trusted`: a file of keys, one of which must have signed it; UntrustedError otherwise.
    """
    keys = None if trusted is None else TrustedKeys.read(trusted)
    found = bundle_verify.verify(path, console.progress())
    signers = () if keys is None else keys.check(found.read)
    manifest = found.manifest
    if as_json:
        console.write_json(
            {
                "id": manifest.id,
                "name": manifest.name,
                "files": len(manifest.files),
                "bytes": manifest.total_bytes,
                "extra_files": list(found.extra),
                "signed_by": [] if found.signed is None else found.signed.key_ids,
                "trusted_signers": list(signers),
                "statement": None if found.signed is None else found.signed.document(),
            }
        )
        return
    for name in found.extra:
        console.warn(f"`{name}` does not belong to the bundle")
    size = console.human_bytes(manifest.total_bytes)
    console.say(f"{len(manifest.files)} files, {size}: all as they were made")
    for key_id in signers:
        console.say(f"signed by {key_id}, which is trusted")
    if found.signed is not None and not signers:
        console.say(f"signed by {', '.join(found.signed.key_ids)}; --trusted FILE checks it")
    console.write(manifest.id)
