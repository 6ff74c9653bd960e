"""Vectors of exp, tanh and erf by polynomials: no scalar library call in a hot loop."""

from __future__ import annotations

from sphere_edge.compiler.kernels import tir
from sphere_edge.compiler.kernels.tir import Value

_LOG2_E = 1.4426950408889634
# ln 2 in two parts, so that n * ln 2 is subtracted exactly (Cody and Waite 1980).
_LN2_HIGH = 0.693359375
_LN2_LOW = -2.12194440e-4
# Taylor series of exp to x^6: error below 1.3e-7 relative for |x| <= ln(2) / 2.
_EXP = (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0)
_ROUND = 12582912.0
_ROUND_BITS = 0x4B400000
# exp of more is infinite in practice. At the lower end the exponent field is 0 and so is the value:
# keys that are masked weigh nothing at all, not 1e-38.
_EXP_LOWEST, _EXP_HIGHEST = -88.0, 88.0
# Abramowitz and Stegun 7.1.26: |error of erf| <= 1.5e-7.
_ERF_P = 0.3275911
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def exp(x: Value, lanes: int) -> Value:
    """Powers of e: relative error below 3e-7 in -87..88; 0 from -88 down, the same from 88 up."""
    x = tir.minimum(x, tir.const(_EXP_HIGHEST, lanes=lanes))
    x = tir.bind(tir.maximum(x, tir.const(_EXP_LOWEST, lanes=lanes)))
    shifted = x * tir.const(_LOG2_E, lanes=lanes) + tir.const(_ROUND, lanes=lanes)
    whole = tir.bits(shifted, "int32", lanes) - tir.const(_ROUND_BITS, "int32", lanes)
    whole = tir.bind(whole)
    # Not `shifted - _ROUND`: the compiler would simplify the rounding away.
    power = tir.bind(tir.cast(whole, "float32", lanes))
    rest = x - power * tir.const(_LN2_HIGH, lanes=lanes)
    rest = tir.bind(rest - power * tir.const(_LN2_LOW, lanes=lanes))
    value = polynomial(rest, _EXP, lanes)
    exponent = whole + tir.const(127, "int32", lanes)
    scale = tir.bits(exponent << tir.const(23, "int32", lanes), "float32", lanes)
    return tir.bind(value * scale)


def polynomial(x: Value, coefficients: tuple[float, ...], lanes: int) -> Value:
    """Horner's scheme, highest power first."""
    value = tir.const(coefficients[0], lanes=lanes)
    for coefficient in coefficients[1:]:
        value = tir.bind(value * x + tir.const(coefficient, lanes=lanes))
    return value


def tanh(x: Value, lanes: int) -> Value:
    """1 - 2 / (e^2x + 1): absolute error below 3e-7."""
    one, two = tir.const(1.0, lanes=lanes), tir.const(2.0, lanes=lanes)
    return tir.bind(one - two / (exp(x * two, lanes) + one))


def erf(x: Value, lanes: int) -> Value:
    """Absolute error below 5e-7."""
    one = tir.const(1.0, lanes=lanes)
    magnitude = tir.bits(
        tir.bits(x, "int32", lanes) & tir.const(0x7FFFFFFF, "int32", lanes), "float32", lanes
    )
    magnitude = tir.bind(magnitude)
    t = tir.bind(one / (one + magnitude * tir.const(_ERF_P, lanes=lanes)))
    tail = polynomial(t, _ERF, lanes) * t * exp(tir.zeros(lanes) - magnitude * magnitude, lanes)
    value = tir.bind(one - tail)
    return tir.choose(x < tir.zeros(lanes), tir.zeros(lanes) - value, value)
