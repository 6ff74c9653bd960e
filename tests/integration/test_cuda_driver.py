"""What the runtime asks of a CUDA driver, and what it makes of its failures; no GPU is needed.

The driver is one of our own, which looks kernels up in the cubin and runs none: cuda_shim.c.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sphere_edge import profiles
from sphere_edge.bundle.read import check_runs_on
from sphere_edge.errors import FormatMismatchError, Status
from sphere_edge.run import run
from sphere_edge.toolchain import compilers
from tests import runtimes
from tests.cli_process import sphere_edge

if importlib.util.find_spec("nvidia") is None:
    pytest.skip("the extra `cuda` is not installed", allow_module_level=True)


@dataclass(frozen=True)
class Driver:
    """The runner on a bundle, with our driver; `folder` holds what both leave behind."""

    bundle: Path
    library: Path
    folder: Path

    def __call__(
        self, verb: str, *words: str, exit_code: int = 0, there: bool = True, **faults: object
    ) -> Any:
        """What the runner prints; `faults` as LOST_AFTER=10."""
        runner = runtimes.here().runner
        environment = {
            "LD_LIBRARY_PATH": str(self.library.parent) if there else "",
            "SE_CUDA_COUNTS": str(self.folder / "counts.json"),
            **{f"SE_CUDA_{name}": str(value) for name, value in faults.items()},
        }
        argv = [str(runner), verb, str(self.bundle), *words, "--json"]
        done = run(argv, timeout_s=300, env=environment, check=False)
        assert done.exit_code == exit_code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = json.loads((self.folder / "counts.json").read_text())
        return counts


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # In a process of its own: TVM's CUDA runtime stays in the one that compiles.
    output = tmp_path_factory.mktemp("cuda") / "tiny"
    words = ("--profile", "generic-cuda-sm86", "--context", "256", "-o", output)
    made = sphere_edge("package", "tiny", *words)
    assert made.returncode == 0, made.stderr
    assert "through cuda in float16; the CPU where that fails" in made.stderr
    return output


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    source = Path(__file__).with_name("cuda_shim.c")
    command = [compilers.zig(), "cc", "-O1", "-shared", "-fPIC", "-o", made, source]
    run(command, timeout_s=300, env=compilers.environment())
    return made


@pytest.fixture
def driver(bundle: Path, library: Path, tmp_path: Path) -> Driver:
    from sphere_edge.bundle.read import read_manifest

    try:
        check_runs_on(read_manifest(bundle), profiles.host())
    except FormatMismatchError as error:
        pytest.skip(error.message)
    return Driver(bundle, library, tmp_path)


BENCH = ("bench", "--prompt-tokens", "8", "--new-tokens", "2", "--repeat", "1")


def test_the_driver_gets_the_cubin_and_each_kernel_by_its_name(driver: Driver) -> None:
    told = driver(*BENCH, "--backend", "cuda", "--kernels")
    assert (told["backend"], told["device"]) == ("cuda", "No GPU 0, CUDA 13.0")
    names = {one["name"] for one in told["kernels"]}
    for kind in ("take", "rms_norm", "linear_q4", "gated_silu", "rotate_and_store", "attend"):
        assert any(name.startswith(kind) for name in names), kind
    counts = driver.counts()
    assert counts["modules"] == 1
    assert counts["launches"] > 100
    assert counts["timers"] > 0
    assert counts["held"] == 0


def test_without_a_driver_the_cpu_is_taken_with_the_reason(driver: Driver) -> None:
    told = driver(*BENCH, there=False)
    assert told["backend"] == "cpu"
    assert "`cuda` does not work here" in told["backend_reason"]


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ({"MEMORY": 1000}, Status.OOM_VRAM, "has `1000`"),
        ({"ALLOCATABLE": 2_000_000}, Status.OOM_VRAM, "bytes left"),
        ({"ARCHITECTURE": 75}, Status.LOAD_FAILED, "does not accept the kernels"),
        ({"LOST_AFTER": 1}, Status.INTERNAL, "the device is lost"),
    ],
)
def test_failures_are_told_or_lead_to_the_cpu(
    driver: Driver, fault: dict[str, int], code: Status, said: str
) -> None:
    failed = driver(*BENCH, "--backend", "cuda", exit_code=code, **fault)
    assert said in failed["error"]["message"]
    # Most cubins come from CUDA 12's compiler, whatever CUDA the newest driver is for.
    assert code != Status.LOAD_FAILED or "driver: 525 or later" in failed["error"]["hint"]
    told = driver(*BENCH, **fault)
    assert told["backend"] == "cpu"
    assert said in told["backend_reason"]


def test_a_driver_that_computes_nothing_is_not_certified(driver: Driver) -> None:
    environment = {"LD_LIBRARY_PATH": str(driver.library.parent)}
    words = ("certify", driver.bundle, "--short", "--repeat", "1", "--json")
    run = sphere_edge(*words, **environment)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["backend"] == "cpu"
    assert [one["certified"] for one in told["results"]] == [False, True]
