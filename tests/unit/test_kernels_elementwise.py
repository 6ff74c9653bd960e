"""RMSNorm, gated activations and the functions they are made of against numpy."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest
from kernel_calls import HERE, ISAS, call, untouched

from sphere_edge.compiler.kernels import arithmetic, generic, tir
from sphere_edge.compiler.kernels.elementwise import Norm, gated, rms_norm

pytestmark = pytest.mark.group("kernels")

every_isa = pytest.mark.parametrize("isa", HERE)
shapes = pytest.mark.parametrize(("n", "columns"), [(1, 70), (3, 896), (5, 13), (2, 64)])


def _map(function, lanes=4):
    """The kernel y = function(x) over [n, lanes]."""

    def body():
        n = tir.symbol("n")
        x = tir.parameter("x", (n, lanes), "float32")
        y = tir.parameter("y", (n, lanes), "float32")
        with tir.code(), tir.parallel(n) as row:
            value = function(tir.bind(tir.load(x, (row, 0), lanes)), lanes)
            tir.store(y, (row, 0), value, lanes)

    return tir.function(body)


def _mapped(function, x):
    y = untouched(*x.shape)
    call(_map(function, x.shape[1]), "generic", x, y)
    return y


@every_isa
@shapes
def test_rms_norm_agrees_with_numpy(isa, n, columns):
    random = np.random.default_rng(columns)
    x, weight = random.standard_normal((n, columns)) * 3, random.standard_normal(columns)
    y = untouched(n, columns)
    kernel = rms_norm(ISAS[isa], Norm(columns, n == 1, 1e-6, residual=False))
    call(kernel, isa, x.astype(np.float32), weight.astype(np.float32), y)
    exact = x / np.sqrt(np.square(x).mean(1, keepdims=True) + 1e-6) * weight
    assert np.abs(y - exact).max() <= 2e-6 * np.abs(exact).max()


@every_isa
@shapes
def test_rms_norm_with_residual_gives_norm_and_sum(isa, n, columns):
    random = np.random.default_rng(columns)
    x, other = (random.standard_normal((n, columns)).astype(np.float32) for _ in range(2))
    weight = random.standard_normal(columns).astype(np.float32)
    y, added = untouched(n, columns), untouched(n, columns)
    kernel = rms_norm(ISAS[isa], Norm(columns, n == 1, 1e-5, residual=True))
    call(kernel, isa, x, other, weight, y, added)
    exact = (x + other).astype(np.float64)
    assert np.array_equal(added, x + other)
    exact = exact / np.sqrt(np.square(exact).mean(1, keepdims=True) + 1e-5) * weight
    assert np.abs(y - exact).max() <= 2e-6 * np.abs(exact).max()


def _gelu(x):
    return x / 2 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


_ACTIVATIONS = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": _gelu,
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
}


@every_isa
@pytest.mark.parametrize("name", _ACTIVATIONS)
@pytest.mark.parametrize(("n", "columns"), [(1, 70), (5, 13)])
def test_a_gated_activation_agrees_with_numpy(isa, name, n, columns):
    gate_up = np.random.default_rng(n).standard_normal((n, 2 * columns)) * 4
    gate_up[0, :4] = (-200, 200, 0, -30)
    gate_up = gate_up.astype(np.float32)
    y = untouched(n, columns)
    call(gated(ISAS[isa], columns, n == 1, name), isa, gate_up, y)
    gate, up = gate_up[:, :columns].astype(np.float64), gate_up[:, columns:]
    with np.errstate(over="ignore"):
        exact = _ACTIVATIONS[name](gate) * up
    assert np.abs(y - exact).max() <= 1e-6 * (1 + np.abs(gate).max() * np.abs(up).max()) / 10


def test_exp_is_as_exact_as_stated():
    x = np.linspace(-87, 88, 40_000, dtype=np.float32).reshape(-1, 4)
    exact = np.exp(x.astype(np.float64))
    assert np.abs(_mapped(arithmetic.exp, x) / exact - 1).max() <= 3e-7


def test_exp_of_anything_is_a_number():
    x = np.array([[-np.inf, -1e30, 1e30, np.inf]], np.float32)
    y = _mapped(arithmetic.exp, x)
    assert (y[0, :2] == 0).all()
    assert (y[0, 2:] > 1e38).all()


def test_tanh_and_erf_are_as_exact_as_stated():
    x = np.linspace(-9, 9, 40_000, dtype=np.float32).reshape(-1, 4)
    wide = x.astype(np.float64)
    assert np.abs(_mapped(arithmetic.tanh, x) - np.tanh(wide)).max() <= 3e-7
    assert np.abs(_mapped(arithmetic.erf, x) - np.vectorize(erf)(wide)).max() <= 5e-7


def test_halves_are_converted_by_integer_arithmetic_as_by_the_cpu():
    def there_and_back(x, lanes):
        return generic.widen(generic.narrow(x, lanes), lanes)

    every = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    between = (every[1:] + every[:-1]) / 2
    nearly = np.nextafter(between, np.float32(np.inf)), np.nextafter(between, np.float32(0))
    x = np.concatenate([every, between, *nearly])
    x = np.concatenate([x, -x])
    x = np.resize(x, (x.size // 4, 4))
    with np.errstate(over="ignore"):
        exact = x.astype(np.float16).astype(np.float32)
    assert np.array_equal(_mapped(there_and_back, x), exact)
