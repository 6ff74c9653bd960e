"""Any CPU: plain arithmetic on four lanes, no instruction beyond the architecture's base set."""

from __future__ import annotations

from sphere_edge.compiler.kernels import mxfp4, tir
from sphere_edge.compiler.kernels.isa import Dot, Isa, spread_by_loads, unchanged
from sphere_edge.compiler.kernels.tir import Value

LANES = 4


def _start(correction: Value) -> Value:
    return tir.bind(tir.splat(correction, LANES))


def _step(total: Value, words: Value, activations: Value) -> Value:
    for octet in range(4):
        total = total + _octet(words, octet) * _octet(activations, octet)
    return tir.bind(total)


def _octet(words: Value, octet: int) -> Value:
    """One signed byte of each word, as int32."""
    signed = tir.bits(words, "int32", LANES)
    up = signed << tir.const(24 - 8 * octet, "int32", LANES)
    return up >> tir.const(24, "int32", LANES)


def _finish(total: Value, correction: Value) -> Value:
    return total


def widen(half: Value, lanes: int) -> Value:
    """float16 to float32 by integer arithmetic, finite numbers only: no compiler library needed."""

    def i(value: int) -> Value:
        return tir.const(value, "int32", lanes)

    word = tir.bind(tir.cast(tir.bits(half, "uint16", lanes), "int32", lanes))
    # The exponent moves up by 112 through a multiplication, which also normalizes subnormals.
    magnitude = tir.bits((word & i(0x7FFF)) << i(13), "float32", lanes)
    number = tir.bits(magnitude * tir.const(2.0**112, "float32", lanes), "int32", lanes)
    return tir.bits(number | ((word & i(0x8000)) << i(16)), "float32", lanes)


def narrow(number: Value, lanes: int) -> Value:
    """float32 to float16 by integer arithmetic, to nearest even; too large becomes infinity."""

    def i(value: int) -> Value:
        return tir.const(value, "int32", lanes)

    word = tir.bind(tir.bits(number, "int32", lanes))
    magnitude = tir.bind(word & i(0x7FFFFFFF))
    # Below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded by the hardware.
    half = tir.const(0.5, "float32", lanes)
    small = tir.bits(tir.bits(magnitude, "float32", lanes) + half, "int32", lanes) - i(0x3F000000)
    odd = (magnitude >> i(13)) & i(1)
    normal = (magnitude - i(112 << 23) + i(0xFFF) + odd) >> i(13)
    finite = tir.choose(magnitude < i(113 << 23), small, tir.minimum(normal, i(0x7C00)))
    # NaN stays NaN.
    magnitude = tir.choose(magnitude > i(0x7F800000), i(0x7E00), finite)
    packed = magnitude | ((word >> i(16)) & i(0x8000))
    return tir.bits(tir.cast(packed, "uint16", lanes), "float16", lanes)


def _looked_up(words: Value) -> Value:
    return mxfp4.by_arithmetic(words, LANES)


ISA = Isa(
    name="generic",
    lanes=LANES,
    tile=4,
    sums=8,
    q4=Dot(8, unchanged, _start, _step, _finish),
    q8=Dot(0, unchanged, _start, _step, _finish),
    mxfp4=Dot(mxfp4.OFFSET, _looked_up, _start, _step, _finish),
    spread=spread_by_loads(LANES),
    widen=widen,
    narrow=narrow,
)
