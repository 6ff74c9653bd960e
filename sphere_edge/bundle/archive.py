"""The `.sphere` file: a bundle as one zip, not compressed, the same bytes every time."""

from __future__ import annotations

import functools
import io
import os
import shutil
import stat
import struct
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn

from sphere_edge import resources
from sphere_edge.bundle import files
from sphere_edge.bundle.manifest import File, Manifest, document_of, render
from sphere_edge.console import Progress
from sphere_edge.errors import ModelCorruptError, NotFoundError
from sphere_edge.files import atomic_write

SUFFIX = ".sphere"
# The oldest time a zip can hold: no clock, so that the same bundle gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_AGAIN = "copy or package the bundle again"


# What `zipfile` raises for files that it does not like: another version, flags, names that are no
# text, offsets and lengths that cannot be.
_REFUSALS = (
    zipfile.BadZipFile,
    EOFError,
    ValueError,
    RuntimeError,
    OverflowError,
    struct.error,
)


def is_archive(path: Path) -> bool:
    """Whether `path` is a zip with a bundle.json in it."""
    try:
        with zipfile.ZipFile(path) as packed:
            return files.MANIFEST in packed.namelist()
    except (OSError, *_REFUSALS):
        return False


def pack(folder: Path, out: Path, advance: Callable[[int], None]) -> None:
    """Writes the bundle in `folder` as the zip file `out`, bundle.json first."""
    sizes = {name: (folder / name).stat().st_size for name in files.walk(folder)}
    _write(_Content(sizes, lambda name: files.open_inside(folder, name)), out, advance)


@dataclass(frozen=True)
class _Content:
    """What goes into a zip: the size of each file, and how it is opened."""

    sizes: Mapping[str, int]
    opened: Callable[[str], AbstractContextManager[IO[bytes]]]


def _write(content: _Content, out: Path, advance: Callable[[int], None]) -> None:
    names = [files.MANIFEST, *sorted(name for name in content.sizes if name != files.MANIFEST)]
    with out.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as packed:
            for name in names:
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                # Unix on every system: the default differs between systems, and so would the bytes.
                entry.create_system = 3
                entry.file_size = content.sizes[name]
                with content.opened(name) as source, packed.open(entry, "w") as target:
                    for chunk in iter(functools.partial(source.read, 4 * 2**20), b""):
                        target.write(chunk)
                        advance(len(chunk))
        # On disk before the rename: after a power cut there is all of it or nothing.
        file.flush()
        os.fsync(file.fileno())


