"""AVX2: vpmaddubsw multiplies unsigned by signed bytes and adds pairs into 16 bits.

It saturates, but not here:

q4: 16 products of at most 15 * 127 share one 16-bit lane: 16 * 1905 = 30480 < 32768.
q8: magnitudes of at most 127 on both sides: 2 * 127 * 127 = 32258 < 32768, widened after each step.
mxfp4: 16 products of at most 12 * 127 share one 16-bit lane: 16 * 1524 = 24384 < 32768.
"""

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

LANES = 8


def _octets(value: Value) -> Value:
    return tir.bits(value, "int8", 32)


def _multiply(unsigned: Value, signed: Value) -> Value:
    return tir.intrinsic("llvm.x86.avx2.pmadd.ub.sw", "int16x16", unsigned, signed)


def _pairs(sixteens: Value) -> Value:
    """Neighbouring 16-bit numbers added into 32 bits."""
    ones = tir.const(1, "int16", 16)
    return tir.intrinsic("llvm.x86.avx2.pmadd.wd", "int32x8", sixteens, ones)


def _start_q4(correction: Value) -> Value:
    return tir.bind(tir.zeros(16, "int16"))


def _step_q4(total: Value, words: Value, activations: Value) -> Value:
    x = _octets(activations)
    return tir.bind(total + _multiply(_octets(words), x))


def _finish_q4(total: Value, correction: Value) -> Value:
    return tir.bind(_pairs(total) + tir.splat(correction, LANES))


def _start_q8(correction: Value) -> Value:
    return tir.bind(tir.zeros(LANES, "int32"))


def _step_q8(total: Value, words: Value, activations: Value) -> Value:
    return tir.bind(total + _pairs(_multiply_signed(words, activations)))


def _multiply_signed(words: Value, activations: Value) -> Value:
    weights = _octets(words)
    # |w| * (x with the sign of w) = w * x.
    magnitude = tir.intrinsic("llvm.abs.v32i8", "int8x32", weights, tir.const(0, "bool"))
    x = _octets(activations)
    signed = tir.intrinsic("llvm.x86.avx2.psign.b", "int8x32", x, weights)
    return _multiply(magnitude, signed)


def _finish_q8(total: Value, correction: Value) -> Value:
    return total


def _looked_up(words: Value) -> Value:
    """Codes of mxfp4 as signed bytes."""
    table = mxfp4.table(32, 0)
    return tir.intrinsic("llvm.x86.avx2.pshuf.b", "int8x32", table, _octets(words))


def _step_mxfp4(total: Value, words: Value, activations: Value) -> Value:
    return tir.bind(total + _multiply_signed(words, activations))


def _finish_mxfp4(total: Value, correction: Value) -> Value:
    return tir.bind(_pairs(total))


ISA = Isa(
    name="avx2",
    lanes=LANES,
    tile=4,
    sums=8,
    q4=Dot(8, unchanged, _start_q4, _step_q4, _finish_q4),
    q8=Dot(0, unchanged, _start_q8, _step_q8, _finish_q8),
    mxfp4=Dot(0, _looked_up, _start_q4, _step_mxfp4, _finish_mxfp4),
    spread=spread_by_loads(LANES),
    widen=widen_by_conversion,
    narrow=narrow_by_conversion,
)
