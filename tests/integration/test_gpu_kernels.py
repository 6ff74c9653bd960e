"""Every GPU kernel on OpenCL against numpy, for sizes that fill no tile: 1, odd, prime, large.

In float32, and as phones compute it in float16: half_on_pocl.cl gives PoCL the arithmetic.
"""

from __future__ import annotations

from math import erf, sqrt

import numpy as np
import pytest
from opencl_kernels import Library, device, target

from sphere_edge.compiler.kernels import (
    gpu_batch_linear,
    gpu_decode_attention,
    gpu_elementwise,
    gpu_linear,
    gpu_prefill_attention,
)
from sphere_edge.compiler.kernels.elementwise import Norm, Table
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import TUNINGS
from sphere_edge.compiler.kernels.linear import Shape
from sphere_edge.compiler.kernels.rope import Rotary
from sphere_edge.quantization.weights import FORMATS
from tests import attention_reference as reference

# Family, and whether it computes in float16.
GPUS = (
    ("generic", False), ("mali", False), ("adreno", False), ("mali", True), ("adreno", True),
)  # fmt: skip
# rows, columns, tokens, bias
_LINEARS = [
    (16, 32, 1, False),
    (37, 70, 1, True),
    (37, 70, 5, True),
    (33, 96, 29, False),
    (5, 3, 2, False),
    (8, 80, 3, False),
    (131, 256, 67, True),
]
# rows, columns, bias
_BATCH_LINEARS = [(16, 32, False), (37, 70, True), (5, 3, False), (131, 1100, True)]
_ROWS = [(1, 64), (5, 70), (3, 257)]
_ACTIVATIONS = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + np.vectorize(erf)(x / sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
}
_DTYPES = ("float32", "float16")
# Position and sequence of each token of a batch, and from where on other frequencies apply.
_BATCH = np.array([[3, 2], [200, 0], [128, 1], [0, 3], [64, 4]], np.int32)
_SWITCHES = (0, 128)
# Those that GPUs multiply with: mxfp4 is refused by name (tests/unit/test_gpu_refusals.py).
_FORMATS = tuple(fmt for fmt in FORMATS if fmt != "mxfp4")


