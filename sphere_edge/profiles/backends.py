"""The names of what models run on: one list for profiles, manifests, builds and flags.

The core knows them too: `one_of` in native/src/formats/bundle.cpp.
"""

from __future__ import annotations

from typing import Literal, get_args

# The interfaces to GPUs, and ggml's own backends for them, which GGUF models run on.
GpuApi = Literal["opencl", "metal", "cuda", "vulkan"]
# Those that models from safetensors are compiled for: TVM has no Vulkan.
CompiledGpu = Literal["opencl", "metal", "cuda"]

CompiledBackend = Literal["cpu", CompiledGpu]
GgufBackend = Literal["cpu", GpuApi]

GPU_APIS: tuple[GpuApi, ...] = get_args(GpuApi)
