"""What GPU kernels add to the vocabulary of `tir`: work groups, local memory, barriers, halves.

A kernel is launched over groups of threads. Threads of one group share local memory and wait for
each other at barriers, which every one of them must reach. Extents may be symbolic for groups,
never for threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.tir import Buffer, Value
from sphere_edge.profiles.backends import CompiledGpu

_AXES = "xyz"
# What a parameter that is read as texels is called; `compiler.opencl_source` makes an image of it.
TEXELS = "se_texels"


@dataclass(frozen=True)
class Arithmetic:
    """How a GPU computes: `half`, float16 where kernels ask for `fast`; else float32 everywhere.

    float16 in memory is read and written by every GPU: OpenCL has functions for it that need no
    float16 arithmetic, the other interfaces always have the arithmetic.

    `textures`: quantized weights are read through images where that decides the speed (OpenCL).
    """

    kind: CompiledGpu
    half: bool
    textures: bool = False

    @property
    def fast(self) -> str:
        """The type for products whose size is bounded by the kernel."""
        return "float16" if self.half else "float32"

    def load(self, buffer: Buffer, index: Any, lanes: int = 1) -> Value:
        """Neighbours of a float16 or float32 buffer in memory as float32."""
        if str(buffer.dtype) == "float32":
            return tir.bind(tir.load(buffer, index, lanes))
        if self.half or self.kind != "opencl":
            return tir.bind(tir.cast(tir.load(buffer, index, lanes), "float32", lanes))
        name = f"vload_half{_suffix(lanes)}"
        pointer = _pointer(buffer, index, "r")
        return tir.bind(T.call_pure_extern(name, 0, pointer, dtype=tir.typed("float32", lanes)))

    def store(self, buffer: Buffer, index: Any, value: Value, lanes: int = 1) -> None:
        """float32 numbers into a float16 or float32 buffer in memory."""
        if str(buffer.dtype) == "float32":
            tir.store(buffer, index, value, lanes)
        elif self.half or self.kind != "opencl":
            tir.store(buffer, index, tir.cast(value, "float16", lanes), lanes)
        else:
            name = f"vstore_half{_suffix(lanes)}_rte"
            pointer = _pointer(buffer, index, "w")
            T.evaluate(T.call_extern(name, value, 0, pointer, dtype="void"))


def texel(buffer: Buffer, index: Any, lanes: int = 4) -> Value:
    """Four neighbours of a uint32 buffer that is a parameter called `TEXELS`, by the texture unit.

    The index of the first is a multiple of four.
    """
    texel_index = tirx.floordiv(_offset(buffer, index), lanes)
    # Not declared pure: TVM would repeat a pure call wherever its result is used.
    return T.call_extern("se_texel", buffer.data, texel_index, dtype=tir.typed("uint32", lanes))


def _suffix(lanes: int) -> str:
    return "" if lanes == 1 else str(lanes)


def _pointer(buffer: Buffer, index: Any, mode: str) -> Value:
    return buffer.access_ptr(mode, offset=_offset(buffer, index))


def _offset(buffer: Buffer, index: Any) -> Any:
    axes = index if isinstance(index, tuple) else (index,)
    offset: Any = 0
    for axis, size in zip(axes, buffer.shape, strict=True):
        offset = offset * size + axis
    return offset


@contextmanager
def launch(groups: tuple[Any, ...], threads: tuple[int, ...]) -> Iterator[tuple[Value, ...]]:
    """One kernel over `groups` work groups of `threads` threads: the indices of both, in order."""
    with ExitStack() as stack:
        indices = [
            stack.enter_context(T.thread_binding(extent, thread=f"{name}.{_AXES[axis]}"))
            for name, extents in (("blockIdx", groups), ("threadIdx", threads))
            for axis, extent in enumerate(extents)
        ]
        stack.enter_context(tir.code("kernel"))
        yield tuple(indices)


def shared(size: int, dtype: str = "float32") -> Buffer:
    """Local memory of the work group."""
    return T.sblock_alloc_buffer((size,), dtype, scope="shared")


def barrier() -> None:
    """Every thread of the group sees what the others wrote to local memory before."""
    T.evaluate(T.tvm_storage_sync("shared"))


def reduce_group(
    values: Buffer, thread: Value, threads: int, combine: Callable[[Value, Value], Value]
) -> Value:
    """`values` [threads] of the group combined into one that every thread gets.

    `threads` is a power of two. Each thread has written its own; the buffer is free again after
    the next barrier.
    """
    barrier()
    step = threads // 2
    while step:
        with tir.when(thread < step):
            tir.store(
                values, thread, combine(tir.load(values, thread), tir.load(values, thread + step))
            )
        barrier()
        step //= 2
    return tir.bind(tir.load(values, 0))


@contextmanager
def share(count: int, thread: Value, threads: int) -> Iterator[Value]:
    """A loop over `count` indices whose iterations the threads of a group take in turn."""
    with tir.serial(-(-count // threads)) as step:
        index = tir.bind(step * threads + thread)
        if count % threads == 0:
            yield index
        else:
            with tir.when(index < count):
                yield index


def sum_lanes(values: Buffer, first: int, lanes: int) -> Value:
    """The sum of `lanes` neighbours in a buffer of the thread."""
    total = tir.load(values, first)
    for lane in range(1, lanes):
        total = total + tir.load(values, first + lane)
    return tir.bind(total)
