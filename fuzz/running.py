"""One run of one target: libFuzzer's options, its corpora, what it says at its end."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fuzz import core_build
from fuzz.file_with import FOLDER_VARIABLE

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
# For one input: of CPU time, and of memory above that of a program that has just started.
_INPUT_S = 1
_GROWTH_MIB = 256
# Where executions are counted: no input takes it, and no allocator keeps it.
_REPEATED_MIB = 2048
_STARTED_MIB = {"core": 64, "python": 160}
# What is still running then hangs, on any machine.
_HANG_S = 300
_MOST_BYTES = 16384
# Linux counts the memory of whoever starts a program as memory that it has had.
_OF_A_SMALL_PARENT = ("sh", "-c", '"$@"; exit "$?"', "sh")


@dataclass(frozen=True)
class Limits:
    """When a run ends: after `seconds`, or after `executions`, which takes no limit of time."""

    seconds: int | None = None
    executions: int | None = None


@dataclass(frozen=True)
class Run:
    """`found`: the input that brought the reader down, with libFuzzer's words beside it."""

    executions: int
    cpu_s: float
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
    before = _cpu_s()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_in_memory()) as files:
        bound = _INPUT_S if limits.executions is None else 0
        environment = {
            **os.environ,
            FOLDER_VARIABLE: files,
            "SE_FUZZ_VOCABULARY": str(CORPUS / "tokenizer" / "bytes.gguf"),
            "SE_FUZZ_LIMIT_S": str(bound),
            # Memory that was freed is kept for a while to see whether it is used: little of it.
            "ASAN_OPTIONS": "quarantine_size_mb=16",
        }
        command = [*_OF_A_SMALL_PARENT, *_command(name), *_options(name, limits)]
        command += [f"-artifact_prefix={folder}/found-{name}-", str(learned), str(corpus(name))]
        ended = subprocess.run(
            command,
            cwd=FOLDER.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    said = ended.stdout.decode(errors="replace")
    log = folder / f"{name}.log"
    log.write_text(said)
    return Run(
        executions=_figure(said, "number_of_executed_units"),
        cpu_s=_cpu_s() - before,
        peak_mib=_figure(said, "peak_rss_mb"),
        found=None if ended.returncode == 0 else _found(said, log),
    )


def _is_core(name: str) -> bool:
    return name in core_build.names()


def _command(name: str) -> list[str]:
    if _is_core(name):
        return [str(core_build.build()), name.removeprefix("core-")]
    return [sys.executable, "-m", "fuzz.under_atheris", name]


def _options(name: str, limits: Limits) -> list[str]:
    if limits.executions is None:
        started = _STARTED_MIB["core" if _is_core(name) else "python"]
        bounds = [f"-max_total_time={limits.seconds}", f"-rss_limit_mb={started + _GROWTH_MIB}"]
    else:
        # The same inputs each time, on any machine.
        bounds = [f"-runs={limits.executions}", "-seed=1", f"-rss_limit_mb={_REPEATED_MIB}"]
    return [
        *bounds,
        f"-timeout={_HANG_S}",
        f"-max_len={_MOST_BYTES}",
        "-print_final_stats=1",
    ]


def _in_memory() -> Path | None:
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None


def _cpu_s() -> float:
    """Of all programs that this one has run."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _figure(said: str, name: str) -> int:
    match = re.search(rf"stat::{name}:\s+(\d+)", said)
    return int(match[1]) if match else 0


def _found(said: str, log: Path) -> Path:
    match = re.search(r"Test unit written to (\S+)", said)
    return Path(match[1]) if match else log
