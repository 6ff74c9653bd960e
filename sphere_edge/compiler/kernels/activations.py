"""Activations as int8 with a float32 scale per group of 32, in the order dot products read them.

Layout for tiles of t rows (rows beyond the last are never written and never used):

    words       [tiles][groups][t][8] int32    the 32 int8 of a row's group
    scale       [tiles][groups][t] float32     largest magnitude / 127
    correction  [tiles][groups][t] int32       -offset * sum of the 32 (see isa.Dot)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.tir import Buffer, Value
from sphere_edge.quantization.weights import GROUP

# Adding 1.5 * 2^23 rounds a float32 below 2^22 to an integer, which is then in its low bits.
_ROUND = 12582912.0
_ROUND_BITS = 0x4B400000


@dataclass(frozen=True)
class QuantizedRows:
    """The buffers above for `n` rows of `groups` groups."""

    words: Buffer
    scale: Buffer
    correction: Buffer
    groups: int
    tile: int
    offset: int

    def slot(self, tile: Value, group: Value, row: int | Value) -> Value:
        """Index of a row's group in `scale` and `correction`; times 8 in `words`."""
        return (tile * self.groups + group) * self.tile + row


def quantize_rows(isa: Isa, x: Buffer, tile: int, offset: int) -> QuantizedRows:
    """Emits the quantization of all rows of `x` [n, columns], in parallel where n is symbolic."""
    n, columns = _rows_of(x)
    groups = -(-columns // GROUP)
    padded = (n + (tile - 1)) // tile * tile
    rows = QuantizedRows(
        words=tir.scratch(padded * (groups * 8), "int32"),
        scale=tir.scratch(padded * groups),
        correction=tir.scratch(padded * groups, "int32"),
        groups=groups,
        tile=tile,
        offset=offset,
    )
    steps = GROUP // isa.lanes
    with tir.parallel(n) as row:
        with tir.serial(columns // GROUP) as group:
            slot = tir.bind(rows.slot(row // tile, group, row % tile))
            parts = [
                tir.bind(tir.load(x, (row, group * GROUP + step * isa.lanes), isa.lanes))
                for step in range(steps)
            ]
            _quantize_group(isa, rows, slot, parts)
        if columns % GROUP:
            whole = columns // GROUP
            rest = tir.local(GROUP)
            for step in range(steps):
                tir.store(rest, step * isa.lanes, tir.zeros(isa.lanes), isa.lanes)
            with tir.serial(columns % GROUP) as column:
                tir.store(rest, column, tir.load(x, (row, whole * GROUP + column)))
            parts = [tir.bind(tir.load(rest, step * isa.lanes, isa.lanes)) for step in range(steps)]
            slot = tir.bind(rows.slot(row // tile, whole, row % tile))
            _quantize_group(isa, rows, slot, parts)
    return rows


def _rows_of(x: Buffer) -> tuple[Any, int]:
    """Rows, a symbol perhaps, and columns."""
    n, columns = x.shape
    return int(n) if isinstance(n, int | tirx.IntImm) else n, int(columns)


def _quantize_group(isa: Isa, rows: QuantizedRows, slot: Value, parts: list[Value]) -> None:
    lanes = isa.lanes
    largest = tir.bits(tir.lane_maximum(_magnitudes(parts, lanes), lanes), "float32", 1)
    largest = tir.bind(largest)
    inverse = tir.bind(tir.const(127.0) / tir.maximum(largest, tir.const(1e-30)))
    total = None
    for step, part in enumerate(parts):
        rounded = part * tir.splat(inverse, lanes) + tir.const(_ROUND, lanes=lanes)
        number = tir.bits(rounded, "int32", lanes) - tir.const(_ROUND_BITS, "int32", lanes)
        number = tir.bind(number)
        total = number if total is None else tir.bind(total + number)
        words = tir.bits(tir.cast(number, "int8", lanes), "int32", lanes // 4)
        tir.store(rows.words, slot * 8 + step * (lanes // 4), words, lanes // 4)
    tir.store(rows.scale, slot, largest * tir.const(1 / 127))
    if rows.offset:
        correction = tir.lane_sum(total, lanes) * tir.const(-rows.offset, "int32")
        tir.store(rows.correction, slot, correction)


def _magnitudes(parts: list[Value], lanes: int) -> Value:
    """The largest magnitude per lane, as the bits of a float32: they order as the numbers do."""
    largest = None
    for part in parts:
        word = tir.bits(part, "int32", lanes) & tir.const(0x7FFFFFFF, "int32", lanes)
        largest = word if largest is None else tir.maximum(largest, word)
    return tir.bind(largest)
