"""Operators on single tokens: RMSNorm (with residual), gated activations, embedding rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import pi, sqrt

from sphere_edge.compiler.kernels import arithmetic, mxfp4, tir
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.models.kernels import ClampedSwiglu
from sphere_edge.quantization.weights import GROUP, WeightFormat

# Sums kept apart while adding up squares: hides the latency of addition, and rounds less.
_CHAINS = 4


@dataclass(frozen=True)
class Norm:
    """An RMSNorm of rows of `columns`, of one row if `single`; `residual` is added first."""

    columns: int
    single: bool
    epsilon: float
    residual: bool


@dataclass(frozen=True)
class Table:
    """An embedding of `blocks` row blocks, of which one row is taken if `single`."""

    fmt: WeightFormat
    blocks: int
    columns: int
    single: bool

    def parameters(self) -> list[Buffer]:
        """The kernel's parameters for the packed weight."""
        sizes = self.fmt.parameters(self.blocks * self.fmt.row_block, self.columns)
        return [tir.parameter(name, size, dtype) for name, (size, dtype) in sizes.items()]

    def row_of(self, token_id: Value) -> tuple[Value, Value]:
        """Block and lane of a token's row; ids out of range take an end."""
        wanted = tir.maximum(token_id, tir.const(0, "int32"))
        last = tir.const(self.blocks * self.fmt.row_block - 1, "int32")
        row = tir.bind(tir.minimum(wanted, last))
        return tir.bind(row // self.fmt.row_block), tir.bind(row % self.fmt.row_block)


@cache
def rms_norm(isa: Isa, norm: Norm) -> PrimFunc:
    """f(x, weight, y) or f(x, residual, weight, y, sum), all [n, columns] but weight [columns]."""
    columns = norm.columns

    def body() -> None:
        n = 1 if norm.single else tir.symbol("n")
        x = tir.parameter("x", (n, columns), "float32")
        other = tir.parameter("residual", (n, columns), "float32") if norm.residual else None
        weight = tir.parameter("weight", (columns,), "float32")
        y = tir.parameter("y", (n, columns), "float32")
        added = tir.parameter("sum", (n, columns), "float32") if norm.residual else None

        with tir.code(), tir.parallel(n) as token:
            squares = tir.local(_CHAINS * isa.lanes)
            for chain in range(_CHAINS):
                tir.store(squares, chain * isa.lanes, tir.zeros(isa.lanes), isa.lanes)
            rest = tir.local(1)
            tir.store(rest, 0, tir.const(0.0))

            def square(column: Value, chain: int, lanes: int) -> None:
                value = tir.load(x, (token, column), lanes)
                if other is not None:
                    value = value + tir.load(other, (token, column), lanes)
                value = tir.bind(value)
                if added is not None:
                    tir.store(added, (token, column), value, lanes)
                sums, lane = (squares, chain * isa.lanes) if lanes > 1 else (rest, 0)
                tir.store(sums, lane, tir.load(sums, lane, lanes) + value * value, lanes)

            along(isa, columns, square)
            total = tir.load(squares, 0, isa.lanes)
            for chain in range(1, _CHAINS):
                total = total + tir.load(squares, chain * isa.lanes, isa.lanes)
            total = tir.fold(tir.bind(total), isa.lanes, lambda a, b: a + b) + tir.load(rest, 0)
            mean = total / tir.const(columns)
            scale = tir.bind(tir.const(1.0) / tir.sqrt(mean + tir.const(norm.epsilon)))
            source = x if added is None else added

            def normalize(column: Value, chain: int, lanes: int) -> None:
                value = tir.load(source, (token, column), lanes) * tir.splat(scale, lanes)
                tir.store(y, (token, column), value * tir.load(weight, column, lanes), lanes)

            along(isa, columns, normalize)

    return tir.function(body)


def along(isa: Isa, columns: int, visit: Callable[[Value, int, int], None]) -> None:
    """`visit(column, chain, lanes)` over a row: vectors first, then the odd numbers one by one."""
    step = isa.lanes * _CHAINS
    with tir.serial(columns // step) as index:
        for chain in range(_CHAINS):
            visit(index * step + chain * isa.lanes, chain, isa.lanes)
    start = columns // step * step
    for chain in range((columns - start) // isa.lanes):
        visit(start + chain * isa.lanes, chain, isa.lanes)
    start = columns // isa.lanes * isa.lanes
    with tir.serial(columns - start) as index:
        visit(start + index, 0, 1)


@cache
def gated(isa: Isa, columns: int, single: bool, activation: str | ClampedSwiglu) -> PrimFunc:
    """f(gate_up [n, 2 columns], y [n, columns]): activation(gate) * up."""

    def body() -> None:
        n = 1 if single else tir.symbol("n")
        gate_up = tir.parameter("gate_up", (n, 2 * columns), "float32")
        y = tir.parameter("y", (n, columns), "float32")

        with tir.code(), tir.parallel(n) as token:

            def visit(column: Value, chain: int, lanes: int) -> None:
                gate = tir.bind(tir.load(gate_up, (token, column), lanes))
                up = tir.bind(tir.load(gate_up, (token, columns + column), lanes))
                if isinstance(activation, ClampedSwiglu):
                    product = _clamped_swiglu(gate, up, activation, lanes)
                else:
                    product = ACTIVATIONS[activation](gate, lanes) * up
                tir.store(y, (token, column), product, lanes)

            along(isa, columns, visit)

    return tir.function(body)


def _silu(x: Value, lanes: int) -> Value:
    one = tir.const(1.0, lanes=lanes)
    return x / (one + arithmetic.exp(tir.zeros(lanes) - x, lanes))


def _clamped_swiglu(gate: Value, up: Value, settings: ClampedSwiglu, lanes: int) -> Value:
    limit = tir.const(settings.limit, lanes=lanes)
    one, alpha = tir.const(1.0, lanes=lanes), tir.const(settings.alpha, lanes=lanes)
    gate = tir.bind(tir.minimum(gate, limit))
    up = tir.bind(tir.maximum(tir.minimum(up, limit), tir.zeros(lanes) - limit))
    sigmoid = one / (one + arithmetic.exp(tir.zeros(lanes) - gate * alpha, lanes))
    return (up + one) * gate * sigmoid


def _gelu(x: Value, lanes: int) -> Value:
    half, one = tir.const(0.5, lanes=lanes), tir.const(1.0, lanes=lanes)
    return half * x * (one + arithmetic.erf(x * tir.const(sqrt(0.5), lanes=lanes), lanes))


def _gelu_tanh(x: Value, lanes: int) -> Value:
    half, one = tir.const(0.5, lanes=lanes), tir.const(1.0, lanes=lanes)
    cubic = x + tir.const(0.044715, lanes=lanes) * x * x * x
    inner = cubic * tir.const(sqrt(2 / pi), lanes=lanes)
    return half * x * (one + arithmetic.tanh(inner, lanes))


ACTIVATIONS = {"silu": _silu, "gelu": _gelu, "gelu_tanh": _gelu_tanh}


@cache
def take(isa: Isa, table: Table) -> PrimFunc:
    """f(token_ids int32 [n], packed weight…, y [n, columns]); ids out of range take an end."""
    fmt, columns = table.fmt, table.columns

    def body() -> None:
        n = 1 if table.single else tir.symbol("n")
        token_ids = tir.parameter("token_ids", (n,), "int32")
        weight = table.parameters()
        y = tir.parameter("y", (n, columns), "float32")

        def number(block: Value, lane: Value, column: Value) -> Value:
            if fmt.name == "f32":
                return tir.load(weight[0], (block, column, lane))
            if fmt.name == "f16":
                return isa.widen(tir.load(weight[0], (block, column, lane)), 1)
            group, inner = column // GROUP, column % GROUP
            if fmt.name == "mxfp4":
                return mxfp4.floats(weight, (block, column, lane), 1)
            scale = isa.widen(tir.load(weight[1], (block, group, lane)), 1)
            if fmt.name == "q8":
                word = tir.load(weight[0], (block, group, inner // 4, lane))
                up = tir.bits(word << tir.cast(24 - inner % 4 * 8, "uint32", 1), "int32", 1)
                return tir.cast(up >> tir.const(24, "int32"), "float32", 1) * scale
            word = tir.load(weight[0], (block, group, inner % 16 // 4, lane))
            shift = tir.cast(inner % 4 * 8 + inner // 16 * 4, "uint32", 1)
            unsigned = (word >> shift) & tir.const(15, "uint32")
            return (tir.cast(unsigned, "float32", 1) - tir.const(8.0)) * scale

        with tir.code(), tir.parallel(n) as token:
            block, lane = table.row_of(tir.load(token_ids, token))
            with tir.serial(columns) as column:
                tir.store(y, (token, column), number(block, lane, column))

    return tir.function(body)
