"""Runs GPU kernels from Python: on whatever OpenCL finds here, through the runtime's own plugin."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
import tvm_ffi

from sphere_edge import profiles
from sphere_edge.compiler import opencl_source, pipeline
from sphere_edge.compiler.target import CpuTarget, GpuFamily, GpuTarget
from sphere_edge.runtime.library import load
from sphere_edge.toolchain.link import link_shared


def target(family: GpuFamily, *, half: bool = False) -> GpuTarget:
    """A GPU of `family` beside this machine's CPU."""
    here = profiles.host()
    return GpuTarget("opencl", family, CpuTarget.of(here.triple, here.cpu.features), half)


@cache
def device() -> Any:
    """The OpenCL device; skips the test where there is none."""
    try:
        ctypes.CDLL("libOpenCL.so.1")
    except OSError:
        pytest.skip("no OpenCL here (Debian: pocl-opencl-icd, ocl-icd-libopencl1)")
    # Loading it registers the device with TVM's runtime. The one that bundles are opened with: a
    # second build in this process would have a second device, and buffers that are not the first's.
    load()
    found = tvm.device("opencl", 0)
    if not found.exist:
        pytest.skip("OpenCL finds no device here (Debian: pocl-opencl-icd)")
    return found


def source(kernels: Mapping[str, Any], made_for: GpuTarget) -> str:
    """The OpenCL C of TIR functions."""
    return str(_compiled(kernels, made_for).imports[0].inspect_source())


class Library:
    """TIR functions as kernels, under their names."""

    def __init__(self, kernels: Mapping[str, Any], made_for: GpuTarget, folder: Path) -> None:
        library = folder / "kernels.so"

        def link(file_name: str, objects: list[str], **_: Any) -> None:
            link_shared([Path(name) for name in objects], made_for.triple, Path(file_name))

        if made_for.half:
            _with_half()
        compiled = _compiled(kernels, made_for)
        opencl_source.register()
        compiled.export_library(str(library), fcompile=link, workspace_dir=str(folder))
        self._module = tvm.runtime.load_module(str(library))

    def call(self, name: str, *arguments: np.ndarray) -> None:
        """Runs a kernel; arrays that it writes are changed in place."""
        tensors = [tvm.runtime.tensor(array, device()) for array in arguments]
        self._module[name](*tensors)
        for array, tensor in zip(arguments, tensors, strict=True):
            array[...] = tensor.numpy()


HALF_ON_POCL = Path(__file__).with_name("half_on_pocl.cl")


def _with_half() -> None:
    """Lets the next OpenCL C that TVM writes compute in float16 on PoCL."""
    prefix = HALF_ON_POCL.read_text(encoding="utf-8")

    def prefixed(text: str, _target: Any) -> str:
        return prefix + opencl_source.touched(str(text))

    tvm_ffi.register_global_func("tvm_callback_opencl_postproc", prefixed, override=True)


def _compiled(kernels: Mapping[str, Any], made_for: GpuTarget) -> Any:
    if not made_for.half:
        opencl_source.register()
    module = tvm.IRModule(
        {name: kernel.with_attr("global_symbol", name) for name, kernel in kernels.items()}
    )
    return tvm.tirx.build(module, made_for.tvm_target(), pipeline=pipeline.GPU_TIR_PIPELINE)
