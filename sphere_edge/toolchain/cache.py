"""The user's cache folder: where sources and builds lie, one maker at a time, nothing half made."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sphere_edge import errors, resources

FOLDER_VARIABLE = resources.CACHE_VARIABLE


def folder() -> Path:
    """The cache folder, absolute (`resources.cache_folder`)."""
    return resources.cache_folder()


@contextmanager
def made_once(
    target: Path, *, on_wait: Callable[[], object] = lambda: None
) -> Iterator[Path | None]:
    """Yields an empty folder to fill, which becomes `target` when the block ends well.

    Yields None when `target` is there already, also when another process has just made it: one
    process makes it at a time (`on_wait` is called before waiting), and an exception, Ctrl-C
    included, leaves nothing behind. Raises StorageError.
    """
    if target.is_dir():
        yield None
        return
    with _translated(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target, on_wait):
        if target.is_dir():
            yield None
            return
        with _translated(target):
            _sweep(target)
            staging = Path(tempfile.mkdtemp(prefix=_staging_prefix(target), dir=target.parent))
            try:
                # mkdtemp's folder is for this user alone; what is made here is no secret.
                staging.chmod(0o755)
                yield staging
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def scratch(name: str, *, on_wait: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """An empty folder for work, removed at the end; always at the same path, for one at a time.

    The same path, because zig recognises what it has compiled before only under the same words.
    """
    place = folder() / "work" / name
    with _translated(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place, on_wait), _translated(place):
        shutil.rmtree(place, ignore_errors=True)
        try:
            place.mkdir()
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _locked(target: Path, on_wait: Callable[[], object]) -> Iterator[None]:
    # The kernel drops the lock when its holder dies, however it dies. The file itself stays: to
    # remove it would let two processes hold locks on two files of the same name.
    with _translated(target):
        lock = os.open(target.parent / f".{target.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _staging_prefix(target: Path) -> str:
    return f".{target.name}.making-"


def _sweep(target: Path) -> None:
    """Removes what a maker that was killed left behind; the lock says that no other lives."""
    for left in target.parent.glob(_staging_prefix(target) + "*"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _translated(target: Path) -> Iterator[None]:
    """Turns the system's refusals inside the cache folder into StorageError."""
    try:
        yield
    except OSError as error:
        place = folder()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"no space left in the cache folder `{place}`"
            hint = f"free some space, or name another folder with `{FOLDER_VARIABLE}`"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            message = f"cannot write to the cache folder `{place}`"
            hint = f"make it writable, or name another folder with `{FOLDER_VARIABLE}`"
        else:
            reason = (error.strerror or str(error)).lower()
            message = f"cannot make `{target.name}` in the cache folder `{place}`: {reason}"
            hint = None
        raise errors.StorageError(message, hint=hint) from error


def free_bytes() -> int:
    """Free space where the cache folder lies, or would lie."""
    place = folder()
    while not place.exists() and place != place.parent:
        place = place.parent
    with suppress(OSError):
        return shutil.disk_usage(place).free
    return 0
