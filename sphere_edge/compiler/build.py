"""A traced model becomes a shared library for one CPU, with the kernels of a GPU inside."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tvm
from tvm import relax

from sphere_edge.compiler import cubin, opencl_source, pipeline
from sphere_edge.compiler.target import GpuTarget, Target
from sphere_edge.toolchain.link import link_shared


def compile_module(module: tvm.IRModule, target: Target, out_library: Path) -> None:
    """Compiles `module` (see sphere_edge.models.graph) for `target` into `out_library`.

    The library holds a Relax VM executable; the same module, target and tool versions give the
    same bytes. It appears under its name only when it is whole. Raises UnsupportedError for a
    system that nothing can be linked for here, and InternalError with the linker's words.
    """
    compiled_for, gpu = target.tvm_target(), isinstance(target, GpuTarget)
    tir_pipeline = pipeline.GPU_TIR_PIPELINE if gpu else pipeline.TIR_PIPELINE
    opencl_source.register()
    if isinstance(target, GpuTarget) and target.kind == "cuda" and target.architecture:
        cubin.register(target.architecture)
    with compiled_for:
        module = pipeline.relax_passes(gpu=gpu)(module)
    executable = relax.build(
        module, target=compiled_for, relax_pipeline=None, tir_pipeline=tir_pipeline
    )

    def link(file_name: str, objects: list[str], **_: Any) -> None:
        link_shared([Path(name) for name in objects], target.triple, Path(file_name))

    with tempfile.TemporaryDirectory() as folder:
        executable.export_library(str(out_library), fcompile=link, workspace_dir=folder)
