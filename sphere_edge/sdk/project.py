"""Writes a project, and later what has changed of it, without touching what its owner has changed.

`.sphere-edge.json` in the project holds the hash of each file as it was rendered. A file with that
hash is ours and is replaced; any other is its owner's and stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sphere_edge.bundle import files
from sphere_edge.errors import ModelCorruptError, StorageError
from sphere_edge.files import atomic_write

RECORD = ".sphere-edge.json"
_RECORD_LIMIT_BYTES = 16 * 2**20


class Content(Protocol):
    """What a file of the project will hold."""

    @property
    def sha256(self) -> str:
        """Of all its bytes, in hexadecimal digits."""

    @property
    def bytes(self) -> int:
        """How many there are."""

    def write(self, path: Path) -> None:
        """Writes the file `path`, which is not there yet."""


@dataclass(frozen=True)
class Plain:
    """Bytes at hand."""

    content: bytes
    executable: bool = False

    @property
    def sha256(self) -> str:
        """See Content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def bytes(self) -> int:
        """See Content."""
        return len(self.content)

    def write(self, path: Path) -> None:
        """See Content."""
        path.write_bytes(self.content)
        if self.executable:
            path.chmod(0o755)


@dataclass(frozen=True)
class BundleFile:
    """A file of a bundle, compared with its hash while it is copied."""

    folder: Path
    relative: str
    bytes: int
    sha256: str

    def write(self, path: Path) -> None:
        """Raises ModelCorruptError when it is not the file that the manifest names."""
        with (
            files.open_inside(self.folder, self.relative, self.sha256) as source,
            path.open("wb") as target,
        ):
            found = files.sha256_of(source, lambda _: None, target)
        if found != self.sha256:
            message = f"`{self.relative}` does not match its manifest"
            raise ModelCorruptError(message, hint="copy or package the bundle again")


@dataclass(frozen=True)
class Update:
    """Paths of the project: written, left because their owner changed them, and removed."""

    written: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Project:
    """What `output` will hold; `kind` is of the template, as `android`."""

    output: Path
    kind: str
    contents: Mapping[str, Content]
    # Asked with the files that their owner changed; whether they are replaced all the same.
    replaces: Callable[[Sequence[str]], bool] = field(default=lambda paths: False)

    def write(self) -> Update:
        """Makes the project, or updates it.

        Whatever ends it early leaves a new project unmade, and an old one with whole files, which
        the next call completes. Raises StorageError, and what Content.write raises.
        """
        record = self._read_record()
        if record is None:
            return self._make()
        changed = [path for path in self._present(self.contents) if not self._is_ours(path, record)]
        wanted = set(changed) if changed and self.replaces(changed) else set()
        kept = tuple(path for path in changed if path not in wanted)
        written = tuple(
            path
            for path, content in self.contents.items()
            if path not in kept and not self._holds(path, [content.sha256], content.bytes)
        )
        stale = [path for path in self._present(record) if path not in self.contents]
        removed = tuple(path for path in stale if self._is_ours(path, record))
        self._apply(record, written, removed, kept)
        return Update(written, kept, removed)

    def _make(self) -> Update:
        with self._staging() as stage:
            for path in self.contents:
                self._stage(path, stage)
            self._write_record(stage, {p: [c.sha256] for p, c in self.contents.items()})
            stage.rename(self.output.absolute())
        return Update(written=tuple(self.contents))

    def _apply(
        self,
        record: Mapping[str, list[str]],
        written: Sequence[str],
        removed: Sequence[str],
        kept: Sequence[str],
    ) -> None:
        new = {path: [content.sha256] for path, content in self.contents.items()}
        new |= {path: record.get(path, []) for path in kept}
        both = {path: [*record.get(path, []), *new.get(path, [])] for path in {*record, *new}}
        with self._staging() as stage:
            for path in written:
                self._stage(path, stage)
            # Until all is there, the old and the new content are ours.
            self._write_record(self.output, both)
            for path in written:
                target = self._inside(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                (stage / path).replace(target)
            for path in removed:
                self._inside(path).unlink(missing_ok=True)
                self._remove_empty(self._inside(path).parent)
            self._write_record(self.output, new)

    def _stage(self, path: str, stage: Path) -> None:
        (stage / path).parent.mkdir(parents=True, exist_ok=True)
        self.contents[path].write(stage / path)

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """A folder beside the project, gone afterwards unless it was renamed."""
        target = self.output.absolute()
        stage: Path | None = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            stage.chmod(0o755)
            yield stage
        except OSError as error:
            message = f"`{self.output}` cannot be written: {error.strerror or error}"
            raise StorageError(message) from error
        finally:
            if stage is not None:
                shutil.rmtree(stage, ignore_errors=True)

    def _read_record(self) -> dict[str, list[str]] | None:
        """The hashes of what was rendered; None where there is nothing yet."""
        path = self.output / RECORD
        if not path.is_file():
            if not self.output.is_dir() and not self.output.exists():
                return None
            if self.output.is_dir() and not any(self.output.iterdir()):
                return None
            message = f"`{self.output}` exists and is not a project made by `sphere-edge sdk`"
            raise StorageError(message, hint="choose another folder with -o")
        with path.open("rb") as file:
            content = file.read(_RECORD_LIMIT_BYTES + 1)
        try:
            document = json.loads(content[:_RECORD_LIMIT_BYTES])
            record = {str(k): [str(v) for v in vs] for k, vs in document["files"].items()}
            kind = document["kind"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            message = f"`{path}` is damaged"
            hint = "restore it from version control, or choose another folder with -o"
            raise StorageError(message, hint=hint) from error
        if kind != self.kind:
            message = f"`{self.output}` is a project for `{kind}`, not for `{self.kind}`"
            raise StorageError(message, hint="choose another folder with -o")
        return record

    def _write_record(self, folder: Path, hashes: Mapping[str, list[str]]) -> None:
        document = {"kind": self.kind, "files": {path: hashes[path] for path in sorted(hashes)}}
        with atomic_write(folder / RECORD) as partial:
            partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    def _present(self, paths: Iterator[str] | Mapping[str, object]) -> list[str]:
        return [path for path in paths if os.path.lexists(self._inside(path))]

    def _is_ours(self, path: str, record: Mapping[str, list[str]]) -> bool:
        new = self.contents.get(path)
        known = [*record.get(path, []), *([new.sha256] if new is not None else [])]
        return self._holds(path, known)

    def _holds(self, path: str, hashes: Sequence[str], length: int | None = None) -> bool:
        """Whether the file there is a regular one with one of these hashes."""
        target = self._inside(path)
        if target.is_symlink() or not target.is_file():
            return False
        if length is not None and target.stat().st_size != length:
            return False
        with target.open("rb", buffering=0) as file:
            return files.sha256_of(file, lambda _: None) in hashes

    def _inside(self, path: str) -> Path:
        """Raises StorageError for a path whose folder lies elsewhere, through a link or `..`."""
        root = self.output.resolve()
        folder = (root / path).parent.resolve()
        if not folder.is_relative_to(root) or Path(path).name in ("", ".."):
            message = f"`{path}` leads out of the project `{self.output}`"
            raise StorageError(message, hint="replace the link by a folder")
        return folder / Path(path).name

    def _remove_empty(self, folder: Path) -> None:
        root = self.output.resolve()
        while folder != root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
