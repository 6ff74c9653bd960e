"""A `.sphere` file: zip, manifest, signatures, and the hashes of what it holds."""

from fuzz.file_with import file_with
from sphere_edge.bundle.archive import Archive
from sphere_edge.bundle.read import MANIFEST_LIMIT_BYTES, parse


def read(data: bytes) -> None:
    """`data` as a file; nothing is unpacked."""
    path = file_with(data, "fuzzed.sphere")
    with Archive(path) as packed:
        packed.signature_bytes()
        manifest = parse(packed.manifest_bytes(MANIFEST_LIMIT_BYTES), path)
        packed.check_entries(manifest)
        for file in manifest.files:
            packed.sha256(file, lambda count: None)
