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
            multiply(Weights(isa, fmt, weight), x, _Output(isa, shape, n, y, bias))

    return tir.function(body)


@dataclass(frozen=True)
class Weights:
    """The arrays of a packed matrix, and the instructions that multiply with it."""

    isa: Isa
    fmt: WeightFormat
    arrays: list[Buffer]

    @property
    def lanes(self) -> int:
        """Rows of a block."""
        return self.isa.lanes

    def scales(self, index: tuple[Value, ...]) -> Value:
        """The scales of a row block's group."""
        if self.fmt.name == "mxfp4":
            return mxfp4.scales(self.arrays[1], index, self.lanes)
        return self.isa.widen(tir.load(self.arrays[1], index, self.lanes), self.lanes)

    def column(self, block: Value, column: Value) -> Value:
        """One column of a row block as float32, of weights that need no scale or are mxfp4."""
        if self.fmt.name == "mxfp4":
            return mxfp4.floats(self.arrays, (block, column, 0), self.lanes)
        stored = tir.load(self.arrays[0], (block, column, 0), self.lanes)
        return self.isa.widen(stored, self.lanes) if self.fmt.name == "f16" else stored

    def stored(self, position: tuple[Value, Value], word: int) -> Value:
        """A stored word of each row of a block's group."""
        return tir.bind(tir.load(self.arrays[0], (*position, word, 0), self.lanes))

    @property
    def words(self) -> int:
        """Stored words of a row's group."""
        return int(self.arrays[0].shape[2])


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


