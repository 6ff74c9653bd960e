"""Reads and hashes the files of a bundle, never outside its folder."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from sphere_edge.bundle.manifest import Role
from sphere_edge.errors import InternalError, ModelCorruptError

_CHUNK_BYTES = 4 * 2**20

MANIFEST = "bundle.json"
# Lies beside the manifest, which does not name it: signing a bundle does not change its id.
SIGNATURES = "bundle.sig.json"
SIGNATURES_LIMIT_BYTES = 2**20
# Beside the bundle's folder on a device: what opens it there requires a signature by one of them.
TRUSTED_KEYS = "trusted_keys.json"

# The role of a file follows from its path.
_ROLES: dict[str, Role] = {"weights": "weights", "lib": "library", "tokenizer.gguf": "tokenizer"}
_ROLES |= {
    "model.gguf": "model",
    "model.bin": "model",
    "mmproj.gguf": "mmproj",
    "tokenizer": "tokenizer",
    "LICENSE": "license",
    "certify": "reference",
    "voice-detector.bin": "voice-detector",
}
# A split GGUF: llama.cpp opens the first part and finds the others beside it.
_PART = re.compile(r"model-(?P<number>\d{5})-of-\d{5}\.gguf")


def role_of(path: str) -> Role:
    """The role of the bundle file `path`."""
    first = path.split("/")[0]
    if (part := _PART.fullmatch(path)) is not None:
        return "model" if int(part["number"]) == 1 else "weights"
    if first not in _ROLES:
        message = f"`{path}` does not belong in a bundle"
        raise InternalError(message)
    return _ROLES[first]


def walk(folder: Path) -> Iterator[str]:
    """The paths of all files below `folder`, relative to it, with `/`, sorted."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    yield from sorted(path.relative_to(folder).as_posix() for path in paths)


def open_inside(folder: Path, relative: str, sha256: str | None = None) -> IO[bytes]:
    """Opens `folder/relative` for reading; ModelCorruptError if it is not a file inside `folder`.

    One way out is allowed, the same as in native/src/base/file.h: a link to `blobs/SHA256` of a
    device's store, named after the very content (`sha256`) that the file must have.
    """
    path = folder / relative
    try:
        real = path.resolve(strict=True)
        is_blob = real.parent.name == "blobs" and real.name == sha256
        if not is_blob and not real.is_relative_to(folder.resolve()):
            message = f"`{relative}` leads out of the bundle `{folder}`"
            raise ModelCorruptError(message, hint="get the bundle again from where it was made")
        # Without blocking: a FIFO instead of a file must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"`{relative}` is missing from the bundle `{folder}`"
        raise ModelCorruptError(message, hint="copy or package the bundle again") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        message = f"`{relative}` in the bundle `{folder}` is not a regular file"
        raise ModelCorruptError(message, hint="copy or package the bundle again")
    return os.fdopen(descriptor, "rb", buffering=0)


def sha256_of(
    file: IO[bytes], advance: Callable[[int], None], copy_to: IO[bytes] | None = None
) -> str:
    """The sha256 of the rest of `file`, written to `copy_to` on the way; reports each chunk."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        if copy_to is not None:
            copy_to.write(chunk)
        advance(len(chunk))
    return digest.hexdigest()
