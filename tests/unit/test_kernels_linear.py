"""Linear layers and embeddings of every instruction set against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_calls import HERE, ISAS, TRIPLE, call, untouched

from sphere_edge.compiler.kernels.elementwise import Table, take
from sphere_edge.compiler.kernels.linear import Shape, linear
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.quantization.weights import FORMATS

pytestmark = pytest.mark.group("kernels")

every_isa = pytest.mark.parametrize("isa", HERE)
every_format = pytest.mark.parametrize("name", FORMATS)


def _linear(isa, name, rows, columns, n, bias=False, scale=1.0, symbolic=False):
    """The kernel's result and the exact one, for the weights as they are stored."""
    random = np.random.default_rng(rows * columns + n)
    fmt = CpuTarget(TRIPLE, isa).weight_format(name)
    packed = fmt.pack(random.standard_normal((rows, columns)).astype(np.float32))
    x = (random.standard_normal((n, columns)) * scale).astype(np.float32)
    offset = [random.standard_normal(rows).astype(np.float32)] if bias else []
    y = untouched(n, rows)
    kernel = linear(ISAS[isa], fmt, Shape(rows, columns, n == 1 and not symbolic, bias))
    call(kernel, isa, x, *packed.values(), *offset, y)
    exact = x.astype(np.float64) @ fmt.unpack(packed, rows, columns).T
    return y, exact + (offset[0] if bias else 0), x, fmt.unpack(packed, rows, columns)


def _tolerance(name, x, weight):
    """What rounding activations to int8 may do: half a step per number, added up as noise."""
    if not name not in ("f32", "f16"):
        return 1e-5 * np.abs(x @ weight.T).max() + 1e-6
    step = np.abs(x).max() / 127
    return 4 * step / np.sqrt(12) * np.linalg.norm(weight, axis=1).max()


@every_isa
@every_format
@pytest.mark.parametrize(
    ("rows", "columns", "n", "bias"),
    [
        (16, 32, 1, False),
        (37, 70, 1, True),
        (37, 70, 5, True),
        (33, 96, 29, False),
        (5, 3, 2, False),
    ],
)
def test_a_linear_layer_agrees_with_numpy(isa, name, rows, columns, n, bias):
    y, exact, x, weight = _linear(isa, name, rows, columns, n, bias)
    assert np.abs(y - exact).max() <= _tolerance(name, x, weight)


@every_isa
@pytest.mark.parametrize("name", ["q4", "mxfp4", "f16"])
def test_any_number_of_tokens_is_split_into_tiles(isa, name):
    for n in (1, 2, 4, 8, 11, 12, 13, 24, 31):
        y, exact, x, weight = _linear(isa, name, 16, 64, n, symbolic=True)
        assert np.abs(y - exact).max() <= _tolerance(name, x, weight), n


@every_isa
@pytest.mark.parametrize("name", ["q8", "q4", "mxfp4"])
@pytest.mark.parametrize("n", [1, 3])
def test_integer_sums_do_not_overflow_at_the_largest_weights(isa, name, n):
    fmt = CpuTarget(TRIPLE, isa).weight_format(name)
    weight = np.full((20, 64), -8.0, np.float32)
    weight[1::2] *= -1
    weight[:, ::2] *= -1
    packed = fmt.pack(weight)
    x = np.ones((n, 64), np.float32)
    x[:, ::2] = -1
    y = untouched(n, 20)
    call(linear(ISAS[isa], fmt, Shape(20, 64, n == 1, False)), isa, x, *packed.values(), y)
    exact = x @ fmt.unpack(packed, 20, 64).T
    assert np.allclose(y, exact, rtol=1e-5)


@every_isa
@pytest.mark.parametrize("n", [1, 3])
def test_activations_of_zero_give_zero_and_tiny_ones_no_garbage(isa, n):
    for scale in (0.0, 1e-36):
        y, exact, *_ = _linear(isa, "q4", 17, 64, n, scale=scale)
        assert np.abs(y - exact).max() <= 1e-30


@every_isa
@every_format
def test_embedding_rows_are_the_stored_ones_and_ids_out_of_range_stay_inside(isa, name):
    fmt = CpuTarget(TRIPLE, isa).weight_format(name)
    random = np.random.default_rng(3)
    packed = fmt.pack(random.standard_normal((37, 70)).astype(np.float32))
    token_ids = np.array([36, 0, 5, 17, -4, 2**31 - 1], np.int32)
    y = untouched(6, 70)
    blocks = packed["data"].shape[0]
    kernel = take(ISAS[isa], Table(fmt, blocks, 70, single=False))
    call(kernel, isa, token_ids, *packed.values(), y)
    stored = fmt.unpack(packed, 37, 70)
    assert np.array_equal(y[:4], stored[token_ids[:4]])
    assert np.array_equal(y[4], stored[0])
    assert np.isfinite(y[5]).all()


@every_isa
def test_one_token_is_taken_by_the_decode_kernel(isa):
    fmt = CpuTarget(TRIPLE, isa).weight_format("q4")
    packed = fmt.pack(np.random.default_rng(3).standard_normal((20, 64)).astype(np.float32))
    y = untouched(1, 64)
    blocks = packed["data"].shape[0]
    kernel = take(ISAS[isa], Table(fmt, blocks, 64, single=True))
    call(kernel, isa, np.array([19], np.int32), *packed.values(), y)
    assert np.array_equal(y[0], fmt.unpack(packed, 20, 64)[19])
