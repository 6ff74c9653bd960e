"""Wheels with finished runtimes, installed into an environment without a compiler."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sphere_edge.run import Completed, run
from sphere_edge.toolchain import targets
from tests.groups import ROOT

COMPILERS = ("ziglang", "cmake", "ninja")


def level() -> targets.Target:
    """The best CPU level of this machine for which there are wheels; skips without one."""
    found = [one for one in targets.host_levels() if one.features and one.features != ("neon",)]
    if not found:
        pytest.skip("no wheel has a runtime for this machine")
    return found[0]


def built(name: str, target: targets.Target, out: Path, *options: str) -> Path:
    """The wheel `name` with the runtime for one target alone."""
    words = [ROOT / "wheels" / "build.py", name, "--targets", target.name, "--out", out, *options]
    run([sys.executable, *words], timeout_s=3600)
    (made,) = out.iterdir()
    return made


def installed(wheel: Path, folder: Path) -> Path:
    """Python of a new environment in `folder` with the wheel and what it requires."""
    run([sys.executable, "-m", "venv", folder], timeout_s=300)
    found = folder / "bin" / "python"
    constraint = ["--constraint", ROOT / "constraints.txt"]
    run([found, "-m", "pip", "install", "--quiet", *constraint, wheel], timeout_s=1800)
    return found


def command(python: Path, cache: Path, *words: str, **variables: str) -> Completed:
    """`sphere-edge` with no program of this machine in reach but those of the system."""
    given = {"PATH": "/usr/bin:/bin", "SPHERE_EDGE_CACHE": str(cache), "PYTHONPATH": ""}
    return run([python.parent / "sphere-edge", *words], timeout_s=600, env=given | variables)
