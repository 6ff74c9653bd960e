"""The operators of sphere_edge.models.kernels in numpy and float64: what the right answer is.

Written from the definitions, separately from the compiled kernels, and slow: it unpacks the weights
that a bundle holds, and rounds nothing on the way. `host` names functions that the traced graph
calls; sphere_edge.compiler.interpret runs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax
from tvm.relax.frontend.nn import Tensor
from tvm.relax.frontend.nn.op import wrap_nested

from sphere_edge.models.kernels import (
    Attention,
    ClampedSwiglu,
    Experts,
    Frequencies,
    LayerCache,
    Matrix,
)
from sphere_edge.quantization.weights import WeightFormat

Floats = npt.NDArray[np.float64]
Function = Callable[..., Any]
# Weights unpacked at a time, and rows of the attention computed at a time: what a cache holds.
_SLICE_WEIGHTS = 1 << 20
_ATTENTION_ROWS = 128
_THREADS = os.cpu_count() or 1


@dataclass(frozen=True)
class HostCall:
    """A call in the traced graph: its kind of kernel, and what computes it."""

    kind: str
    function: Function


@dataclass(frozen=True)
class ReferenceKernels:
    """Kernels whose calls are kept in `calls` and come out of the graph by name."""

    calls: dict[str, HostCall] = field(default_factory=dict)
    # What multiplies [n, columns] with a matrix, given its arrays.
    product: Callable[[Floats, Matrix, tuple[Any, ...]], Floats] = field(
        default=lambda x, matrix, arrays: _multiply(x, matrix.fmt, arrays, matrix.rows)
    )

    def linear(self, x: Tensor, matrix: Matrix) -> Tensor:
        """`x` [n, columns] times the transpose of `matrix`."""
        arrays, has_bias = len(matrix.arrays), matrix.bias is not None

        def multiply(x: Floats, *given: Any) -> Floats:
            y = self.product(x, matrix, given[:arrays])
            return y + given[-1] if has_bias else y

        out = _placeholder(x.shape[0], matrix.rows)
        return self.call("linear", multiply, [x, *matrix.parameters], out)

    def take(self, token_ids: Tensor, matrix: Matrix) -> Tensor:
        """Rows `token_ids` of an embedding."""
        fmt, columns = matrix.fmt, matrix.columns

        def take(ids: npt.NDArray[np.int32], *given: Any) -> Floats:
            blocks = ids // fmt.row_block
            picked = dict(zip(_suffixes(fmt), (array[blocks] for array in given), strict=True))
            rows = fmt.unpack(picked, ids.size * fmt.row_block, columns)
            indices = np.arange(ids.size) * fmt.row_block + ids % fmt.row_block
            picked_rows: Floats = rows[indices].astype(np.float64)
            return picked_rows

        out = _placeholder(token_ids.shape[0], columns)
        return self.call("take", take, [token_ids, *matrix.arrays], out)

    def rms_norm(self, x: Tensor, weight: Tensor, epsilon: float, residual: Tensor | None) -> Any:
        """RMSNorm, or the pair of RMSNorm and sum with `residual`."""

        def norm(x: Floats, weight: Floats) -> Floats:
            power: Floats = np.square(x).mean(axis=-1, keepdims=True)
            normed: Floats = x / np.sqrt(power + epsilon) * weight
            return normed

        def add_norm(x: Floats, residual: Floats, weight: Floats) -> tuple[Floats, Floats]:
            return norm(x + residual, weight), x + residual

        out = _placeholder(*x.shape)
        if residual is None:
            return self.call("rms_norm", norm, [x, weight], out)
        return self.call("add_rms_norm", add_norm, [x, residual, weight], [out, out])

    def gated(self, gate_up: Tensor, activation: str | ClampedSwiglu) -> Tensor:
        """`activation`(first half) times second half."""
        n, both = gate_up.shape
        half = int(both) // 2

        def gated(x: Floats) -> Floats:
            if isinstance(activation, ClampedSwiglu):
                return _clamped_swiglu(x[:, :half], x[:, half:], activation)
            return ACTIVATIONS[activation](x[:, :half]) * x[:, half:]

        return self.call("gated", gated, [gate_up], _placeholder(n, half))

    def rotate_and_store(
        self, qkv: Tensor, frequencies: Frequencies, cache: LayerCache, spec: Attention
    ) -> tuple[Tensor, LayerCache]:
        """Rotated q, and the cache with rotated k and v."""
        n, magnitude = qkv.shape[0], frequencies.magnitude

        def rotate(
            qkv: Floats, position: Any, inverse: Floats, *pair: Floats
        ) -> tuple[Floats, Floats, Floats]:
            heads = qkv.reshape(len(qkv), -1, spec.head_dim)
            positions = int(position[0]) + np.arange(len(qkv))
            angles = _angles(positions, inverse)
            rotated = _rotated(heads[:, : -spec.kv_heads], angles, magnitude, spec)
            keys, values = (part.copy() for part in pair)
            keys[:, positions] = rotated[:, spec.query_heads :].transpose(1, 0, 2)
            values[:, positions] = heads[:, -spec.kv_heads :].transpose(1, 0, 2)
            return rotated[:, : spec.query_heads], keys, values

        out = [_placeholder(n, spec.query_heads, spec.head_dim)]
        out += [_placeholder(*part.shape) for part in cache.pair]
        arguments = [qkv, cache.position, frequencies.inverse, *cache.pair]
        q, *changed = self.call("rotate_and_store", rotate, arguments, out)
        return q, LayerCache(cache.position, *changed)

    def attend(
        self, q: Tensor, cache: LayerCache, spec: Attention, sinks: Tensor | None = None
    ) -> Tensor:
        """Causal attention over the cache."""
        out = _placeholder(q.shape[0], spec.query_heads * spec.head_dim)

        def attend(q: Floats, position: Any, *seen: Floats) -> Floats:
            return _attend(q, int(position[0]), _Seen(*seen), spec)

        learned = [] if sinks is None else [sinks]
        return self.call("attend", attend, [q, cache.position, *cache.pair, *learned], out)

    def route(self, logits: Tensor, top_k: int, *, normalized: bool) -> tuple[Tensor, Tensor]:
        """The experts of each token, and their routing weights."""

        def route(logits: Floats) -> tuple[Any, Floats]:
            expert_indices = np.argsort(-logits, axis=1, kind="stable")[:, :top_k]
            largest = np.take_along_axis(logits, expert_indices, axis=1)
            weights = np.exp(largest - largest[:, :1])
            among = largest if normalized else logits
            routing_weights: Floats = weights / np.exp(among - largest[:, :1]).sum(
                axis=1, keepdims=True
            )
            return expert_indices.astype(np.int32), routing_weights

        n = logits.shape[0]
        out = [Tensor.placeholder([n, top_k], "int32"), _placeholder(n, top_k)]
        expert_indices, routing_weights = self.call("route", route, [logits], out)
        return expert_indices, routing_weights

    def experts(self, x: Tensor, expert_indices: Tensor, matrix: Matrix, shape: Experts) -> Tensor:
        """Products with each token's experts."""
        arrays, has_bias, fmt = len(matrix.arrays), matrix.bias is not None, matrix.fmt
        blocks = shape.rows // fmt.row_block

        def multiply(x: Floats, expert_indices: Any, *given: Any) -> Floats:
            wanted = expert_indices.reshape(-1)
            rows = x if len(x) == wanted.size else np.repeat(x, shape.top_k, axis=0)
            y = np.empty((wanted.size, shape.rows))
            for expert in np.unique(wanted):
                part = slice(expert * blocks, (expert + 1) * blocks)
                own = tuple(array[part] for array in given[:arrays])
                y[wanted == expert] = _multiply(rows[wanted == expert], fmt, own, shape.rows)
            return y + given[-1].reshape(shape.count, -1)[wanted] if has_bias else y

        out = _placeholder(expert_indices.shape[0] * shape.top_k, shape.rows)
        return self.call("experts", multiply, [x, expert_indices, *matrix.parameters], out)

    def combine(self, rows: Tensor, routing_weights: Tensor) -> Tensor:
        """The sum of each token's rows, weighted by `routing_weights`."""

        def combine(rows: Floats, routing_weights: Floats) -> Floats:
            total: Floats = np.einsum(
                "ntc,nt->nc", rows.reshape(*routing_weights.shape, -1), routing_weights
            )
            return total

        out = _placeholder(routing_weights.shape[0], rows.shape[1])
        return self.call("combine", combine, [rows, routing_weights], out)

    def call(self, kind: str, function: Function, arguments: list[Any], out: Any) -> Any:
        """A node of the graph that `function` computes."""
        name = f"sphere_edge.reference.{len(self.calls)}"
        self.calls[name] = HostCall(kind, function)
        given = relax.Tuple([argument._expr for argument in arguments])
        outputs = out if isinstance(out, list) else [out]
        # op.extern of this TVM cannot name more than one result.
        result = relax.call_dps_packed(name, given, [one._expr.ty for one in outputs])
        return wrap_nested(result, name)


