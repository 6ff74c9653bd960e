"""Models from a Hugging Face hub: only what we read, at one commit, offline from its cache."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from sphere_edge.console import SILENT, Progress
from sphere_edge.errors import (
    InvalidArgumentError,
    NotFoundError,
    StorageError,
    UnavailableError,
    UnsupportedError,
)
from sphere_edge.formats import gguf_parts, json_object, remote_headers, task
from sphere_edge.formats.download import Download, RemoteFile, Revision, list_files
from sphere_edge.formats.shards import index_files, safetensors_files
from sphere_edge.formats.wanted import Kind, Wanted

# Everything a model needs that is not weights. Pickles and code are never fetched.
SMALL_FILES = ("*.json", "*.jinja", "tokenizer.model", "merges.txt")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REVISION = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)*")


@dataclass(frozen=True)
class Hub:
    """Which hub and which cache; None means huggingface_hub's own settings (HF_ENDPOINT, HF_HOME).

    The access token is huggingface_hub's affair (HF_TOKEN, `hf auth login`): it is never seen here.
    """

    endpoint: str | None = None
    cache_folder: Path | None = None
    local_files_only: bool = False
    # Of the weights only their headers: enough to say what a model is and where it fits.
    headers_only: bool = False
    progress: Progress = field(default=SILENT)
    retry_delays_s: tuple[float, ...] = (0.5, 2.0, 5.0)


@dataclass(frozen=True)
class Snapshot:
    """A model's files in the cache, all of one commit `revision`."""

    folder: Path
    revision: str


def fetch(repository: str, file: str | None, wanted: Wanted, hub: Hub) -> Snapshot:
    """Brings the model `repository` into the cache, in the form and revision that is `wanted`.

    Only top-level safetensors or GGUF, JSON, templates and tokenizer files are fetched; `file`
    names the one GGUF to fetch. Where the hub does not answer, a complete copy in the cache serves.
    Raises NotFoundError, UnavailableError, StorageError, UnsupportedError, InvalidArgumentError.
    """
    revision = wanted.revision or "main"
    if not _REVISION.fullmatch(revision) or ".." in revision:
        message = f"invalid revision `{revision}`"
        raise InvalidArgumentError(message, hint="give a branch, a tag or a commit hash")
    request = _Request(repository, revision, wanted.kind, file, _storage(repository, hub), hub)
    if hub.local_files_only or os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return _cached(request)
    try:
        commit, files = list_files(repository, revision, hub.endpoint)
    except UnavailableError as error:
        with suppress(NotFoundError):
            return _cached(request)
        raise error
    if wanted.is_convertible and not any(item.name.endswith(".gguf") for item in files):
        request = replace(request, kind=None)
    try:
        with _locked(request.storage):
            return _fetch_files(request, commit, files)
    except OSError as error:
        message = (
            f"the model cache `{request.storage}` cannot be written: {error.strerror or error}"
        )
        raise StorageError(message, hint="set HF_HOME to a folder with enough space") from error


@dataclass(frozen=True)
class _Request:
    """What is fetched, the repository's folder in the cache, and how the hub is reached."""

    repository: str
    revision: str
    kind: Kind | None
    file: str | None
    storage: Path
    hub: Hub


def _storage(repository: str, hub: Hub) -> Path:
    """The folder of `repository` in huggingface_hub's cache, laid out as documented."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return (hub.cache_folder or Path(HF_HUB_CACHE)) / f"models--{repository.replace('/', '--')}"


@contextmanager
def _locked(storage: Path) -> Iterator[None]:
    """One process at a time fetches into a repository's folder."""
    storage.mkdir(parents=True, exist_ok=True)
    with (storage / ".sphere-edge.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cached(request: _Request) -> Snapshot:
    """The copy of the revision in the cache, if all of it is there; raises NotFoundError."""
    storage, revision = request.storage, request.revision
    commit, ref = revision, storage / "refs" / revision
    if ref.is_file():
        commit = ref.read_text(encoding="utf-8").strip()
    folders = [storage / "snapshots" / commit]
    if request.hub.headers_only:
        folders.append(_headers_folder(storage, commit))
    for folder in folders:
        if _COMMIT.fullmatch(commit) and folder.is_dir() and _is_complete(folder, request.file):
            return Snapshot(folder, commit)
    message = f"`{request.repository}` at `{revision}` is not in the cache, and offline"
    raise NotFoundError(message, hint="go online once to download it")


def _headers_folder(storage: Path, commit: str) -> Path:
    # Not among the snapshots: huggingface_hub's users would take it for the model.
    return storage / ".sphere-edge-headers" / commit


def _is_complete(folder: Path, file: str | None) -> bool:
    if file is not None:
        return all((folder / name).is_file() for name in gguf_parts.names(file))
    ggufs = gguf_parts.models(path.name for path in folder.glob("*.gguf"))
    if ggufs:
        return all((folder / name).is_file() for name in ggufs[0])
    try:
        safetensors_files(folder)
    except NotFoundError:
        return False
    return (folder / "config.json").is_file()


def _fetch_files(request: _Request, commit: str, files: list[RemoteFile]) -> Snapshot:
    repository, storage, hub = request.repository, request.storage, request.hub
    folder = storage / "snapshots" / commit
    revision = Revision(repository, commit, storage)
    download = Download(revision, hub.endpoint, hub.retry_delays_s)
    listed = {item.name: item for item in files if "/" not in item.name}
    weights = _weights(repository, listed, request.kind, request.file)
    if weights is None:
        # Small files first: they say whether the model is supported, and which shards it has.
        small = [item for name, item in listed.items() if _is_small(name)]
        for item in small:
            if item.bytes > json_object.LIMIT_BYTES:
                message = f"`{item.name}` of `{repository}` has {item.bytes} bytes"
                raise UnsupportedError(message)
        _get(download, small, f"fetching {repository}", hub)
        task.refuse_if_not_text(folder, repository)
        weights = _safetensors(folder, listed)
    wanted_files = [_listed(repository, listed, name) for name in weights]
    if hub.headers_only and not all(map(download.is_there, wanted_files)):
        return _fetch_headers(download, wanted_files, folder, hub)
    _get(download, wanted_files, repository, hub)
    _remember(storage, request.revision, commit)
    return Snapshot(folder, commit)


def _fetch_headers(
    download: Download, weights: list[RemoteFile], small: Path, hub: Hub
) -> Snapshot:
    """A folder with the headers of `weights`, and links to the model's other files in `small`."""
    folder = _headers_folder(download.storage, small.name)
    folder.mkdir(parents=True, exist_ok=True)
    for path in small.iterdir() if small.is_dir() else ():
        if _is_small(path.name) and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path.resolve())
    with hub.progress.step("reading headers", len(weights)) as step:
        for file in weights:
            remote_headers.fetch(download, file, folder / file.name)
            step.advance()
    return Snapshot(folder, folder.name)


