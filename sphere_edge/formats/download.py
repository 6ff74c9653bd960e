"""One file of a hub repository into the cache: resumed where it stopped, its hash checked.

huggingface_hub (2.4) throws a partial file away when the process ends, so a 10 GB shard would begin
again after each cut. Its session, its token and its cache's layout are used; the transfer is ours.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge import __version__
from sphere_edge.console import Step
from sphere_edge.errors import ModelCorruptError, NotFoundError, UnavailableError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILE_NAME = re.compile(r"[^\x00-\x1f\\]+")
_TIMEOUT_S = 20.0
_CHUNK_BYTES = 1024 * 1024
# Over huggingface_hub's own, which sends the versions of Python and torch and other software.
_WHO = {"user-agent": f"sphere-edge/{__version__}"}


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its size, and the hash that is also its name in the cache.

    `digest` is the sha256 of a large (LFS) file, or git's blob id (sha1) of a small one.
    """

    name: str
    bytes: int
    digest: str


def list_files(
    repository: str, revision: str, endpoint: str | None
) -> tuple[str, list[RemoteFile]]:
    """The commit that `revision` is at the hub, and its files with sizes.

    Raises NotFoundError for an unknown or hidden repository or revision, UnavailableError else.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    api = HfApi(endpoint=endpoint or os.environ.get("HF_ENDPOINT"), headers=_WHO)
    try:
        with _translated(repository):
            info = api.model_info(
                repository, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
            )
    except RevisionNotFoundError as error:
        message = f"`{repository}` has no revision `{revision}`"
        raise NotFoundError(message) from error
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        message = f"the hub does not return the commit of `{repository}`"
        raise UnavailableError(message)
    return info.sha, [_remote_file(repository, sibling) for sibling in info.siblings or ()]


def _remote_file(repository: str, sibling: Any) -> RemoteFile:
    name, size = sibling.rfilename, sibling.size
    digest = sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id
    sound = (
        isinstance(name, str)
        and _FILE_NAME.fullmatch(name)
        and not {"", ".", ".."} & set(name.split("/"))
        and isinstance(size, int)
        and size >= 0
        and isinstance(digest, str)
        and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", digest)
    )
    if not sound:
        message = (
            f"the hub describes file `{str(name)[:80]}` of `{repository}` without size or hash"
        )
        raise UnavailableError(message)
    return RemoteFile(name, size, digest)


@contextmanager
def _translated(repository: str) -> Iterator[None]:
    """Turns huggingface_hub's and the network's errors into ours; never repeats headers."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise _gated(repository) from error
    except errors.RevisionNotFoundError:
        raise
    except errors.RepositoryNotFoundError as error:
        raise _no_repository(repository) from error
    except errors.HfHubHTTPError as error:
        raise _refused(repository, error.response.status_code) from error
    except (errors.HTTPError, OSError) as error:
        message = f"the hub does not answer ({type(error).__name__})"
        hint = "check the network; a model that was fetched before works offline"
        raise UnavailableError(message, hint=hint) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"the hub's answer about `{repository}` is not understood"
        raise UnavailableError(message) from error


def _gated(repository: str) -> UnavailableError:
    message = f"`{repository}` is gated: its owner has to grant access first"
    hint = "accept its terms on its page, then log in: hf auth login (or set HF_TOKEN)"
    return UnavailableError(message, hint=hint)


def _no_repository(repository: str) -> NotFoundError:
    message = f"the hub has no model `{repository}`, or you have no access to it"
    hint = "check the spelling; for a private model log in: hf auth login (or set HF_TOKEN)"
    return NotFoundError(message, hint=hint)


def _refused(repository: str, status: int) -> UnavailableError:
    message = f"the hub refused `{repository}` with HTTP status {status}"
    hint = "log in again: hf auth login" if status in (401, 403) else "try again later"
    return UnavailableError(message, hint=hint)


class _CutOffError(Exception):
    """A transfer that ended early and may be taken up again."""


@dataclass(frozen=True)
class Revision:
    """A repository at one commit, and its folder in the cache."""

    repository: str
    commit: str
    storage: Path


