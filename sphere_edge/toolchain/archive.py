"""Unpacks the wanted part of a source archive or wheel; no name in it is trusted."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from sphere_edge import errors

# Pinned archives hold under 300 MB; more would be an attack or the wrong archive.
MAXIMUM_BYTES = 2 << 30


def unpack(
    archive: Path,
    folder: PurePosixPath,
    into: Path,
    *,
    keep: Collection[str],
    leave_out: Collection[str] = (),
) -> None:
    """Writes the regular files under `folder` of a .tar.gz into the existing folder `into`.

    Only what lies at or below a path in `keep` and at or below none in `leave_out` is written; both
    are relative to `folder`. Links and devices are never made.
    Raises ModelCorruptError for a damaged archive or one that names a path outside its folder.
    """
    total = 0
    missing = set(keep)
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
                if not member.isreg() or not path.is_relative_to(folder):
                    continue
                inside = path.relative_to(folder)
                kept = {place for place in keep if inside.is_relative_to(place)}
                if not kept or any(inside.is_relative_to(place) for place in leave_out):
                    continue
                missing -= kept
                content = tar.extractfile(member)
                if content is not None:
                    _write(content, into / inside)
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        message = f"`{archive.name}` is damaged: {str(error).lower()}"
        raise errors.ModelCorruptError(message) from error
    if missing:
        message = f"`{archive.name}` holds no `{folder / min(missing)}`"
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
