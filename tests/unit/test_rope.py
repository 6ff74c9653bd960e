"""The inverse frequencies of each RoPE scaling, against values worked out by hand."""

import dataclasses
import math

import numpy as np
import pytest

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats.config import RopeParameters
from sphere_edge.models import rope


def rotation(parameters, head_dim, context_tokens=512):
    return rope.rotation(parameters, head_dim, context_tokens, partial=True)


LLAMA3 = RopeParameters(
    kind="llama3",
    theta=500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_context=8192,
)


def test_without_scaling_frequencies_fall_from_one_by_a_constant_ratio():
    made = rotation(RopeParameters(theta=10000.0), 8)
    assert made.rotary_dim == 8
    np.testing.assert_allclose(made.inverse_frequencies, [1, 0.1, 0.01, 0.001], rtol=1e-6)
    assert made.inverse_frequencies.dtype == np.float32


def test_linear_scaling_divides_every_frequency():
    made = rotation(RopeParameters(kind="linear", theta=10000.0, factor=4.0), 8)
    expected = [0.25, 0.025, 0.0025, 0.00025]
    np.testing.assert_allclose(made.inverse_frequencies, expected, rtol=1e-6)


def test_llama3_keeps_fast_rotations_and_slows_the_slow_ones():
    plain = rotation(RopeParameters(theta=500000.0), 128).inverse_frequencies
    scaled = rotation(LLAMA3, 128).inverse_frequencies
    turns = 8192 * plain.astype(np.float64) / (2 * math.pi)
    np.testing.assert_allclose(scaled[turns > 4], plain[turns > 4], rtol=1e-6)
    np.testing.assert_allclose(scaled[turns < 1], plain[turns < 1] / 8, rtol=1e-6)
    between = (turns > 1) & (turns < 4)
    assert between.any()
    assert np.all(scaled[between] < plain[between])
    assert np.all(scaled[between] > plain[between] / 8)


def test_yarn_interpolates_between_its_two_bounds_and_raises_the_magnitude():
    yarn = RopeParameters(kind="yarn", theta=10000.0, factor=4.0, original_context=2048)
    plain = rotation(RopeParameters(theta=10000.0), 64).inverse_frequencies
    made = rotation(yarn, 64)
    assert made.magnitude == pytest.approx(0.1 * math.log(4) + 1)
    assert made.inverse_frequencies[0] == plain[0]
    assert made.inverse_frequencies[-1] == pytest.approx(plain[-1] / 4, rel=1e-6)


def test_partial_rotation_rotates_only_the_first_features():
    made = rotation(RopeParameters(partial_rotary_factor=0.5), 64)
    assert made.rotary_dim == 32
    assert made.inverse_frequencies.shape == (16,)


def test_a_family_that_rotates_whole_heads_refuses_a_part_by_name():
    with pytest.raises(UnsupportedError, match="partial_rotary_factor"):
        rope.rotation(RopeParameters(partial_rotary_factor=0.5), 64, 512)


def test_longrope_has_other_frequencies_for_longer_texts_where_the_cache_has_room_for_them():
    long = RopeParameters(
        kind="longrope",
        theta=10000.0,
        factor=8.0,
        original_context=512,
        short_factor=(1.0, 2.0, 4.0, 8.0),
        long_factor=(10.0, 10.0, 10.0, 10.0),
    )
    short = rotation(long, 8, 512)
    np.testing.assert_allclose(short.inverse_frequencies, [1, 0.05, 0.0025, 0.000125], rtol=1e-6)
    assert short.magnitude == pytest.approx(math.sqrt(1 + math.log(8) / math.log(512)))
    assert short.beyond is None
    both = rotation(long, 8, 513)
    assert (both.inverse_frequencies == short.inverse_frequencies).all()
    assert (both.switch_tokens, both.magnitude) == (512, short.magnitude)
    np.testing.assert_allclose(both.beyond, [0.1, 0.01, 1e-3, 1e-4], rtol=1e-6)
    with pytest.raises(ModelCorruptError, match="long_factor"):
        rotation(dataclasses.replace(long, long_factor=None), 8, 513)


@pytest.mark.parametrize(
    "broken",
    [
        RopeParameters(kind="linear"),
        RopeParameters(kind="linear", factor=-1.0),
        RopeParameters(kind="llama3", factor=8.0, low_freq_factor=4.0, high_freq_factor=4.0),
        RopeParameters(kind="longrope", factor=8.0, original_context=64, short_factor=(1.0,)),
        RopeParameters(theta=0.0),
        RopeParameters(partial_rotary_factor=3.0),
    ],
)
def test_scalings_that_cannot_be_are_called_corrupt(broken):
    with pytest.raises(ModelCorruptError):
        rotation(broken, 64)
