"""Weight formats: sizes, round trips, slices, error figures and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from sphere_edge.errors import InvalidArgumentError, ModelCorruptError
from sphere_edge.quantization.weights import FORMATS, WeightFormat

# Square root of (error / weights) that each format may leave on normally distributed weights.
_RELATIVE = {"f32": 0.0, "f16": 3e-4, "q8": 6e-3, "q4": 0.084, "mxfp4": 0.115}

every_format = pytest.mark.parametrize("name", FORMATS)
every_block = pytest.mark.parametrize("row_block", [4, 8, 16])


def _normal(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((rows, columns)).astype(np.float32)


def relative_error(weight: np.ndarray, fmt: WeightFormat) -> float:
    """Root mean square error of storing `weight` over the root mean square of the weights."""
    difference = fmt.unpack(fmt.pack(weight), *weight.shape) - weight
    return float(np.linalg.norm(difference.astype(float)) / np.linalg.norm(weight.astype(float)))


@every_format
@every_block
@pytest.mark.parametrize("shape", [(1, 1), (16, 32), (37, 70), (129, 320)])
def test_what_is_packed_comes_back_within_the_error_of_the_format(name, row_block, shape):
    fmt = WeightFormat(name, row_block)
    weight = _normal(*shape)
    packed = fmt.pack(weight)
    stored = {suffix: (array.shape, str(array.dtype)) for suffix, array in packed.items()}
    assert stored == fmt.parameters(*shape)
    assert fmt.unpack(packed, *shape).shape == shape
    if shape == (129, 320):
        assert relative_error(weight, fmt) <= _RELATIVE[name]


@every_format
def test_slices_of_whole_blocks_are_parts_of_the_whole(name):
    fmt = WeightFormat(name, 8)
    weight = _normal(37, 70)
    whole = fmt.pack(weight)
    parts = [fmt.pack(weight[:16]), fmt.pack(weight[16:])]
    for suffix, array in whole.items():
        assert np.array_equal(np.concatenate([part[suffix] for part in parts]), array)


@every_format
def test_bits_per_weight_are_those_of_the_arrays(name):
    fmt = WeightFormat(name, 16)
    stored = sum(array.nbytes for array in fmt.pack(_normal(64, 128)).values())
    assert stored * 8 == fmt.bits_per_weight * 64 * 128


def test_q4_leaves_less_error_than_the_largest_magnitude_as_minus_eight():
    weight = _normal(64, 1024)
    groups = weight.reshape(64, -1, 32)
    extreme = np.take_along_axis(groups, np.abs(groups).argmax(-1)[..., None], -1)
    scale = (extreme / -8).astype(np.float16).astype(np.float32)
    stock = np.clip(np.rint(groups / scale), -8, 7) * scale
    error = np.sqrt(np.square(stock - groups).sum() / np.square(groups).sum())
    assert relative_error(weight, WeightFormat("q4", 16)) < 0.97 * error


def test_mxfp4_keeps_numbers_that_are_mxfp4_already_to_the_bit():
    random = np.random.default_rng(5)
    halves = np.array([0, 1, 2, 3, 4, 6, 8, 12], np.float32)
    scales = np.ldexp(np.float32(0.5), random.integers(-40, 40, (20, 2))).astype(np.float32)
    numbers = random.choice(halves, (20, 2, 32)) * random.choice([-1.0, 1.0], (20, 2, 32))
    weight = (numbers * scales[..., None]).astype(np.float32).reshape(20, 64)
    fmt = WeightFormat("mxfp4", 16)
    assert np.array_equal(fmt.unpack(fmt.pack(weight, scales), 20, 64), weight)
    weight[3, 40] *= 1.25
    with pytest.raises(ModelCorruptError, match="mxfp4"):
        fmt.pack(weight, scales)


@pytest.mark.parametrize("name", ["q8", "q4"])
def test_zeros_and_numbers_too_small_for_a_scale_become_zeros(name):
    fmt = WeightFormat(name, 4)
    weight = np.zeros((4, 64), np.float32)
    weight[1] = 1e-20
    weight[2, 3] = np.float32(1e-42)
    assert not fmt.unpack(fmt.pack(weight), 4, 64).any()


@every_format
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(name, number):
    weight = _normal(5, 40)
    weight[3, 7] = number
    with pytest.raises(ModelCorruptError, match="cannot be stored"):
        WeightFormat(name, 16).pack(weight)


@pytest.mark.parametrize(("name", "number"), [("f16", 7e4), ("q8", 1e7), ("q4", 1e6)])
def test_weights_beyond_the_range_of_a_format_are_refused(name, number):
    weight = _normal(5, 40)
    weight[0, 0] = -number
    with pytest.raises(ModelCorruptError, match=name):
        WeightFormat(name, 16).pack(weight)


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(InvalidArgumentError, match="q5") as refused:
        WeightFormat("q5", 16)
    assert "q4" in str(refused.value.hint)


def test_arrays_of_another_matrix_are_not_unpacked():
    fmt = WeightFormat("q8", 16)
    with pytest.raises(InvalidArgumentError, match="scale|data"):
        fmt.unpack(fmt.pack(_normal(16, 64)), 16, 96)
