"""Mixture of experts (Shazeer et al. 2017): each token is multiplied with a few of many matrices.

The experts' matrices are stacked on their rows, each in whole row blocks. A pair is a token with
one of its experts; pair p belongs to token p // top_k. Many tokens are sorted by expert first, so
that a row block is read once for all tokens that use it; with one token, only its experts are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sphere_edge.compiler.kernels import arithmetic, tir
from sphere_edge.compiler.kernels.activations import quantize_rows
from sphere_edge.compiler.kernels.decode_attention import MASKED
from sphere_edge.compiler.kernels.elementwise import along
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.linear import (
    FloatRows,
    QuantizedTile,
    Weights,
    each_tile,
    floating_sums,
    quantized_sums,
)
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.quantization.weights import WeightFormat


@dataclass(frozen=True)
class Shape:
    """`experts` matrices [rows, columns], `top_k` of them per token.

    `single`: one token, else their number is symbolic. `shared`: all pairs of a token take the
    token's one row, else each pair has its own. `bias`: one number per row of every expert.
    `exact`: activations are not rounded to int8, whatever the weights are.
    """

    experts: int
    top_k: int
    rows: int
    columns: int
    single: bool
    shared: bool
    bias: bool
    exact: bool = False


@cache
def route(experts: int, top_k: int, single: bool, normalized: bool) -> PrimFunc:
    """f(logits [n, experts], expert_indices int32 [n, top_k], routing_weights).

    `normalized`: the softmax is over these `top_k`, so that their weights sum to 1; else over all.
    """

    def body() -> None:
        n = 1 if single else tir.symbol("n")
        logits = tir.parameter("logits", (n, experts), "float32")
        expert_indices = tir.parameter("expert_indices", (n, top_k), "int32")
        routing_weights = tir.parameter("routing_weights", (n, top_k), "float32")
        with tir.code(), tir.parallel(n) as token:
            left, best, total = tir.local(experts), tir.local(1, "int32"), tir.local(1)
            with tir.serial(experts) as expert:
                tir.store(left, expert, tir.load(logits, (token, expert)))
            with tir.serial(top_k) as rank:
                tir.store(best, 0, tir.const(0, "int32"))
                with tir.serial(experts) as expert:
                    largest = tir.load(left, tir.load(best, 0))
                    with tir.when(tir.load(left, expert) > largest):
                        tir.store(best, 0, tir.cast(expert, "int32", 1))
                number = tir.bind(tir.load(best, 0))
                tir.store(expert_indices, (token, rank), number)
                tir.store(routing_weights, (token, rank), tir.load(left, number))
                tir.store(left, number, tir.const(MASKED))
            largest = tir.bind(tir.load(routing_weights, (token, 0)))
            tir.store(total, 0, tir.const(0.0))

            def add(logit: Value) -> None:
                weight = arithmetic.exp(logit - largest, 1)
                tir.store(total, 0, tir.load(total, 0) + weight)

            if normalized:
                with tir.serial(top_k) as rank:
                    add(tir.load(routing_weights, (token, rank)))
            else:
                with tir.serial(experts) as expert:
                    add(tir.load(logits, (token, expert)))
            with tir.serial(top_k) as rank:
                weight = arithmetic.exp(tir.load(routing_weights, (token, rank)) - largest, 1)
                tir.store(routing_weights, (token, rank), weight / tir.load(total, 0))

    return tir.function(body)


@cache
def experts_linear(isa: Isa, fmt: WeightFormat, shape: Shape) -> PrimFunc:
    """f(expert_indices int32 [n, top_k], x, packed weight…, bias?, y [n top_k, rows]).

    x is [n, columns] where `shared`, else [n top_k, columns]. Bias is [experts rows]. Rows must be
    whole row blocks.
    """

    def body() -> None:
        n = 1 if shape.single else tir.symbol("n")
        expert_indices = tir.parameter("expert_indices", (n, shape.top_k), "int32")
        x = tir.parameter("x", (n if shape.shared else n * shape.top_k, shape.columns), "float32")
        weight = [
            tir.parameter(suffix, size, dtype)
            for suffix, (size, dtype) in fmt.parameters(
                shape.experts * shape.rows, shape.columns
            ).items()
        ]
        bias = None
        if shape.bias:
            bias = tir.parameter("bias", (shape.experts * shape.rows,), "float32")
        y = tir.parameter("y", (n * shape.top_k, shape.rows), "float32")
        with tir.code():
            sums = _sums(Weights(isa, fmt, weight), shape, x)
            work = _Work(isa, shape, n, expert_indices, bias, y, sums)
            if shape.single:
                work.one_token()
            else:
                work.many_tokens()

    return tir.function(body)


# The products of a row block with some rows of x: (block, rows) → one vector per row.
_Sums = Callable[[Value, list[Value]], list[Value]]


def _sums(weights: Weights, shape: Shape, x: Buffer) -> _Sums:
    isa, fmt = weights.isa, weights.fmt
    if shape.exact or not fmt.is_quantized:
        return lambda block, rows: floating_sums(weights, block, FloatRows(x, rows, shape.single))
    # Tiles of one row: whichever rows an expert's pairs name can be taken together.
    kept = quantize_rows(isa, x, 1, isa.dot(fmt.name).offset)

    def quantized(block: Value, rows: list[Value]) -> list[Value]:
        def slots(group: Value) -> list[Value]:
            return [tir.bind(kept.slot(row, group, 0)) for row in rows]

        return quantized_sums(weights, block, QuantizedTile(kept, slots, len(rows)))

    return quantized


@dataclass(frozen=True)
class _Work:
    isa: Isa
    shape: Shape
    n: Any
    expert_indices: Buffer
    bias: Buffer | None
    y: Buffer
    sums: _Sums

    @property
    def blocks(self) -> int:
        """Row blocks of one expert."""
        return self.shape.rows // self.isa.lanes

    def one_token(self) -> None:
        """A task per row block of each of the token's experts."""
        with tir.parallel(self.shape.top_k * self.blocks) as task:
            pair, part = tir.bind(task // self.blocks), tir.bind(task % self.blocks)
            expert = tir.bind(tir.load(self.expert_indices, (0, pair)))
            source = tir.const(0, "int32") if self.shape.shared else pair
            (value,) = self.sums(tir.bind(expert * self.blocks + part), [source])
            self._write(pair, expert, part, value)

    def many_tokens(self) -> None:
        """A task per row block of all experts: the pairs of each, a tile at a time."""
        starts, order = self._sorted()
        with (
            tir.parallel(self.blocks) as part,
            tir.serial(self.shape.experts) as expert,
        ):
            begin = tir.bind(tir.load(starts, expert))
            end = tir.bind(tir.load(starts, expert + 1))
            block = tir.bind(expert * self.blocks + part)

            def multiply(step: Value, first: Value, count: int) -> None:
                slots = [
                    tir.bind(begin + step * self.isa.tile + first + row) for row in range(count)
                ]
                pairs = [tir.bind(tir.load(order, tir.minimum(rank, end - 1))) for rank in slots]
                rows = pairs
                if self.shape.shared:
                    rows = [tir.bind(pair // self.shape.top_k) for pair in pairs]
                for rank, pair, value in zip(slots, pairs, self.sums(block, rows), strict=True):
                    with tir.when(rank < end):
                        self._write(pair, expert, part, value)

            each_tile(tir.bind(end - begin), self.isa.tile, multiply)

    def _sorted(self) -> tuple[Buffer, Buffer]:
        """Where each expert's pairs start, [experts + 1], in the pairs sorted by expert."""
        top_k, experts = self.shape.top_k, self.shape.experts
        pairs = self.n * top_k
        starts = tir.scratch(experts + 1, "int32")
        free, order = tir.scratch(experts, "int32"), tir.scratch(pairs, "int32")
        one = tir.const(1, "int32")

        def wanted(pair: Value) -> Value:
            return tir.bind(tir.load(self.expert_indices, (pair // top_k, pair % top_k)))

        with tir.serial(experts + 1) as expert:
            tir.store(starts, expert, tir.const(0, "int32"))
        with tir.serial(pairs) as pair:
            after = tir.bind(wanted(pair) + 1)
            tir.store(starts, after, tir.load(starts, after) + one)
        with tir.serial(experts) as expert:
            start = tir.bind(tir.load(starts, expert))
            tir.store(free, expert, start)
            tir.store(starts, expert + 1, tir.load(starts, expert + 1) + start)
        with tir.serial(pairs) as pair:
            expert = wanted(pair)
            rank = tir.bind(tir.load(free, expert))
            tir.store(order, rank, tir.cast(pair, "int32", 1))
            tir.store(free, expert, rank + one)
        return starts, order

    def _write(self, pair: Value, expert: Value, part: Value, value: Value) -> None:
        lanes = self.isa.lanes
        if self.bias is not None:
            first = expert * self.shape.rows + part * lanes
            value = value + tir.load(self.bias, first, lanes)
        tir.store(self.y, (pair, part * lanes), value, lanes)


@cache
def combine(isa: Isa, columns: int, top_k: int, single: bool) -> PrimFunc:
    """f(rows [n top_k, columns], routing_weights [n, top_k], y [n, columns]): weighted sums."""

    def body() -> None:
        n = 1 if single else tir.symbol("n")
        routing_weights = tir.parameter("routing_weights", (n, top_k), "float32")
        rows = tir.parameter("rows", (n * top_k, columns), "float32")
        y = tir.parameter("y", (n, columns), "float32")
        with tir.code(), tir.parallel(n) as token:

            def add(column: Value, _chain: int, lanes: int) -> None:
                total = None
                for rank in range(top_k):
                    routing_weight = tir.splat(tir.load(routing_weights, (token, rank)), lanes)
                    term = tir.load(rows, (token * top_k + rank, column), lanes) * routing_weight
                    total = term if total is None else tir.bind(total + term)
                tir.store(y, (token, column), total, lanes)

            along(isa, columns, add)

    return tir.function(body)
