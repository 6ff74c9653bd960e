"""NEON with dotprod: sdot adds four products of signed bytes per lane; with i8mm: smmla.

smmla multiplies two rows of eight signed bytes with two columns of eight.
"""

from __future__ import annotations

from dataclasses import replace

from sphere_edge.compiler.kernels import mxfp4, tir
from sphere_edge.compiler.kernels.isa import (
    Dot,
    Isa,
    PairDot,
    narrow_by_conversion,
    unchanged,
    widen_by_conversion,
)
from sphere_edge.compiler.kernels.tir import Buffer, Value

LANES = 4


def _spread(words: Buffer, first: Value) -> list[Value]:
    """Two loads of four words: sdot takes any one of them for all lanes."""
    halves = [tir.bind(tir.load(words, first + half * LANES, LANES)) for half in range(2)]
    return [tir.repeat(half, lane, LANES) for half in halves for lane in range(LANES)]


def _start(correction: Value) -> Value:
    return tir.bind(tir.splat(correction, LANES))


def _step(total: Value, words: Value, activations: Value) -> Value:
    product = tir.intrinsic(
        "llvm.aarch64.neon.sdot.v4i32.v16i8",
        "int32x4",
        total,
        tir.bits(words, "int8", 16),
        tir.bits(activations, "int8", 16),
    )
    return tir.bind(product)


def _finish(total: Value, correction: Value) -> Value:
    return total


def _looked_up(words: Value) -> Value:
    """Codes of mxfp4 as signed bytes, as words."""
    codes, table = tir.bits(words, "int8", 16), mxfp4.table(16, 0)
    found = tir.intrinsic("llvm.aarch64.neon.tbl1.v16i8", "int8x16", table, codes)
    return tir.bits(found, "uint32", LANES)


ISA = Isa(
    name="neon_dotprod",
    lanes=LANES,
    tile=8,
    sums=16,
    # 0..15 is also a signed byte, so q4 needs no subtraction per weight.
    q4=Dot(8, unchanged, _start, _step, _finish),
    q8=Dot(0, unchanged, _start, _step, _finish),
    mxfp4=Dot(0, _looked_up, _start, _step, _finish),
    spread=_spread,
    widen=widen_by_conversion,
    narrow=narrow_by_conversion,
)


def _rows(first: Value, second: Value) -> list[Value]:
    """Rows 0 and 1 with eight columns each, then rows 2 and 3."""
    halves = ([0, 4, 1, 5], [2, 6, 3, 7])
    return [tir.bind(tir.lanes_of([first, second], half)) for half in halves]


def _activations(first: Value, second: Value) -> Value:
    return tir.bind(tir.lanes_of([first, second], [0, 1, 2, 3]))


def _pair_start(first: Value, second: Value) -> list[Value]:
    corrections = [tir.splat(first, 2), tir.splat(second, 2)]
    return [tir.bind(tir.lanes_of(corrections, [0, 2, 1, 3])) for _ in range(2)]


def _pair_step(sums: list[Value], rows: list[Value], activations: Value) -> list[Value]:
    added = []
    for total, two_rows in zip(sums, rows, strict=True):
        product = tir.intrinsic(
            "llvm.aarch64.neon.smmla.v4i32.v16i8",
            "int32x4",
            total,
            tir.bits(two_rows, "int8", 16),
            tir.bits(activations, "int8", 16),
        )
        added.append(tir.bind(product))
    return added


def _pair_finish(sums: list[Value]) -> tuple[Value, Value]:
    # Each holds [row 0, row 1] x [first, second]: the first's are the even lanes.
    return (tir.lanes_of(sums, [0, 2, 4, 6]), tir.lanes_of(sums, [1, 3, 5, 7]))


I8MM = replace(
    ISA,
    name="neon_i8mm",
    pair=PairDot(_rows, _activations, _pair_start, _pair_step, _pair_finish),
)
