"""The operators of a GPU as nodes of a traced model: calls of kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from tvm.relax.frontend.nn import Tensor, op

from sphere_edge.compiler.kernels import (
    gpu_decode_attention,
    gpu_elementwise,
    gpu_linear,
    gpu_prefill_attention,
)
from sphere_edge.compiler.kernels.gpu_tir import Arithmetic
from sphere_edge.compiler.kernels.gpu_tuning import Tuning
from sphere_edge.compiler.kernels.linear import Shape
from sphere_edge.compiler.kernels.operators import float32, in_place_rotation, is_one, suffix
from sphere_edge.errors import UnsupportedError
from sphere_edge.models.kernels import Attention, ClampedSwiglu, Experts
from sphere_edge.quantization.weights import WeightFormat


@dataclass(frozen=True)
class GpuKernels:
    """`sphere_edge.models.kernels.Kernels` for one GPU; see there for each method."""

    arithmetic: Arithmetic
    tuning: Tuning

    def linear(
        self, x: Tensor, weight: list[Tensor], fmt: WeightFormat, rows: int, bias: Tensor | None
    ) -> Tensor:
        """`x` [n, k] times the transpose of a packed [rows, k] weight."""
        _check_format(fmt)
        n, columns = x.shape
        shape = Shape(rows, int(columns), is_one(n), bias is not None)
        arguments = [x, *weight] if bias is None else [x, *weight, bias]
        return op.tensor_ir_op(
            gpu_linear.linear(self.arithmetic, self.tuning, fmt, shape),
            f"linear_{fmt.name}_{rows}_{columns}{suffix(n)}",
            arguments,
            float32(n, rows),
        )

    def take(
        self, token_ids: Tensor, weight: list[Tensor], fmt: WeightFormat, columns: int
    ) -> Tensor:
        """Rows `token_ids` of a packed embedding."""
        _check_format(fmt)
        n = token_ids.shape[0]
        blocks = int(weight[0].shape[0])
        kernel = gpu_elementwise.take(self.arithmetic, self.tuning, fmt, blocks, columns, is_one(n))
        name = f"take_{fmt.name}{suffix(n)}"
        return op.tensor_ir_op(kernel, name, [token_ids, *weight], float32(n, columns))

    def rms_norm(self, x: Tensor, weight: Tensor, epsilon: float, residual: Tensor | None) -> Any:
        """RMSNorm, or the pair of RMSNorm and sum with `residual`."""
        n, columns = x.shape
        kernel = gpu_elementwise.rms_norm(
            self.tuning, int(columns), is_one(n), epsilon, residual is not None
        )
        name = f"rms_norm{suffix(n)}"
        if residual is None:
            return op.tensor_ir_op(kernel, name, [x, weight], float32(n, columns))
        out = [float32(n, columns), float32(n, columns)]
        return op.tensor_ir_op(kernel, f"add_{name}", [x, residual, weight], out)

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
        self,
        qkv: Tensor,
        position: Tensor,
        inverse_frequencies: Tensor,
        magnitude: float,
        cache: tuple[Tensor, Tensor],
        spec: Attention,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Rotated q, and the cache with rotated k and v written in place."""
        n = qkv.shape[0]
        dtype = str(cache[0].dtype)
        kernel = gpu_elementwise.rotate_and_store(
            self.arithmetic, self.tuning, spec, is_one(n), magnitude, dtype
        )
        return in_place_rotation(kernel, qkv, position, inverse_frequencies, cache, spec)

    def attend(
        self,
        q: Tensor,
        position: Tensor,
        cache: tuple[Tensor, Tensor],
        spec: Attention,
        sinks: Tensor | None = None,
    ) -> Tensor:
        """Causal attention over the cache."""
        if sinks is not None:
            _refuse("attention sinks")
        n, heads = q.shape[0], spec.query_heads
        dtype = str(cache[0].dtype)
        out = float32(n, heads * spec.head_dim)
        if not is_one(n):
            kernel = gpu_prefill_attention.prefill_attention(
                self.arithmetic, self.tuning, spec, dtype
            )
            return op.tensor_ir_op(kernel, "attend_many", [q, position, *cache], out)
        split_keys = self.tuning.split_keys
        count = (cache[0].shape[1] + (split_keys - 1)) // split_keys
        parts = op.tensor_ir_op(
            gpu_decode_attention.kv_splits(self.arithmetic, self.tuning, spec, dtype),
            "attend_one",
            [q, position, *cache],
            [float32(count, heads, spec.head_dim), float32(count, heads), float32(count, heads)],
        )
        kernel = gpu_decode_attention.merge(self.tuning, spec)
        return op.tensor_ir_op(kernel, "attend_merge", [position, *parts], out)

    def route(self, logits: Tensor, top_k: int, *, normalized: bool) -> tuple[Tensor, Tensor]:
        """Refused: see experts."""
        _refuse("mixtures of experts")

    def experts(
        self,
        x: Tensor,
        expert_indices: Tensor,
        weight: list[Tensor],
        fmt: WeightFormat,
        shape: Experts,
        bias: Tensor | None,
    ) -> Tensor:
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
