"""Bundles of each family with code for OpenCL: `run` and `certify` on the GPU, and the CPU's text.

Their models are random, with the configurations of goldens, so that transformers vouches for the
arithmetic of the reference that `certify` compares with (test_reference.py).
"""

from __future__ import annotations

import json

import pytest
from opencl_bundles import package, profile, random_model
from opencl_kernels import device

from sphere_edge.bundle.read import Bundle
from sphere_edge.engines.options import PackageOptions
from tests.cli_process import sphere_edge

# Grouped heads, biases, windows, odd sizes: what the kernels have branches for.
FAMILIES = {"qwen2": "qwen2_upper_layers_slide", "gemma": "gemma_one_kv_head"}
# In float32, where a wrong sum shows.
EXACT = PackageOptions(quantization="f32", context_tokens=128, kv_dtype="float32")


@pytest.fixture(
    scope="module",
    params=["llama", *(pytest.param(name, marks=pytest.mark.group("gpu")) for name in FAMILIES)],
)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    device()
    if request.param == "llama":
        found: Bundle = request.getfixturevalue("gpu_bundle")
        return found
    folder = tmp_path_factory.mktemp(request.param)
    model = random_model(FAMILIES[request.param], folder)
    return package(model, EXACT, profile(), folder / "made")


def test_the_gpu_gives_the_cpus_greedy_text_and_is_certified(bundle: Bundle) -> None:
    words = ("run", bundle.folder, "The sky is", "--raw", "--temperature", "0", "--json")
    said = {}
    for backend in ("opencl", "cpu"):
        run = sphere_edge(*words, "--max-tokens", "24", "--backend", backend)
        assert run.returncode == 0, run.stderr
        said[backend] = json.loads(run.stdout)
        assert (said[backend]["backend"], said[backend]["backend_reason"]) == (backend, "")
    assert said["opencl"]["completion_tokens"] > 0
    assert said["opencl"]["text"] == said["cpu"]["text"]
    certified = sphere_edge(
        "certify", bundle.folder, "--backend", "opencl", "--repeat", "2", "--json"
    )
    assert certified.returncode == 0, certified.stderr
    (result,) = json.loads(certified.stdout)["results"]
    assert result["certified"]
    assert result["backend"] == "opencl"
    assert result["agreement"] == 1