class Archive:
    """An open `.sphere` file; its names, sizes and kinds are checked before they are used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except _REFUSALS as error:
            message = f"`{path}` is not a {SUFFIX} file, or it is truncated"
            raise ModelCorruptError(message, hint=_AGAIN) from error
        self._entries = {entry.filename: entry for entry in self._zip.infolist()}
        twice = [name for name, n in Counter(self._zip.namelist()).items() if n > 1]
        if twice:
            self._zip.close()
            self._refuse(f"duplicate file `{twice[0]}`")
        # Python moves all offsets when the list of files is not where the zip says it is.
        if any(entry.header_offset < 0 for entry in self._entries.values()):
            self._zip.close()
            self._refuse("a file would begin before it")

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._zip.close()

    def manifest_bytes(self, limit_bytes: int) -> bytes:
        """The bytes of bundle.json; NotFoundError when the zip has none."""
        entry = self._entries.get(files.MANIFEST)
        if entry is None:
            message = f"`{self.path}` is not a bundle: it has no {files.MANIFEST}"
            raise NotFoundError(message, hint="`sphere-edge package --zip` makes one")
        if entry.file_size > limit_bytes:
            self._refuse(f"`{files.MANIFEST}` is more than {limit_bytes} bytes long")
        self._check_stored(entry)
        with self._opened(files.MANIFEST) as file:
            return file.read()

    def signature_bytes(self) -> bytes | None:
        """The bytes of bundle.sig.json, None when the zip has none."""
        entry = self._entries.get(files.SIGNATURES)
        if entry is None:
            return None
        limit_bytes = files.SIGNATURES_LIMIT_BYTES
        if entry.file_size > limit_bytes:
            self._refuse(f"`{files.SIGNATURES}` is more than {limit_bytes} bytes long")
        self._check_stored(entry)
        with self._opened(files.SIGNATURES) as file:
            return file.read()

    def with_signatures(self, signatures: bytes, out: Path, progress: Progress) -> None:
        """Writes this zip again as the file `out`, with `signatures` as its bundle.sig.json."""
        sizes = {name: entry.file_size for name, entry in self._entries.items()}
        sizes[files.SIGNATURES] = len(signatures)

        def opened(name: str) -> AbstractContextManager[IO[bytes]]:
            return io.BytesIO(signatures) if name == files.SIGNATURES else self._opened(name)

        with progress.step(f"packing {self.path.name}", sum(sizes.values()), "bytes") as step:
            _write(_Content(sizes, opened), out, step.advance)

    def check_entries(self, manifest: Manifest) -> None:
        """ModelCorruptError unless the zip holds exactly the manifest's files, plainly stored."""
        expected = {file.path: file for file in manifest.files}
        for name, entry in self._entries.items():
            if name in (files.MANIFEST, files.SIGNATURES):
                continue
            if name not in expected:
                self._refuse(f"`{name}` is not in its manifest")
            self._check_stored(entry)
            if entry.file_size != expected[name].bytes:
                expected_bytes = expected[name].bytes
                self._refuse(f"`{name}` has {entry.file_size} bytes instead of {expected_bytes}")
        missing = sorted(set(expected) - set(self._entries))
        if missing:
            self._refuse(f"`{missing[0]}` is missing")

    def sha256(
        self, file: File, advance: Callable[[int], None], copy_to: IO[bytes] | None = None
    ) -> str:
        """The sha256 of what the zip holds as `file`, written to `copy_to` on the way."""
        with self._opened(file.path) as packed:
            return files.sha256_of(packed, advance, copy_to)

    def unpacked(self, manifest: Manifest, progress: Progress) -> Path:
        """A folder in the cache with the bundle's files, each proven while it is unpacked."""
        self.check_entries(manifest)
        with self._opened(files.MANIFEST) as packed:
            # Another form of the same manifest has the same id, and is not what was signed.
            if packed.read() != render(document_of(manifest)):
                self._refuse(f"`{files.MANIFEST}` is not as it was written")
        cache = resources.cache_folder() / "bundles"
        folder = cache / manifest.id
        signatures = self.signature_bytes()
        if folder.is_dir():
            _sign_again(folder, signatures)
            return folder
        cache.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=cache, prefix=".unpacking-"))
        try:
            with progress.step(
                f"unpacking {self.path.name}", manifest.total_bytes, "bytes"
            ) as step:
                for file in manifest.files:
                    target = staging / file.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as out:
                        digest = self.sha256(file, step.advance, out)
                    if digest != file.sha256:
                        self._refuse(f"`{file.path}` does not match its manifest")
            with (
                self._opened(files.MANIFEST) as packed,
                (staging / files.MANIFEST).open("wb") as out,
            ):
                shutil.copyfileobj(packed, out)
            _sign_again(staging, signatures)
            try:
                staging.rename(folder)
            except OSError:
                # Another process was quicker; its copy is as proven as ours.
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return folder

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._zip.open(name) as file:
                yield file
        except _REFUSALS:
            self._refuse(f"`{name}` cannot be read")

    def _check_stored(self, entry: zipfile.ZipInfo) -> None:
        """Stored plain files only: so there are no links, no bombs and no passwords."""
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            self._refuse(f"`{entry.filename}` is compressed")
        if kind not in (0, stat.S_IFREG) or entry.flag_bits & 1:
            self._refuse(f"`{entry.filename}` is not a regular file")

    def _refuse(self, why: str) -> NoReturn:
        message = f"`{self.path}` is damaged: {why}"
        raise ModelCorruptError(message, hint=_AGAIN)


def _sign_again(folder: Path, signatures: bytes | None) -> None:
    """Makes `signatures` those of the unpacked bundle, which has the same id whoever signed it."""
    path = folder / files.SIGNATURES
    if signatures is None:
        path.unlink(missing_ok=True)
    elif not (path.is_file() and path.read_bytes() == signatures):
        with atomic_write(path) as partial:
            partial.write_bytes(signatures)
