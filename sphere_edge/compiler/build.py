"""A traced model becomes a shared library for one CPU, with the kernels of a GPU inside.

For iOS it becomes object files: an app may load no library of its own, so it links them in.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tvm
from tvm import relax

from sphere_edge.compiler import cubin, opencl_source, pipeline
from sphere_edge.compiler.target import GpuTarget, Target
from sphere_edge.toolchain.link import link_shared


def is_linked_by_the_app(target: Target) -> bool:
    """Whether `compile_objects` is the way for `target`: iOS."""
    return "-ios" in target.triple


def compile_objects(module: tvm.IRModule, target: Target, folder: Path, prefix: str) -> None:
    """Compiles `module` into object files in `folder`, made if need be, for static linking.

    All their symbols begin with `prefix`, so that several models can be linked into one program;
    TVM's runtime finds the model by `ffi.SystemLib` with that prefix. The same module, target and
    tool versions give the same bytes.
    """

    def collect(_: str, objects: list[str], **__: Any) -> None:
        folder.mkdir(exist_ok=True)
        for name in objects:
            shutil.copyfile(name, folder / Path(name).name)

    _export(module.with_attr("system_lib_prefix", prefix), target, folder / "model.o", collect)


def compile_module(module: tvm.IRModule, target: Target, out_library: Path) -> None:
    """Compiles `module` (see sphere_edge.models.graph) for `target` into `out_library`.

    The library holds a Relax VM executable; the same module, target and tool versions give the
    same bytes. It appears under its name only when it is whole. Raises UnsupportedError for a
    system that nothing can be linked for here, and InternalError with the linker's words.
    """

    def link(file_name: str, objects: list[str], **_: Any) -> None:
        link_shared([Path(name) for name in objects], target.triple, Path(file_name))

    _export(module, target, out_library, link)


def _export(module: tvm.IRModule, target: Target, out: Path, finish: Callable[..., None]) -> None:
    """Compiles `module` and gives its object files to `finish`."""
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

    with tempfile.TemporaryDirectory() as folder:
        executable.export_library(str(out), fcompile=finish, workspace_dir=folder)
