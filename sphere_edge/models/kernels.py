"""What a target offers to a model: the operators that decide speed, behind one Protocol.

A model is traced once per target with that target's kernels (sphere_edge.compiler.kernels), so a
family file defines what is computed, never how. Activations are float32 [n, features]; n is 1 in
`decode`, the symbol BATCH in `decode_batch` and another one in `prefill` and `score`. Every method
adds nodes to the graph being traced and returns its result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tvm import tirx
from tvm.relax.frontend.nn import Tensor

from sphere_edge.quantization.weights import WeightFormat

# The number of tokens in `decode_batch`: few enough that reading the weights takes the time.
BATCH = "batch"


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


@dataclass(frozen=True)
class Matrix:
    """A packed [rows, columns] weight: its arrays, and the bias [rows] of what it is multiplied to.

    Of experts it is all their matrices, stacked on their rows.
    """

    arrays: list[Tensor]
    fmt: WeightFormat
    rows: int
    columns: int
    bias: Tensor | None = None

    @property
    def parameters(self) -> list[Tensor]:
        """The arrays, and the bias if there is one, in the kernels' order."""
        return self.arrays if self.bias is None else [*self.arrays, self.bias]


@dataclass(frozen=True)
class Frequencies:
    """What positions are rotated by: `inverse`, float32 [rotary_dim / 2], with any RoPE scaling.

    `magnitude` multiplies cos and sin. `beyond`: the frequencies of texts of more than
    `switch_tokens` tokens, where those have others. A call of one sequence gets the right ones as
    `inverse`; in `decode_batch` each token takes its own, by its position.
    """

    inverse: Tensor
    magnitude: float
    beyond: Tensor | None = None
    switch_tokens: int = 0

    def arrays(self, cache: LayerCache) -> list[Tensor]:
        """What the kernels take for tokens in `cache`: nothing where nothing is rotated."""
        if not int(self.inverse.shape[0]):
            return []
        if self.beyond is None or not cache.is_batch:
            return [self.inverse]
        return [self.inverse, self.beyond]


@dataclass(frozen=True)
class LayerCache:
    """Keys and values of one layer, each [kv_heads, context, head_dim], and where the tokens stand.

    `position`: int32 [1], of the first token; or in `decode_batch` [n, 2], the position and the
    sequence of each, and the cache has the heads of all sequences, one sequence after the other.
    """

    position: Tensor
    keys: Tensor
    values: Tensor

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """Keys and values."""
        return self.keys, self.values

    @property
    def dtype(self) -> str:
        """The type of keys and values."""
        return str(self.keys.dtype)

    @property
    def is_batch(self) -> bool:
        """Whether each token has a position and a sequence of its own, as in `decode_batch`."""
        return len(self.position.shape) == 2


def is_batch(n: Any) -> bool:
    """Whether `n` is the number of tokens of `decode_batch`."""
    return isinstance(n, tirx.Var) and n.name == BATCH


class Kernels(Protocol):
    """The operators of one target."""

    def linear(self, x: Tensor, matrix: Matrix) -> Tensor:
        """`x` [n, columns] times the transpose of `matrix`, plus its bias: float32 [n, rows]."""

    def take(self, token_ids: Tensor, matrix: Matrix) -> Tensor:
        """Rows `token_ids` (int32 [n]) of an embedding [vocab, columns]: [n, columns].

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
        self, qkv: Tensor, frequencies: Frequencies, cache: LayerCache, spec: Attention
    ) -> tuple[Tensor, LayerCache]:
        """Rotates q and k of `qkv` [n, (query_heads + 2 kv_heads) head_dim]; k and v are cached.

        The cache is written in place. Returns q float32 [n, query_heads, head_dim] and the updated
        cache.
        """

    def attend(
        self, q: Tensor, cache: LayerCache, spec: Attention, sinks: Tensor | None = None
    ) -> Tensor:
        """Causal attention of the tokens at the cache's position over all before them.

        In `decode_batch` each token sees its own sequence up to its own position.
        `sinks`: float32 [query_heads] where `spec` has them.
        Returns float32 [n, query_heads * head_dim].
        """

    def route(self, logits: Tensor, top_k: int, *, normalized: bool) -> tuple[Tensor, Tensor]:
        """The `top_k` largest of `logits` [n, experts], int32 [n, top_k], and their weights.

        The routing weights, float32 [n, top_k], are their softmax: over the `top_k` where
        `normalized`, else over all experts.
        """

    def experts(self, x: Tensor, expert_indices: Tensor, matrix: Matrix, shape: Experts) -> Tensor:
        """Products with each token's experts, `expert_indices` [n, top_k]: float32 [n top_k, rows].

        `x` is [n, columns], or [n top_k, columns] with a row for each pair of token and expert.
        """

    def combine(self, rows: Tensor, routing_weights: Tensor) -> Tensor:
        """[n, columns]: the sum of each token's `rows` [n top_k, columns], by `routing_weights`."""
