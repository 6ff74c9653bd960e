"""What a target offers to a model: the operators that decide speed, behind one Protocol.

A model is traced once per target with that target's kernels (sphere_edge.compiler.kernels), so a
family file defines what is computed, never how. Activations are float32 [n, features]; n is 1 in
`decode` and symbolic in `prefill` and `score`. Every method adds nodes to the graph being traced
and returns its result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tvm.relax.frontend.nn import Tensor

from sphere_edge.quantization.weights import WeightFormat


@dataclass(frozen=True)
class Attention:
    """One layer's attention: grouped-query, causal, over the KV cache.

    `rotary_dim` leading features of each head are rotated (0: none; less than head_dim: partial).
    `interleaved` rotates pairs (2i, 2i+1) as in GLM and GPT-J, not halves (i, i + rotary_dim/2).
    `window`: token i sees tokens i-window+1..i only, as in transformers' sliding_window. None: all.
    `softcap`: scores become softcap * tanh(scores / softcap) before the softmax.
    `sinks`: each query head has a learned score that takes part in its softmax and has no value.
    """

    query_heads: int
    kv_heads: int
    head_dim: int
    scale: float
    rotary_dim: int
    interleaved: bool = False
    window: int | None = None
    softcap: float | None = None
    sinks: bool = False


@dataclass(frozen=True)
class ClampedSwiglu:
    """gpt-oss's product of gate and up: (up + 1) * gate * sigmoid(alpha * gate).

    The gate is held below `limit`, up within -limit..limit.
    """

    alpha: float
    limit: float


@dataclass(frozen=True)
class Experts:
    """`count` matrices [rows, columns] stacked on their rows, `top_k` of them per token.

    `exact`: mxfp4 weights meet float32 activations, not int8: for models kept in floats.
    """

    count: int
    top_k: int
    rows: int
    columns: int
    exact: bool


class Kernels(Protocol):
    """The operators of one target."""

    def linear(
        self, x: Tensor, weight: list[Tensor], fmt: WeightFormat, rows: int, bias: Tensor | None
    ) -> Tensor:
        """`x` [n, k] times the transpose of a packed [rows, k] weight: float32 [n, rows]."""

    def take(
        self, token_ids: Tensor, weight: list[Tensor], fmt: WeightFormat, columns: int
    ) -> Tensor:
        """Rows `token_ids` (int32 [n]) of a packed [vocab, columns] embedding: [n, columns].

        An id out of range gives the row at that end (or one of its padding), never a fault.
        """

    def rms_norm(self, x: Tensor, weight: Tensor, epsilon: float, residual: Tensor | None) -> Any:
        """RMSNorm over the last axis in float32, times `weight` (Zhang & Sennrich 2019).

        With `residual`, returns the pair (norm(x + residual), x + residual), made in one pass.
        """

    def gated(self, gate_up: Tensor, activation: str | ClampedSwiglu) -> Tensor:
        """`activation`(first half) times second half of [n, 2k]: float32 [n, k].

        `activation` is silu, gelu or gelu_tanh, or defines how the two are multiplied.
        """

    def rotate_and_store(
        self,
        qkv: Tensor,
        position: Tensor,
        inverse_frequencies: Tensor,
        magnitude: float,
        cache: tuple[Tensor, Tensor],
        spec: Attention,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Rotates q and k of `qkv` [n, (query_heads + 2 kv_heads) head_dim]; k and v are cached.

        `position`: int32 [1], the position of the first token; or in `decode_batch` [n, 2], the
        position and the sequence of each. `inverse_frequencies`: float32 [rotary_dim / 2], into
        which any RoPE scaling has been worked; `magnitude` multiplies cos and sin.
        `cache`: K and V, each [kv_heads, context, head_dim], written in place; in `decode_batch`
        with the heads of all sequences, one sequence after the other.
        Returns q float32 [n, query_heads, head_dim] and the updated cache.
        """

    def attend(
        self,
        q: Tensor,
        position: Tensor,
        cache: tuple[Tensor, Tensor],
        spec: Attention,
        sinks: Tensor | None = None,
    ) -> Tensor:
        """Causal attention of tokens position..position+n-1 over the cache.

        With a `position` [n, 2] each token sees its own sequence up to its own position.
        `sinks`: float32 [query_heads] where `spec` has them.
        Returns float32 [n, query_heads * head_dim].
        """

    def route(self, logits: Tensor, top_k: int, *, normalized: bool) -> tuple[Tensor, Tensor]:
        """The `top_k` largest of `logits` [n, experts], int32 [n, top_k], and their weights.

        The routing weights, float32 [n, top_k], are their softmax: over the `top_k` where
        `normalized`, else over all experts.
        """

    def experts(
        self,
        x: Tensor,
        expert_indices: Tensor,
        weight: list[Tensor],
        fmt: WeightFormat,
        shape: Experts,
        bias: Tensor | None,
    ) -> Tensor:
        """Products with each token's experts, `expert_indices` [n, top_k]: float32 [n top_k, rows].

        `x` is [n, columns], or [n top_k, columns] with a row for each pair of token and expert.
        `bias`: [count rows].
        """

    def combine(self, rows: Tensor, routing_weights: Tensor) -> Tensor:
        """[n, columns]: the sum of each token's `rows` [n top_k, columns], by `routing_weights`."""
