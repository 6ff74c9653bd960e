"""Emulated CPUs get the highest level that they run; a higher one refuses to start, with words."""

from __future__ import annotations

import json
from pathlib import Path

import emulator
import pytest

from sphere_edge import resources
from sphere_edge.errors import Status
from sphere_edge.run import Completed, run
from sphere_edge.toolchain import compilers, targets

pytestmark = pytest.mark.skipif(
    emulator.QEMU is None, reason="needs qemu-aarch64 (Debian: qemu-user-static)"
)
LEVELS = ("linux-arm64", "linux-arm64-dotprod", "linux-arm64-i8mm")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The runner's check in a program that prints features, static, for every level."""
    folder = tmp_path_factory.mktemp("gates")
    return {name: compiled(targets.NAMED[name], folder / name) for name in LEVELS}


def compiled(target: targets.Target, out: Path) -> Path:
    native = resources.folder("native")
    out.mkdir()
    zig_cc = [compilers.zig(), "cc", "-target", "aarch64-linux-musl", "-O2", "-g0"]
    words = [
        *zig_cc,
        f"-mcpu={target.cpu}",
        "-std=c99",
        f"-I{native / 'include'}",
        f"-I{native / 'src'}",
    ]
    baseline = ["-mcpu=baseline", "-fno-builtin"]
    sources = {
        Path(__file__).with_name("cpu_gate_main.c"): [],
        native / "src/base/cpu_features_needed.c": [],
        native / "src/base/cpu_features.c": baseline,
        native / "runner/cpu_gate.c": baseline,
    }
    for source, flags in sources.items():
        command = [*words, *flags, "-c", source, "-o", out / f"{source.stem}.o"]
        run(command, timeout_s=120, env=compilers.environment())
    objects = sorted(out.glob("*.o"))
    # zig compiles a C library for each -mcpu that it links for: one is enough for all levels.
    linked = [*zig_cc, "-mcpu=baseline", "-static", *objects, "-o", out / "program"]
    run(linked, timeout_s=300, env=compilers.environment())
    return out / "program"


def start(program: Path, cpu: str, *words: str) -> Completed:
    return run([str(emulator.QEMU), "-cpu", cpu, program, *words], timeout_s=300, check=False)


@pytest.mark.parametrize(
    ("cpu", "right"),
    [
        ("cortex-a53", "linux-arm64"),
        ("cortex-a72", "linux-arm64"),
        ("cortex-a76", "linux-arm64-dotprod"),
        ("neoverse-n1", "linux-arm64-dotprod"),
        ("max", "linux-arm64-i8mm"),
    ],
)
def test_the_chosen_level_starts_and_every_higher_one_says_what_is_missing(
    programs: dict[str, Path], cpu: str, right: str
) -> None:
    lowest = start(programs["linux-arm64"], cpu)
    assert lowest.exit_code == 0
    features = lowest.stdout.split()
    chosen = targets.best("linux-arm64", features)
    assert chosen is not None
    assert chosen.name == right
    for name in LEVELS:
        completed = start(programs[name], cpu, "--json")
        missing = set(targets.NAMED[name].features) - set(features)
        if not missing:
            assert completed.stdout.split() == features
            continue
        assert completed.exit_code == Status.FORMAT_MISMATCH
        error = json.loads(completed.stdout)["error"]
        assert error["code"] == Status.FORMAT_MISMATCH
        assert all(f"`{feature}`" in error["message"] for feature in missing)
