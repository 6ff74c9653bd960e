"""RoPE with the cache, and attention, of every instruction set against numpy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from kernel_calls import HERE, ISAS, call, untouched

from sphere_edge.compiler.kernels.decode_attention import batch_attention, decode_attention
from sphere_edge.compiler.kernels.prefill_attention import prefill_attention
from sphere_edge.compiler.kernels.rope import Rotary, rotate_and_store, rotate_and_store_batch
from tests import attention_reference as reference

pytestmark = pytest.mark.group("kernels")

every_isa = pytest.mark.parametrize("isa", HERE)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float16"])
every_spec = pytest.mark.parametrize("spec", reference.SPECS.values(), ids=reference.SPECS)


@every_isa
@every_dtype
@every_spec
def test_rope_rotates_q_and_k_and_writes_only_its_rows_of_the_cache(isa, dtype, spec):
    n, position = 5, 131
    keys, values = reference.cache(spec, dtype)
    old_keys, old_values = keys.copy(), values.copy()
    heads = spec.query_heads + 2 * spec.kv_heads
    qkv = np.random.default_rng(1).standard_normal((n, heads, spec.head_dim)).astype(np.float32)
    half = spec.rotary_dim // 2
    inverse = (1e4 ** (-np.arange(half) / half)).astype(np.float32)
    q = untouched(n, spec.query_heads, spec.head_dim)
    start = np.array([position], np.int32)
    kernel = rotate_and_store(ISAS[isa], Rotary(spec, 1.25, dtype, single=False))
    call(kernel, isa, qkv.reshape(n, -1), start, inverse, keys, values, q)

    rows = np.arange(position, position + n)
    rotated = reference.rotated(qkv[:, : -spec.kv_heads], rows, inverse, 1.25, spec)
    assert np.abs(q - rotated[:, : spec.query_heads]).max() <= 2e-5
    old_keys[:, rows] = rotated[:, spec.query_heads :].transpose(1, 0, 2)
    old_values[:, rows] = qkv[:, -spec.kv_heads :].transpose(1, 0, 2)
    tolerance = 2e-5 if dtype == "float32" else 8e-3
    assert np.abs(keys.astype(np.float64) - old_keys).max() <= tolerance
    assert np.array_equal(values, old_values)


def test_without_rotation_q_and_k_are_copied():
    spec = reference.spec(2, 1, 16, rotary_dim=0)
    keys, values = reference.cache(spec, "float32")
    qkv = np.random.default_rng(1).standard_normal((1, 4 * 16)).astype(np.float32)
    q = untouched(1, 2, 16)
    kernel = rotate_and_store(ISAS["generic"], Rotary(spec, 1.0, "float32", single=True))
    call(kernel, "generic", qkv, np.array([4], np.int32), keys, values, q)
    assert np.array_equal(q.ravel(), qkv[0, :32])
    assert np.array_equal(keys[0, 4], qkv[0, 32:48])
    assert np.array_equal(values[0, 4], qkv[0, 48:])


@every_isa
@every_spec
def test_attention_of_one_token_agrees_with_numpy(isa, spec):
    for position in (0, 3, 127, 128, 200):
        _check_attention(isa, "float32", spec, 1, position)


@every_isa
@every_spec
def test_attention_of_many_tokens_agrees_with_numpy(isa, spec):
    for n, position in ((5, 0), (37, 3), (70, 131)):
        _check_attention(isa, "float32", spec, n, position)


@every_isa
@pytest.mark.parametrize("n", [1, 37])
def test_attention_over_a_half_precision_cache_agrees_with_numpy(isa, n):
    _check_attention(isa, "float16", reference.SPECS["grouped"], n, 131)


@every_isa
@pytest.mark.parametrize(("n", "position"), [(1, 0), (1, 200), (37, 3)])
def test_a_learned_sink_takes_part_in_the_softmax(isa, n, position):
    """As one more key, whose score is learned and whose value is zero."""
    spec = dataclasses.replace(reference.SPECS["grouped"], sinks=True)
    keys, values = reference.cache(spec, "float32")
    shape = (n, spec.query_heads, spec.head_dim)
    q = np.random.default_rng(n).standard_normal(shape).astype(np.float32) * 3
    sinks = np.linspace(-4, 30, spec.query_heads).astype(np.float32)
    y = untouched(n, spec.query_heads * spec.head_dim)
    build = decode_attention if n == 1 else prefill_attention
    kernel = build(ISAS[isa], spec, "float32")
    call(kernel, isa, q, np.array([position], np.int32), keys, values, sinks, y)
    exact = reference.attended(q, position, keys, values, spec)
    # With the sink the sum of exponentials grows by that of the sink.
    for head in range(spec.query_heads):
        for token in range(n):
            shared = keys[head * spec.kv_heads // spec.query_heads]
            scores = shared[: position + token + 1].astype(float) @ q[token, head] * spec.scale
            total = np.exp(scores - sinks[head]).sum()
            exact[token, head] *= total / (total + 1)
    assert np.abs(y.reshape(shape) - exact).max() <= 1e-5


# Position and sequence of each token of a batch.
BATCH = np.array([[3, 2], [200, 0], [128, 1], [0, 3]], np.int32)


def _caches(spec, dtype):
    """K and V of four sequences with different content, and both with all heads in one array."""
    each = [reference.cache(spec, dtype) for _ in range(4)]
    for number, (keys, values) in enumerate(each):
        keys *= 1 + number / 8
        values *= 1 - number / 8
    return each, [np.concatenate(parts) for parts in zip(*each, strict=True)]


@every_isa
@every_spec
def test_a_token_of_a_batch_attends_exactly_as_alone(isa, spec):
    each, whole = _caches(spec, "float16")
    shape = (len(BATCH), spec.query_heads, spec.head_dim)
    q = np.random.default_rng(4).standard_normal(shape).astype(np.float32) * 3
    y = untouched(len(BATCH), spec.query_heads * spec.head_dim)
    call(batch_attention(ISAS[isa], spec, "float16"), isa, q, BATCH, *whole, y)
    kernel = decode_attention(ISAS[isa], spec, "float16")
    for row, (position, sequence) in enumerate(BATCH):
        alone = untouched(1, y.shape[1])
        call(kernel, isa, q[row : row + 1], np.array([position], np.int32), *each[sequence], alone)
        assert np.array_equal(y[row], alone[0])


@every_isa
@every_spec
@pytest.mark.parametrize("switch", [0, 128])
def test_a_token_of_a_batch_is_rotated_as_alone_and_stored_in_its_own_sequence(isa, spec, switch):
    """With `switch`, tokens from that position on have frequencies of their own."""
    each, whole = _caches(spec, "float16")
    heads = spec.query_heads + 2 * spec.kv_heads
    shape = (len(BATCH), heads * spec.head_dim)
    qkv = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    half = spec.rotary_dim // 2
    inverse = (1e4 ** (-np.arange(half) / half)).astype(np.float32)
    both = [inverse, inverse / 4] if switch else [inverse]
    q = untouched(len(BATCH), spec.query_heads, spec.head_dim)
    rotary = Rotary(spec, 1.25, "float16", single=False, switch_tokens=switch)
    call(rotate_and_store_batch(ISAS[isa], rotary), isa, qkv, BATCH, *both, *whole, q)
    kernel = rotate_and_store(ISAS[isa], Rotary(spec, 1.25, "float16", single=True))
    for row, (position, sequence) in enumerate(BATCH):
        alone = untouched(1, *q.shape[1:])
        start = np.array([position], np.int32)
        own = both[int(bool(switch) and position >= switch)]
        call(kernel, isa, qkv[row : row + 1], start, own, *each[sequence], alone)
        assert np.array_equal(q[row], alone[0])
    for stored, parts in zip(whole, zip(*each, strict=True), strict=True):
        assert np.array_equal(stored, np.concatenate(parts))


def _check_attention(isa, dtype, spec, n, position):
    keys, values = reference.cache(spec, dtype)
    # What lies behind the last token must never be looked at.
    keys[:, position + n :] = values[:, position + n :] = np.nan
    shape = (n, spec.query_heads, spec.head_dim)
    q = np.random.default_rng(n).standard_normal(shape).astype(np.float32) * 3
    y = untouched(n, spec.query_heads * spec.head_dim)
    build = decode_attention if n == 1 else prefill_attention
    kernel = build(ISAS[isa], spec, dtype)
    call(kernel, isa, q, np.array([position], np.int32), keys, values, y)
    exact = reference.attended(q, position, keys, values, spec)
    assert np.abs(y.reshape(shape) - exact).max() <= 1e-5


@every_isa
def test_what_a_token_may_not_see_has_no_weight_at_all(isa):
    """Norms make a thousand times as much of a row that is nearly zero: 1e-38 would be seen."""
    spec, n, position, seen = reference.spec(4, 2, 64), 37, 3, 11
    keys, values = reference.cache(spec, "float32")
    values[:, :seen], values[:, seen:] = 0, 1e30
    q = np.random.default_rng(3).standard_normal((n, 4, 64)).astype(np.float32)
    y = untouched(n, 256)
    kernel = prefill_attention(ISAS[isa], spec, "float32")
    call(kernel, isa, q, np.array([position], np.int32), keys, values, y)
    assert np.array_equal(y[: seen - position], np.zeros((seen - position, 256)))
    assert y[seen - position :].min() > 1e20


@every_isa
def test_scores_of_any_size_end_in_finite_outputs(isa):
    spec = reference.spec(4, 2, 64)
    keys, values = reference.cache(spec, "float32")
    keys *= 1e4
    for n in (1, 40):
        q = np.random.default_rng(2).standard_normal((n, 4, 64)).astype(np.float32) * 100
        y = untouched(n, 256)
        build = decode_attention if n == 1 else prefill_attention
        kernel = build(ISAS[isa], spec, "float32")
        call(kernel, isa, q, np.array([9], np.int32), keys, values, y)
        exact = reference.attended(q, 9, keys, values, spec)
        assert np.abs(y.reshape(exact.shape) - exact).max() <= 1e-3