class Download:
    """Fetches files of a revision into its folder."""

    def __init__(
        self, revision: Revision, endpoint: str | None, retry_delays_s: tuple[float, ...]
    ) -> None:
        self.storage = revision.storage
        self._repository = revision.repository
        self._commit = revision.commit
        self._endpoint = endpoint or os.environ.get("HF_ENDPOINT")
        self._retry_delays_s = retry_delays_s

    def is_there(self, file: RemoteFile) -> bool:
        """Whether the cache has it whole."""
        path = self._link(file)
        return path.is_file() and path.stat().st_size == file.bytes

    def lacking_bytes(self, file: RemoteFile) -> int:
        """How many bytes are still to be fetched."""
        part = self._part(file)
        return file.bytes - (part.stat().st_size if part.exists() else 0)

    def _link(self, file: RemoteFile) -> Path:
        return self.storage / "snapshots" / self._commit / file.name

    def _blob(self, file: RemoteFile) -> Path:
        return self.storage / "blobs" / file.digest

    def _part(self, file: RemoteFile) -> Path:
        return self.storage / "blobs" / f"{file.digest}.part"

    def fetch(self, file: RemoteFile, step: Step) -> None:
        """Brings `file` into the cache, going on after each cut as long as bytes arrive.

        Raises UnavailableError when none do, ModelCorruptError if what came is not what was
        promised, OSError if the cache cannot be written.
        """
        blob, part = self._blob(file), self._part(file)
        blob.parent.mkdir(parents=True, exist_ok=True)
        if not (blob.is_file() and blob.stat().st_size == file.bytes):
            self._fetch_part(file, part, step)
            _check(part, file)
            part.replace(blob)
        link = self._link(file)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(Path("../../blobs") / file.digest)

    def _fetch_part(self, file: RemoteFile, part: Path, step: Step) -> None:
        part.touch()
        delays = iter(self._retry_delays_s)
        while (held := part.stat().st_size) != file.bytes:
            if held > file.bytes:
                part.write_bytes(b"")
                continue
            try:
                self._transfer(file, part, held, step)
            except _CutOffError as error:
                got = part.stat().st_size
                if got > held:
                    delays = iter(self._retry_delays_s)
                delay = next(delays, None)
                if delay is None:
                    message = f"`{file.name}` was cut off after {got} of {file.bytes} bytes"
                    hint = "run the command again; it goes on where it stopped"
                    raise UnavailableError(message, hint=hint) from error
                time.sleep(delay)

    def _transfer(self, file: RemoteFile, part: Path, held: int, step: Step) -> None:
        """Appends to `part` what one request brings; raises _CutOffError if more is to come."""
        from huggingface_hub.errors import HTTPError

        try:
            with self._request(file, f"bytes={held}-" if held else None) as response:
                self._check_status(response, file)
                # A server without ranges sends all of it again.
                with part.open("ab" if response.status_code == 206 else "wb") as out:
                    # As they arrive: gathered into large chunks, the last would be lost at a cut.
                    for chunk in response.iter_bytes():
                        out.write(chunk)
                        step.advance(len(chunk))
                        if out.tell() > file.bytes:
                            break
        except HTTPError as error:
            raise _CutOffError from error
        if part.stat().st_size < file.bytes:
            raise _CutOffError

    def piece(self, file: RemoteFile, begin: int, count: int) -> bytes:
        """Bytes `begin` to `begin + count` of `file`, kept nowhere and checked against no hash.

        Raises UnavailableError when they do not come.
        """
        for delay in (*self._retry_delays_s, None):
            try:
                return self._piece(file, begin, count)
            except _CutOffError as error:
                if delay is None:
                    message = f"the beginning of `{file.name}` was cut off"
                    raise UnavailableError(message, hint="run the command again") from error
                time.sleep(delay)
        raise AssertionError

    def _piece(self, file: RemoteFile, begin: int, count: int) -> bytes:
        from huggingface_hub.errors import HTTPError

        come = bytearray()
        try:
            with self._request(file, f"bytes={begin}-{begin + count - 1}") as response:
                self._check_status(response, file)
                # A server without ranges sends it from the start; the end is not waited for.
                skipped = 0 if response.status_code == 206 else begin
                for chunk in response.iter_bytes():
                    come += chunk
                    if len(come) >= skipped + count:
                        return bytes(come[skipped : skipped + count])
        except HTTPError as error:
            raise _CutOffError from error
        raise _CutOffError

    @contextmanager
    def _request(self, file: RemoteFile, wanted: str | None) -> Iterator[Any]:
        """The hub's answer to a request for `file`, or for the range `wanted` of it."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers, get_session

        url = hf_hub_url(
            self._repository, file.name, revision=self._commit, endpoint=self._endpoint
        )
        headers = {**build_hf_headers(headers=_WHO), "Accept-Encoding": "identity"}
        if wanted is not None:
            headers["Range"] = wanted
        with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT_S) as response:
            yield response

    def _check_status(self, response: Any, file: RemoteFile) -> None:
        status, code = response.status_code, response.headers.get("X-Error-Code")
        if status in (200, 206):
            return
        if status == 416:
            self._part(file).write_bytes(b"")
        if status in (408, 416, 429) or status >= 500:
            raise _CutOffError
        if code == "GatedRepo":
            raise _gated(self._repository)
        if code == "EntryNotFound":
            message = f"`{self._repository}` has no file `{file.name}`"
            raise NotFoundError(message)
        raise _refused(self._repository, status)


def _check(part: Path, file: RemoteFile) -> None:
    """Compares what came with the hash that the hub promised; throws it away if it differs."""
    if len(file.digest) == 64:
        digest = hashlib.sha256()
    else:
        # Git's own name for a blob: sha1 over its length and content.
        digest = hashlib.sha1(f"blob {file.bytes}\0".encode(), usedforsecurity=False)
    with part.open("rb") as whole:
        while block := whole.read(_CHUNK_BYTES):
            digest.update(block)
    if digest.hexdigest() != file.digest:
        part.unlink()
        message = f"`{file.name}` arrived damaged: its hash is not the one the hub promised"
        raise ModelCorruptError(message, hint="run the command again")
