"""The operators of one instruction set as nodes of a traced model: calls of kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm.relax.frontend.nn import Tensor, op

from sphere_edge.compiler.kernels import elementwise, experts, linear, rope
from sphere_edge.compiler.kernels.decode_attention import batch_attention, decode_attention
from sphere_edge.compiler.kernels.isa import Isa
from sphere_edge.compiler.kernels.prefill_attention import prefill_attention
from sphere_edge.models.kernels import (
    Attention,
    ClampedSwiglu,
    Experts,
    Frequencies,
    LayerCache,
    Matrix,
)


@dataclass(frozen=True)
class CpuKernels:
    """`sphere_edge.models.kernels.Kernels` for one instruction set; see there for each method."""

    isa: Isa

    def linear(self, x: Tensor, matrix: Matrix) -> Tensor:
        """`x` [n, columns] times the transpose of `matrix`."""
        kernel = linear.linear(self.isa, matrix.fmt, linear_shape(x, matrix))
        return multiplication(kernel, x, matrix)

    def take(self, token_ids: Tensor, matrix: Matrix) -> Tensor:
        """Rows `token_ids` of an embedding."""
        return embedding_rows(
            elementwise.take(self.isa, table_of(token_ids, matrix)), token_ids, matrix
        )

    def rms_norm(self, x: Tensor, weight: Tensor, epsilon: float, residual: Tensor | None) -> Any:
        """RMSNorm, or the pair of RMSNorm and sum with `residual`."""
        kernel = elementwise.rms_norm(self.isa, norm_of(x, epsilon, residual))
        return normalization(kernel, x, weight, residual)

    def gated(self, gate_up: Tensor, activation: str | ClampedSwiglu) -> Tensor:
        """`activation`(first half) times second half."""
        n, both = gate_up.shape
        columns = int(both) // 2
        kernel = elementwise.gated(self.isa, columns, is_one(n), activation)
        how = activation if isinstance(activation, str) else "clamped_swiglu"
        return op.tensor_ir_op(kernel, f"gated_{how}{suffix(n)}", [gate_up], float32(n, columns))

    def rotate_and_store(
        self, qkv: Tensor, frequencies: Frequencies, cache: LayerCache, spec: Attention
    ) -> tuple[Tensor, LayerCache]:
        """Rotated q, and the cache with rotated k and v written in place."""
        build = rope.rotate_and_store_batch if cache.is_batch else rope.rotate_and_store
        kernel = build(self.isa, rotary_of(qkv, frequencies, cache, spec))
        return in_place_rotation(kernel, [qkv, *frequencies.arrays(cache)], cache, spec)

    def attend(
        self, q: Tensor, cache: LayerCache, spec: Attention, sinks: Tensor | None = None
    ) -> Tensor:
        """Causal attention over the cache."""
        n = q.shape[0]
        if cache.is_batch:
            kernel, name = batch_attention(self.isa, spec, cache.dtype), "attend_batch"
        else:
            build = decode_attention if is_one(n) else prefill_attention
            kernel, name = build(self.isa, spec, cache.dtype), f"attend{suffix(n)}"
        out = float32(n, spec.query_heads * spec.head_dim)
        learned = [] if sinks is None else [sinks]
        return op.tensor_ir_op(kernel, name, [q, cache.position, *cache.pair, *learned], out)

    def route(self, logits: Tensor, top_k: int, *, normalized: bool) -> tuple[Tensor, Tensor]:
        """The experts of each token, and their routing weights."""
        n, count = logits.shape
        kernel = experts.route(int(count), top_k, is_one(n), normalized)
        out = [Tensor.placeholder([n, top_k], "int32"), float32(n, top_k)]
        expert_indices, routing_weights = op.tensor_ir_op(
            kernel, f"route{suffix(n)}", [logits], out
        )
        return expert_indices, routing_weights

    def experts(self, x: Tensor, expert_indices: Tensor, matrix: Matrix, shape: Experts) -> Tensor:
        """Products with each token's experts."""
        n = expert_indices.shape[0]
        given = experts.Shape(
            experts=shape.count,
            top_k=shape.top_k,
            rows=shape.rows,
            columns=shape.columns,
            single=is_one(n),
            shared=is_same(x.shape[0], n),
            bias=matrix.bias is not None,
            exact=shape.exact,
        )
        return op.tensor_ir_op(
            experts.experts_linear(self.isa, matrix.fmt, given),
            f"experts_{matrix.fmt.name}_{shape.rows}_{shape.columns}{suffix(n)}",
            [expert_indices, x, *matrix.parameters],
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


def linear_shape(x: Tensor, matrix: Matrix) -> linear.Shape:
    """Which `linear` kernel multiplies `x` with `matrix`."""
    single = is_one(x.shape[0])
    return linear.Shape(matrix.rows, matrix.columns, single, matrix.bias is not None)


def multiplication(kernel: Any, x: Tensor, matrix: Matrix, ending: str | None = None) -> Tensor:
    """The call of a `linear` kernel; `ending`: that of its name, if it is not the usual one."""
    n = x.shape[0]
    name = f"linear_{matrix.fmt.name}_{matrix.rows}_{matrix.columns}{ending or suffix(n)}"
    return op.tensor_ir_op(kernel, name, [x, *matrix.parameters], float32(n, matrix.rows))


def table_of(token_ids: Tensor, matrix: Matrix) -> elementwise.Table:
    """Which `take` kernel reads rows of `matrix`."""
    blocks = int(matrix.arrays[0].shape[0])
    return elementwise.Table(matrix.fmt, blocks, matrix.columns, is_one(token_ids.shape[0]))


def embedding_rows(kernel: Any, token_ids: Tensor, matrix: Matrix) -> Tensor:
    """The call of a `take` kernel."""
    n = token_ids.shape[0]
    name = f"take_{matrix.fmt.name}{suffix(n)}"
    return op.tensor_ir_op(kernel, name, [token_ids, *matrix.arrays], float32(n, matrix.columns))


def norm_of(x: Tensor, epsilon: float, residual: Tensor | None) -> elementwise.Norm:
    """Which `rms_norm` kernel normalizes `x`."""
    n, columns = x.shape
    return elementwise.Norm(int(columns), is_one(n), epsilon, residual is not None)


def normalization(kernel: Any, x: Tensor, weight: Tensor, residual: Tensor | None) -> Any:
    """The call of an `rms_norm` kernel: the norm, and with `residual` the sum, too."""
    n, columns = x.shape
    name, out = f"rms_norm{suffix(n)}", float32(n, columns)
    if residual is None:
        return op.tensor_ir_op(kernel, name, [x, weight], out)
    both = [out, float32(n, columns)]
    return op.tensor_ir_op(kernel, f"add_{name}", [x, residual, weight], both)


def rotary_of(
    qkv: Tensor, frequencies: Frequencies, cache: LayerCache, spec: Attention
) -> rope.Rotary:
    """Which `rotate_and_store` kernel rotates `qkv`."""
    switch = frequencies.switch_tokens if cache.is_batch else 0
    return rope.Rotary(
        spec, frequencies.magnitude, cache.dtype, is_one(qkv.shape[0]), switch_tokens=switch
    )


def in_place_rotation(
    kernel: Any, given: list[Tensor], cache: LayerCache, spec: Attention
) -> tuple[Tensor, LayerCache]:
    """The call of a `rotate_and_store` kernel: q, and the cache that it has changed.

    `given`: qkv, and the frequencies where something is rotated.
    """
    qkv, *frequencies = given
    n, pair = qkv.shape[0], cache.pair
    name = f"rotate_and_store{'_batch' if cache.is_batch else suffix(n)}"
    arguments = [qkv, cache.position, *frequencies, *pair]
    keys = len(arguments) - 2
    q, *changed = op.tensor_ir_inplace_op(
        kernel,
        name,
        arguments,
        [-1, keys, keys + 1],
        [
            float32(n, spec.query_heads, spec.head_dim),
            *(Tensor.placeholder(part.shape, cache.dtype) for part in pair),
        ],
    )
    return q, LayerCache(cache.position, *changed)


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
