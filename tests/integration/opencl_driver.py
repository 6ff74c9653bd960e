"""The runner over an OpenCL library of ours that counts what is asked for: opencl_shim.c."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opencl_kernels import device

from sphere_edge.run import run
from sphere_edge.toolchain import compilers
from tests import runtimes

PROMPT = "What is the capital of France?"


@dataclass(frozen=True)
class Driver:
    """The runner on a bundle over our OpenCL library; `cache` is the runner's cache folder."""

    bundle: Path
    library: Path
    cache: Path

    def environment(self, **faults: object) -> dict[str, str]:
        return {
            "LD_LIBRARY_PATH": str(self.library.parent),
            "SPHERE_EDGE_CACHE": str(self.cache),
            "SE_CL_COUNTS": str(self.cache / "counts.json"),
            **{f"SE_CL_{name}": str(value) for name, value in faults.items()},
        }

    def counts(self) -> dict[str, int]:
        """How often each thing was asked for in the last run."""
        counts: dict[str, int] = json.loads((self.cache / "counts.json").read_text())
        return counts

    def __call__(self, verb: str, *words: str, exit_code: int = 0, **faults: object) -> Any:
        """What the runner prints; `faults` as MEMORY=10**6."""
        runner = runtimes.here().runner
        argv = [str(runner), verb, str(self.bundle), *words, "--json"]
        done = run(argv, timeout_s=300, env=self.environment(**faults), check=False)
        assert done.exit_code == exit_code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def answer(self, *words: str, exit_code: int = 0, **faults: object) -> Any:
        words = (PROMPT, "--temperature", "0", "--max-tokens", "8", *words)
        return self("chat", *words, exit_code=exit_code, **faults)


def library(folder: Path) -> Path:
    """Our OpenCL library, made in `folder`; it calls the one of this machine."""
    device()
    maps = Path("/proc/self/maps").read_text().split()
    real = Path(next(word for word in maps if word.startswith("/") and "libOpenCL" in word))
    made = folder / "libOpenCL.so"
    source = Path(__file__).with_name("opencl_shim.c")
    flags = ["-O1", "-shared", "-fPIC", "-Wl,--no-as-needed", f"-L{real.parent}", f"-l:{real.name}"]
    command = [compilers.zig(), "cc", "-o", made, source, *flags]
    run(command, timeout_s=300, env=compilers.environment())
    return made
