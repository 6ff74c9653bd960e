"""The operators of one instruction set as nodes of a traced model: calls of kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm.relax.frontend.nn import Tensor, op

from sphere_edge.compiler.kernels import elementwise, experts, linear, rope
from sphere_edge.compiler.kernels.decode_attention import batch_attention, decode_attention
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.prefill_attention import prefill_attention
from sphere_edge.models.kernels import Attention, ClampedSwiglu, Experts
from sphere_edge.quantization.weights import WeightFormat


@dataclass(frozen=True)
class CpuKernels:
    """`sphere_edge.models.kernels.Kernels` for one instruction set; see there for each method."""

    isa: Isa

    def linear(
        self, x: Tensor, weight: list[Tensor], fmt: WeightFormat, rows: int, bias: Tensor | None
    ) -> Tensor:
        """`x` [n, k] times the transpose of a packed [rows, k] weight."""
        n, columns = x.shape
        shape = linear.Shape(rows, int(columns), is_one(n), bias is not None)
        arguments = [x, *weight] if bias is None else [x, *weight, bias]
        return op.tensor_ir_op(
            linear.linear(self.isa, fmt, shape),
            f"linear_{fmt.name}_{rows}_{columns}{suffix(n)}",
            arguments,
            float32(n, rows),
        )

    def take(
        self, token_ids: Tensor, weight: list[Tensor], fmt: WeightFormat, columns: int
    ) -> Tensor:
        """Rows `token_ids` of a packed embedding."""
        n = token_ids.shape[0]
        blocks = int(weight[0].shape[0])
        kernel = elementwise.take(self.isa, fmt, blocks, columns, is_one(n))
        name = f"take_{fmt.name}{suffix(n)}"
        return op.tensor_ir_op(kernel, name, [token_ids, *weight], float32(n, columns))

    def rms_norm(self, x: Tensor, weight: Tensor, epsilon: float, residual: Tensor | None) -> Any:
        """RMSNorm, or the pair of RMSNorm and sum with `residual`."""
        n, columns = x.shape
        kernel = elementwise.rms_norm(
            self.isa, int(columns), is_one(n), epsilon, residual is not None
        )
        name = f"rms_norm{suffix(n)}"
        if residual is None:
            return op.tensor_ir_op(kernel, name, [x, weight], float32(n, columns))
        out = [float32(n, columns), float32(n, columns)]
        return op.tensor_ir_op(kernel, f"add_{name}", [x, residual, weight], out)

    def gated(self, gate_up: Tensor, activation: str | ClampedSwiglu) -> Tensor:
        """`activation`(first half) times second half."""
        n, both = gate_up.shape
        columns = int(both) // 2
        kernel = elementwise.gated(self.isa, columns, is_one(n), activation)
        how = activation if isinstance(activation, str) else "clamped_swiglu"
        return op.tensor_ir_op(kernel, f"gated_{how}{suffix(n)}", [gate_up], float32(n, columns))

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
        dtype = str(cache[0].dtype)
        if is_batch(position):
            kernel = rope.rotate_and_store_batch(self.isa, spec, magnitude, dtype)
        else:
            kernel = rope.rotate_and_store(self.isa, spec, is_one(qkv.shape[0]), magnitude, dtype)
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
        n = q.shape[0]
        dtype = str(cache[0].dtype)
        if is_batch(position):
            kernel, name = batch_attention(self.isa, spec, dtype), "attend_batch"
        else:
            build = decode_attention if is_one(n) else prefill_attention
            kernel, name = build(self.isa, spec, dtype), f"attend{suffix(n)}"
        out = float32(n, spec.query_heads * spec.head_dim)
        learned = [] if sinks is None else [sinks]
        return op.tensor_ir_op(kernel, name, [q, position, *cache, *learned], out)

    def route(self, logits: Tensor, top_k: int, *, normalized: bool) -> tuple[Tensor, Tensor]:
        """The experts of each token, and their routing weights."""
        n, count = logits.shape
        kernel = experts.route(int(count), top_k, is_one(n), normalized)
        out = [Tensor.placeholder([n, top_k], "int32"), float32(n, top_k)]
        expert_indices, routing_weights = op.tensor_ir_op(
            kernel, f"route{suffix(n)}", [logits], out
        )
        return expert_indices, routing_weights

    def experts(
        self,
        x: Tensor,
        expert_indices: Tensor,
        weight: list[Tensor],
        fmt: WeightFormat,
        shape: Experts,
        bias: Tensor | None,
    ) -> Tensor:
        """Products with each token's experts."""
        n = expert_indices.shape[0]
        given = experts.Shape(
            experts=shape.count,
            top_k=shape.top_k,
            rows=shape.rows,
            columns=shape.columns,
            single=is_one(n),
            shared=is_same(x.shape[0], n),
            bias=bias is not None,
            exact=shape.exact,
        )
        arguments = (
            [expert_indices, x, *weight] if bias is None else [expert_indices, x, *weight, bias]
        )
        return op.tensor_ir_op(
            experts.experts_linear(self.isa, fmt, given),
            f"experts_{fmt.name}_{shape.rows}_{shape.columns}{suffix(n)}",
            arguments,
            float32(n * shape.top_k, shape.rows),
        )

    def combine(self, rows: Tensor, routing_weights: Tensor) -> Tensor:
        """The sum of each token's rows, weighted by `routing_weights`."""
        n, top_k = routing_weights.shape
        columns = int(rows.shape[1])
        kernel = experts.combine(self.isa, columns, int(top_k), is_one(n))
        return op.tensor_ir_op(
            kernel, f"combine{suffix(n)}", [routing_weights, rows], float32(n, columns)
        )


def in_place_rotation(
    kernel: Any,
    qkv: Tensor,
    position: Tensor,
    inverse_frequencies: Tensor,
    cache: tuple[Tensor, Tensor],
    spec: Attention,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The call of a `rotate_and_store` kernel: q, and the cache that it has changed."""
    n, dtype = qkv.shape[0], str(cache[0].dtype)
    name = f"rotate_and_store{'_batch' if is_batch(position) else suffix(n)}"
    frequencies = [inverse_frequencies] if spec.rotary_dim else []
    arguments = [qkv, position, *frequencies, *cache]
    keys = len(arguments) - 2
    q, key_cache, value_cache = op.tensor_ir_inplace_op(
        kernel,
        name,
        arguments,
        [-1, keys, keys + 1],
        [
            float32(n, spec.query_heads, spec.head_dim),
            *(Tensor.placeholder(part.shape, dtype) for part in cache),
        ],
    )
    return q, (key_cache, value_cache)


def is_batch(position: Tensor) -> bool:
    """Whether each token has a position and a sequence of its own, as in `decode_batch`."""
    return len(position.shape) == 2


def is_one(n: Any) -> bool:
    """Whether `n` is the one token of `decode`, not a symbol."""
    return isinstance(n, int) and n == 1


def is_same(a: Any, b: Any) -> bool:
    """Whether two numbers of rows, symbols perhaps, are the same."""
    return a == b if isinstance(a, int) or isinstance(b, int) else bool(a.same_as(b))


def suffix(n: Any) -> str:
    """How the names of kernels for `n` tokens end."""
    return "_one" if is_one(n) else "_many"


def float32(*shape: Any) -> Tensor:
    """What a kernel returns: the type of its result."""
    return Tensor.placeholder(list(shape), "float32")
