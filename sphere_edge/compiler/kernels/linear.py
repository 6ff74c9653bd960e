"""Linear layers over packed weights: y [n, rows] = x [n, columns] W^T (+ bias).

Quantized weights meet activations that the kernel first quantizes to int8; sums over a group of 32
are exact integers, sums over groups float32. A row block is multiplied with a tile of activations:

            tile of rows        for each group of 32 columns
          +-------------+         for each word j: weights = a register, one word per row of W
    block |  sums in    |           for each activation row i: sum[i] += dot4(weights, x[i] word j)
    of W  |  registers  |         total[i] += float(sum[i]) * weight scale * activation scale
          +-------------+

Row blocks are shared out over the threads; the weights of a block are read from memory once, and
for every further tile from the caches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sphere_edge.compiler.kernels import mxfp4, tir
from sphere_edge.compiler.kernels.activations import QuantizedRows, quantize_rows
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.tir import Buffer, PrimFunc, Value
from sphere_edge.quantization.weights import WeightFormat

# Rows of the tiles at the end; every `Isa.tile` is a multiple of it.
_SMALL_TILE = 4


@dataclass(frozen=True)
class Shape:
    """A linear layer: `single` for n = 1, else n is symbolic."""

    rows: int
    columns: int
    single: bool
    bias: bool


@cache
def linear(isa: Isa, fmt: WeightFormat, shape: Shape) -> PrimFunc:
    """f(x [n, columns], packed weight…, bias [rows] if any, y [n, rows])."""

    def body() -> None:
        n = 1 if shape.single else tir.symbol("n")
        x = tir.parameter("x", (n, shape.columns), "float32")
        weight = [
            tir.parameter(suffix, size, dtype)
            for suffix, (size, dtype) in fmt.parameters(shape.rows, shape.columns).items()
        ]
        bias = tir.parameter("bias", (shape.rows,), "float32") if shape.bias else None
        y = tir.parameter("y", (n, shape.rows), "float32")
        with tir.code():
            multiply = _quantized if fmt.is_quantized else _floating
            multiply(isa, fmt, shape, n, x, weight, _Output(isa, shape, n, y, bias))

    return tir.function(body)


@dataclass(frozen=True)
class _Output:
    """Where finished sums go: rows beyond the matrix and tokens beyond n are left out."""

    isa: Isa
    shape: Shape
    n: Any
    y: Buffer
    bias: Buffer | None

    def write(self, token: Value, block: Value, value: Value) -> None:
        """Writes the sums of one activation row and one row block."""
        if self.shape.single:
            self._write_block(token, block, value)
        else:
            with tir.when(token < self.n):
                self._write_block(token, block, value)

    def _write_block(self, token: Value, block: Value, value: Value) -> None:
        lanes, rows = self.isa.lanes, self.shape.rows
        first = block * lanes
        if rows % lanes == 0:
            self._write_vector(token, first, value)
            return
        with tir.when(first + lanes <= rows):
            self._write_vector(token, first, value)
        with tir.when(first + lanes > rows):
            edge = tir.local(lanes)
            tir.store(edge, 0, value, lanes)
            with tir.serial(rows % lanes) as lane:
                number = tir.load(edge, lane)
                if self.bias is not None:
                    number = number + tir.load(self.bias, first + lane)
                tir.store(self.y, (token, first + lane), number)

    def _write_vector(self, token: Value, first: Value, value: Value) -> None:
        lanes = self.isa.lanes
        if self.bias is not None:
            value = value + tir.load(self.bias, first, lanes)
        tir.store(self.y, (token, first), value, lanes)


def _quantized(
    isa: Isa,
    fmt: WeightFormat,
    shape: Shape,
    n: Any,
    x: Buffer,
    weight: list[Buffer],
    output: _Output,
) -> None:
    lanes = isa.lanes
    tile = 1 if shape.single else isa.tile
    activations = quantize_rows(isa, x, n, shape.columns, tile, isa.dot(fmt.name).offset)
    with tir.parallel(-(-shape.rows // lanes)) as block:

        def multiply(step: Value, first: Value, count: int) -> None:
            def slots(group: Value) -> list[Value]:
                slot = activations.slot(step, group, first)
                return [tir.bind(slot + row) for row in range(count)]

            sums = quantized_sums(isa, fmt, activations, weight, block, slots, count)
            for row, value in enumerate(sums):
                output.write(step * tile + first + row, block, value)

        each_tile(n, tile, multiply)


def quantized_sums(
    isa: Isa,
    fmt: WeightFormat,
    activations: QuantizedRows,
    weight: list[Buffer],
    block: Value,
    slots: Callable[[Value], list[Value]],
    count: int,
) -> list[Value]:
    """The products of a row block with `count` rows, which are at `slots` of each group."""
    lanes = isa.lanes
    total = tir.local(count * lanes)
    for row in range(count):
        tir.store(total, row * lanes, tir.zeros(lanes), lanes)
    with tir.serial(activations.groups) as group:
        _add_group(isa, fmt, activations, weight, (block, group), slots(group), total)
    return [tir.bind(tir.load(total, row * lanes, lanes)) for row in range(count)]


def each_tile(n: Any, tile: int, multiply: Callable[[Value, Value, int], None]) -> None:
    """`multiply(number of the tile, first row in it, rows)` for n rows.

    What is left after the whole tiles comes in smaller ones: short prompts are common.
    """
    if tile == 1:
        with tir.serial(n) as step:
            multiply(step, 0, 1)
        return
    with tir.serial(n // tile) as step:
        multiply(step, 0, tile)
    with tir.serial((n % tile + (_SMALL_TILE - 1)) // _SMALL_TILE) as part:
        multiply(n // tile, part * _SMALL_TILE, _SMALL_TILE)


def _add_group(
    isa: Isa,
    fmt: WeightFormat,
    activations: QuantizedRows,
    weight: list[Buffer],
    position: tuple[Value, Value],
    slots: list[Value],
    total: Buffer,
) -> None:
    """Adds the products of one group of 32 columns to the sums of the rows at `slots`."""
    (block, group), scale = position, weight[1]
    lanes = isa.lanes
    sums_of = _sums if isa.pair is None or len(slots) == 1 else _sums_by_pairs
    exact = sums_of(isa, fmt, activations, weight[0], position, slots)
    scales = tir.bind(_scales(isa, fmt, scale, (block, group, 0)))
    for row, slot in enumerate(slots):
        factor = scales * tir.splat(tir.load(activations.scale, slot), lanes)
        before = tir.load(total, row * lanes, lanes)
        products = tir.cast(exact[row], "float32", lanes) * factor
        tir.store(total, row * lanes, before + products, lanes)


def _scales(isa: Isa, fmt: WeightFormat, scale: Buffer, index: tuple[Value, ...]) -> Value:
    """The scales of a row block's group."""
    if fmt.name == "mxfp4":
        return mxfp4.scales(scale, index, isa.lanes)
    return isa.widen(tir.load(scale, index, isa.lanes), isa.lanes)


