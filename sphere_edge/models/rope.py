"""Rotary position embedding: the inverse frequencies of each kind of scaling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats.config import RopeKind, RopeParameters

Frequencies = NDArray[np.float64]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Rotation:
    """What a head's first `rotary_dim` features are rotated by.

    `inverse_frequencies`: float32 [rotary_dim / 2], any scaling worked in; `magnitude` multiplies
    cos and sin. Texts of more than `switch_tokens` tokens take the frequencies `beyond` instead.
    """

    rotary_dim: int
    inverse_frequencies: NDArray[np.float32]
    magnitude: float = 1.0
    beyond: NDArray[np.float32] | None = None
    switch_tokens: int = 0


def rotation(
    rope: RopeParameters, head_dim: int, context_tokens: int, *, partial: bool = False
) -> Rotation:
    """The rotation that `rope` asks for (Su et al. 2021), computed in float64.

    A scaling that depends on the length of the text (longrope) has frequencies `beyond` some length
    where `context_tokens`, the length of the KV cache, has room for such texts.
    `partial`: the family rotates the part of each head that the config gives; others reject one.
    """
    if rope.partial_rotary_factor != 1 and not partial:
        message = f"`partial_rotary_factor` `{rope.partial_rotary_factor}` is not supported here"
        raise UnsupportedError(message, hint="this family rotates whole heads")
    rotary_dim = int(head_dim * rope.partial_rotary_factor)
    if rotary_dim % 2 or not 0 < rotary_dim <= head_dim or rope.theta <= 1:
        message = (
            f"RoPE cannot rotate `{rotary_dim}` of `{head_dim}` features with base `{rope.theta}`"
        )
        raise ModelCorruptError(message)
    base = rope.theta ** -(np.arange(0, rotary_dim, 2, dtype=np.float64) / rotary_dim)
    scaled, magnitude = _SCALINGS[rope.kind](base, rope)
    short = Rotation(rotary_dim, scaled.astype(np.float32), magnitude)
    original = rope.original_context
    if rope.kind != "longrope" or original is None or context_tokens <= original:
        return short
    beyond = base / _factors("long_factor", rope.long_factor, base.size)
    return replace(short, beyond=beyond.astype(np.float32), switch_tokens=original)


def still(rotation: Rotation) -> Rotation:
    """For layers that do not rotate: frequencies of zero turn nothing, whatever the position."""
    zeros = np.zeros_like(rotation.inverse_frequencies)
    return replace(rotation, inverse_frequencies=zeros, magnitude=1.0, beyond=None, switch_tokens=0)


def _default(base: Frequencies, _rope: RopeParameters) -> tuple[Frequencies, float]:
    return base, 1.0


def _linear(base: Frequencies, rope: RopeParameters) -> tuple[Frequencies, float]:
    return base / _positive("factor", rope.factor), 1.0


def _llama3(base: Frequencies, rope: RopeParameters) -> tuple[Frequencies, float]:
    """Slow rotations are slowed by `factor`, fast ones kept, those between blended (Llama 3.1)."""
    factor = _positive("factor", rope.factor)
    original = _positive("original_max_position_embeddings", rope.original_context)
    low = _positive("low_freq_factor", rope.low_freq_factor)
    high = _positive("high_freq_factor", rope.high_freq_factor)
    if high <= low:
        message = f"`high_freq_factor` `{high}` is not above `low_freq_factor` `{low}`"
        raise ModelCorruptError(message)
    turns = original * base / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return kept * base + (1 - kept) * base / factor, 1.0


def _yarn(base: Frequencies, rope: RopeParameters) -> tuple[Frequencies, float]:
    """YaRN (Peng et al. 2023): a ramp over the dimensions, and a temperature on the scores."""
    factor = _positive("factor", rope.factor)
    original = _positive("original_max_position_embeddings", rope.original_context)
    rotary_dim = 2 * base.size

    def dimension(turns: float) -> float:
        return rotary_dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))

    first = dimension(rope.beta_fast or 32.0)
    last = dimension(rope.beta_slow or 1.0)
    if rope.truncate is not False:
        first, last = math.floor(first), math.ceil(last)
    # The upper bound is in features, not in pairs, as the reference implementations have it.
    first, last = max(first, 0), min(last, rotary_dim - 1)
    span = last - first or 0.001
    slowed = np.clip((np.arange(base.size) - first) / span, 0, 1)
    return (1 - slowed) * base + slowed * base / factor, _yarn_magnitude(rope, factor)


def _longrope(base: Frequencies, rope: RopeParameters) -> tuple[Frequencies, float]:
    """LongRoPE (Ding et al. 2024) for short texts: a factor per pair; long ones have another list.

    The magnitude is the same for both.
    """
    original = _positive("original_max_position_embeddings", rope.original_context)
    factors = _factors("short_factor", rope.short_factor, base.size)
    factor = rope.factor
    magnitude = rope.attention_factor
    if magnitude is None and factor is None:
        message = "RoPE scaling `longrope` needs a `factor` or an `attention_factor`"
        raise ModelCorruptError(message)
    if magnitude is None:
        longer = max(1.0, factor or 1.0)
        magnitude = math.sqrt(1 + math.log(longer) / math.log(original))
    return base / factors, magnitude


def _factors(name: str, factors: tuple[float, ...] | None, count: int) -> Frequencies:
    if factors is None or len(factors) != count or min(factors) <= 0:
        message = f"RoPE scaling needs `{count}` positive numbers as `{name}`"
        raise ModelCorruptError(message)
    return np.asarray(factors, np.float64)


def _yarn_magnitude(rope: RopeParameters, factor: float) -> float:
    if rope.attention_factor is not None:
        return rope.attention_factor

    def magnitude(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0

    if rope.mscale and rope.mscale_all_dim:
        return magnitude(rope.mscale) / magnitude(rope.mscale_all_dim)
    return magnitude(1.0)


def _positive(name: str, value: float | None) -> float:
    if value is None or value <= 0:
        message = f"RoPE scaling needs a positive `{name}`, not `{value}`"
        raise ModelCorruptError(message)
    return value


_SCALINGS: dict[RopeKind, Callable[[Frequencies, RopeParameters], tuple[Frequencies, float]]] = {
    "default": _default,
    "linear": _linear,
    # Changes nothing up to max_position_embeddings, and no bundle's context goes beyond it.
    "dynamic": _default,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}
