"""What decoder-only families share: gated MLP, pre-norm block, and the whole stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor

from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Cache, Embedding, Linear, RmsNorm, Rope
from sphere_edge.models.rope import Rotation
from sphere_edge.models.shape import Shape
from sphere_edge.quantization.weights import WeightFormat


class GatedMLP(nn.Module):  # type: ignore[misc]
    """down(activation(gate x) * up x), gate and up in one multiplication (Shazeer 2020)."""

    def __init__(
        self,
        shape: Shape,
        kernels: Kernels,
        fmt: WeightFormat,
        activation: str = "silu",
        bias: bool = False,
    ) -> None:
        self.kernels, self.activation = kernels, activation
        halves = {"gate_proj": shape.intermediate, "up_proj": shape.intermediate}
        down = {"down_proj": shape.hidden}
        self.gate_up_proj = Linear(kernels, fmt, shape.hidden, halves, bias)
        self.down_proj = Linear(kernels, fmt, shape.intermediate, down, bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, hidden] → [n, hidden]."""
        return self.down_proj(self.kernels.gated(self.gate_up_proj(x), self.activation))


class PreNormBlock(nn.Module):  # type: ignore[misc]
    """Attention and MLP, each behind a norm; the sum with the residual is made inside the norms."""

    def __init__(
        self, shape: Shape, kernels: Kernels, attention: nn.Module, mlp: nn.Module
    ) -> None:
        self.self_attn = attention
        self.mlp = mlp
        self.input_layernorm = RmsNorm(kernels, shape.hidden, shape.epsilon)
        self.post_attention_layernorm = RmsNorm(kernels, shape.hidden, shape.epsilon)

    def forward(
        self, x: Tensor, residual: Tensor | None, position: Tensor, rope: Rope, cache: Cache
    ) -> tuple[Tensor, Tensor]:
        """The block's output and the residual it is still to be added to, both [n, hidden]."""
        x, residual = self.input_layernorm(x, residual)
        x, residual = self.post_attention_layernorm(
            self.self_attn(x, position, rope, cache), residual
        )
        return self.mlp(x), residual


class Decoder(nn.Module):  # type: ignore[misc]
    """Embedding, blocks, final norm, head. `block` makes the layer of a number."""

    def __init__(
        self,
        shape: Shape,
        kernels: Kernels,
        fmt: WeightFormat,
        rotation: Rotation,
        block: Callable[[int], Any],
    ) -> None:
        self.shape = shape
        self.embed_tokens = Embedding(kernels, fmt, shape.vocab, shape.hidden)
        self.rope = Rope(rotation)
        self.layers = nn.ModuleList([block(layer) for layer in range(shape.layers)])
        self.norm = RmsNorm(kernels, shape.hidden, shape.epsilon)
        head = {"lm_head": shape.vocab}
        self.lm_head = None if shape.tied else Linear(kernels, fmt, shape.hidden, head)

    def forward(self, token_ids: Tensor, position: Tensor, caches: Sequence[Cache]) -> Tensor:
        """Normalized hidden states [n, hidden] of `token_ids` [n], the first at `position` [1]."""
        x, residual = self.embed_tokens(token_ids), None
        for block, cache in zip(self.layers, caches, strict=True):
            x, residual = block(x, residual, position, self.rope, cache)
        return self.norm(x, residual)[0]

    def logits(self, x: Tensor) -> Tensor:
        """[n, hidden] → [n, vocab]."""
        return self.embed_tokens.logits(x) if self.lm_head is None else self.lm_head(x)
