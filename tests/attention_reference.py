"""What RoPE and attention kernels must compute, in numpy and float64, for awkward sizes."""

from __future__ import annotations

import numpy as np

from sphere_edge.models.kernels import Attention

CONTEXT = 300


def spec(query_heads, kv_heads, head_dim, **more):
    more = {"rotary_dim": head_dim, **more}
    return Attention(query_heads, kv_heads, head_dim, scale=head_dim**-0.5, **more)


SPECS = {
    "grouped": spec(14, 2, 64),
    "one head per kv head, head_dim 80, partial rotation": spec(3, 3, 80, rotary_dim=40),
    "odd sizes, window, softcap, interleaved": spec(
        6, 2, 24, rotary_dim=12, interleaved=True, window=9, softcap=3.0
    ),
    "all heads share one, window": spec(8, 1, 128, window=33),
    "tiny": spec(4, 2, 8),
}


def cache(spec, dtype):
    random = np.random.default_rng(7)
    shape = (spec.kv_heads, CONTEXT, spec.head_dim)
    return [random.standard_normal(shape).astype(dtype) for _ in range(2)]


def rotated(heads, positions, inverse, magnitude, spec):
    """`heads` [n, heads, head_dim] in float64, rotated as transformers does."""
    angle = (positions.astype(np.float32)[:, None] * inverse).astype(np.float64)[:, None]
    cosine, sine = np.cos(angle) * magnitude, np.sin(angle) * magnitude
    half = spec.rotary_dim // 2
    if spec.interleaved:
        first, second = slice(0, spec.rotary_dim, 2), slice(1, spec.rotary_dim, 2)
    else:
        first, second = slice(0, half), slice(half, spec.rotary_dim)
    out = heads.astype(np.float64)
    a, b = out[..., first].copy(), out[..., second].copy()
    out[..., first], out[..., second] = a * cosine - b * sine, b * cosine + a * sine
    return out


def attended(q, position, keys, values, spec):
    out = np.zeros(q.shape)
    group = spec.query_heads // spec.kv_heads
    for token in range(q.shape[0]):
        end = position + token + 1
        seen = slice(max(0, end - spec.window) if spec.window else 0, end)
        for head in range(spec.query_heads):
            key = keys[head // group, seen].astype(np.float64)
            score = key @ q[token, head].astype(np.float64) * spec.scale
            if spec.softcap:
                score = spec.softcap * np.tanh(score / spec.softcap)
            weight = np.exp(score - score.max())
            out[token, head] = weight / weight.sum() @ values[head // group, seen]
    return out
