"""The words in which every kernel is written: functions, buffers, vectors and loops of TVM's TIR.

A kernel is ordinary Python that emits TIR through TVM's IRBuilder: a Python loop is unrolled
code, `serial` and `parallel` are loops of the compiled code, `bind` computes a value once.
Vectors are values with lanes ("float32x16"); a scalar meets a vector by `splat`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

# A TIR expression, buffer or function: TVM has no static types for them.
Value = Any
Buffer = Any
PrimFunc = Any


def symbol(name: str) -> tirx.Var:
    """A shape known only when the function is called."""
    return tirx.Var(name, "int64")


def function(body: Callable[[], None]) -> PrimFunc:
    """The TIR function whose parameters and statements `body` emits."""
    with IRBuilder() as builder, T.prim_func(private=True, s_tir=True):
        # Scheduled by hand and opaque: no pass may fuse into it or reorder its loops.
        T.func_attr({"tirx.noalias": True, "tirx.is_scheduled": True, "op_pattern": 8})
        body()
    return builder.get()


def parameter(name: str, shape: tuple[Any, ...], dtype: str) -> Buffer:
    """The next tensor parameter of the function; call before `code`."""
    return T.arg(name, T.buffer(shape, dtype))


@contextmanager
def code(name: str = "root") -> Iterator[None]:
    """A block of statements in which buffers live; one surrounds the body of every function."""
    with T.sblock(name):
        T.reads()
        T.writes()
        yield


def scratch(size: Any, dtype: str = "float32") -> Buffer:
    """Memory for the whole call, shared by all threads; `size` may be symbolic."""
    return T.sblock_alloc_buffer((size,), dtype)


def local(size: int, dtype: str = "float32") -> Buffer:
    """A small buffer of the current thread, in registers where all its indices are constants."""
    return T.sblock_alloc_buffer((size,), dtype, scope="local")


@contextmanager
def parallel(extent: Any) -> Iterator[Value]:
    """A loop whose iterations are shared out over the threads. `extent` 1 costs no launch."""
    if isinstance(extent, int) and extent == 1:
        with serial(1) as index:
            yield index
        return
    with T.parallel(extent) as index, code("task"):
        yield index


@contextmanager
def serial(extent: Any) -> Iterator[Value]:
    """A loop of the current thread; buffers made inside live for one iteration."""
    with T.serial(extent) as index, code("step"):
        yield index


@contextmanager
def when(condition: Value) -> Iterator[None]:
    """Statements run only where `condition` holds."""
    with T.If(condition), T.Then():
        yield


def bind(value: Value) -> Value:
    """Computes `value` here, once, and names it."""
    return T.Bind(value)


def typed(dtype: str, lanes: int) -> str:
    """The name of a vector type; a vector of one lane is a scalar."""
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def splat(value: Value, lanes: int) -> Value:
    """`value` in every lane."""
    return value if lanes == 1 else T.broadcast(value, lanes)


def const(value: float, dtype: str = "float32", lanes: int = 1) -> Value:
    """A constant in every lane."""
    return splat(tirx.const(value, dtype), lanes)


def zeros(lanes: int, dtype: str = "float32") -> Value:
    """Zero in every lane."""
    return const(0, dtype, lanes)


def repeat(value: Value, lane: int, lanes: int) -> Value:
    """One lane of a vector in every lane."""
    return tirx.Shuffle([value], [tirx.const(lane, "int32")] * lanes)


def lanes_of(vectors: list[Value], lanes: list[int]) -> Value:
    """A vector of some lanes of others, which are counted through, one vector after the other."""
    return tirx.Shuffle(vectors, [tirx.const(lane, "int32") for lane in lanes])


def cast(value: Value, dtype: str, lanes: int) -> Value:
    """Conversion by value; float to integer truncates."""
    return T.cast(value, typed(dtype, lanes))


def bits(value: Value, dtype: str, lanes: int) -> Value:
    """The same bits as another type."""
    return T.reinterpret(typed(dtype, lanes), value)


def load(buffer: Buffer, index: Any, lanes: int = 1) -> Value:
    """`lanes` neighbours of `buffer` from `index` on, along the last of its axes."""
    return buffer[_position(index, lanes)]


def store(buffer: Buffer, index: Any, value: Value, lanes: int = 1) -> None:
    """Writes `lanes` neighbours of `buffer` starting at `index`, as `load` reads them."""
    T.buffer_store(buffer, value, list(_position(index, lanes)))


def _position(index: Any, lanes: int) -> tuple[Any, ...]:
    axes = index if isinstance(index, tuple) else (index,)
    last = axes[-1] if lanes == 1 else T.ramp(axes[-1], 1, lanes)
    return (*axes[:-1], last)


def intrinsic(name: str, dtype: str, *arguments: Value) -> Value:
    """An LLVM intrinsic without side effects."""
    number = T.llvm_lookup_intrinsic_id(name)
    return T.call_llvm_pure_intrin(number, *arguments, dtype=dtype)


def maximum(a: Value, b: Value) -> Value:
    """The larger of two values, lane by lane."""
    return tirx.max(a, b)


def minimum(a: Value, b: Value) -> Value:
    """The smaller of two values, lane by lane."""
    return tirx.min(a, b)


def sqrt(value: Value) -> Value:
    """Square root."""
    return tirx.sqrt(value)


def cos(angle: Value) -> Value:
    """Cosine of a scalar, by the C library."""
    return tirx.cos(angle)


def sin(angle: Value) -> Value:
    """Sine of a scalar, by the C library."""
    return tirx.sin(angle)


def choose(condition: Value, a: Value, b: Value) -> Value:
    """`a` where `condition` holds, else `b`, lane by lane; both are computed."""
    return tirx.Select(condition, a, b)


def lane_maximum(value: Value, lanes: int) -> Value:
    """The largest lane of an int32 vector."""
    return intrinsic(f"llvm.vector.reduce.smax.v{lanes}i32", "int32", value)


def lane_sum(value: Value, lanes: int) -> Value:
    """The sum of the lanes of an int32 vector."""
    return intrinsic(f"llvm.vector.reduce.add.v{lanes}i32", "int32", value)


def fold(value: Value, lanes: int, combine: Callable[[Value, Value], Value]) -> Value:
    """Combines the lanes of a float32 vector by halves until one is left."""
    while lanes > 2:
        lanes //= 2
        half = typed("float32", lanes)
        value = bind(combine(T.vectorlow(half, value), T.vectorhigh(half, value)))
    if lanes == 1:
        return value
    low, high = (tirx.Shuffle([value], [tirx.const(lane, "int32")]) for lane in range(2))
    return bind(combine(low, high))