def _sums(
    isa: Isa,
    fmt: WeightFormat,
    activations: QuantizedRows,
    data: Buffer,
    position: tuple[Value, Value],
    slots: list[Value],
) -> list[Value]:
    """The integer sums of a group for the rows at `slots`, each with all rows of a block."""
    lanes, dot = isa.lanes, isa.dot(fmt.name)
    rows = range(len(slots))
    corrections = _corrections(isa, fmt, activations, slots)
    sums = [dot.start(correction) for correction in corrections]
    spread = [isa.spread(activations.words, slot * 8) for slot in slots]
    for stored in range(int(data.shape[2])):
        words = tir.bind(tir.load(data, (*position, stored, 0), lanes))
        for word, weights in _columns(fmt, stored, words, lanes):
            prepared = tir.bind(dot.prepare(weights))
            sums = [dot.step(sums[row], prepared, spread[row][word]) for row in rows]
    return [dot.finish(sums[row], corrections[row]) for row in rows]


def _sums_by_pairs(
    isa: Isa,
    fmt: WeightFormat,
    activations: QuantizedRows,
    data: Buffer,
    position: tuple[Value, Value],
    slots: list[Value],
) -> list[Value]:
    """The same for an even number of rows, two at a time."""
    dot, lanes, prepare = isa.pair, isa.lanes, isa.dot(fmt.name).prepare
    assert dot is not None
    pairs = list(zip(slots[0::2], slots[1::2], strict=True))
    corrections = _corrections(isa, fmt, activations, slots)
    sums = [dot.start(*pair) for pair in zip(corrections[0::2], corrections[1::2], strict=True)]
    for stored in range(0, int(data.shape[2]), 2):
        first, second = (
            _columns(fmt, at, tir.bind(tir.load(data, (*position, at, 0), lanes)), lanes)
            for at in (stored, stored + 1)
        )
        for (word, low), (_, high) in zip(first, second, strict=True):
            rows = dot.rows(prepare(low), prepare(high))
            for number, pair in enumerate(pairs):
                both = (tir.load(activations.words, slot * 8 + word, 2) for slot in pair)
                sums[number] = dot.step(sums[number], rows, dot.activations(*both))
    return [exact for pair in sums for exact in dot.finish(pair)]


