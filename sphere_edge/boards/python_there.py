"""The Python of a board: which one a server can run with, or what is missing and would help."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sphere_edge import errors
from sphere_edge.devices.device import Device
from sphere_edge.devices.probe import parse_sections

# Those that `requirements.txt` has wheels for.
OLDEST, NEWEST = (3, 10), (3, 14)
_OLDEST_GLIBC_MINOR = 28
_ARCHITECTURES = ("aarch64", "x86_64")
# The distribution's own first: a service has to find it after the next upgrade, too. A session
# that is no login does not know of the user's own programs.
_SCRIPT = """
export LC_ALL=C
PATH=$PATH:/usr/local/bin:/usr/bin:/bin:$HOME/.local/bin
for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
  path=$(command -v "$name") || continue
  echo "== $path"
  "$path" -IS -c "$1" 2>/dev/null </dev/null
done
echo '== end'
"""
# What a server needs of the standard library, which distributions cut into several packages.
_ASK = """
import os, platform, sys
print("version", *sys.version_info[:2], *sys.version_info[2:3])
print("kind", sys.implementation.name, platform.machine(), 64 if sys.maxsize > 2**32 else 32)
print("threads", "free" if "t" in getattr(sys, "abiflags", "") else "usual")
try:
    print("libc", os.confstr("CS_GNU_LIBC_VERSION"))
except (ValueError, OSError):
    print("libc other")
for name in ("asyncio", "ctypes", "email", "http", "sqlite3", "zipfile", "zlib"):
    try:
        __import__(name)
    except ImportError:
        print("lacks", name)
print("done")
"""
_TIMEOUT_S = 120
_HOW_TO_GET = (
    "install one there: `sudo apt install python3` (JetPack 6, Ubuntu 22.04 and Debian 12 have one "
    "that is new enough), or without root `uv python install 3.12`; deploy and bench need none"
)


@dataclass(frozen=True)
class Python:
    """A Python on a board: its path there, `version` as (3, 10), the minor version of its glibc."""

    path: str
    version: tuple[int, int]
    architecture: str
    glibc_minor: int

    @property
    def tag(self) -> str:
        """As wheels name it: `cp310`."""
        return f"cp{self.version[0]}{self.version[1]}"


@dataclass(frozen=True)
class _Found:
    """One that answered; `why` is what makes it useless to us, empty if nothing."""

    path: str
    full_version: str
    python: Python
    why: str


def find(device: Device) -> Python:
    """The Python there that a server can run with. Raises UnsupportedError: what is missing."""
    completed = device.run(["sh", "-s", "--", _ASK], stdin=_SCRIPT.encode(), timeout_s=_TIMEOUT_S)
    return parse(completed.stdout, device.uri)


def parse(text: str, uri: str) -> Python:
    """Reads what the script printed. Raises UnsupportedError."""
    sections = parse_sections(text)
    found = [one for path, lines in sections.items() if (one := _read(path, lines)) is not None]
    for one in found:
        if not one.why:
            return one.python
    if not found:
        message = f"{uri} has no Python, which a server there needs"
        raise errors.UnsupportedError(message, hint=_HOW_TO_GET)
    # The newest says the most: an older one is rarely what the user meant.
    best = max(found, key=lambda one: one.python.version)
    message = f"Python {best.full_version} (`{best.path}`) on {uri} cannot run a server: {best.why}"
    raise errors.UnsupportedError(message, hint=_HOW_TO_GET)


def _read(path: str, lines: Sequence[str]) -> _Found | None:
    """What one of them said; None for what is not a Python 3, such as a wrapper without one."""
    words = {key: rest.split() for key, _, rest in (line.partition(" ") for line in lines)}
    numbers = words.get("version", [])
    if not re.fullmatch(r"/[^\0\n]{1,1000}", path) or not path.isprintable():
        return None
    if len(numbers) != 3 or not all(re.fullmatch(r"\d{1,3}", one, re.ASCII) for one in numbers):
        return None
    version = (int(numbers[0]), int(numbers[1]))
    kind, architecture, bits = ([*words.get("kind", []), "", "", ""])[:3]
    glibc = re.fullmatch(r"glibc 2\.(\d{1,3})", " ".join(words.get("libc", [])), re.ASCII)
    minor = int(glibc[1]) if glibc else 0
    lacking = [name for line in lines if (name := line.removeprefix("lacks ")) != line]
    oldest, newest = (".".join(map(str, one)) for one in (OLDEST, NEWEST))
    reasons = (
        (version < OLDEST, f"it needs {oldest} or newer"),
        (version > NEWEST, f"its packages are known up to Python {newest}"),
        (kind != "cpython", "it is not CPython"),
        (words.get("threads") != ["usual"], "it is a free-threaded build"),
        (bits != "64", "it is a 32-bit program"),
        (architecture not in _ARCHITECTURES, "its packages are for 64-bit ARM and x86"),
        (glibc is None, "its C library is not glibc"),
        (minor < _OLDEST_GLIBC_MINOR, f"its glibc is older than 2.{_OLDEST_GLIBC_MINOR}"),
        ("done" not in words, f"it lacks {', '.join(lacking) or 'modules'}"),
        (bool(lacking), f"it lacks its own modules {', '.join(lacking)}"),
    )
    why = next((reason for holds, reason in reasons if holds), "")
    return _Found(path, ".".join(numbers), Python(path, version, architecture, minor), why)