def _quantized(weights: Weights, x: Buffer, output: _Output) -> None:
    isa, shape = weights.isa, output.shape
    tile = 1 if shape.single else isa.tile
    activations = quantize_rows(isa, x, tile, isa.dot(weights.fmt.name).offset)
    with tir.parallel(-(-shape.rows // isa.lanes)) as block:

        def multiply(step: Value, first: Value, count: int) -> None:
            def slots(group: Value) -> list[Value]:
                slot = activations.slot(step, group, first)
                return [tir.bind(slot + row) for row in range(count)]

            sums = quantized_sums(weights, block, QuantizedTile(activations, slots, count))
            for row, value in enumerate(sums):
                output.write(step * tile + first + row, block, value)

        each_tile(output.n, tile, multiply)


@dataclass(frozen=True)
class QuantizedTile:
    """`count` of the activations' rows, which are at `slots` of each group."""

    activations: QuantizedRows
    slots: Callable[[Value], list[Value]]
    count: int


def quantized_sums(weights: Weights, block: Value, tile: QuantizedTile) -> list[Value]:
    """The products of a row block with the rows of a tile."""
    lanes = weights.lanes
    total = tir.local(tile.count * lanes)
    for row in range(tile.count):
        tir.store(total, row * lanes, tir.zeros(lanes), lanes)
    with tir.serial(tile.activations.groups) as group:
        _add_group(weights, tile, (block, group), total)
    return [tir.bind(tir.load(total, row * lanes, lanes)) for row in range(tile.count)]


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
    weights: Weights, tile: QuantizedTile, position: tuple[Value, Value], total: Buffer
) -> None:
    """Adds the products of one group of 32 columns to the sums of the tile's rows."""
    isa, lanes, slots = weights.isa, weights.lanes, tile.slots(position[1])
    sums_of = _sums if isa.pair is None or len(slots) == 1 else _sums_by_pairs
    exact = sums_of(weights, tile.activations, position, slots)
    scales = tir.bind(weights.scales((*position, 0)))
    for row, slot in enumerate(slots):
        factor = scales * tir.splat(tir.load(tile.activations.scale, slot), lanes)
        before = tir.load(total, row * lanes, lanes)
        products = tir.cast(exact[row], "float32", lanes) * factor
        tir.store(total, row * lanes, before + products, lanes)


def _sums(
    weights: Weights, activations: QuantizedRows, position: tuple[Value, Value], slots: list[Value]
) -> list[Value]:
    """The integer sums of a group for the rows at `slots`, each with all rows of a block."""
    isa, dot = weights.isa, weights.isa.dot(weights.fmt.name)
    rows = range(len(slots))
    corrections = _corrections(weights, activations, slots)
    sums = [dot.start(correction) for correction in corrections]
    spread = [isa.spread(activations.words, slot * 8) for slot in slots]
    for stored in range(weights.words):
        for word, numbers in _columns(weights, position, stored):
            prepared = tir.bind(dot.prepare(numbers))
            sums = [dot.step(sums[row], prepared, spread[row][word]) for row in rows]
    return [dot.finish(sums[row], corrections[row]) for row in rows]


def _sums_by_pairs(
    weights: Weights, activations: QuantizedRows, position: tuple[Value, Value], slots: list[Value]
) -> list[Value]:
    """The same for an even number of rows, two at a time."""
    dot, prepare = weights.isa.pair, weights.isa.dot(weights.fmt.name).prepare
    assert dot is not None
    pairs = list(zip(slots[0::2], slots[1::2], strict=True))
    corrections = _corrections(weights, activations, slots)
    sums = [dot.start(*pair) for pair in zip(corrections[0::2], corrections[1::2], strict=True)]
    for stored in range(0, weights.words, 2):
        first, second = (_columns(weights, position, at) for at in (stored, stored + 1))
        for (word, low), (_, high) in zip(first, second, strict=True):
            rows = dot.rows(prepare(low), prepare(high))
            for number, pair in enumerate(pairs):
                both = (tir.load(activations.words, slot * 8 + word, 2) for slot in pair)
                sums[number] = dot.step(sums[number], rows, dot.activations(*both))
    return [exact for pair in sums for exact in dot.finish(pair)]


def _corrections(weights: Weights, activations: QuantizedRows, slots: list[Value]) -> list[Value]:
    if not weights.isa.dot(weights.fmt.name).offset:
        return [tir.const(0, "int32") for _ in slots]
    return [tir.load(activations.correction, slot) for slot in slots]


def _columns(
    weights: Weights, position: tuple[Value, Value], stored: int
) -> list[tuple[int, Value]]:
    """Activation words that a stored word meets, with the weights for each."""
    words, lanes = weights.stored(position, stored), weights.lanes
    if weights.fmt.name == "q8":
        return [(stored, words)]
    low = tir.const(0x0F0F0F0F, "uint32", lanes)
    high = (words >> tir.const(4, "uint32", lanes)) & low
    return [(stored, words & low), (stored + 4, high)]


def _floating(weights: Weights, x: Buffer, output: _Output) -> None:
    shape, n = output.shape, output.n
    tile = 1 if shape.single else weights.isa.tile
    with tir.parallel(-(-shape.rows // weights.lanes)) as block:

        def multiply(step: Value, first: Value, count: int) -> None:
            tokens = [
                tir.bind(tir.minimum(step * tile + first + row, n - 1)) for row in range(count)
            ]
            sums = floating_sums(weights, block, FloatRows(x, tokens, shape.single))
            for row, value in enumerate(sums):
                output.write(step * tile + first + row, block, value)

        each_tile(n, tile, multiply)


@dataclass(frozen=True)
class FloatRows:
    """Some rows of `x`; `single`: the only one that there is."""

    x: Buffer
    numbers: list[Value]
    single: bool


def floating_sums(weights: Weights, block: Value, rows: FloatRows) -> list[Value]:
    """The products of a row block of f32, f16 or mxfp4 weights with some rows."""
    lanes, columns, count = weights.lanes, int(rows.x.shape[1]), len(rows.numbers)
    # One row alone has too few independent sums to keep the multipliers busy: split its columns.
    chains = 4 if rows.single else 1
    total = tir.local(count * chains * lanes)
    for part in range(count * chains):
        tir.store(total, part * lanes, tir.zeros(lanes), lanes)

    def add(column: Value, chain: int) -> None:
        numbers = tir.bind(weights.column(block, column))
        for number, row in enumerate(rows.numbers):
            at = (number * chains + chain) * lanes
            product = numbers * tir.splat(tir.load(rows.x, (row, column)), lanes)
            tir.store(total, at, tir.load(total, at, lanes) + product, lanes)

    with tir.serial(columns // chains) as column:
        for chain in range(chains):
            add(column * chains + chain, chain)
    for column in range(columns // chains * chains, columns):
        add(column, 0)
    sums = []
    for number in range(count):
        value = tir.load(total, number * chains * lanes, lanes)
        for chain in range(1, chains):
            value = value + tir.load(total, (number * chains + chain) * lanes, lanes)
        sums.append(tir.bind(value))
    return sums