def _corrections(
    isa: Isa, fmt: WeightFormat, activations: QuantizedRows, slots: list[Value]
) -> list[Value]:
    if not isa.dot(fmt.name).offset:
        return [tir.const(0, "int32") for _ in slots]
    return [tir.load(activations.correction, slot) for slot in slots]


def _columns(fmt: WeightFormat, stored: int, words: Value, lanes: int) -> list[tuple[int, Value]]:
    """Activation words that a stored word meets, with the weights for each."""
    if fmt.name == "q8":
        return [(stored, words)]
    low = tir.const(0x0F0F0F0F, "uint32", lanes)
    high = (words >> tir.const(4, "uint32", lanes)) & low
    return [(stored, words & low), (stored + 4, high)]


def _floating(
    isa: Isa,
    fmt: WeightFormat,
    shape: Shape,
    n: Any,
    x: Buffer,
    weight: list[Buffer],
    output: _Output,
) -> None:
    tile = 1 if shape.single else isa.tile
    with tir.parallel(-(-shape.rows // isa.lanes)) as block:

        def multiply(step: Value, first: Value, count: int) -> None:
            tokens = [
                tir.bind(tir.minimum(step * tile + first + row, n - 1)) for row in range(count)
            ]
            sums = floating_sums(isa, fmt, weight, block, x, tokens, single=shape.single)
            for row, value in enumerate(sums):
                output.write(step * tile + first + row, block, value)

        each_tile(n, tile, multiply)


def floating_sums(
    isa: Isa,
    fmt: WeightFormat,
    weight: list[Buffer],
    block: Value,
    x: Buffer,
    rows: list[Value],
    *,
    single: bool,
) -> list[Value]:
    """The products of a row block of f32, f16 or mxfp4 weights with some rows of `x`."""
    lanes, columns = isa.lanes, int(x.shape[1])
    # One row alone has too few independent sums to keep the multipliers busy: split its columns.
    chains = 4 if single else 1
    total = tir.local(len(rows) * chains * lanes)
    for part in range(len(rows) * chains):
        tir.store(total, part * lanes, tir.zeros(lanes), lanes)

    def add(column: Value, chain: int) -> None:
        if fmt.name == "mxfp4":
            weights = mxfp4.floats(weight, block, column, lanes)
        else:
            weights = tir.load(weight[0], (block, column, 0), lanes)
        if fmt.name == "f16":
            weights = isa.widen(weights, lanes)
        weights = tir.bind(weights)
        for number, row in enumerate(rows):
            at = (number * chains + chain) * lanes
            product = weights * tir.splat(tir.load(x, (row, column)), lanes)
            tir.store(total, at, tir.load(total, at, lanes) + product, lanes)

    with tir.serial(columns // chains) as column:
        for chain in range(chains):
            add(column * chains + chain, chain)
    for column in range(columns // chains * chains, columns):
        add(column, 0)
    sums = []
    for number in range(len(rows)):
        value = tir.load(total, number * chains * lanes, lanes)
        for chain in range(1, chains):
            value = value + tir.load(total, (number * chains + chain) * lanes, lanes)
        sums.append(tir.bind(value))
    return sums