def _silu(x: Floats) -> Floats:
    y: Floats = x * _sigmoid(x)
    return y


def _sigmoid(x: Floats) -> Floats:
    # In one array, and held where exp does not overflow.
    y: Floats = np.minimum(-x, 700.0)
    np.exp(y, out=y)
    y += 1
    np.reciprocal(y, out=y)
    return y


def _clamped_swiglu(gate: Floats, up: Floats, settings: ClampedSwiglu) -> Floats:
    gate = np.minimum(gate, settings.limit)
    up = np.clip(up, -settings.limit, settings.limit)
    product: Floats = (up + 1) * gate * _sigmoid(settings.alpha * gate)
    return product


def _gelu_tanh(x: Floats) -> Floats:
    """Hendrycks & Gimpel 2016, section 2."""
    y: Floats = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return y


def _gelu(x: Floats) -> Floats:
    from math import erf

    # numpy has no error function; this one is called often, but only by models with exact GELU.
    error: Floats = np.vectorize(erf, otypes=[float])(x * 0.5**0.5)
    return 0.5 * x * (1 + error)


ACTIVATIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "silu": _silu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
}


def _suffixes(fmt: WeightFormat) -> list[str]:
    return list(fmt.parameters(1, 1))


def _multiply(x: Floats, fmt: WeightFormat, arrays: tuple[Any, ...], rows: int) -> Floats:
    columns = x.shape[1]
    y = np.empty((len(x), rows))
    step = max(1, _SLICE_WEIGHTS // (fmt.row_block * columns))

    def multiply(block: int) -> None:
        part = {
            suffix: array[block : block + step]
            for suffix, array in zip(_suffixes(fmt), arrays, strict=True)
        }
        first = block * fmt.row_block
        last = min(rows, first + step * fmt.row_block)
        weight = fmt.unpack(part, len(part["data"]) * fmt.row_block, columns)[: last - first]
        y[:, first:last] = x @ weight.astype(float).T

    # Blocks beyond the rows are padding.
    _in_threads(multiply, range(0, -(-rows // fmt.row_block), step))
    return y


def _in_threads(function: Callable[[int], None], values: range) -> None:
    """Calls `function` with each of `values`, on all threads."""
    if len(values) == 1:
        function(values[0])
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        # Raises what a call raised.
        list(pool.map(function, values))


def _angles(positions: Any, inverse_frequencies: Floats) -> Floats:
    """[n, rotary_dim / 2], float32 products as in every implementation of the models themselves."""
    products = positions.astype(np.float32)[:, None] * inverse_frequencies.astype(np.float32)
    angles: Floats = products.astype(float)
    return angles


def _rotated(heads: Floats, angles: Floats, magnitude: float, spec: Attention) -> Floats:
    """`heads` [n, heads, head_dim] with rotary_dim features of each rotated (Su et al. 2021)."""
    half = spec.rotary_dim // 2
    if half == 0:
        return heads
    cosine, sine = np.cos(angles)[:, None] * magnitude, np.sin(angles)[:, None] * magnitude
    first, second = slice(0, half), slice(half, spec.rotary_dim)
    if spec.interleaved:
        first, second = slice(0, spec.rotary_dim, 2), slice(1, spec.rotary_dim, 2)
    out: Floats = heads.copy()
    a, b = heads[..., first], heads[..., second]
    out[..., first], out[..., second] = a * cosine - b * sine, b * cosine + a * sine
    return out


@dataclass(frozen=True)
class _Seen:
    """What queries see: keys and values [kv_heads, tokens, head_dim], and a sink per query head."""

    keys: Floats
    values: Floats
    sinks: Floats | None = None

    def part(self, shared: int, tokens: slice, heads: slice) -> _Seen:
        """Keys and values [tokens, head_dim] of one head, with the sinks of its query heads."""
        sinks = None if self.sinks is None else self.sinks[heads, None, None]
        return _Seen(self.keys[shared, tokens], self.values[shared, tokens], sinks)


def _attend(q: Floats, position: int, cached: _Seen, spec: Attention) -> Floats:
    out: Floats = np.empty_like(q)
    group = spec.query_heads // spec.kv_heads

    def attend(start: int) -> None:
        rows = slice(start, min(len(q), start + _ATTENTION_ROWS))
        first = 0 if spec.window is None else max(0, position + start + 1 - spec.window)
        seen = slice(first, position + rows.stop)
        masked = _mask(position + rows.start, position + rows.stop, seen, spec.window)
        for shared in range(spec.kv_heads):
            heads = slice(shared * group, (shared + 1) * group)
            part = cached.part(shared, seen, heads)
            found = _attend_group(q[rows, heads].swapaxes(0, 1), part, masked, spec)
            out[rows, heads] = found.swapaxes(0, 1)

    _in_threads(attend, range(0, len(q), _ATTENTION_ROWS))
    return out.reshape(len(q), -1)


def _mask(first: int, last: int, seen: slice, window: int | None) -> Floats:
    """0 where tokens first..last-1 see the tokens `seen`, -inf elsewhere."""
    rows, columns = np.arange(first, last)[:, None], np.arange(seen.start, seen.stop)[None]
    hidden = columns > rows
    if window is not None:
        hidden |= columns <= rows - window
    return np.where(hidden, -np.inf, 0.0)


def _attend_group(q: Floats, seen: _Seen, masked: Floats, spec: Attention) -> Floats:
    """[heads, rows, head_dim] of query heads that share a key and value head."""
    heads, rows, head_dim = q.shape
    scores = (q.reshape(-1, head_dim) @ seen.keys.T).reshape(heads, rows, -1)
    scores *= spec.scale
    if spec.softcap is not None:
        scores /= spec.softcap
        np.tanh(scores, out=scores)
        scores *= spec.softcap
    scores += masked
    largest = scores.max(axis=-1, keepdims=True)
    if seen.sinks is not None:
        largest = np.maximum(largest, seen.sinks)
    scores -= largest
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    if seen.sinks is not None:
        total += np.exp(seen.sinks - largest)
    weighted = scores.reshape(heads * rows, -1) @ seen.values
    out: Floats = weighted.reshape(heads, rows, -1) / total
    return out


def _placeholder(*shape: Any) -> Tensor:
    return Tensor.placeholder(list(shape), "float32")
