"""Unpacks the wanted part of a source archive or wheel; no name in it is trusted."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from sphere_edge import errors

# Pinned archives hold under 300 MB; more would be an attack or the wrong archive.
MAXIMUM_BYTES = 2 << 30


@dataclass(frozen=True)
class Selection:
    """What lies in `folder` at or below a path in `keep` and at or below none in `leave_out`.

    Both are relative to `folder`.
    """

    folder: PurePosixPath
    keep: Collection[str]
    leave_out: Collection[str] = ()

    def kept(self, path: PurePosixPath) -> set[str]:
        """Which of `keep` are the reason to take `path`; none if it is not wanted."""
        if not path.is_relative_to(self.folder):
            return set()
        inside = path.relative_to(self.folder)
        if any(inside.is_relative_to(place) for place in self.leave_out):
            return set()
        return {place for place in self.keep if inside.is_relative_to(place)}


def unpack(archive: Path, selection: Selection, into: Path) -> None:
    """Writes the selected regular files of a .tar.gz into the existing folder `into`.

    Links and devices are never made. Raises ModelCorruptError for a damaged archive or one that
    names a path outside its folder.
    """
    total = 0
    missing = set(selection.keep)
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts:
                    message = f"`{archive.name}` names a path outside itself: `{member.name}`"
                    raise errors.ModelCorruptError(message)
                total += member.size
                if total > MAXIMUM_BYTES:
                    message = f"`{archive.name}` holds more than {MAXIMUM_BYTES} bytes"
                    raise errors.ModelCorruptError(message)
                kept = selection.kept(path) if member.isreg() else set()
                if not kept:
                    continue
                missing -= kept
                content = tar.extractfile(member)
                if content is not None:
                    _write(content, into / path.relative_to(selection.folder))
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        message = f"`{archive.name}` is damaged: {str(error).lower()}"
        raise errors.ModelCorruptError(message) from error
    if missing:
        message = f"`{archive.name}` holds no `{selection.folder / min(missing)}`"
        raise errors.ModelCorruptError(message)


def unpack_wheel(archive: Path, into: Path, *, keep: Collection[str]) -> None:
    """Writes the files `keep` of a wheel into the existing folder `into`, below their own paths.

    A name that ends with `/` stands for all files of that folder.
    Raises ModelCorruptError for a damaged wheel, one without such a file, or one that names a path
    outside its folder.
    """
    total = 0
    try:
        with zipfile.ZipFile(archive) as wheel:
            for name in _wanted(wheel.namelist(), keep):
                path = PurePosixPath(name)
                if path.is_absolute() or ".." in path.parts:
                    message = f"`{archive.name}` names a path outside itself: `{name}`"
                    raise errors.ModelCorruptError(message)
                total += wheel.getinfo(name).file_size
                if total > MAXIMUM_BYTES:
                    message = f"`{name}` in `{archive.name}` is too large"
                    raise errors.ModelCorruptError(message)
                with wheel.open(name) as content:
                    _write(content, into / name)
    except KeyError as error:
        message = f"`{archive.name}` holds no `{error.args[0]}`"
        raise errors.ModelCorruptError(message) from error
    except (zipfile.BadZipFile, EOFError, ValueError, zlib.error) as error:
        message = f"`{archive.name}` is damaged: {str(error).lower()}"
        raise errors.ModelCorruptError(message) from error


def _wanted(names: list[str], keep: Collection[str]) -> Iterator[str]:
    """What `keep` means among `names`. Raises KeyError with a name that nothing fits."""
    for wanted in keep:
        if wanted.endswith("/"):
            found = [name for name in names if name.startswith(wanted) and not name.endswith("/")]
        else:
            found = [wanted] if wanted in names else []
        if not found:
            raise KeyError(wanted)
        yield from found


def _write(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        shutil.copyfileobj(content, out, 1 << 20)
