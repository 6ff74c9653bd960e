"""Opens a bundle, a folder or a `.sphere` file, and refuses what is damaged or not made for us."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sphere_edge.bundle import archive, files, strict_json
from sphere_edge.bundle.files import MANIFEST, SIGNATURES, SIGNATURES_LIMIT_BYTES
from sphere_edge.bundle.manifest import (
    RUNTIME_ABI,
    SCHEMA_VERSION,
    Manifest,
    bundle_id,
    document_of,
)
from sphere_edge.console import SILENT, Progress
from sphere_edge.errors import FormatMismatchError, ModelCorruptError, NotFoundError
from sphere_edge.profiles import DeviceProfile, describe

_GGUF_MAGIC = b"GGUF"
_SHA256_DIGITS = 64
MANIFEST_LIMIT_BYTES = 16 * 2**20
_AGAIN = "copy or package the bundle again"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest is sound and whose files are there; `folder` holds them."""

    folder: Path
    manifest: Manifest

    @staticmethod
    def open(path: Path, progress: Progress = SILENT) -> Bundle:
        """The bundle at `path`; a `.sphere` file is unpacked into the cache, once.

        Raises NotFoundError, ModelCorruptError (damaged) and FormatMismatchError (for another
        schema or runtime). File contents are not hashed: see sphere_edge.bundle.verify.
        """
        if path.is_file():
            with archive.Archive(path) as packed:
                manifest = parse(packed.manifest_bytes(MANIFEST_LIMIT_BYTES), path)
                return Bundle(packed.unpacked(manifest, progress), manifest)
        manifest = parse(manifest_bytes(path), path)
        for file in manifest.files:
            with files.open_inside(path, file.path, file.sha256) as opened:
                size = opened.seek(0, 2)
            if size != file.bytes:
                message = f"`{file.path}` has {size} bytes instead of {file.bytes}"
                raise ModelCorruptError(message, hint=_AGAIN)
        return Bundle(path, manifest)


def read_manifest(path: Path) -> Manifest:
    """The manifest of the bundle at `path`, a folder or a `.sphere` file, without its files."""
    return parse(manifest_bytes(path), path)


def is_bundle(path: Path) -> bool:
    """Whether `path` looks like a bundle of any version, sound or not."""
    if path.is_dir():
        return (path / MANIFEST).is_file()
    return path.suffix == archive.SUFFIX and archive.is_archive(path)


