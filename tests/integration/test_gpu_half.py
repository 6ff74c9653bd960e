"""Whole bundles whose GPU code computes in float16, as phones get it: run and certified on PoCL.

PoCL offers no float16. The OpenCL library in between (opencl_shim.c) says that it does, and sets
half_on_pocl.cl, clang's own type, before the kernels; the bundles are what `package` makes.

    PYTHONPATH=. python tests/integration/test_gpu_half.py

prints how far such code is from the reference, for models of several families in each weight
format: the figures of docs/certify.md.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import certified_here
import opencl_driver
import opencl_faults
import pytest
from opencl_bundles import package, profile, random_model
from opencl_kernels import HALF_ON_POCL

from sphere_edge.bundle.read import Bundle
from sphere_edge.engines.options import PackageOptions
from sphere_edge.packaging import TINY
from tests.cli_process import sphere_edge

PROMPT = "What is the capital of France?"
# Twice what was seen of this model (8.0e-4, 3.4e-3); docs/certify.md allows more, as small random
# ones are farther off. In float32: 3.9e-4, 1.4e-3.
MEAN, LARGEST, MEAN_OF_FLOAT32 = 1.6e-3, 7e-3, 3.9e-4
# Grouped heads, biases, windows, softcaps.
MODELS = ("llama_odd_sizes", "qwen2_upper_layers_slide", "gemma_one_kv_head", "gemma2_alternating")
FORMATS = ("q4", "q8", "f16")


def half_bundle(model: str | Path, quantization: str, folder: Path) -> Bundle:
    """A bundle for a GPU that computes in float16 and reads textures."""
    options = PackageOptions(quantization=quantization, context_tokens=128, kv_dtype="float16")
    return package(model, options, profile(half=True, textures=True), folder)


def with_half(library: Path) -> dict[str, Any]:
    """The environment in which OpenCL computes in float16."""
    return {"LD_LIBRARY_PATH": str(library.parent), "SE_CL_HALF": str(HALF_ON_POCL)}


def result(bundle: Bundle, library: Path) -> dict[str, Any]:
    """What `certify` says of the GPU's code."""
    words = ("certify", bundle.folder, "--backend", "opencl", "--repeat", "2", "--json")
    certified = sphere_edge(*words, **with_half(library))
    assert certified.returncode == 0, certified.stdout + certified.stderr
    (told,) = json.loads(certified.stdout)["results"]
    return dict(told)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return opencl_driver.library(tmp_path_factory.mktemp("opencl"))


@pytest.fixture(scope="module")
def bundle(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return half_bundle(TINY, "q4", tmp_path_factory.mktemp("half") / "tiny")


def test_a_float16_bundle_gives_the_cpus_greedy_text_and_is_certified(
    bundle: Bundle, library: Path
) -> None:
    said = {}
    for backend in ("opencl", "cpu"):
        words = ("run", bundle.folder, PROMPT, "--temperature", "0", "--max-tokens", "24")
        run = sphere_edge(*words, "--backend", backend, "--json", **with_half(library))
        assert run.returncode == 0, run.stderr
        said[backend] = json.loads(run.stdout)
        assert said[backend]["backend"] == backend
    assert said["opencl"]["text"] == said["cpu"]["text"]
    told = result(bundle, library)
    assert told["certified"]
    assert told["agreement"] == 1
    assert told["mean"] <= MEAN
    assert told["largest"] <= LARGEST
    # It was float16 indeed: float32 kernels come nearer by far.
    assert told["mean"] > 1.3 * MEAN_OF_FLOAT32


def test_a_wrong_constant_is_caught_though_float16_is_allowed_more(
    bundle: Bundle, library: Path, tmp_path: Path
) -> None:
    broken = opencl_faults.broken(bundle, tmp_path, opencl_faults.WRONG_CONSTANT)
    found = certified_here.certified(broken, repeat=1, backend="opencl", **with_half(library))
    assert not found.certified
    assert found.kernel is not None
    assert found.kernel.startswith("`attend_many`")


def test_without_float16_the_bundle_takes_the_cpu_and_says_so(bundle: Bundle) -> None:
    run = sphere_edge("run", bundle.folder, PROMPT, "--max-tokens", "1", "--json")
    answer = json.loads(run.stdout)
    if answer["backend"] == "opencl":
        pytest.skip("the OpenCL device here computes float16")
    assert "does not compute in float16" in answer["backend_reason"]


def main() -> None:
    """Prints a line per model and format."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = opencl_driver.library(folder)
        for model in (TINY, *(str(random_model(one, folder)) for one in MODELS)):
            for fmt in FORMATS if model == TINY else FORMATS[::2]:
                made = half_bundle(model, fmt, folder / f"{Path(model).name}.{fmt}")
                told = result(made, library)
                print(
                    f"{Path(model).name:28} {fmt:4} mean {told['mean']:.1e}  "
                    f"largest {told['largest']:.1e}  {told['agreement']:.1%} agree",
                    flush=True,
                )


if __name__ == "__main__":
    main()
