"""The operators of a GPU as nodes of a traced model: calls of kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from tvm.relax.frontend.nn import Tensor, op

from sphere_edge.compiler.kernels import (
    gpu_batch_linear,
    gpu_decode_attention,
    gpu_elementwise,
    gpu_linear,
    gpu_prefill_attention,
)
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import Tuning
from sphere_edge.compiler.kernels.operators import (
    embedding_rows,
    float32,
    in_place_rotation,
    is_one,
    linear_shape,
    multiplication,
    norm_of,
    normalization,
    rotary_of,
    suffix,
    table_of,
)
from sphere_edge.errors import UnsupportedError
from sphere_edge.models.kernels import (
    Attention,
    ClampedSwiglu,
    Experts,
    Frequencies,
    LayerCache,
    Matrix,
    is_batch,
)
from sphere_edge.quantization.weights import WeightFormat


@dataclass(frozen=True)
class GpuKernels:
    """`sphere_edge.models.kernels.Kernels` for one GPU; see there for each method."""

    arithmetic: Arithmetic
    tuning: Tuning

    def linear(self, x: Tensor, matrix: Matrix) -> Tensor:
        """`x` [n, columns] times the transpose of `matrix`."""
        _check_format(matrix.fmt)
        made_for = (self.arithmetic, self.tuning, matrix.fmt, linear_shape(x, matrix))
        if is_batch(x.shape[0]):
            return multiplication(gpu_batch_linear.linear(*made_for), x, matrix, "_batch")
        return multiplication(gpu_linear.linear(*made_for), x, matrix)

    def take(self, token_ids: Tensor, matrix: Matrix) -> Tensor:
        """Rows `token_ids` of an embedding."""
        _check_format(matrix.fmt)
        table = table_of(token_ids, matrix)
        kernel = gpu_elementwise.take(self.arithmetic, self.tuning, table)
        return embedding_rows(kernel, token_ids, matrix)

    def rms_norm(self, x: Tensor, weight: Tensor, epsilon: float, residual: Tensor | None) -> Any:
        """RMSNorm, or the pair of RMSNorm and sum with `residual`."""
        kernel = gpu_elementwise.rms_norm(self.tuning, norm_of(x, epsilon, residual))
        return normalization(kernel, x, weight, residual)

    def gated(self, gate_up: Tensor, activation: str | ClampedSwiglu) -> Tensor:
        """`activation`(first half) times second half."""
        if isinstance(activation, ClampedSwiglu):
            _refuse("the clamped swiglu of gpt-oss")
        n, both = gate_up.shape
        columns = int(both) // 2
        kernel = gpu_elementwise.gated(self.tuning, columns, is_one(n), activation)
        return op.tensor_ir_op(
            kernel, f"gated_{activation}{suffix(n)}", [gate_up], float32(n, columns)
        )

    def rotate_and_store(
        self, qkv: Tensor, frequencies: Frequencies, cache: LayerCache, spec: Attention
    ) -> tuple[Tensor, LayerCache]:
        """Rotated q, and the cache with rotated k and v written in place."""
        build = gpu_elementwise.rotate_and_store
        if cache.is_batch:
            build = gpu_elementwise.rotate_and_store_batch
        rotary = rotary_of(qkv, frequencies, cache, spec)
        kernel = build(self.arithmetic, self.tuning, rotary)
        return in_place_rotation(kernel, [qkv, *frequencies.arrays(cache)], cache, spec)

    def attend(
        self, q: Tensor, cache: LayerCache, spec: Attention, sinks: Tensor | None = None
    ) -> Tensor:
        """Causal attention over the cache."""
        if sinks is not None:
            _refuse("attention sinks")
        made_for = (self.arithmetic, self.tuning, spec, cache.dtype)
        n, heads = q.shape[0], spec.query_heads
        given, out = [q, cache.position, *cache.pair], float32(n, heads * spec.head_dim)
        split_keys = self.tuning.split_keys
        count = (cache.keys.shape[1] + (split_keys - 1)) // split_keys
        if cache.is_batch:
            sizes = ((n, count, heads, spec.head_dim), (n, count, heads), (n, count, heads))
            splits = gpu_decode_attention.batch_kv_splits(*made_for)
            parts = op.tensor_ir_op(splits, "attend_batch", given, [float32(*one) for one in sizes])
            kernel = gpu_decode_attention.batch_merge(self.tuning, spec)
            return op.tensor_ir_op(kernel, "attend_merge_batch", [cache.position, *parts], out)
        if not is_one(n):
            kernel = gpu_prefill_attention.prefill_attention(*made_for)
            return op.tensor_ir_op(kernel, "attend_many", given, out)
        parts = op.tensor_ir_op(
            gpu_decode_attention.kv_splits(*made_for),
            "attend_one",
            given,
            [float32(count, heads, spec.head_dim), float32(count, heads), float32(count, heads)],
        )
        kernel = gpu_decode_attention.merge(self.tuning, spec)
        return op.tensor_ir_op(kernel, "attend_merge", [cache.position, *parts], out)

    def route(self, logits: Tensor, top_k: int, *, normalized: bool) -> tuple[Tensor, Tensor]:
        """Refused: see experts."""
        _refuse("mixtures of experts")

    def experts(self, x: Tensor, expert_indices: Tensor, matrix: Matrix, shape: Experts) -> Tensor:
        """Refused: such models run on the CPU."""
        _refuse("mixtures of experts")

    def combine(self, rows: Tensor, routing_weights: Tensor) -> Tensor:
        """Refused: see experts."""
        _refuse("mixtures of experts")


def _check_format(fmt: WeightFormat) -> None:
    if fmt.name == "mxfp4":
        _refuse("weights in mxfp4")


def _refuse(what: str) -> NoReturn:
    message = f"there are no GPU kernels for {what}"
    raise UnsupportedError(message, hint="the CPU runs this model")
