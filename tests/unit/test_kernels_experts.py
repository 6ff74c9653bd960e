"""Kernels of mixtures of experts, of every instruction set, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_calls import HERE, ISAS, TRIPLE, call, untouched

from sphere_edge.compiler.kernels import experts
from sphere_edge.compiler.kernels.elementwise import gated
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.models.kernels import ClampedSwiglu

pytestmark = pytest.mark.group("kernels")

every_isa = pytest.mark.parametrize("isa", HERE)
COUNT, TOP_K, ROWS, COLUMNS = 5, 3, 32, 70


def _expert_indices(n):
    """Every token's experts: some experts many, one none."""
    random = np.random.default_rng(n)
    ranked = random.random((n, COUNT - 1)).argsort(axis=1)[:, :TOP_K]
    return np.where(ranked == 2, COUNT - 1, ranked).astype(np.int32)


@every_isa
@pytest.mark.parametrize(
    ("name", "shared"), [("f32", True), ("q4", False), ("mxfp4", True), ("mxfp4", False)]
)
@pytest.mark.parametrize("n", [1, 29])
def test_each_pair_is_multiplied_with_its_own_expert(isa, name, shared, n):
    random = np.random.default_rng(7)
    fmt = CpuTarget(TRIPLE, isa).weight_format(name)
    weight = random.standard_normal((COUNT * ROWS, COLUMNS)).astype(np.float32)
    packed = fmt.pack(weight)
    stored = fmt.unpack(packed, *weight.shape).reshape(COUNT, ROWS, COLUMNS)
    bias = random.standard_normal(COUNT * ROWS).astype(np.float32)
    expert_indices = _expert_indices(n)
    x = random.standard_normal((n if shared else n * TOP_K, COLUMNS)).astype(np.float32)
    y = untouched(n * TOP_K, ROWS)
    shape = experts.Shape(COUNT, TOP_K, ROWS, COLUMNS, n == 1, shared, bias=True)
    kernel = experts.experts_linear(ISAS[isa], fmt, shape)
    call(kernel, isa, expert_indices, x, *packed.values(), bias, y)
    each = np.repeat(x, TOP_K, axis=0) if shared else x
    own = stored[expert_indices.reshape(-1)]
    exact = (
        np.einsum("pk,prk->pr", each, own) + bias.reshape(COUNT, ROWS)[expert_indices.reshape(-1)]
    )
    step = np.abs(x).max() / 127 if fmt.is_quantized else 1e-5
    assert np.abs(y - exact).max() <= 4 * step / np.sqrt(12) * np.linalg.norm(own, axis=2).max()


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("n", [1, 6])
def test_the_largest_logits_are_chosen_and_shared_by_their_softmax(normalized, n):
    logits = np.random.default_rng(3).standard_normal((n, 11)).astype(np.float32) * 4
    expert_indices, routing_weights = np.full((n, 4), -1, np.int32), untouched(n, 4)
    kernel = experts.route(11, 4, n == 1, normalized)
    call(kernel, HERE[0], logits, expert_indices, routing_weights)
    expected = np.argsort(-logits, axis=1)[:, :4]
    assert np.array_equal(expert_indices, expected)
    weights = np.exp(logits.astype(float))
    picked = np.take_along_axis(weights, expected, axis=1)
    total = (picked if normalized else weights).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(routing_weights, picked / total, rtol=1e-5)


def test_router_logits_that_are_no_numbers_choose_experts_that_exist():
    logits = np.full((2, 7), np.nan, np.float32)
    logits[1] = -np.inf
    expert_indices, routing_weights = np.full((2, 3), -1, np.int32), untouched(2, 3)
    call(experts.route(7, 3, False, True), HERE[0], logits, expert_indices, routing_weights)
    assert expert_indices.min() >= 0
    assert expert_indices.max() < 7


@every_isa
@pytest.mark.parametrize("n", [1, 3])
def test_rows_are_added_up_by_their_shares(isa, n):
    random = np.random.default_rng(4)
    rows = random.standard_normal((n * TOP_K, 37)).astype(np.float32)
    routing_weights = random.random((n, TOP_K)).astype(np.float32)
    y = untouched(n, 37)
    call(experts.combine(ISAS[isa], 37, TOP_K, n == 1), isa, routing_weights, rows, y)
    exact = np.einsum("ntc,nt->nc", rows.reshape(n, TOP_K, 37), routing_weights)
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-6)


@every_isa
def test_the_clamped_swiglu_holds_both_halves_within_the_limit(isa):
    x = (np.random.default_rng(5).standard_normal((3, 74)) * 8).astype(np.float32)
    y = untouched(3, 37)
    call(gated(ISAS[isa], 37, False, ClampedSwiglu(alpha=1.702, limit=7.0)), isa, x, y)
    gate, up = np.minimum(x[:, :37], 7.0), np.clip(x[:, 37:], -7.0, 7.0)
    exact = (up + 1) * gate / (1 + np.exp(-1.702 * gate.astype(float)))
    assert np.abs(x).max() > 7
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-5)
