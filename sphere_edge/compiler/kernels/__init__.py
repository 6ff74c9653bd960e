"""The kernels of every instruction set, as `sphere_edge.models.kernels` describes them."""

from __future__ import annotations

from sphere_edge.compiler.kernels import avx2, avx512, generic, neon
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.operators import CpuKernels
from sphere_edge.compiler.target import CpuTarget, IsaName
from sphere_edge.models.kernels import Kernels

_ISAS: dict[IsaName, Isa] = {
    "avx512vnni": avx512.ISA,
    "avx2": avx2.ISA,
    "neon_dotprod": neon.ISA,
    "generic": generic.ISA,
}


def for_target(target: CpuTarget) -> Kernels:
    """The operators that a model for `target` is traced with."""
    return CpuKernels(_ISAS[target.isa])
