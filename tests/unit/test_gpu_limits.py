"""Kernels fit the work groups of the GPUs in the catalogue, and one that does not is refused."""

from __future__ import annotations

import pytest
import tvm

from sphere_edge import profiles
from sphere_edge.compiler import opencl_source, pipeline
from sphere_edge.compiler.kernels import gpu_elementwise
from sphere_edge.compiler.kernels.elementwise import Norm
from sphere_edge.compiler.kernels.gpu_tuning import TUNINGS
from sphere_edge.compiler.target import GpuTarget
from sphere_edge.errors import UnsupportedError
from sphere_edge.profiles import DeviceProfile

WITH_KERNELS = [
    name for name in profiles.names() if any(one != "cpu" for one in profiles.load(name).backends)
]


def limited(**limits: int) -> DeviceProfile:
    """A Pixel 8 whose GPU can do less."""
    profile = profiles.load("pixel8")
    assert profile.gpu is not None
    less = profile.gpu.model_copy(update={"limits": profiles.GpuLimits(**limits)})
    return profile.model_copy(update={"gpu": less})


def compiled(target: GpuTarget) -> str:
    opencl_source.register()
    # 64 threads, and 4 bytes of local memory for each.
    kernel = gpu_elementwise.rms_norm(TUNINGS["mali"], Norm(96, True, 1e-6, False))
    module = tvm.IRModule({"norm": kernel.with_attr("global_symbol", "norm")})
    made = tvm.tirx.build(module, target.tvm_target(), pipeline=pipeline.GPU_TIR_PIPELINE)
    return str(made.imports[0].inspect_source())


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_no_group_is_larger_than_the_gpu_of_the_profile_allows(name: str) -> None:
    profile = profiles.load(name)
    target = GpuTarget.of(profile)
    assert profile.gpu is not None
    assert target.group_threads <= (profile.gpu.limits.group_threads or target.group_threads)
    tuning = TUNINGS[target.family]
    groups = (
        tuning.vector_rows * tuning.vector_split,
        tuning.batch_rows * tuning.vector_split,
        tuning.matrix_rows * tuning.matrix_tokens,
        tuning.attention_threads,
        tuning.row_threads,
    )
    assert max(groups) <= target.group_threads


def test_what_the_profile_does_not_know_is_planned_with_care() -> None:
    unknown, known = GpuTarget.of(limited()), GpuTarget.of(limited(group_threads=1024))
    assert (unknown.group_threads, unknown.group_memory_bytes) == (256, 32768)
    assert known.group_threads == 256


def test_a_kernel_that_a_gpu_cannot_hold_is_refused_by_name() -> None:
    assert "norm" in compiled(GpuTarget.of(limited(group_threads=64, group_memory_bytes=256)))
    for less in ({"group_threads": 32}, {"group_memory_bytes": 128}):
        with pytest.raises(UnsupportedError, match="`norm` needs more"):
            compiled(GpuTarget.of(limited(**less)))
