"""The runner that is one static file runs both kinds of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import emulator
import pytest

from sphere_edge import packaging, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import Status
from sphere_edge.run import Completed, run
from sphere_edge.toolchain import native, targets
from tests import made_bundles, random_gguf, runtimes

pytestmark = [
    pytest.mark.group("musl"),
    pytest.mark.skipif(
        emulator.QEMU is None, reason="needs qemu-aarch64 (Debian: qemu-user-static)"
    ),
]
TARGET = targets.NAMED["musl-arm64-dotprod"]
PROMPT = "Once upon a time"


@pytest.fixture(scope="session")
def runner() -> Path:
    """Compiled once, which takes minutes; from the cache afterwards."""
    return native.build(TARGET).runner


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model compiled for a board and a phone and for this machine, and a GGUF file."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("raspberry-pi-5", "pixel8", "host"):
        options = PackageOptions(quantization="q4")
        made = made_bundles.made(packaging.TINY, profiles.load(name), options)
        (folder / name).symlink_to(made.folder)
    random_gguf.write(folder / "random.gguf")
    return folder


def generate(command: list[str | Path], model: Path) -> Completed:
    words = (PROMPT, "--temperature", "0", "--max-tokens", "16", "--json")
    return run([*command, "generate", model, *words], timeout_s=300, check=False)


def emulated(runner: Path, cpu: str = "cortex-a76") -> list[str | Path]:
    return [str(emulator.QEMU), "-cpu", cpu, runner]


def text(completed: Completed) -> str:
    assert completed.exit_code == 0, completed.stdout + completed.stderr
    told: dict[str, Any] = json.loads(completed.stdout)
    return str(told["text"])


@pytest.mark.parametrize(
    ("there", "here"),
    [("raspberry-pi-5", "host"), ("pixel8", "host"), ("random.gguf", "random.gguf")],
)
def test_a_static_program_says_what_this_machine_says(
    runner: Path, models: Path, there: str, here: str
) -> None:
    at_home = runtimes.here().runner
    expected = text(generate([at_home], models / here))
    # The phone's bundle needs i8mm.
    cpu = "max" if there == "pixel8" else "cortex-a76"
    assert text(generate(emulated(runner, cpu), models / there)) == expected
    assert expected


def test_a_static_program_ends_with_words_on_a_cpu_without_dot_products(
    runner: Path, models: Path
) -> None:
    refused = generate(emulated(runner, "cortex-a53"), models / "random.gguf")
    assert refused.exit_code == Status.FORMAT_MISMATCH
    assert "`dotprod`" in refused.stdout
