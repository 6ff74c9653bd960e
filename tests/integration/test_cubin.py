"""CUDA machine code made here, without toolkit, driver or GPU: what is in it, not what it does."""

from __future__ import annotations

import importlib.util

import pytest
from catalogue_bundles import Bundles
from cuda_code import elf

from sphere_edge.bundle.manifest import GpuCode
from sphere_edge.compiler import cubin
from sphere_edge.errors import InternalError, UnsupportedError

if importlib.util.find_spec("nvidia") is None:
    pytest.skip("the extra `cuda` is not installed", allow_module_level=True)

_EM_CUDA, _EM_AARCH64 = 190, 183
_DOUBLE = 'extern "C" __global__ void twice(float *x) { x[threadIdx.x] *= 2.0f; }'


# Jetson Orin, Jetson Thor, and PCs from Turing to Blackwell.
@pytest.mark.parametrize("architecture", [75, 80, 86, 87, 89, 90, 100, 110, 120])
def test_kernels_become_machine_code_for_every_architecture(architecture: int) -> None:
    made = elf(cubin.cubin(_DOUBLE, f"sm_{architecture}"))
    assert (made.machine, made.architecture) == (_EM_CUDA, architecture)
    assert made.functions == {"twice"}


# JetPack 6 has a driver of CUDA 12.
@pytest.mark.parametrize("architecture", [75, 80, 86, 87, 89, 90])
def test_what_cuda_12_can_make_its_drivers_take(architecture: int) -> None:
    assert elf(cubin.cubin(_DOUBLE, f"sm_{architecture}")).abi == 7


def test_an_architecture_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="NVRTC does not know `sm_42`"):
        cubin.cubin(_DOUBLE, "sm_42")


def test_a_broken_kernel_is_told_in_the_compilers_words() -> None:
    with pytest.raises(InternalError, match='identifier "y" is undefined'):
        cubin.cubin(_DOUBLE.replace("2.0f", "y"), "sm_87")


def test_the_bundle_for_jetson_orin_holds_a_cubin_of_all_its_kernels(bundles: Bundles) -> None:
    bundle = bundles.of("jetson-orin-nano")
    assert bundle.manifest.tvm is not None
    assert bundle.manifest.tvm.gpu == GpuCode(
        backend="cuda", library="lib/model-cuda.so", arithmetic="float16"
    )
    library = (bundle.folder / "lib" / "model-cuda.so").read_bytes()
    assert elf(library).machine == _EM_AARCH64
    made = elf(library[library.index(b"\x7fELF", 1) :])
    assert (made.machine, made.architecture) == (_EM_CUDA, 87)
    for kind in ("take", "rms_norm", "linear_q4", "gated_silu", "rotate_and_store", "attend"):
        assert any(name.startswith(kind) for name in made.functions), kind
    # The host's part calls them by the names that are in there.
    assert all(name.encode() in library for name in made.functions)
