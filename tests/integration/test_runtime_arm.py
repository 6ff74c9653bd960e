"""The runtime for 64-bit ARM really runs: both engines say there what they say on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sphere_edge import packaging, profiles, resources
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import Status
from sphere_edge.run import Completed, run
from sphere_edge.simulate import arm_root as arm
from sphere_edge.toolchain import compilers
from tests import made_bundles, random_gguf, runtimes

CPU = "cortex-a76"
PROMPT = "Once upon a time"


@pytest.fixture(scope="session")
def device(arm_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the runtime in `/runtime`, the compiled model and a GGUF file in `/models`."""
    build = runtimes.on_boards()
    root = tmp_path_factory.mktemp("arm") / "root"
    shutil.copytree(arm_root, root, symlinks=True)
    shutil.copytree(build.folder, root / "runtime")
    (root / "models").mkdir()
    compiled(root / "models" / "tiny", profiles.load("raspberry-pi-5"))
    random_gguf.write(root / "models" / "random.gguf")
    return root


@pytest.fixture(scope="session")
def at_home(device: Path) -> Path:
    """The same models for this machine."""
    folder = device.parent / "home"
    folder.mkdir()
    compiled(folder / "tiny", profiles.host())
    (folder / "random.gguf").symlink_to(device / "models" / "random.gguf")
    return folder


def compiled(into: Path, profile: profiles.DeviceProfile) -> None:
    made = made_bundles.made(packaging.TINY, profile, PackageOptions(quantization="q4"))
    shutil.copytree(made.folder, into)


def there(device: Path, verb: str, *words: str, cpu: str = CPU) -> Completed:
    runner = ["/runtime/bin/sphere-edge-run", verb, *words, "--json"]
    return run([*arm.enter(device, cpu), *runner], timeout_s=300, check=False)


def here(verb: str, *words: str | Path) -> Completed:
    runner = runtimes.here().runner
    return run([runner, verb, *words, "--json"], timeout_s=300)


def answer(completed: Completed) -> dict[str, Any]:
    assert completed.exit_code == 0, completed.stdout + completed.stderr
    told: dict[str, Any] = json.loads(completed.stdout)
    return told


@pytest.mark.parametrize("model", ["tiny", "random.gguf"])
def test_a_model_says_on_arm_what_it_says_here(device: Path, at_home: Path, model: str) -> None:
    words = (PROMPT, "--temperature", "0", "--max-tokens", "16")
    told = answer(there(device, "generate", f"/models/{model}", *words))
    assert told["text"] == answer(here("generate", at_home / model, *words))["text"]
    assert told["text"]


@pytest.mark.parametrize("model", ["tiny", "random.gguf"])
def test_log_probabilities_agree_with_those_of_this_machine(
    device: Path, at_home: Path, model: str
) -> None:
    told = answer(there(device, "score", f"/models/{model}", "--text", PROMPT))
    expected = answer(here("score", at_home / model, "--text", PROMPT))
    assert told["token_ids"] == expected["token_ids"]
    assert told["log_probabilities"] == pytest.approx(expected["log_probabilities"], abs=0.02)


def test_the_runner_measures_there(device: Path) -> None:
    words = ("--prompt-tokens", "8", "--new-tokens", "4", "--repeat", "1")
    assert answer(there(device, "bench", "/models/tiny", *words))


def test_a_cpu_without_dot_products_ends_the_runner_with_words_not_with_a_signal(
    device: Path,
) -> None:
    refused = there(device, "generate", "/models/tiny", PROMPT, cpu="cortex-a53")
    assert refused.exit_code == Status.FORMAT_MISMATCH
    assert "`dotprod`" in json.loads(refused.stdout)["error"]["message"]


@pytest.mark.parametrize("cpu", ["cortex-a53", CPU])
def test_an_application_is_told_what_the_cpu_lacks_by_the_library_that_it_loaded(
    device: Path, tmp_path: Path, cpu: str
) -> None:
    main, include = Path(__file__).with_name("library_gate_main.c"), resources.folder("native")
    target = runtimes.BOARD.triple or ""
    words = [compilers.zig(), "cc", "-target", target, "-mcpu=baseline", "-g0", "-O1"]
    words += ["-Wall", "-Werror", "-I", include / "include", main, "-o", device / "application"]
    run(words, timeout_s=300, env=compilers.environment())
    libraries = ["/usr/bin/env", "LD_LIBRARY_PATH=/runtime/lib"]
    program = [*libraries, "/application", "/runtime/lib/libsphere_edge.so"]
    said = run([*arm.enter(device, cpu), *program], timeout_s=300).stdout.splitlines()
    if cpu == CPU:
        assert said[:2] == ["0 1", str(int(Status.NOT_FOUND))]
        return
    mismatch = str(int(Status.FORMAT_MISMATCH))
    assert said[:2] == [f"{mismatch} 0", mismatch]
    assert "lacks: `dotprod`, `fp16`" in said[2]
    assert "lower CPU level" in said[3]
