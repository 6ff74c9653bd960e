"""Last touches to the OpenCL C that TVM writes: float16 as storage only, and textures."""

from __future__ import annotations

import re
from typing import Any

import tvm_ffi

from sphere_edge.compiler.kernels.gpu_tir import TEXELS

# TVM refuses any half in the source without the extension for half arithmetic. Buffers of halves
# read by vload_half need no extension (OpenCL C 1.2, 6.1.1.1), and the compiler finds other uses.
_REFUSAL = (
    '#error "Half precision floating point not supported by OpenCL implementation on your device." '
)
# TVM's own textures are images of floats that it lays out itself. These are images of the stored
# words, over the buffer that contains them; without images the runtime defines SE_BUFFERS
# (native/src/tvm/opencl_kernels.cpp, which also knows an image by the word of its declaration).
_TEXTURES = f"""#ifndef {TEXELS}
#ifdef SE_BUFFERS
#define {TEXELS} __global const uint4 *restrict
#define se_texel(texels, index) (texels)[index]
#else
#define {TEXELS} __read_only image1d_buffer_t
#define se_texel(texels, index) read_imageui(texels, index)
#endif
#endif
"""
_PARAMETER = re.compile(rf"__global uint\* restrict ({TEXELS}\w+)")


def register() -> None:
    """Makes TVM call us with all OpenCL C that it writes from now on."""
    tvm_ffi.register_global_func("tvm_callback_opencl_postproc", _touched, override=True)


def touched(source: str) -> str:
    """The same OpenCL C for GPUs that only store float16, too, and with its textures declared."""
    source = source.replace(f"#else\n{_REFUSAL}\n", "")
    declared, count = _PARAMETER.subn(rf"{TEXELS} \1", source)
    return _TEXTURES + declared if count else source


def _touched(source: str, _target: Any) -> str:
    return touched(str(source))
