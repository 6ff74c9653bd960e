"""A traced model becomes a shared library for one CPU."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tvm
from tvm import relax

from sphere_edge.compiler import pipeline
from sphere_edge.compiler.link import link_shared
from sphere_edge.compiler.target import CpuTarget


def compile_module(module: tvm.IRModule, target: CpuTarget, out_library: Path) -> None:
    """Compiles `module` (see sphere_edge.models.graph) for `target` into `out_library`.

    The library holds a Relax VM executable; the same module, target and tool versions give the same
    bytes. It appears under its name only when it is whole. Raises InternalError where the linker
    fails.
    """
    llvm = target.tvm_target()
    with llvm:
        module = pipeline.relax_passes()(module)
    executable = relax.build(
        module, target=llvm, relax_pipeline=None, tir_pipeline=pipeline.TIR_PIPELINE
    )

    def link(file_name: str, objects: list[str], **_: Any) -> None:
        link_shared([Path(name) for name in objects], target, Path(file_name))

    with tempfile.TemporaryDirectory(dir=out_library.parent, prefix=".link-") as folder:
        whole = Path(folder) / out_library.name
        executable.export_library(str(whole), fcompile=link, workspace_dir=folder)
        whole.replace(out_library)
