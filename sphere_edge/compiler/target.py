"""What code is compiled for: a CPU (LLVM triple and features), or a GPU with its host's CPU."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import tvm

from sphere_edge.errors import UnsupportedError
from sphere_edge.profiles import DeviceProfile, GpuLimits
from sphere_edge.profiles.backends import CompiledGpu
from sphere_edge.quantization.weights import WeightFormat

IsaName = Literal["avx512vnni", "avx2", "neon_i8mm", "neon_dotprod", "generic"]
# GPUs whose kernels are tuned alike.
GpuFamily = Literal["mali", "adreno", "nvidia", "apple", "generic"]

# Rows of a weight matrix that one kernel step works on: the 32-bit lanes of a vector register.
_ROW_BLOCK: dict[IsaName, int] = {
    "avx512vnni": 16,
    "avx2": 8,
    "neon_i8mm": 4,
    "neon_dotprod": 4,
    "generic": 4,
}
# LLVM's CPU and features, and the features (as in device profiles) that a device must have.
_LLVM: dict[IsaName, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "avx512vnni": ("x86-64-v4", ("+avx512vnni",), ("avx512vnni", "avx2", "fma", "f16c")),
    "avx2": ("x86-64-v3", (), ("avx2", "fma", "f16c")),
    "neon_i8mm": ("", ("+neon", "+dotprod", "+i8mm"), ("neon", "dotprod", "i8mm")),
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
            ("avx512vnni", "avx2") if architecture == "x86_64" else ("neon_i8mm", "neon_dotprod")
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


_GPU_NAMES: dict[GpuFamily, tuple[str, ...]] = {
    "mali": ("mali", "immortalis"),
    "adreno": ("adreno",),
    "nvidia": ("nvidia", "ampere", "ada", "blackwell", "hopper", "turing", "geforce", "rtx"),
    "apple": ("apple",),
}
# The most threads and bytes of local memory that our work groups take, however much a GPU has: a
# driver may give a kernel of many registers fewer threads than the device's most (OpenCL's
# CL_KERNEL_WORK_GROUP_SIZE), and CUDA more than 48 KiB only on request.
_GROUP_MOST: dict[CompiledGpu, tuple[int, int]] = {
    "opencl": (256, 32768),
    "cuda": (1024, 49152),
    "metal": (1024, 32768),
}


@dataclass(frozen=True)
class GpuTarget:
    """Kernels for a GPU, and the code that starts them for the CPU of `host`.

    `half`: the GPU computes in float16; without it float16 is only a form of storage. The weights
    have the layout of `host`, so that one set of them serves the CPU's code and the GPU's.
    """

    kind: CompiledGpu
    family: GpuFamily
    host: CpuTarget
    half: bool
    # What the compiler must know of the chip, as `sm_87`; None: the kernels are compiled there.
    architecture: str | None = None
    limits: GpuLimits = GpuLimits()
    # Whether one token is multiplied with weights that are read through images (OpenCL).
    textures: bool = False

    @classmethod
    def of(cls, profile: DeviceProfile) -> GpuTarget:
        """The target for the GPU of `profile`. Raises UnsupportedError where there is none."""
        gpu = profile.gpu
        if gpu is None or gpu.api == "vulkan":
            message = f"no GPU kernels for profile `{profile.name}`"
            raise UnsupportedError(message, hint="choose the backend `cpu`")
        words = gpu.name.lower()
        families = [
            family for family, names in _GPU_NAMES.items() if any(name in words for name in names)
        ]
        family: GpuFamily = "nvidia" if gpu.api == "cuda" else (*families, "generic")[0]
        host = CpuTarget.of(profile.triple, profile.cpu.features)
        return cls(
            gpu.api,
            family,
            host,
            gpu.half_precision,
            gpu.architecture,
            gpu.limits,
            gpu.textures,
        )

    @property
    def triple(self) -> str:
        """The host code's LLVM triple."""
        return self.host.triple

    @property
    def cpu_features(self) -> tuple[str, ...]:
        """Profile features without which the host code does not run."""
        return self.host.cpu_features

    @property
    def group_threads(self) -> int:
        """Threads that a work group may have here: never more than the profile's GPU allows."""
        most = _GROUP_MOST[self.kind][0]
        return min(most, self.limits.group_threads or most)

    @property
    def group_memory_bytes(self) -> int:
        """Local memory that a work group may use here, in bytes."""
        most = _GROUP_MOST[self.kind][1]
        return min(most, self.limits.group_memory_bytes or most)

    def weight_format(self, name: str) -> WeightFormat:
        """The weight format `name` in the host's layout; raises InvalidArgumentError."""
        return self.host.weight_format(name)

    def tvm_target(self) -> Any:
        """The `tvm.target.Target` of the kernels, with that of the host code inside."""
        fields: dict[str, Any] = {
            "kind": self.kind,
            "max_num_threads": self.group_threads,
            "max_threads_per_block": self.group_threads,
            "max_shared_memory_per_block": self.group_memory_bytes,
            "host": self.host.tvm_target(),
        }
        if self.kind == "cuda" and self.architecture is not None:
            fields["arch"] = self.architecture
        return tvm.target.Target(fields)


Target = CpuTarget | GpuTarget
