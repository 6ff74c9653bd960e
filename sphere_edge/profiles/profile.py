"""What a device profile holds, and what makes it invalid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sphere_edge.profiles.backends import CompiledBackend, GgufBackend, GpuApi

Feature = Literal["avx512vnni", "avx2", "fma", "f16c", "neon", "dotprod", "i8mm", "fp16"]
Quantization = Literal["q4", "q8", "f16", "f32"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]

# How far bundles for the device have been tried: on the device itself, built only, not even that.
Verification = Literal["run", "compiled only", "not checked"]

# With no more digits than make sense: a number without end is none.
_DECIMAL = r"(\d{1,9}(?:\.\d{1,9})?)"
_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SYSTEMS = {"android": "Android API", "ios": "iOS", "macos": "macOS"}
# As in sphere_edge/toolchain/targets.py.
_OLDEST_GLIBC = {"arm64": "2.27", "x86-64": "2.28"}


def _parse_bytes(value: Any) -> Any:
    """`"8 GiB"` → bytes; anything else is left to pydantic."""
    match = re.fullmatch(f"{_DECIMAL} ([KMG]i?B)", value) if isinstance(value, str) else None
    return int(float(match[1]) * _UNITS[match[2]]) if match else value


def _parse_flops(value: Any) -> Any:
    """`"3.4 TFLOPS"` → operations a second; anything else is left to pydantic."""
    match = re.fullmatch(f"{_DECIMAL} ([GT])FLOPS", value) if isinstance(value, str) else None
    return int(float(match[1]) * {"G": 10**9, "T": 10**12}[match[2]]) if match else value


Bytes = Annotated[int, BeforeValidator(_parse_bytes), Field(gt=0)]
Flops = Annotated[int, BeforeValidator(_parse_flops), Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cpu(_Part):
    """`features` decide which kernels are compiled; `clusters` is for people, as `1x Cortex-X3`."""

    features: tuple[Feature, ...]
    performance_cores: Annotated[int, Field(gt=0)]
    clusters: tuple[str, ...] = ()


class Memory(_Part):
    """RAM; `usable_bytes` is how much one app may take before the system ends it.

    `entitled_bytes`: the same for an iOS app with the entitlement increased-memory-limit.
    `heap_bytes`: the largest Java heap of an Android app; models are outside of it.
    """

    total_bytes: Bytes
    usable_bytes: Bytes
    entitled_bytes: Bytes | None = None
    heap_bytes: Bytes | None = None
    bandwidth_bytes_per_s: Bytes | None = None

    @model_validator(mode="after")
    def _usable_is_part_of_total(self) -> Memory:
        if self.usable_bytes > self.total_bytes:
            message = "usable_bytes is more than total_bytes"
            raise ValueError(message)
        return self


class GpuLimits(_Part):
    """What the GPU's API reports of it; None where that is not known.

    `group_threads` and `group_memory_bytes` are what one work group (threadgroup, block) may have,
    `subgroup_threads` how many of its threads step together (wave, SIMD group, warp; the least
    where the driver chooses), `allocation_bytes` what one buffer may hold. `images`: kernels can
    read images (textures).
    """

    group_threads: Annotated[int, Field(gt=0)] | None = None
    group_memory_bytes: Bytes | None = None
    subgroup_threads: Annotated[int, Field(gt=0)] | None = None
    allocation_bytes: Bytes | None = None
    images: bool | None = None


class Gpu(_Part):
    """The GPU and the interface through which it is reached; `unified`: it shares the RAM.

    `half_precision`: it computes in float16, which kernels then do where the error allows it.
    `textures`: where one token is multiplied, packed weights are read through images (OpenCL).
    """

    name: str
    api: GpuApi
    # Of the interface, as `3.0`.
    api_version: str | None = None
    architecture: str | None = None
    # Of float32, at its highest clock.
    flops_per_s: Flops | None = None
    unified: bool = True
    # Its own memory, if it is not `unified`, and how much of that a program may use.
    memory_bytes: Bytes | None = None
    usable_memory_bytes: Bytes | None = None
    half_precision: bool = True
    textures: bool = False
    limits: GpuLimits = GpuLimits()

    @model_validator(mode="after")
    def _textures_can_be_had(self) -> Gpu:
        if self.textures and (self.api != "opencl" or self.limits.images is False):
            message = "textures are read through OpenCL, by a GPU that has images"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _memory_is_its_own(self) -> Gpu:
        if self.unified and (self.memory_bytes or self.usable_memory_bytes):
            message = "a GPU that shares the RAM (unified) has no memory of its own"
            raise ValueError(message)
        if (self.usable_memory_bytes or 0) > (self.memory_bytes or 0):
            message = "usable_memory_bytes is more than memory_bytes"
            raise ValueError(message)
        return self


class Defaults(_Part):
    """What `package` takes when nothing is asked for."""

    quantization: Quantization = "q4"
    context_tokens: Annotated[int, Field(gt=0)] = 2048


def _given_figures(part: _Part, name: str) -> Iterator[str]:
    """The figures that the file gives for `part`, with the names of the groups they are in."""
    for field in part.model_fields_set:
        value = getattr(part, field)
        if isinstance(value, _Part):
            yield from _given_figures(value, f"{name}.{field}")
        else:
            yield f"{name}.{field}"


class DeviceProfile(_Part):
    """All of a profile file. `sources` names, per figure or group of figures, where it is from."""

    name: Name
    title: str
    soc: str | None = None
    os: Literal["linux", "android", "ios", "macos"]
    # What the device is sold with; `oldest_system` is what bundles need.
    os_version: str | None = None
    triple: str
    cpu: Cpu
    memory: Memory
    gpu: Gpu | None = None
    # What compiled models are made for there, the first choice first.
    backends: Annotated[tuple[CompiledBackend, ...], Field(min_length=1)] = ("cpu",)
    # The same for GGUF models.
    gguf_backends: Annotated[tuple[GgufBackend, ...], Field(min_length=1)] = ("cpu",)
    defaults: Defaults = Defaults()
    verification: Verification = "compiled only"
    sources: dict[str, str]

    @model_validator(mode="after")
    def _figures_have_sources(self) -> DeviceProfile:
        parts = {"cpu": self.cpu, "memory": self.memory, "gpu": self.gpu}
        figures = [
            figure for name, part in parts.items() if part for figure in _given_figures(part, name)
        ]
        bare = [figure for figure in figures if self.source(figure) is None]
        if bare:
            message = f"no source for {', '.join(sorted(bare))}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _backends_are_there(self) -> DeviceProfile:
        there = {"cpu", self.gpu.api if self.gpu else "cpu"}
        for backend in self.backends:
            if backend not in there:
                message = f"backend {backend} without a GPU of that api"
                raise ValueError(message)
        for gguf_backend in self.gguf_backends:
            # Whatever else a GPU has, it may have Vulkan, too; Apple's do not.
            is_apple = self.gpu is not None and self.gpu.api == "metal"
            if gguf_backend not in (there | ({"vulkan"} if self.gpu and not is_apple else set())):
                message = f"gguf backend {gguf_backend} without a GPU for it"
                raise ValueError(message)
        return self

    def source(self, figure: str) -> str | None:
        """Where `figure`, as `gpu.limits.images`, is from: its own source or that of its group."""
        while figure not in self.sources and "." in figure:
            figure = figure.rpartition(".")[0]
        return self.sources.get(figure)

    @property
    def oldest_system(self) -> str:
        """The oldest system that bundles for it and their runtime run on, as `iOS 15.0`."""
        if found := re.search(r"-(?:linux-)?(android|ios|macos)(\d[\d.]*)$", self.triple):
            return f"{_SYSTEMS[found[1]]} {found[2]}"
        if self.triple.endswith("musl"):
            return "any Linux"
        return f"glibc {_OLDEST_GLIBC['arm64' if self.is_arm else 'x86-64']}"

    def gpu_room_bytes(self, backend: str) -> int | None:
        """What a model on `backend` may take of the GPU's own memory; None where it shares RAM."""
        return self.gpu.usable_memory_bytes if self.gpu is not None and backend != "cpu" else None

    @property
    def is_arm(self) -> bool:
        """Whether its CPU is a 64-bit ARM."""
        return self.triple.startswith(("aarch64", "arm64"))
