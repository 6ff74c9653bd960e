"""Writes sphere_edge/boards/requirements.txt: what a server on a board is made of, with hashes.

    python wheels/pin_server.py

The versions are those of constraints.txt; pip is asked for each Python and architecture.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ARCHITECTURES = ("aarch64", "x86_64")
# The newest wheels are for glibc 2.28.
GLIBC_MINORS = range(17, 29)
# What `sphere_edge.server.on_board` imports. pip reads markers as for the Python it runs in, so
# what only Python 3.10 needs is named here.
PACKAGES = (
    *("starlette", "uvicorn", "pydantic", "python-multipart", "prometheus-client"),
    *("numpy", "pillow", "soundfile", "soxr", "psutil", "platformdirs", "typing-extensions"),
)
OF_OLD_PYTHON = {"3.10": ("exceptiongroup", "tomli")}
HEAD = """\
# What a server on a board is made of, for its own Python; remade by: python wheels/pin_server.py
# pip checks the hashes (sphere_edge/boards/packages.py).
"""

# Name and version -> Pythons, and hashes.
Pins = dict[tuple[str, str], tuple[set[str], set[str]]]


def main() -> None:
    """Asks pip and writes the file."""
    pins: Pins = defaultdict(lambda: (set(), set()))
    for python in PYTHONS:
        for architecture in ARCHITECTURES:
            for one in resolved(python, architecture):
                metadata = one["metadata"]
                name = metadata["name"].lower().replace("_", "-")
                pythons, hashes = pins[name, metadata["version"]]
                pythons.add(python)
                hashes.add(one["download_info"]["archive_info"]["hashes"]["sha256"])
    lines = [text(pin, *pins[pin]) for pin in sorted(pins)]
    (ROOT / "sphere_edge/boards/requirements.txt").write_text(HEAD + "".join(lines), "utf-8")


def resolved(python: str, architecture: str) -> list[dict]:
    """What pip would install there."""
    packages = (*PACKAGES, *OF_OLD_PYTHON.get(python, ()))
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in GLIBC_MINORS]
    with tempfile.TemporaryDirectory() as folder:
        pinned, report = Path(folder) / "constraints.txt", Path(folder) / "report.json"
        pinned.write_text(constraints(python), "utf-8")
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--report", report]
        argv += [
            "--target",
            Path(folder) / "none",
            "--only-binary",
            ":all:",
            "--constraint",
            pinned,
        ]
        argv += ["--python-version", python, "--implementation", "cp"]
        for platform in (*platforms, f"manylinux2014_{architecture}"):
            argv += ["--platform", platform]
        subprocess.run([*argv, *packages], check=True)
        return json.loads(report.read_text("utf-8"))["install"]


def constraints(python: str) -> str:
    """The lines of constraints.txt that hold for `python`."""
    there = {"python_version": python, "python_full_version": f"{python}.0"}
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    held = [one for one in found if one.marker is None or one.marker.evaluate(there)]
    return "".join(f"{one.name}{one.specifier}\n" for one in held)


def text(pin: tuple[str, str], pythons: set[str], hashes: set[str]) -> str:
    """The pin as lines of a requirements file."""
    words = [f"{pin[0]}=={pin[1]}{marker(pythons)}"]
    words += [f"    --hash=sha256:{one}" for one in sorted(hashes)]
    return " \\\n".join(words) + "\n"


def marker(pythons: set[str]) -> str:
    """The condition on the Python, if there is one; `pythons` follow each other."""
    first, last = (f(PYTHONS.index(one) for one in pythons) for f in (min, max))
    if (first, last) == (0, len(PYTHONS) - 1):
        return ""
    if last == len(PYTHONS) - 1:
        return f' ; python_version >= "{PYTHONS[first]}"'
    if first == last:
        return f' ; python_version == "{PYTHONS[first]}"'
    assert first == 0, pythons
    return f' ; python_version < "{PYTHONS[last + 1]}"'


if __name__ == "__main__":
    main()
