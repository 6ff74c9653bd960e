"""NEON with dotprod: sdot adds four products of signed bytes per lane."""

from __future__ import annotations

from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.isa import (
    Dot,
    Isa,
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


ISA = Isa(
    name="neon_dotprod",
    lanes=LANES,
    tile=8,
    sums=16,
    # 0..15 is also a signed byte, so q4 needs no subtraction per weight.
    q4=Dot(8, unchanged, _start, _step, _finish),
    q8=Dot(0, unchanged, _start, _step, _finish),
    spread=_spread,
    widen=widen_by_conversion,
    narrow=narrow_by_conversion,
)