def _is_small(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in SMALL_FILES)


def _listed(repository: str, listed: dict[str, RemoteFile], name: str) -> RemoteFile:
    if name not in listed:
        message = f"`{repository}` has no file `{name}`"
        raise NotFoundError(message)
    return listed[name]


def _weights(
    repository: str, listed: dict[str, RemoteFile], kind: Kind | None, file: str | None
) -> list[str] | None:
    """The GGUF file to fetch, all parts of a split one; None where the safetensors are meant."""
    if file is not None:
        return list(gguf_parts.names(file))
    if "model_index.json" in listed:
        # Its parts are in folders of their own; the small file says which pipeline it is.
        return None
    ggufs = gguf_parts.models(listed)
    tensors = [name for name in listed if name.endswith(".safetensors")]
    if tensors and kind != "gguf":
        return None
    if ggufs and kind != "safetensors":
        if len(ggufs) > 1:
            first = [names[0] for names in ggufs]
            message = f"`{repository}` holds {len(ggufs)} GGUF files: {', '.join(first[:12])}"
            hint = f"give one of them: {repository}/{first[0]}"
            raise InvalidArgumentError(message, hint=hint)
        return list(ggufs[0])
    if ggufs or tensors:
        message = f"`{repository}` holds {'GGUF' if ggufs else 'safetensors'}, but no {kind}"
        raise InvalidArgumentError(message, hint="leave out --format")
    pickles = task.pickles(list(listed))
    if pickles:
        message = f"`{repository}` holds only pickles (`{pickles[0]}`), which run code when loaded"
        raise UnsupportedError(message, hint=task.CONVERT_HINT)
    message = f"`{repository}` holds neither safetensors nor GGUF"
    raise UnsupportedError(message, hint="choose a repository with *.safetensors or *.gguf files")


def _safetensors(folder: Path, listed: dict[str, RemoteFile]) -> list[str]:
    """The model's own shards: not the adapters and other layouts in the same folder."""
    if "model.safetensors" in listed:
        return ["model.safetensors"]
    indexes = sorted(name for name in listed if name.endswith(".safetensors.index.json"))
    if "model.safetensors.index.json" in indexes:
        indexes = ["model.safetensors.index.json"]
    if indexes:
        return index_files(folder / indexes[0])
    return sorted(name for name in listed if name.endswith(".safetensors"))


def _get(download: Download, files: list[RemoteFile], title: str, hub: Hub) -> None:
    lacking = [item for item in files if not download.is_there(item)]
    if not lacking:
        return
    needed = sum(download.lacking_bytes(item) for item in lacking)
    free = shutil.disk_usage(download.storage).free
    if needed > free:
        message = f"{needed} bytes are to be fetched, but only {free} are free in the model cache"
        raise StorageError(message, hint="set HF_HOME to a folder with enough space")
    with hub.progress.step(title, needed, "bytes") as step:
        for item in lacking:
            download.fetch(item, step)


def _remember(storage: Path, revision: str, commit: str) -> None:
    """Notes which commit `revision` is, once all of it is here, for the day the hub is not."""
    if _COMMIT.fullmatch(revision):
        return
    ref = storage / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    part = ref.with_name(ref.name + ".part")
    part.write_text(commit, encoding="utf-8")
    part.replace(ref)
