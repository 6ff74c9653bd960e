"""The packages that a server on a board is made of: wheels for its Python, pinned, from pip."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from sphere_edge import console, errors
from sphere_edge.boards.python_there import Python
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.toolchain import cache

_REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_MARKER = re.compile(r' ; python_version (==|<|>=) "3\.(\d+)"')
_TIMEOUT_S = 3600
# Older ones have wheels for nothing that we need.
_OLDEST_GLIBC_MINOR = 17


def wheels(python: Python, progress: console.Progress = console.SILENT) -> Path:
    """The folder with the wheels for `python`, from the cache or else from the package index.

    Raises UnavailableError (no index), ModelCorruptError (not what was pinned), UnsupportedError
    (none for this Python), StorageError.
    """
    lines = "".join(requirements(python))
    key = hashlib.sha256("\0".join((lines, *_platforms(python))).encode()).hexdigest()[:16]
    target = cache.folder() / "server-packages" / f"{python.tag}-{python.architecture}-{key}"
    waits = "waiting for another process that fetches a server's packages"
    with cache.made_once(target, on_wait=lambda: progress.say(waits)) as made:
        if made is not None:
            _fetch(python, lines, made, progress)
    return target


def requirements(python: Python) -> Iterator[str]:
    """The lines of requirements.txt that hold for `python`, without their conditions.

    pip itself reads conditions as for the Python that it runs in.
    """
    holds = False
    for line in _REQUIREMENTS.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.startswith(("#", " ")):
            found = _MARKER.search(line)
            holds = found is None or _holds(found[1], python.version[1], int(found[2]))
        if holds and not line.startswith("#"):
            yield _MARKER.sub("", line)


def _holds(relation: str, minor: int, other: int) -> bool:
    return {"==": minor == other, "<": minor < other, ">=": minor >= other}[relation]


def _platforms(python: Python) -> list[str]:
    """As pip names them: a wheel for an older glibc runs with a newer one."""
    minors = range(_OLDEST_GLIBC_MINOR, python.glibc_minor + 1)
    names = ["manylinux2014", *(f"manylinux_2_{minor}" for minor in minors)]
    return [f"{name}_{python.architecture}" for name in names]


def _fetch(python: Python, lines: str, into: Path, progress: console.Progress) -> None:
    pinned = into / "requirements.txt"
    pinned.write_text(lines, encoding="utf-8")
    abis = (python.tag, "abi3", "none")
    version = ".".join(map(str, python.version))
    argv: list[str | Path] = [
        *(sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"),
        *("--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--implementation", "cp", "--python-version", version),
        *(word for abi in abis for word in ("--abi", abi)),
        *(word for platform in _platforms(python) for word in ("--platform", platform)),
        *("--requirement", pinned, "--dest", into),
    ]
    with progress.step(f"fetching a server's packages for Python {version}, {python.architecture}"):
        try:
            run(argv, timeout_s=_TIMEOUT_S)
        except ProgramFailedError as error:
            raise _failure(error) from error
    pinned.unlink()


def _failure(error: ProgramFailedError) -> errors.SphereEdgeError:
    output = error.completed.stdout + error.completed.stderr
    if "DO NOT MATCH THE HASHES" in output:
        message = "the package index gave other packages than those pinned for a server"
        hint = "look at the index that `python -m pip config list` names; a proxy may alter them"
        return errors.ModelCorruptError(message, hint=hint)
    message = f"pip could not fetch the packages of a server:\n{error.completed.last_lines}"
    hint = "check the network and the package index that `python -m pip config list` names"
    return errors.UnavailableError(message, hint=hint)
