"""AVX-512 VNNI: vpdpbusd adds four products of unsigned weights and signed activations per lane."""

from __future__ import annotations

from sphere_edge.compiler.kernels import mxfp4, tir
from sphere_edge.compiler.kernels.isa import (
    Dot,
    Isa,
    narrow_by_conversion,
    spread_by_loads,
    unchanged,
    widen_by_conversion,
)
from sphere_edge.compiler.kernels.tir import Value

LANES = 16


def _start(correction: Value) -> Value:
    return tir.bind(tir.splat(correction, LANES))


def _step(total: Value, words: Value, activations: Value) -> Value:
    product = tir.intrinsic(
        "llvm.x86.avx512.vpdpbusd.512",
        "int32x16",
        total,
        tir.bits(words, "int8", 64),
        tir.bits(activations, "int8", 64),
    )
    return tir.bind(product)


def _finish(total: Value, correction: Value) -> Value:
    return total


def _unsigned(words: Value) -> Value:
    """Signed bytes plus 128."""
    return words ^ tir.const(0x80808080, "uint32", LANES)


def _looked_up(words: Value) -> Value:
    """Codes of mxfp4 as unsigned bytes."""
    codes, table = tir.bits(words, "int8", 64), mxfp4.table(64, mxfp4.OFFSET)
    return tir.intrinsic("llvm.x86.avx512.pshuf.b.512", "int8x64", table, codes)


ISA = Isa(
    name="avx512vnni",
    lanes=LANES,
    tile=12,
    sums=16,
    q4=Dot(8, unchanged, _start, _step, _finish),
    q8=Dot(128, _unsigned, _start, _step, _finish),
    mxfp4=Dot(mxfp4.OFFSET, _looked_up, _start, _step, _finish),
    spread=spread_by_loads(LANES),
    widen=widen_by_conversion,
    narrow=narrow_by_conversion,
)
