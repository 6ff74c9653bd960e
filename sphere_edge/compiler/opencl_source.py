"""A last touch to the OpenCL C that TVM writes: no refusal of GPUs that only store float16."""

from __future__ import annotations

from typing import Any

import tvm_ffi

# TVM refuses any half in the source without the extension for half arithmetic. Buffers of halves
# read by vload_half need no extension (OpenCL C 1.2, 6.1.1.1), and the compiler finds other uses.
_REFUSAL = (
    '#error "Half precision floating point not supported by OpenCL implementation on your device." '
)


def register() -> None:
    """Makes TVM call us with all OpenCL C that it writes from now on."""
    tvm_ffi.register_global_func("tvm_callback_opencl_postproc", _touched, override=True)


def without_refusal(source: str) -> str:
    """The same OpenCL C for GPUs that only store float16, too."""
    return source.replace(f"#else\n{_REFUSAL}\n", "")


def _touched(source: str, _target: Any) -> str:
    return without_refusal(str(source))
