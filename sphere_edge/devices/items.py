"""The files of a bundle on a device, and the list that names it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors

_SHA256 = re.compile(r"[0-9a-f]{64}")
# No blanks, no `.` or `..`: the list is read by a shell on the device.
_PATH = re.compile(r"(?!(.*/)?\.{1,2}(/|$))[A-Za-z0-9._+@-]+(/[A-Za-z0-9._+@-]+)*")


@dataclass(frozen=True)
class Item:
    """One file of a bundle on the device: its `path` in there, and where its bytes are here."""

    path: str
    source: Path
    bytes: int
    sha256: str
    is_program: bool = False


def listing(items: Sequence[Item]) -> bytes:
    """The bundle's `files.sha256`: `SHA256  PATH` per line, in the order of the paths."""
    lines = sorted((item.path, f"{item.sha256}  {item.path}\n") for item in items)
    return "".join(line for _, line in lines).encode()


def bundle_id(items: Sequence[Item]) -> str:
    """The ID of a bundle on the device: sha256 of its `files.sha256`."""
    return hashlib.sha256(listing(items)).hexdigest()


def check(items: Sequence[Item]) -> None:
    """Raises InvalidArgumentError unless `items` can be a bundle on a device."""
    paths = {item.path for item in items}
    if not items or len(paths) != len(items):
        message = "a bundle on a device needs files, each with a path of its own"
        raise errors.InvalidArgumentError(message)
    for item in items:
        if not _PATH.fullmatch(item.path) or not _SHA256.fullmatch(item.sha256):
            message = f"invalid path `{item.path}` for a file of a bundle"
            raise errors.InvalidArgumentError(message)
        words = item.path.split("/")
        for end in range(1, len(words)):
            if (folder := "/".join(words[:end])) in paths:
                message = f"`{folder}` is both a file and a folder of the bundle"
                raise errors.InvalidArgumentError(message)
