"""Writes a bundle under a temporary name and moves it in one rename, or leaves nothing behind."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from sphere_edge.bundle import archive, files, signatures
from sphere_edge.bundle.ed25519 import PrivateKey
from sphere_edge.bundle.files import MANIFEST
from sphere_edge.bundle.manifest import (
    File,
    Manifest,
    ManifestDraft,
    bundle_id,
    document_of,
    render,
)
from sphere_edge.bundle.read import Bundle, is_bundle
from sphere_edge.console import SILENT, Progress, human_bytes
from sphere_edge.errors import InternalError, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = _FULL | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


class BundleWriter:
    """A context in which `folder` is filled; `commit` makes it the bundle `output`.

    `output` ending in `.sphere` becomes one zip file, anything else a folder. Leaving the context
    without `commit` (an error, Ctrl-C) removes everything. What a killed process left is removed by
    the next writer of the same output. Raises StorageError: output exists, is being written, cannot
    be written, disk full. `key` signs it.
    """

    def __init__(
        self,
        output: Path,
        *,
        force: bool = False,
        key: PrivateKey | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self.output = output
        self._force = force
        self._key = key
        self.progress = progress
        target = output.absolute()
        if target.name in ("", ".."):
            target = target.resolve()
        if not target.name:
            message = f"`{output}` is not a bundle and cannot become one"
            raise StorageError(message, hint="choose another output with -o")
        self.folder = target.with_name(f".{target.name}.partial")
        self._packed = target.with_name(f".{target.name}.packed")
        self._replaced = target.with_name(f".{target.name}.replaced")
        self._made_parents: list[Path] = []
        self._lock: int | None = None

    def __enter__(self) -> BundleWriter:
        try:
            self._check_output()
            self._make_parents()
            self._lock_folder()
            self._recover()
        except BaseException as error:
            self._abandon()
            if isinstance(error, OSError):
                raise self._storage_error(error) from error
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._abandon()
        if isinstance(error, OSError) and error.errno in _REFUSED:
            raise self._storage_error(error) from error

    def require_space(self, needed_bytes: int) -> None:
        """StorageError when the disk has less room than `needed_bytes`: better now than later."""
        free = shutil.disk_usage(self.folder).free
        if self.output.suffix == archive.SUFFIX:
            needed_bytes *= 2
        if needed_bytes > free:
            message = (
                f"not enough space for `{self.output}`: about {human_bytes(needed_bytes)} needed, "
                f"{human_bytes(free)} free"
            )
            raise StorageError(message, hint="free some space or choose another folder with -o")

    def commit(
        self, draft: ManifestDraft, check: Callable[[Bundle], None] = lambda _: None
    ) -> Bundle:
        """Hashes the files in `folder`, writes bundle.json and moves all of it into target.

        `check` gets the finished bundle before the move and may still refuse it by raising.
        """
        if self._lock is None:
            message = "the bundle is not open for writing"
            raise InternalError(message)
        document = {
            **document_of(draft),
            "files": [file.model_dump(mode="json") for file in self._hashed()],
        }
        document["id"] = bundle_id(document)
        manifest = Manifest.model_validate(document)
        content = render(document)
        self._write(MANIFEST, content)
        if self._key is not None:
            self._write(files.SIGNATURES, signatures.sign(manifest, content, self._key))
        check(Bundle(self.folder, manifest))
        if self.output.suffix != archive.SUFFIX:
            self._put_in_place(self.folder)
            return Bundle(self.output, manifest)
        with self.progress.step("packing", manifest.total_bytes, "bytes") as step:
            archive.pack(self.folder, self._packed, step.advance)
        self._put_in_place(self._packed)
        return Bundle.open(self.output)

    def _write(self, name: str, content: bytes) -> None:
        with (self.folder / name).open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())

    def _hashed(self) -> list[File]:
        names = list(files.walk(self.folder))
        sizes = {name: (self.folder / name).stat().st_size for name in names}
        hashed = []
        with self.progress.step("hashing files", sum(sizes.values()), "bytes") as step:
            for name in names:
                with files.open_inside(self.folder, name) as file:
                    digest = files.sha256_of(file, step.advance)
                    # On disk before the rename: after a power cut there is all of it or nothing.
                    os.fsync(file.fileno())
                hashed.append(
                    File(path=name, bytes=sizes[name], sha256=digest, role=files.role_of(name))
                )
        return hashed

    def _check_output(self) -> None:
        if not os.path.lexists(self.output):
            return
        if self.output.is_dir() and not any(self.output.iterdir()):
            return
        if not is_bundle(self.output):
            message = f"`{self.output}` exists and is not a bundle, so it is not replaced"
            raise StorageError(message, hint="choose another output with -o")
        if not self._force:
            message = f"`{self.output}` exists"
            raise StorageError(message, hint="--force replaces it, -o chooses another output")

    def _make_parents(self) -> None:
        parent = self.folder.parent
        missing = []
        while not parent.exists():
            missing.append(parent)
            parent = parent.parent
        for path in reversed(missing):
            path.mkdir()
            self._made_parents.append(path)

    def _lock_folder(self) -> None:
        """Makes `folder` and locks it, the folder itself, so that no lock file is left lying."""
        while True:
            self.folder.mkdir(exist_ok=True)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Another writer may have moved the folder into place before we had the lock.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), self.folder.stat()):
                        self._lock = descriptor
                        return
            except BlockingIOError as error:
                message = f"another process is writing `{self.output}`"
                raise StorageError(message, hint="wait for it, or choose another -o") from error
            finally:
                if self._lock is None:
                    os.close(descriptor)

    def _recover(self) -> None:
        """Undoes what a killed process left: half of a bundle, or an old one moved aside."""
        for path in self.folder.iterdir():
            _remove(path)
        _remove(self._packed)
        if self._replaced.exists():
            if self.output.exists():
                _remove(self._replaced)
            else:
                self._replaced.rename(self.output)

    def _put_in_place(self, made: Path) -> None:
        """Renames `made` to `output`; an older bundle there is gone only when that has worked."""
        # Once more: it may have come into being since we looked.
        self._check_output()
        if self.output.is_dir() and not any(self.output.iterdir()):
            self.output.rmdir()
        if os.path.lexists(self.output):
            self.output.rename(self._replaced)
        try:
            made.rename(self.output)
        except BaseException:
            if self._replaced.exists():
                self._replaced.rename(self.output)
            raise
        self._made_parents.clear()
        _remove(self._replaced)

    def _abandon(self) -> None:
        if self._lock is not None:
            with suppress(OSError):
                if os.path.samestat(os.fstat(self._lock), self.folder.stat()):
                    shutil.rmtree(self.folder, ignore_errors=True)
            _remove(self._packed)
            os.close(self._lock)
            self._lock = None
        for path in reversed(self._made_parents):
            with suppress(OSError):
                path.rmdir()

    def _storage_error(self, error: OSError) -> StorageError:
        reason = (error.strerror or type(error).__name__).lower()
        hint = "choose another output with -o"
        if error.errno in _FULL:
            hint = "free some space or choose another folder with -o"
        return StorageError(f"cannot write `{self.output}`: {reason}", hint=hint)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