def _kernels(family, half):
    arithmetic, tuning, made = Arithmetic("opencl", half), TUNINGS[family], {}
    fmt_of = target(family).weight_format
    for fmt in _FORMATS:
        for rows, columns, n, bias in _LINEARS:
            shape = Shape(rows, columns, n == 1, bias)
            made[f"linear_{fmt}_{rows}_{n}"] = gpu_linear.linear(
                arithmetic, tuning, fmt_of(fmt), shape
            )
        for rows, columns, bias in _BATCH_LINEARS:
            common = (arithmetic, tuning, fmt_of(fmt))
            batch, alone = (Shape(rows, columns, single, bias) for single in (False, True))
            made[f"batch_{fmt}_{rows}"] = gpu_batch_linear.linear(*common, batch)
            made[f"alone_{fmt}_{rows}"] = gpu_linear.linear(*common, alone)
        blocks = -(-37 // fmt_of(fmt).row_block)
        made[f"take_{fmt}"] = gpu_elementwise.take(
            arithmetic, tuning, Table(fmt_of(fmt), blocks, 70, single=False)
        )
    for n, columns in _ROWS:
        for residual in (False, True):
            made[f"norm_{columns}_{residual}"] = gpu_elementwise.rms_norm(
                tuning, Norm(columns, n == 1, 1e-5, residual)
            )
        for name in _ACTIVATIONS:
            made[f"{name}_{columns}"] = gpu_elementwise.gated(tuning, columns, n == 1, name)
    for number, spec in enumerate(reference.SPECS.values()):
        made[f"merge_{number}"] = gpu_decode_attention.merge(tuning, spec)
        made[f"batch_merge_{number}"] = gpu_decode_attention.batch_merge(tuning, spec)
        for dtype in _DTYPES:
            common = (arithmetic, tuning, spec)
            made[f"rotate_{number}_{dtype}"] = gpu_elementwise.rotate_and_store(
                arithmetic, tuning, Rotary(spec, 1.25, dtype, single=False)
            )
            made[f"rotate_one_{number}_{dtype}"] = gpu_elementwise.rotate_and_store(
                arithmetic, tuning, Rotary(spec, 1.25, dtype, single=True)
            )
            for switch in _SWITCHES:
                rotary = Rotary(spec, 1.25, dtype, single=False, switch_tokens=switch)
                made[f"rotate_batch_{number}_{dtype}_{switch}"] = (
                    gpu_elementwise.rotate_and_store_batch(arithmetic, tuning, rotary)
                )
            made[f"kv_splits_{number}_{dtype}"] = gpu_decode_attention.kv_splits(*common, dtype)
            made[f"batch_kv_splits_{number}_{dtype}"] = gpu_decode_attention.batch_kv_splits(
                *common, dtype
            )
            made[f"prefill_{number}_{dtype}"] = gpu_prefill_attention.prefill_attention(
                *common, dtype
            )
    return made


def _name(gpu):
    return f"{gpu[0]}-{'f16' if gpu[1] else 'f32'}"


def _cases():
    """All GPUs; one of them also where the kernels have not changed."""
    for gpu in GPUS:
        marks = () if gpu == ("generic", False) else pytest.mark.group("gpu")
        yield pytest.param(gpu, marks=marks, id=_name(gpu))


@pytest.fixture(scope="module", params=_cases())
def gpu(request):
    return request.param


@pytest.fixture(scope="module")
def family(gpu):
    return gpu[0]


@pytest.fixture(scope="module")
def library(gpu, tmp_path_factory):
    device()
    made_for = target(gpu[0], half=gpu[1])
    return Library(_kernels(*gpu), made_for, tmp_path_factory.mktemp(_name(gpu)))


every_spec = pytest.mark.parametrize("number", range(len(reference.SPECS)), ids=reference.SPECS)
every_dtype = pytest.mark.parametrize("dtype", _DTYPES)


def _untouched(*shape):
    return np.full(shape, np.nan, np.float32)


def _random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("fmt", _FORMATS)
def test_a_linear_layer_agrees_with_numpy(library, gpu, family, fmt):
    # Of the largest: 1.1e-3 was seen with float16.
    relative = 3e-3 if gpu[1] else 1e-5
    layout = target(family).weight_format(fmt)
    for rows, columns, n, bias in _LINEARS:
        packed = layout.pack(_random(rows, columns))
        # Large activations: nothing may depend on their size.
        x, offset = _random(n, columns) * 300, [_random(rows)] if bias else []
        y = _untouched(n, rows)
        library.call(f"linear_{fmt}_{rows}_{n}", x, *packed.values(), *offset, y)
        exact = x.astype(np.float64) @ layout.unpack(packed, rows, columns).T
        exact += offset[0] if bias else 0
        assert np.abs(y - exact).max() <= relative * np.abs(exact).max() + 1e-4, (rows, n)


@pytest.mark.parametrize("fmt", _FORMATS)
def test_a_linear_layer_of_a_batch_gives_each_row_as_alone(library, family, fmt):
    layout = target(family).weight_format(fmt)
    for rows, columns, bias in _BATCH_LINEARS:
        packed = layout.pack(_random(rows, columns))
        offset = [_random(rows)] if bias else []
        for n in (1, 2, 4, 5, 8):
            x, y = _random(n, columns) * 300, _untouched(n, rows)
            library.call(f"batch_{fmt}_{rows}", x, *packed.values(), *offset, y)
            exact = x.astype(np.float64) @ layout.unpack(packed, rows, columns).T
            exact += offset[0] if bias else 0
            assert np.abs(y - exact).max() <= 1e-5 * np.abs(exact).max() + 1e-4, (rows, n)
            for row in range(n):
                alone = _untouched(1, rows)
                one = x[row : row + 1].copy()
                library.call(f"alone_{fmt}_{rows}", one, *packed.values(), *offset, alone)
                assert np.array_equal(y[row], alone[0]), (rows, n, row)


@pytest.mark.parametrize("fmt", _FORMATS)
def test_rows_of_an_embedding_are_unpacked_and_ids_out_of_range_take_an_end(library, family, fmt):
    layout = target(family).weight_format(fmt)
    packed = layout.pack(_random(37, 70))
    rows = layout.unpack(packed, -(-37 // layout.row_block) * layout.row_block, 70)
    y = _untouched(5, 70)
    ids = np.array([0, 36, 7, -3, 10**6], np.int32)
    library.call(f"take_{fmt}", ids, *packed.values(), y)
    assert np.array_equal(y, rows[[0, 36, 7, 0, len(rows) - 1]])


@pytest.mark.parametrize(("n", "columns"), _ROWS)
def test_rms_norm_agrees_with_numpy(library, n, columns):
    x, other, weight = _random(n, columns), _random(n, columns + 1)[:, 1:].copy(), _random(columns)
    y, y_sum, added = _untouched(n, columns), _untouched(n, columns), _untouched(n, columns)
    library.call(f"norm_{columns}_False", x, weight, y)
    library.call(f"norm_{columns}_True", x, other, weight, y_sum, added)

    def norm(row):
        return row / np.sqrt(np.square(row).mean(-1, keepdims=True) + 1e-5) * weight

    assert np.abs(y - norm(x)).max() <= 1e-5
    assert np.array_equal(added, x + other)
    assert np.abs(y_sum - norm(x + other)).max() <= 1e-5


@pytest.mark.parametrize("name", _ACTIVATIONS)
def test_a_gated_activation_agrees_with_numpy(library, name):
    for n, columns in _ROWS:
        both, y = _random(n, 2 * columns) * 4, _untouched(n, columns)
        library.call(f"{name}_{columns}", both, y)
        gate, up = both[:, :columns].astype(np.float64), both[:, columns:]
        assert np.abs(y - _ACTIVATIONS[name](gate) * up).max() <= 2e-5


@every_dtype
@every_spec
def test_rope_rotates_q_and_k_and_writes_only_its_rows_of_the_cache(library, number, dtype):
    spec = list(reference.SPECS.values())[number]
    n, position = 5, 131
    keys, values = reference.cache(spec, dtype)
    old_keys, old_values = keys.copy(), values.copy()
    qkv = _random(n, spec.query_heads + 2 * spec.kv_heads, spec.head_dim)
    half = spec.rotary_dim // 2
    inverse = (1e4 ** (-np.arange(half) / half)).astype(np.float32)
    q, start = _untouched(n, spec.query_heads, spec.head_dim), np.array([position], np.int32)
    library.call(f"rotate_{number}_{dtype}", qkv.reshape(n, -1), start, inverse, keys, values, q)
    rows = np.arange(position, position + n)
    rotated = reference.rotated(qkv[:, : -spec.kv_heads], rows, inverse, 1.25, spec)
    assert np.abs(q - rotated[:, : spec.query_heads]).max() <= 2e-5
    old_keys[:, rows] = rotated[:, spec.query_heads :].transpose(1, 0, 2)
    old_values[:, rows] = qkv[:, -spec.kv_heads :].transpose(1, 0, 2)
    tolerance = 2e-5 if dtype == "float32" else 8e-3
    assert np.abs(keys.astype(np.float64) - old_keys).max() <= tolerance
    assert np.array_equal(values, old_values)


@every_dtype
@every_spec
@pytest.mark.parametrize("position", [0, 6, 127, 128, 299])
def test_one_token_attends_to_all_that_it_may_see(library, family, number, dtype, position):
    spec = list(reference.SPECS.values())[number]
    q = _random(1, spec.query_heads, spec.head_dim)
    keys, values = _only_seen(spec, dtype, position + 1)
    count = -(-reference.CONTEXT // TUNINGS[family].split_keys)
    heads, start = spec.query_heads, np.array([position], np.int32)
    parts = [_untouched(count, heads, spec.head_dim), *(_untouched(count, heads) for _ in "mt")]
    library.call(f"kv_splits_{number}_{dtype}", q, start, keys, values, *parts)
    y = _untouched(1, heads * spec.head_dim)
    library.call(f"merge_{number}", start, *parts, y)
    exact = reference.attended(q, position, keys, values, spec)
    assert np.abs(y.reshape(exact.shape) - exact).max() <= 2e-5


def _caches(spec, dtype):
    """K and V of five sequences with different content, and both with all heads in one array."""
    each = [reference.cache(spec, dtype) for _ in _BATCH]
    for number, (keys, values) in enumerate(each):
        keys *= 1 + number / 8
        values *= 1 - number / 8
    for position, sequence in _BATCH:
        for part in each[sequence]:
            part[:, position + 1 :] = np.nan
    return each, [np.concatenate(parts) for parts in zip(*each, strict=True)]


@every_dtype
@every_spec
def test_a_token_of_a_batch_attends_as_alone(library, family, number, dtype):
    spec = list(reference.SPECS.values())[number]
    each, whole = _caches(spec, dtype)
    n, heads = len(_BATCH), spec.query_heads
    count = -(-reference.CONTEXT // TUNINGS[family].split_keys)
    q, y = _random(n, heads, spec.head_dim), _untouched(n, heads * spec.head_dim)
    parts = [_untouched(n, count, heads, spec.head_dim)]
    parts += [_untouched(n, count, heads) for _ in "mt"]
    library.call(f"batch_kv_splits_{number}_{dtype}", q, _BATCH, *whole, *parts)
    library.call(f"batch_merge_{number}", _BATCH, *parts, y)
    for row, (position, sequence) in enumerate(_BATCH):
        alone, start = _untouched(1, heads * spec.head_dim), np.array([position], np.int32)
        parts = [_untouched(count, heads, spec.head_dim), *(_untouched(count, heads) for _ in "mt")]
        one = q[row : row + 1].copy()
        library.call(f"kv_splits_{number}_{dtype}", one, start, *each[sequence], *parts)
        library.call(f"merge_{number}", start, *parts, alone)
        assert np.array_equal(y[row], alone[0])


@every_dtype
@every_spec
@pytest.mark.parametrize("switch", _SWITCHES)
def test_a_token_of_a_batch_is_rotated_as_alone_and_stored_in_its_own_sequence(
    library, number, dtype, switch
):
    spec = list(reference.SPECS.values())[number]
    each, whole = _caches(spec, dtype)
    n, heads = len(_BATCH), spec.query_heads
    qkv = _random(n, (heads + 2 * spec.kv_heads) * spec.head_dim)
    half = spec.rotary_dim // 2
    inverse = (1e4 ** (-np.arange(half) / half)).astype(np.float32)
    both = [inverse, inverse / 4] if switch else [inverse]
    q = _untouched(n, heads, spec.head_dim)
    library.call(f"rotate_batch_{number}_{dtype}_{switch}", qkv, _BATCH, *both, *whole, q)
    for row, (position, sequence) in enumerate(_BATCH):
        alone, start = _untouched(1, heads, spec.head_dim), np.array([position], np.int32)
        own = both[int(bool(switch) and position >= switch)]
        one = qkv[row : row + 1].copy()
        library.call(f"rotate_one_{number}_{dtype}", one, start, own, *each[sequence], alone)
        assert np.array_equal(q[row], alone[0])
    for stored, parts in zip(whole, zip(*each, strict=True), strict=True):
        assert np.array_equal(stored, np.concatenate(parts), equal_nan=True)


@every_dtype
@every_spec
@pytest.mark.parametrize(("n", "position"), [(1, 0), (7, 0), (37, 0), (13, 130), (16, 284)])
def test_many_tokens_attend_to_all_that_they_may_see(library, gpu, number, dtype, n, position):
    spec = list(reference.SPECS.values())[number]
    q = _random(n, spec.query_heads, spec.head_dim)
    keys, values = _only_seen(spec, dtype, position + n)
    y = _untouched(n, spec.query_heads * spec.head_dim)
    start = np.array([position], np.int32)
    library.call(f"prefill_{number}_{dtype}", q, start, keys, values, y)
    exact = reference.attended(q, position, keys, values, spec)
    # 1.0e-3 was seen with float16.
    tolerance = 3e-3 if gpu[1] else 2e-5
    assert np.abs(y.reshape(exact.shape) - exact).max() <= tolerance


def _only_seen(spec, dtype, end):
    """A cache whose rows from `end` on are no numbers: whoever reads them is found out."""
    keys, values = reference.cache(spec, dtype)
    keys[:, end:] = np.nan
    values[:, end:] = np.nan
    return keys, values
