"""The kernels of every instruction set and GPU, as `sphere_edge.models.kernels` describes them."""

from __future__ import annotations

from sphere_edge.compiler.kernels import avx2, avx512, generic, neon
from sphere_edge.compiler.kernels.gpu_operators import GpuKernels
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import TUNINGS
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.operators import CpuKernels
from sphere_edge.compiler.target import GpuTarget, IsaName, Target
from sphere_edge.models.kernels import Kernels

_ISAS: dict[IsaName, Isa] = {
    "avx512vnni": avx512.ISA,
    "avx2": avx2.ISA,
    "neon_i8mm": neon.I8MM,
    "neon_dotprod": neon.ISA,
    "generic": generic.ISA,
}


def for_target(target: Target) -> Kernels:
    """The operators that a model for `target` is traced with."""
    if isinstance(target, GpuTarget):
        arithmetic = Arithmetic(target.kind, target.half, target.textures)
        return GpuKernels(arithmetic, TUNINGS[target.family])
    return CpuKernels(_ISAS[target.isa])
