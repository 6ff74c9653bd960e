"""mxfp4: four-bit floats (E2M1) in groups of 32 that share a power of two (E8M0) as their scale.

From the OCP Microscaling Formats specification 1.0. Bit 3 is the sign, bits 0..2 choose one of
HALVES; a weight is half * scale with scale = 2^(stored - 127) / 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sphere_edge.errors import ModelCorruptError

Floats = NDArray[np.float32]
Octets = NDArray[np.uint8]

HALVES = (0, 1, 2, 3, 4, 6, 8, 12)
# The value of each of the 16 codes, as a multiple of the scale.
INTEGERS: Floats = np.array([*HALVES, *(-half for half in HALVES)], np.float32)
_BETWEEN = np.array([(a + b) / 2 for a, b in zip(HALVES, HALVES[1:], strict=False)], np.float32)
# The code of each magnitude; 255 where there is none.
_CODES = np.full(HALVES[-1] + 1, 255, np.uint8)
_CODES[list(HALVES)] = range(len(HALVES))
_SCALE_OF_ONE = 127
_LARGEST_SCALE = 254


def scales(stored: NDArray[Any]) -> Floats:
    """The scale of each stored exponent: 2^(stored - 128)."""
    powers: Floats = np.ldexp(np.float32(1), stored.astype(np.int32) - (_SCALE_OF_ONE + 1))
    return powers


def quantize(groups: Floats) -> tuple[Octets, Octets]:
    """Codes [..., 32] and stored exponents [...] of groups [..., 32].

    Of the two powers of two around largest / 6 the one with the smaller squared error is taken.
    """
    largest = np.abs(groups).max(axis=-1)
    # largest <= 12 * 2^exponent, and above half of that.
    _, exponent = np.frexp(largest / np.float32(HALVES[-1]))
    best: Octets = np.zeros(groups.shape, np.uint8)
    exponents: Octets = np.zeros(largest.shape, np.uint8)
    lost = np.full(largest.shape, np.inf, np.float32)
    for finer in (0, 1):
        stored = np.clip(exponent - finer + _SCALE_OF_ONE + 1, 0, _LARGEST_SCALE).astype(np.uint8)
        scale = scales(stored)
        codes = _rounded(groups / scale[..., None])
        error = np.square(INTEGERS[codes] * scale[..., None] - groups).sum(axis=-1)
        better = error < lost
        lost = np.where(better, error, lost)
        exponents = np.where(better, stored, exponents)
        np.copyto(best, codes, where=better[..., None])
    return best, exponents


def keep(groups: Floats, known: Floats) -> tuple[Octets, Octets]:
    """Codes and stored exponents of groups [..., 32] that are `known` scales [...] times INTEGERS.

    Raises ModelCorruptError where they are not.
    """
    mantissa, exponent = np.frexp(known)
    exponent = np.where(known > 0, exponent + _SCALE_OF_ONE, 0)
    whole = np.divide(
        groups, known[..., None], where=known[..., None] > 0, out=np.zeros_like(groups)
    )
    magnitude = np.abs(whole)
    codes = _CODES[np.minimum(magnitude, HALVES[-1]).astype(np.uint8)]
    sound = (magnitude == INTEGERS[codes & 7]).all() and (codes != 255).all()
    if not sound or not np.isin(mantissa, (0, 0.5)).all() or exponent.max() > _LARGEST_SCALE:
        message = "the weights are not mxfp4 numbers"
        raise ModelCorruptError(message)
    return codes | np.where(whole < 0, np.uint8(8), np.uint8(0)), exponent.astype(np.uint8)


def _rounded(numbers: Floats) -> Octets:
    """The nearest codes; 0 has no sign."""
    magnitude = np.abs(numbers)
    codes: Octets = np.zeros(numbers.shape, np.uint8)
    for border in _BETWEEN:
        codes += magnitude > border
    codes |= np.where((numbers < 0) & (codes > 0), np.uint8(8), np.uint8(0))
    return codes
