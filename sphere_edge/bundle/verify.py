"""Checks that every byte of a bundle matches its manifest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.bundle import archive, files, read, signatures
from sphere_edge.bundle.manifest import File, Manifest, render
from sphere_edge.bundle.signatures import Signed
from sphere_edge.bundle.trust import SignedBundle
from sphere_edge.console import SILENT, Progress
from sphere_edge.errors import ModelCorruptError


@dataclass(frozen=True)
class Verification:
    """A bundle that was proven; `extra` are files in its folder that do not belong to it.

    `read`: the very bytes that were read, for whoever checks or signs them. `signed`: its
    signatures, which nobody has checked yet; None where it has none.
    """

    manifest: Manifest
    extra: tuple[str, ...]
    read: SignedBundle
    signed: Signed | None = None


def verify(path: Path, progress: Progress = SILENT) -> Verification:
    """Hashes every file of the bundle at `path`, a folder or a `.sphere` file.

    Whose signatures count is TrustedKeys' to say. Raises ModelCorruptError naming all damaged and
    missing files, FormatMismatchError and NotFoundError as Bundle.open does.
    """
    with ExitStack() as stack:
        if path.is_file():
            packed = stack.enter_context(archive.Archive(path))
            content = packed.manifest_bytes(read.MANIFEST_LIMIT_BYTES)
            signature = packed.signature_bytes()
            manifest = read.parse(content, path)
            packed.check_entries(manifest)
            extra: tuple[str, ...] = ()

            def sha256(file: File, advance: Callable[[int], None]) -> str:
                return packed.sha256(file, advance)

        else:
            content, signature = read.manifest_bytes(path), read.signature_bytes(path)
            manifest = read.parse(content, path)
            known = {files.MANIFEST, files.SIGNATURES, *(file.path for file in manifest.files)}
            extra = tuple(name for name in files.walk(path) if name not in known)

            def sha256(file: File, advance: Callable[[int], None]) -> str:
                with files.open_inside(path, file.path, file.sha256) as opened:
                    return files.sha256_of(opened, advance)

        bad = []
        # The id does not cover white space; this does, so that no byte at all can change unseen.
        if content != render(read.parse_document(content, path)):
            bad.append(f"`{files.MANIFEST}` is not as it was written")
        with progress.step("checking files", manifest.total_bytes, "bytes") as step:
            for file in manifest.files:
                try:
                    if sha256(file, step.advance) != file.sha256:
                        bad.append(f"`{file.path}` does not match its manifest")
                except ModelCorruptError as error:
                    bad.append(error.message)
    if bad:
        message = f"`{path}` is damaged: {'; '.join(bad)}"
        raise ModelCorruptError(message, hint="copy or package the bundle again")
    signed = None if signature is None else signatures.parse(signature, str(path))
    checked = SignedBundle(path, manifest.id, content, signature)
    return Verification(manifest, extra, checked, signed)
