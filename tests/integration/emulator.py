"""Runs single kernels for aarch64 under qemu, linked with a small C program, without a runtime."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import tvm_ffi

from sphere_edge.compiler.target import CpuTarget
from sphere_edge.toolchain import compilers

QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
_TRIPLE = "aarch64-linux-musl"
# By instruction set: a Cortex-A76 has dot products and half precision and nothing newer.
TARGETS = {isa: CpuTarget(_TRIPLE, isa) for isa in ("neon_dotprod", "neon_i8mm")}
_CPUS = {"neon_dotprod": "cortex-a76", "neon_i8mm": "max"}
_CODES = {"i": 0, "u": 1, "f": 2}


def link(module: Any, folder: Path) -> Path:
    """A static program for aarch64 that calls `main` of a compiled TVM module."""
    program, kernel = folder / "program", folder / "kernel.o"
    module.write_to_file(str(kernel))
    include = Path(tvm_ffi.__file__).parent / "include"
    words = [
        compilers.zig(),
        "cc",
        "-target",
        "aarch64-linux-musl",
        "-static",
        "-O1",
        "-Wall",
        "-Werror",
    ]
    words += ["-I", include, "-I", include / "dlpack", Path(__file__).parent / "emulated_kernel.c"]
    words += [kernel, "-lm", "-o", program]
    subprocess.run(words, check=True, env={**compilers.environment(), "HOME": str(folder)})
    return program


def run(program: Path, isa: str, arguments: tuple[np.ndarray, ...]) -> None:
    """Calls the kernel; arrays that it writes are changed in place."""
    request = struct.pack("<i", len(arguments))
    for array in arguments:
        code = _CODES[array.dtype.kind]
        request += struct.pack("<3i", code, array.dtype.itemsize * 8, array.ndim)
        request += struct.pack(f"<{array.ndim}q", *array.shape)
        request += np.ascontiguousarray(array).tobytes()
    words = [str(QEMU), "-cpu", _CPUS[isa], str(program)]
    answer = subprocess.run(words, input=request, stdout=subprocess.PIPE, check=True).stdout
    offset = 0
    for array in arguments:
        part = np.frombuffer(answer, array.dtype, array.size, offset)
        array[...] = part.reshape(array.shape)
        offset += array.nbytes
    assert offset == len(answer)
