"""The compiled code in a bundle: for the CPU, and for the GPU if the profile uses one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from sphere_edge.bundle.manifest import GpuCode
from sphere_edge.compiler import cubin, kernels
from sphere_edge.compiler.build import compile_module, compile_objects, is_linked_by_the_app
from sphere_edge.compiler.target import CpuTarget, GpuTarget
from sphere_edge.console import SILENT, Progress, human_bytes
from sphere_edge.errors import UnsupportedError
from sphere_edge.models.decoder import Decoder
from sphere_edge.models.graph import Graph, Limits, trace
from sphere_edge.models.layers import weight_mappings
from sphere_edge.models.registry import Family
from sphere_edge.profiles import DeviceProfile
from sphere_edge.quantization.weights import WeightFormat


def symbol_prefix(name: str, backend: str = "cpu") -> str:
    """How all symbols of the model `name` begin where the app links it in: docs/bundle.md."""
    part = "" if backend == "cpu" else f"{backend}_"
    return f"sphere_edge_{re.sub('[^A-Za-z0-9]', '_', name)}_{part}"


@dataclass(frozen=True)
class CodeRequest:
    """The code to make: within which limits, of a model of which name, and in which folder."""

    limits: Limits
    name: str
    folder: Path
    progress: Progress = SILENT


def for_cpu(model: Decoder, target: CpuTarget, request: CodeRequest) -> Graph:
    """Makes the folder with the CPU's code; the graph says what the code takes."""
    folder = request.folder
    folder.mkdir()
    with request.progress.step(f"compiling for {target.isa}"):
        graph = trace(model, request.limits)
        if is_linked_by_the_app(target):
            compile_objects(graph.module, target, folder, symbol_prefix(request.name))
        else:
            compile_module(graph.module, target, folder / "model.so")
    return graph


def for_gpu(
    made: Family, fmt: WeightFormat, profile: DeviceProfile, request: CodeRequest
) -> GpuCode | None:
    """The same functions for the GPU; None if the profile uses none, or it cannot be compiled.

    The second is reported as a warning: NVRTC comes in wheels that not everybody has, there are
    no GPU kernels for some things yet, and a tensor or a kernel may be too large for the GPU.
    """
    limits, folder, progress = request.limits, request.folder, request.progress
    if all(backend == "cpu" for backend in profile.backends):
        return None
    try:
        target = GpuTarget.of(profile)
        linked_in = is_linked_by_the_app(target)
        library = target.kind if linked_in else f"model-{target.kind}.so"
        with progress.step(f"compiling for {target.kind} ({target.family})"):
            if target.kind == "cuda" and target.architecture is not None:
                cubin.register(target.architecture)
            model = made.build(kernels.for_target(target), fmt)
            check_buffers(model, limits, target)
            module = trace(model, limits).module
            if linked_in:
                prefix = symbol_prefix(request.name, target.kind)
                compile_objects(module, target, folder / library, prefix)
            else:
                compile_module(module, target, folder / library)
    except UnsupportedError as error:
        hint = f" ({error.hint})" if error.hint else ""
        progress.warn(f"the bundle is for the CPU only: {error.message}{hint}")
        return None
    return GpuCode(
        backend=target.kind,
        library=f"lib/{library}",
        arithmetic="float16" if target.half else "float32",
    )


def fits_buffers(made: Family, fmt: WeightFormat, profile: DeviceProfile, limits: Limits) -> bool:
    """Whether the tensors do not keep the GPU of `profile` from running the model."""
    if all(backend == "cpu" for backend in profile.backends):
        return True
    try:
        target = GpuTarget.of(profile)
    except UnsupportedError:
        return True
    try:
        check_buffers(made.build(kernels.for_target(target), fmt), limits, target)
    except UnsupportedError:
        return False
    return True


def check_buffers(model: Decoder, limits: Limits, target: GpuTarget) -> None:
    """Raises UnsupportedError for a tensor that one buffer of the GPU cannot hold.

    OpenCL's CL_DEVICE_MAX_MEM_ALLOC_SIZE; where the profile does not know it, the runtime refuses
    on the device.
    """
    most = target.limits.allocation_bytes
    if most is None:
        return
    shape = model.shape
    cache = prod((limits.context_tokens, shape.kv_heads, shape.head_dim))
    cache *= np.dtype(limits.kv_dtype).itemsize
    tensors = {"the KV cache of one layer": cache} | {
        f"`{name}`": prod(sizes) * np.dtype(dtype).itemsize
        for mapping in weight_mappings(model)
        for name, dtype, sizes in mapping.arrays()
    }
    largest = max(tensors, key=lambda name: tensors[name])
    if tensors[largest] > most:
        message = (
            f"{largest} takes {human_bytes(tensors[largest])} and one buffer of this GPU holds "
            f"{human_bytes(most)}"
        )
        raise UnsupportedError(message, hint="choose fewer bits (--quant q4) or a shorter context")
