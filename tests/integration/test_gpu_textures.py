"""Weights that kernels read through images: the numbers of those that read buffers, bit for bit.

PoCL has images over buffers; what another cache makes of the speed only an Adreno can tell.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import opencl_driver
import opencl_front_end as front_end
import pytest
from opencl_bundles import package, profile
from opencl_driver import PROMPT, Driver
from opencl_kernels import Library, device, target

from sphere_edge.bundle.read import Bundle
from sphere_edge.compiler.kernels import gpu_linear
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import TUNINGS
from sphere_edge.compiler.kernels.linear import Shape
from sphere_edge.engines.options import PackageOptions
from sphere_edge.packaging import TINY
from sphere_edge.run import run
from tests.cli_process import sphere_edge

# rows, columns, bias
SHAPES = [
    (16, 32, False),
    (37, 70, True),
    (1, 1, False),
    (5, 3, True),
    (8, 80, False),
    (131, 257, True),
]
QUANTIZED = ("q4", "q8")
# What the runtime writes behind the name of a kernel that had to read a buffer.
FROM_BUFFER = ", weight from a buffer"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Each kernel twice: `…_True` with textures, `…_False` without."""
    device()
    made_for = target("adreno")
    kernels = {
        f"{fmt}_{rows}_{textures}": gpu_linear.linear(
            Arithmetic("opencl", False, textures),
            TUNINGS["adreno"],
            made_for.weight_format(fmt),
            Shape(rows, columns, True, bias),
        )
        for fmt in QUANTIZED
        for rows, columns, bias in SHAPES
        for textures in (False, True)
    }
    return Library(kernels, made_for, tmp_path_factory.mktemp("textures"))


@pytest.mark.parametrize("fmt", QUANTIZED)
def test_textures_give_the_bits_that_buffers_give_and_numpys_numbers(
    library: Library, fmt: str
) -> None:
    layout = target("adreno").weight_format(fmt)
    for rows, columns, bias in SHAPES:
        random = np.random.default_rng(rows)
        x, weight, offset = (
            random.standard_normal(shape).astype(np.float32)
            for shape in ((1, columns), (rows, columns), rows)
        )
        packed = layout.pack(weight)
        exact = x.astype(np.float64) @ layout.unpack(packed, rows, columns).T
        exact += offset if bias else 0
        y = {}
        for textures in (False, True):
            y[textures] = np.full((1, rows), np.nan, np.float32)
            given = [x, *packed.values(), *([offset] if bias else []), y[textures]]
            library.call(f"{fmt}_{rows}_{textures}", *given)
        assert np.array_equal(y[True], y[False]), (rows, columns)
        assert np.abs(y[True] - exact).max() <= 1e-5 * np.abs(exact).max() + 1e-6, (rows, columns)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The built-in model in 4 bits with kernels that read textures; for reading only."""
    device()
    options = PackageOptions(quantization="q4", context_tokens=256)
    output = tmp_path_factory.mktemp("textures") / "tiny"
    return package(TINY, options, profile(textures=True), output)


def test_a_bundle_with_textures_gives_the_cpus_greedy_text_and_is_certified(
    bundle: Bundle,
) -> None:
    said = {}
    for backend in ("opencl", "cpu"):
        words = ("run", bundle.folder, PROMPT, "--temperature", "0", "--json")
        told = sphere_edge(*words, "--max-tokens", "24", "--backend", backend)
        assert told.returncode == 0, told.stderr
        said[backend] = json.loads(told.stdout)
        assert said[backend]["backend"] == backend
    assert said["opencl"]["text"] == said["cpu"]["text"]
    certified = sphere_edge(
        "certify", bundle.folder, "--backend", "opencl", "--repeat", "2", "--json"
    )
    assert certified.returncode == 0, certified.stderr
    (result,) = json.loads(certified.stdout)["results"]
    assert result["certified"]
    assert result["agreement"] == 1


@pytest.fixture
def driver(bundle: Bundle, tmp_path: Path) -> Driver:
    return Driver(bundle.folder, opencl_driver.library(tmp_path), tmp_path)


def kernels(driver: Driver, **faults: int) -> set[str]:
    """Names of the kernels that ran, without TVM's ending."""
    words = ("--prompt-tokens", "4", "--new-tokens", "2", "--repeat", "1", "--kernels")
    told = driver("bench", *words, "--backend", "opencl", **faults)
    return {one["name"] for one in told["kernels"]}


def test_each_weight_becomes_an_image_once_and_what_does_not_is_read_from_its_buffer(
    driver: Driver,
) -> None:
    usual = driver.answer()
    matrices = driver.counts()["images"]
    # Four layers of four matrices, and the head.
    assert matrices == 17
    assert driver.counts()["sources"] == 1
    assert not any(FROM_BUFFER in name for name in kernels(driver))
    # The head is larger than all others.
    texels = 2048 * 256 // 8 // 4 - 1
    some = {name for name in kernels(driver, TEXELS=texels) if FROM_BUFFER in name}
    assert {re.sub("_one.*", "", name) for name in some} == {"linear_q4_2048_256"}
    assert driver.counts()["images"] == matrices - 1
    assert driver.answer(TEXELS=texels)["text"] == usual["text"]
    # The form without textures was built for that kernel, and is kept too.
    assert (driver.counts()["sources"], driver.counts()["binaries"]) == (0, 2)


@pytest.mark.parametrize("fault", [{"IMAGES": 0}, {"MOST_IMAGES": 3}])
def test_a_driver_that_makes_no_images_gets_buffers(driver: Driver, fault: dict[str, int]) -> None:
    usual = driver.answer()
    told = driver.answer("--backend", "opencl", **fault)
    assert (told["backend"], told["text"]) == ("opencl", usual["text"])
    assert driver.counts()["sources"] == 1


def test_the_log_names_the_kernel_that_reads_a_buffer_and_why(driver: Driver) -> None:
    environment = driver.environment(TEXELS=1000)
    del environment["SPHERE_EDGE_CACHE"]
    code = "import sys; from sphere_edge import TextManager; TextManager.open(sys.argv[1]).close()"
    said = run([sys.executable, "-c", code, str(driver.bundle)], env=environment, timeout_s=300)
    assert re.search(
        "kernel `linear_q4_2048_256_one.*` reads its weight from a buffer: it has `16384` texels "
        "and an image of the GPU `.*` up to `1000`",
        said.stderr,
    )


def test_adrenos_kernels_with_textures_compile_in_both_forms() -> None:
    clang = front_end.compiler()
    if clang is None:
        pytest.skip("no clang is installed (Debian: clang-16)")
    phone = profile("galaxy-s24", textures=True)
    text = front_end.source("llama_odd_sizes", "adreno", "q4", phone=phone)
    assert "read_imageui" in text
    assert "half4" in text
    assert front_end.complaints(text, clang) == []
    assert front_end.complaints(text, clang, "-DSE_BUFFERS") == []
    assert front_end.complaints(text.replace("se_texel(se_t", "se_txel(se_t", 1), clang)
    plain = front_end.source("llama_odd_sizes", "adreno", "q4")
    assert "image" not in plain
