"""Rounding with error feedback: exactly storable, and nearer in what a layer computes."""

from __future__ import annotations

import numpy as np
import pytest

from sphere_edge.errors import ModelCorruptError
from sphere_edge.quantization import feedback
from sphere_edge.quantization.weights import WeightFormat

Q4 = WeightFormat("q4", 1)


def layer(seed: int, tokens: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """A matrix [96, 128], and inputs [tokens, 128] of which some directions matter far more."""
    random = np.random.default_rng(seed)
    weight = random.standard_normal((96, 128)).astype(np.float32)
    mixing = random.standard_normal((128, 128)) * np.geomspace(1, 0.01, 128)[:, None]
    return weight, (random.standard_normal((tokens, 128)) @ mixing).astype(np.float32)


def lost(weight: np.ndarray, rounded: np.ndarray, inputs: np.ndarray) -> float:
    return float(
        np.square(inputs @ (weight - rounded).T).mean() / np.square(inputs @ weight.T).mean()
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_outputs_for_other_inputs_lose_less_than_half_of_what_rounding_alone_loses(
    seed: int,
) -> None:
    weight, inputs = layer(seed, 1024)
    seen, others = inputs[:512], inputs[512:]
    rounded, _ = feedback.quantize(weight, seen.T @ seen)
    alone = Q4.unpack(Q4.pack(weight), *weight.shape)
    assert lost(weight, rounded, others) < 0.5 * lost(weight, alone, others)


def test_what_is_rounded_is_stored_to_the_last_bit() -> None:
    weight, inputs = layer(4)
    rounded, scales = feedback.quantize(weight, inputs.T @ inputs)
    assert scales.shape == (96, 4)
    stored = Q4.pack(rounded, scales)
    np.testing.assert_array_equal(Q4.unpack(stored, *weight.shape), rounded)


def test_inputs_that_say_nothing_leave_plain_rounding() -> None:
    """All zero, or a single token: damping keeps the decomposition possible."""
    weight, inputs = layer(5)
    for gram in (np.zeros((128, 128)), np.outer(inputs[0], inputs[0])):
        rounded, _ = feedback.quantize(weight, gram)
        assert np.square(weight - rounded).mean() < 0.02


def test_groups_of_zeros_and_tiny_numbers_are_stored() -> None:
    weight, inputs = layer(6)
    weight[3] = 0
    weight[4] *= 1e-30
    rounded, scales = feedback.quantize(weight, inputs.T @ inputs)
    assert np.isfinite(rounded).all()
    np.testing.assert_array_equal(Q4.unpack(Q4.pack(rounded, scales), *weight.shape)[3], 0)


def test_inputs_that_say_nothing_of_others_are_not_relied_on() -> None:
    weight, _ = layer(8)
    inputs = np.random.default_rng(9).standard_normal((20, 128)).astype(np.float32)
    rounded, scales = feedback.for_inputs(weight, inputs)
    alone = Q4.unpack(Q4.pack(weight), *weight.shape)
    np.testing.assert_array_equal(rounded, alone)
    np.testing.assert_array_equal(Q4.unpack(Q4.pack(rounded, scales), *weight.shape), alone)


def test_a_few_huge_inputs_do_not_decide_for_all() -> None:
    weight, inputs = layer(10, 1024)
    seen, others = inputs[:512].copy(), inputs[512:]
    seen[:3] *= 1000
    rounded, _ = feedback.for_inputs(weight, seen)
    alone = Q4.unpack(Q4.pack(weight), *weight.shape)
    assert lost(weight, rounded, others) < 0.6 * lost(weight, alone, others)


def test_scales_beyond_float16_are_not_made() -> None:
    """The largest weights that q4 stores, which what is made up for would push beyond."""
    weight, inputs = layer(11)
    weight *= np.float32(65504 * 7 / np.abs(weight).max())
    rounded, scales = feedback.for_inputs(weight, inputs)
    assert np.isfinite(rounded).all()
    np.testing.assert_array_equal(Q4.unpack(Q4.pack(rounded, scales), *weight.shape), rounded)


def test_inputs_that_are_not_finite_say_nothing() -> None:
    weight, inputs = layer(12)
    inputs[5, 5] = np.inf
    rounded, _ = feedback.for_inputs(weight, inputs)
    np.testing.assert_array_equal(rounded, Q4.unpack(Q4.pack(weight), *weight.shape))


def test_inputs_that_are_not_finite_are_refused() -> None:
    weight, _ = layer(7)
    with pytest.raises(ModelCorruptError):
        feedback.quantize(weight, np.full((128, 128), np.nan))
