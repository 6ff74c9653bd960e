"""The CPU that code is compiled for: LLVM triple and features, and the kernels that fit them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import tvm

from sphere_edge.errors import UnsupportedError
from sphere_edge.quantization.weights import WeightFormat

IsaName = Literal["avx512vnni", "avx2", "neon_dotprod", "generic"]

# Rows of a weight matrix that one kernel step works on: the 32-bit lanes of a vector register.
_ROW_BLOCK: dict[IsaName, int] = {"avx512vnni": 16, "avx2": 8, "neon_dotprod": 4, "generic": 4}
# LLVM's CPU and features, and the features (as in device profiles) that a device must have.
_LLVM: dict[IsaName, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "avx512vnni": ("x86-64-v4", ("+avx512vnni",), ("avx512vnni", "avx2", "fma", "f16c")),
    "avx2": ("x86-64-v3", (), ("avx2", "fma", "f16c")),
    "neon_dotprod": ("", ("+neon", "+dotprod"), ("neon", "dotprod")),
    "generic": ("", (), ()),
}


@dataclass(frozen=True)
class CpuTarget:
    """Machine code for `triple`, using the instructions of `isa` and no others."""

    triple: str
    isa: IsaName

    @classmethod
    def of(cls, triple: str, features: Collection[str]) -> CpuTarget:
        """The best instruction set for a device with these profile features, best first.

        Raises UnsupportedError for a CPU that no kernels exist for.
        """
        architecture = triple.split("-", 1)[0]
        if architecture not in ("x86_64", "aarch64", "arm64"):
            message = f"no CPU kernels for the architecture `{architecture}`"
            raise UnsupportedError(message, hint="choose a profile for x86_64 or aarch64")
        candidates: tuple[IsaName, ...] = (
            ("avx512vnni", "avx2") if architecture == "x86_64" else ("neon_dotprod",)
        )
        for isa in candidates:
            if set(_LLVM[isa][2]) <= set(features):
                return cls(triple, isa)
        return cls(triple, "generic")

    @property
    def cpu_features(self) -> tuple[str, ...]:
        """Profile features without which the code does not run."""
        return _LLVM[self.isa][2]

    @property
    def row_block(self) -> int:
        """Rows per block of the weights that this target's kernels read."""
        return _ROW_BLOCK[self.isa]

    def weight_format(self, name: str) -> WeightFormat:
        """The weight format `name` in this target's layout; raises InvalidArgumentError."""
        return WeightFormat(name, self.row_block)

    def tvm_target(self) -> Any:
        """The `tvm.target.Target` that LLVM compiles for."""
        cpu, features, _ = _LLVM[self.isa]
        fields: dict[str, Any] = {"kind": "llvm", "mtriple": self.triple}
        if self.isa == "generic" and self.triple.startswith("x86_64"):
            cpu = "x86-64"
        if cpu:
            fields["mcpu"] = cpu
        if features:
            fields["mattr"] = list(features)
        return tvm.target.Target(fields)