def is_gguf(path: Path) -> bool:
    """Whether `path` is a file that is GGUF by its content, or says so by its ending."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".gguf":
        # The reader says what is wrong with it, if anything is.
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(_GGUF_MAGIC)) == _GGUF_MAGIC
    except OSError:
        return False


def manifest_bytes(path: Path) -> bytes:
    """The bytes of bundle.json of the bundle at `path`, a folder or a `.sphere` file."""
    if path.is_file():
        with archive.Archive(path) as packed:
            return packed.manifest_bytes(MANIFEST_LIMIT_BYTES)
    if not path.is_dir():
        message = f"there is no bundle at `{path}`"
        raise NotFoundError(message, hint="`sphere-edge package` makes one")
    if not (path / MANIFEST).exists():
        message = f"`{path}` is not a bundle: it has no {MANIFEST}"
        raise NotFoundError(message, hint="`sphere-edge package` makes a bundle from a model")
    return _small_file(path, MANIFEST, MANIFEST_LIMIT_BYTES)


def signature_bytes(path: Path) -> bytes | None:
    """The bytes of bundle.sig.json of the bundle at `path`, a folder or a `.sphere` file.

    None where there is none. They are not checked here: see sphere_edge.bundle.signatures.
    """
    if path.is_file():
        with archive.Archive(path) as packed:
            return packed.signature_bytes()
    if not os.path.lexists(path / SIGNATURES):
        return None
    return _small_file(path, SIGNATURES, SIGNATURES_LIMIT_BYTES)


def _small_file(folder: Path, name: str, limit_bytes: int) -> bytes:
    # In a device's store it may be a link to a blob, whose name proves it.
    blob = (folder / name).resolve().name
    with files.open_inside(folder, name, blob) as file:
        content = file.read(limit_bytes + 1)
    is_blob = (folder / name).is_symlink() and len(blob) == _SHA256_DIGITS
    if is_blob and hashlib.sha256(content).hexdigest() != blob:
        raise _damaged(folder, "it does not match its name in the store", name)
    if len(content) > limit_bytes:
        raise _damaged(folder, f"more than {limit_bytes} bytes long", name)
    return content


def parse(content: bytes, path: Path) -> Manifest:
    """`content` of the bundle.json at `path` as typed values, its id proven."""
    document = parse_document(content, path)
    schema, abi = document.get("schema_version"), document.get("runtime_abi")
    if schema != SCHEMA_VERSION:
        message = (
            f"`{path}` has bundle schema `{schema}`, this sphere-edge reads `{SCHEMA_VERSION}`"
        )
        raise FormatMismatchError(message, hint=_newer_or_older(schema, SCHEMA_VERSION))
    if abi != RUNTIME_ABI:
        message = (
            f"`{path}` was made for runtime `{abi}`, this sphere-edge has runtime `{RUNTIME_ABI}`"
        )
        raise FormatMismatchError(message, hint=_newer_or_older(abi, RUNTIME_ABI))
    try:
        manifest = Manifest.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise _damaged(path, describe(error)) from error
    if document_of(manifest) != document:
        raise _damaged(path, "a value is missing that is always written, or null where none is")
    if bundle_id(document) != manifest.id:
        raise _damaged(path, "its content does not give its id")
    return manifest


def parse_document(content: bytes, path: Path) -> dict[str, Any]:
    """`content` as one JSON object without duplicate keys."""
    try:
        return strict_json.parse(content)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def check_runs_on(manifest: Manifest, profile: DeviceProfile) -> None:
    """FormatMismatchError when the bundle's machine code cannot run on `profile`'s CPU."""
    if manifest.engine in ("llama", "whisper") and not manifest.target.cpu_features:
        return
    made_for, there = _platform(manifest.target.triple), _platform(profile.triple)
    if made_for != there:
        message = (
            f"the bundle `{manifest.name}` was made for {made_for}, {profile.title} is {there}"
        )
        raise FormatMismatchError(message, hint=f"package the model with --profile {profile.name}")
    lacking = [f for f in manifest.target.cpu_features if f not in profile.cpu.features]
    if lacking:
        message = (
            f"the bundle `{manifest.name}` needs CPU features that {profile.title} lacks: "
            + ", ".join(lacking)
        )
        raise FormatMismatchError(message, hint=f"package the model with --profile {profile.name}")


def runnable(path: Path, profile: DeviceProfile, progress: Progress = SILENT) -> Path:
    """What the runtime opens for `path`: a GGUF file itself, or the folder of a bundle.

    Raises what Bundle.open and check_runs_on raise: the reason before the runtime is even built.
    """
    if is_gguf(path):
        return path
    bundle = Bundle.open(path, progress)
    check_runs_on(bundle.manifest, profile)
    return bundle.folder


def _platform(triple: str) -> str:
    """Architecture and system of an LLVM triple, as `arm64 android`."""
    architecture = "arm64" if triple.startswith(("aarch64", "arm64")) else triple.split("-")[0]
    for system in ("android", "ios", "macos", "darwin", "linux"):
        if system in triple:
            return f"{architecture} {'macos' if system == 'darwin' else system}"
    return f"{architecture} {triple}"


def _newer_or_older(found: object, ours: int) -> str:
    if isinstance(found, int) and found > ours:
        return "install a newer sphere-edge"
    return "package the model again with this sphere-edge"


def _damaged(path: Path, why: str, name: str = MANIFEST) -> ModelCorruptError:
    return ModelCorruptError(f"`{name}` of `{path}` is damaged: {why}", hint=_AGAIN)
