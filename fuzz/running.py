"""One run of one target: libFuzzer's options, its corpora, what it says at its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fuzz import core_build

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
# For one input: of CPU time, and of memory above that of a program that has just started.
_INPUT_S = 1
_GROWTH_MIB = 256
_STARTED_MIB = {"core": 64, "python": 160}
# What is still running then hangs, on any machine.
_HANG_S = 300
_MOST_BYTES = 16384


@dataclass(frozen=True)
class Limits:
    """When a run ends: after `seconds`, or after `executions`, which takes no limit of time."""

    seconds: int | None = None
    executions: int | None = None


@dataclass(frozen=True)
class Run:
    """`found`: the input that brought the reader down, with libFuzzer's words beside it."""

    executions: int
    minutes: float
    peak_mib: int
    found: Path | None


def python_names() -> list[str]:
    """The targets of the Python package."""
    files = sorted((FOLDER / "readers").glob("*.py"))
    return [file.stem for file in files if file.stem != "__init__"]


def names() -> list[str]:
    """All targets."""
    return [*python_names(), *core_build.names()]


def corpus(name: str) -> Path:
    """What is committed for a target: both languages begin with the same inputs of a format."""
    return CORPUS / name.removeprefix("core-")


def run(name: str, limits: Limits, folder: Path) -> Run:
    """Runs the target called `name`; in `folder` are what earlier runs have learned, and logs.

    Raises NotFoundError where something is missing on this machine.
    """
    learned = folder / name
    learned.mkdir(parents=True, exist_ok=True)
    is_timed = limits.executions is None
    bound = _INPUT_S if is_timed else 0
    kind = "core" if name in core_build.names() else "python"
    if kind == "core":
        command = [str(core_build.build() / name)]
    else:
        command = [sys.executable, "-m", "fuzz.under_atheris", name, str(bound)]
    environment = {
        **os.environ,
        "SE_FUZZ_LIMIT_S": str(bound),
        # Memory that was freed is kept for a while to see whether it is used: little of it.
        "ASAN_OPTIONS": "quarantine_size_mb=16",
    }
    words = [
        f"-max_total_time={limits.seconds}" if is_timed else f"-runs={limits.executions}",
        f"-rss_limit_mb={_STARTED_MIB[kind] + _GROWTH_MIB}",
        f"-timeout={_HANG_S}",
        f"-max_len={_MOST_BYTES}",
        f"-artifact_prefix={folder}/found-{name}-",
        "-print_final_stats=1",
        str(learned),
        str(corpus(name)),
    ]
    began = time.monotonic()
    ended = subprocess.run(
        [*command, *words],
        cwd=FOLDER.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    log = folder / f"{name}.log"
    log.write_text(ended.stdout)
    return Run(
        executions=_figure(ended.stdout, "number_of_executed_units"),
        minutes=(time.monotonic() - began) / 60,
        peak_mib=_figure(ended.stdout, "peak_rss_mb"),
        found=_found(ended, log),
    )


def _figure(said: str, name: str) -> int:
    match = re.search(rf"stat::{name}:\s+(\d+)", said)
    return int(match[1]) if match else 0


def _found(ended: subprocess.CompletedProcess[str], log: Path) -> Path | None:
    if ended.returncode == 0:
        return None
    match = re.search(r"Test unit written to (\S+)", ended.stdout)
    return Path(match[1]) if match else log
