"""GGUF models on ggml's own GPU backends: which one ran, why not the first choice, and its answers.

Mesa's lavapipe serves as the GPU. The runtime with Vulkan is built here where its tools are
installed; beyond what the plain runtime has compiled already, that is a minute of CPU time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sphere_edge import packaging, profiles
from sphere_edge.bundle.read import Bundle
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import NotFoundError, Status
from sphere_edge.run import run
from sphere_edge.toolchain import compilers, native, targets
from tests import made_bundles, runtimes
from tests.cli_process import sphere_edge

LAVAPIPE = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The built-in model as a GGUF for a PC with Vulkan."""
    options = PackageOptions(quantization="q8_0", context_tokens=512, as_gguf=True)
    return made_bundles.made(packaging.TINY, profiles.load("generic-vulkan"), options)


@pytest.fixture(scope="module")
def with_vulkan() -> Path:
    """The runner of a runtime with Vulkan."""
    if not LAVAPIPE:
        pytest.skip("no Vulkan device for tests (Debian: apt-get install mesa-vulkan-drivers)")
    try:
        return native.build(targets.host(), gpu="vulkan").runner
    except NotFoundError as error:
        pytest.skip(f"a runtime with Vulkan cannot be had: {error.message}")


def told(runner: Path, words: list[str], exit_code: int = 0, **environment: str) -> Any:
    lavapipe = {"VK_ICD_FILENAMES": str(LAVAPIPE[0])} if LAVAPIPE else {}
    # ggml leaves out devices that are no GPU unless it is told their number.
    known = {**lavapipe, "GGML_VK_VISIBLE_DEVICES": "0", **environment}
    argv = [str(runner), *words, "--json"]
    done = run(argv, timeout_s=300, env=known, check=False)
    assert done.exit_code == exit_code, done.stdout + done.stderr
    return json.loads(done.stdout)


def chat(bundle: Bundle, *words: str) -> list[str]:
    greedy = ["--temperature", "0", "--max-tokens", "24"]
    return ["chat", str(bundle.folder), QUESTION, *greedy, *words]


def bench(bundle: Bundle, *words: str) -> list[str]:
    few = ["--prompt-tokens", "8", "--new-tokens", "2", "--repeat", "1"]
    return ["bench", str(bundle.folder), *few, *words]


def test_the_profile_chooses_and_the_manifest_tells(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.backends == ("vulkan", "cpu")
    assert manifest.ggml_gpu == "vulkan"


def test_a_runtime_without_it_takes_the_cpu_and_says_why(bundle: Bundle) -> None:
    runner = runtimes.here().runner
    measured = told(runner, bench(bundle))
    assert measured["backend"] == "cpu"
    assert "`vulkan` does not work here: this build" in measured["backend_reason"]
    failed = told(runner, bench(bundle, "--backend", "vulkan"), exit_code=Status.UNSUPPORTED)
    assert "--ggml-gpu vulkan" in failed["error"]["hint"]


@pytest.mark.group("vulkan")
def test_the_gpu_gives_the_cpus_text(bundle: Bundle, with_vulkan: Path) -> None:
    measured = told(with_vulkan, bench(bundle))
    assert (measured["backend"], measured["backend_reason"]) == ("vulkan", "")
    assert "llvmpipe" in measured["device"]
    said = told(with_vulkan, chat(bundle))
    assert "Paris" in said["text"]
    assert said["text"] == told(with_vulkan, chat(bundle, "--backend", "cpu"))["text"]


@pytest.fixture(scope="module")
def with_opencl() -> Path:
    """The runner of a runtime with ggml's OpenCL, which is for Adreno alone."""
    return native.build(targets.host(), gpu="opencl").runner


@pytest.mark.group("opencl")
def test_opencl_without_an_adreno_leaves_the_cpu_and_says_so(
    with_opencl: Path, tmp_path: Path
) -> None:
    options = PackageOptions(quantization="q8_0", context_tokens=512, as_gguf=True)
    profile = profiles.load("galaxy-s24")
    tiny = packaging.find(packaging.TINY)
    bundle = packaging.package(tiny, profile, options, tmp_path / "tiny").bundle
    assert bundle.manifest.backends == ("opencl", "cpu")
    nothing = library_of_nothing(tmp_path / "lib", "libOpenCL.so", "libOpenCL.so.1")
    # With whatever OpenCL this machine has, as PoCL, and with none at all.
    environments: tuple[dict[str, str], ...] = ({}, {"LD_LIBRARY_PATH": str(nothing)})
    for environment in environments:
        measured = told(with_opencl, bench(bundle), **environment)
        assert measured["backend"] == "cpu", environment
        assert "`opencl` finds no GPU here" in measured["backend_reason"]
    asked = bench(bundle, "--backend", "opencl")
    assert told(with_opencl, asked, exit_code=Status.UNSUPPORTED)["error"]["hint"]


def library_of_nothing(folder: Path, *names: str) -> Path:
    """A folder with libraries that hide the system's of the same names and hold nothing."""
    folder.mkdir()
    (folder / "empty.c").write_text("int nothing;\n")
    for name in names:
        words = ["-shared", folder / "empty.c", "-o", folder / name]
        run([compilers.zig(), "cc", *words], timeout_s=300, env=compilers.environment())
    return folder


@pytest.mark.group("vulkan")
def test_without_a_gpu_or_a_driver_or_vulkan_itself_the_cpu_is_taken(
    bundle: Bundle, with_vulkan: Path, tmp_path: Path
) -> None:
    without_loader = library_of_nothing(tmp_path / "lib", "libvulkan.so.1", "libvulkan.so")
    cases: tuple[dict[str, str], ...] = (
        {"GGML_VK_VISIBLE_DEVICES": ""},
        {"VK_ICD_FILENAMES": "/nowhere.json", "VK_DRIVER_FILES": "/nowhere.json"},
        {"LD_LIBRARY_PATH": str(without_loader)},
    )
    for environment in cases:
        measured = told(with_vulkan, bench(bundle), **environment)
        assert measured["backend"] == "cpu", environment
        assert "`vulkan` finds no GPU here" in measured["backend_reason"]


@pytest.mark.group("vulkan")
def test_each_backend_gets_a_result(bundle: Bundle, with_vulkan: Path, tmp_path: Path) -> None:
    assert with_vulkan.is_file()
    environment = {"VK_ICD_FILENAMES": str(LAVAPIPE[0]), "GGML_VK_VISIBLE_DEVICES": "0"}
    words = ("certify", bundle.folder, "--short", "--repeat", "1", "--json")
    done = sphere_edge(*words, **environment)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert [(one["backend"], one["certified"]) for one in results] == [
        ("vulkan", True),
        ("cpu", True),
    ]
    # Without the GPU that result is that it cannot be used.
    done = sphere_edge(*words, **{**environment, "GGML_VK_VISIBLE_DEVICES": ""})
    results = json.loads(done.stdout)["results"]
    assert [one["certified"] for one in results] == [False, True]
