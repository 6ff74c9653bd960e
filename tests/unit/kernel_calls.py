"""Runs single kernels on this machine, for every instruction set that it has."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import tvm

from sphere_edge import profiles
from sphere_edge.compiler import pipeline
from sphere_edge.compiler.kernels import avx2, avx512, generic, neon
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.target import CpuTarget, IsaName

ISAS: dict[IsaName, Isa] = {
    "avx512vnni": avx512.ISA,
    "avx2": avx2.ISA,
    "neon_i8mm": neon.I8MM,
    "neon_dotprod": neon.ISA,
    "generic": generic.ISA,
}


def _here() -> list[IsaName]:
    host = profiles.host()
    names: list[IsaName] = []
    for name in ISAS:
        target = CpuTarget(host.triple, name)
        fits = not name.startswith("neon") or host.triple.startswith(("aarch64", "arm64"))
        if fits and set(target.cpu_features) <= set(host.cpu.features):
            names.append(name)
    return names


TRIPLE = profiles.host().triple
HERE = _here()


def build(kernel: Any, target: CpuTarget) -> Any:
    """The machine code of one kernel as a TVM module with the function `main`."""
    module = tvm.IRModule({"main": kernel.with_attr("global_symbol", "main")})
    return tvm.tirx.build(module, target.tvm_target(), pipeline=pipeline.TIR_PIPELINE)


@cache
def _function(kernel: Any, isa: IsaName) -> Any:
    return build(kernel, CpuTarget(TRIPLE, isa))["main"]


def call(kernel: Any, isa: IsaName, *arguments: np.ndarray) -> None:
    """Compiles and runs a kernel; arrays that it writes are changed in place."""
    tensors = [tvm.runtime.tensor(array) for array in arguments]
    _function(kernel, isa)(*tensors)
    for array, tensor in zip(arguments, tensors, strict=True):
        array[...] = tensor.numpy()


def untouched(*shape: int) -> np.ndarray:
    """Output memory whose old content would be noticed."""
    return np.full(shape, np.nan, np.float32)
