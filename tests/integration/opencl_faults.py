"""Faults put into the OpenCL kernels of the built-in model's bundles, to be caught."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import opencl_in_library

from sphere_edge.bundle.read import Bundle

# 1 / sqrt(32), as it stands in the kernels of the built-in model; and 15 % more.
SCALE, WRONG_SCALE = "1.767767e-01f", "2.032932e-01f"
EPSILON = "1.000000e-05f"
# Time in steps of 65,536 clock ticks (x86): one in twenty is bad, for whatever runs in it.
BAD_TIME = (
    '({ uint low, high; __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)); low >> 16; }) % 20 == 0'
)

Change = Callable[[str], str]
WRONG_CONSTANT: Change = lambda text: text.replace(SCALE, WRONG_SCALE)  # noqa: E731
FAULTS: dict[str, Change] = {
    "wrong constant": WRONG_CONSTANT,
    "dropped barrier": opencl_in_library.in_kernels(
        "rms_norm", lambda text: text.replace("barrier(CLK_LOCAL_MEM_FENCE);", "", 1)
    ),
    "nan at far positions": opencl_in_library.in_kernels(
        "attend_one", lambda text: text.replace(SCALE, f"(position_ptr[0]>300?NAN:{SCALE})")
    ),
    "one call in twenty": opencl_in_library.in_kernels(
        "rms_norm", lambda text: text.replace(EPSILON, f"({BAD_TIME} ? 9.0f : {EPSILON})")
    ),
}


def broken(bundle: Bundle, folder: Path, change: Change) -> Bundle:
    """A copy of the bundle with other kernels, its manifest as it was."""
    copy = shutil.copytree(bundle.folder, folder / "broken")
    opencl_in_library.exchange(copy / "lib" / "model-opencl.so", change)
    return Bundle(copy, bundle.manifest)
