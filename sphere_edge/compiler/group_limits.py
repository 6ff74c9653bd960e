"""No kernel asks for a larger work group, or more local memory, than its GPU can give.

TVM's own check (s_tir.analysis.verify_gpu_code) stops at kernels whose number of groups depends on
the number of tokens, which is most of ours; so this looks at the loops itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import tvm_ffi
from tvm import tirx

from sphere_edge.errors import UnsupportedError


def _verified(kernel: Any, _: Any, __: Any) -> Any:
    """The same function; raises UnsupportedError if a group of it does not fit its target."""
    limits = kernel.attrs["target"].attrs
    if "max_threads_per_block" not in limits:
        # What the CPU works out in between, such as shapes.
        return kernel
    threads, memory = _needed(kernel.body)
    most_threads = int(limits["max_threads_per_block"])
    most_memory = int(limits["max_shared_memory_per_block"])
    if threads > most_threads or memory > most_memory:
        message = (
            f"the GPU kernel `{kernel.attrs['global_symbol']}` needs more than the work group "
            f"of {most_threads} threads and {most_memory} bytes that the device has"
        )
        raise UnsupportedError(message)
    return kernel


def _needed(body: Any) -> tuple[int, int]:
    """Threads of a work group, and bytes of its local memory."""
    extents: dict[str, int] = {}
    memory = 0
    for statement in _statements(body):
        if isinstance(statement, tirx.AttrStmt) and statement.attr_key == "thread_extent":
            axis = str(statement.node.thread_tag)
            if axis.startswith("threadIdx"):
                extents[axis] = int(statement.value)
        if isinstance(statement, tirx.AllocBuffer) and statement.buffer.scope().startswith(
            "shared"
        ):
            buffer = statement.buffer
            dtype = tvm_ffi.dtype(str(buffer.dtype))
            memory += prod(map(int, buffer.shape)) * dtype.itemsize
    return prod(extents.values()), memory


def _statements(statement: Any) -> Iterator[Any]:
    yield statement
    parts = list(statement.seq) if isinstance(statement, tirx.SeqStmt) else []
    parts += [getattr(statement, name, None) for name in ("body", "then_case", "else_case")]
    for part in parts:
        if part is not None:
            yield from _statements(part)


# Passes are called by TVM's C++, which remembers an exception by its name.
tvm_ffi.register_error("UnsupportedError", UnsupportedError)
verified = tirx.transform.prim_func_pass(_verified, opt_level=0)
