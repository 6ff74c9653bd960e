"""No kernel asks for a larger work group, or more local memory, than its GPU can give."""

from __future__ import annotations

from typing import Any

import tvm_ffi
from tvm import s_tir, tirx

from sphere_edge.errors import UnsupportedError


def _verified(kernel: Any, _: Any, __: Any) -> Any:
    """The same function; raises UnsupportedError if a group of it does not fit its target."""
    most = {
        name: int(kernel.attrs["target"].attrs[name])
        for name in ("max_threads_per_block", "max_shared_memory_per_block")
    }
    if not s_tir.analysis.verify_gpu_code(kernel, most):
        threads, memory = most.values()
        message = (
            f"the GPU kernel `{kernel.attrs['global_symbol']}` needs more than the work group "
            f"of {threads} threads and {memory} bytes that the device has"
        )
        raise UnsupportedError(message)
    return kernel


# Passes are called by TVM's C++, which remembers an exception by its name.
tvm_ffi.register_error("UnsupportedError", UnsupportedError)
verified = tirx.transform.prim_func_pass(_verified, opt_level=0)
