"""What decoder-only families share: MLPs, blocks, and the whole stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor, op

from sphere_edge.models.kernels import Kernels, LayerCache
from sphere_edge.models.layers import Embedding, LayerNorm, Linear, RmsNorm, Rope
from sphere_edge.models.mixture import MixtureShape
from sphere_edge.models.rope import Rotation
from sphere_edge.models.shape import Shape
from sphere_edge.quantization.weights import WeightFormat

Norm = RmsNorm | LayerNorm


class GatedMLP(nn.Module):  # type: ignore[misc]
    """down(activation(gate x) * up x), gate and up in one multiplication (Shazeer 2020).

    `fused`: the checkpoint, too, holds gate and up as one matrix.
    """

    def __init__(
        self,
        shape: Shape,
        kernels: Kernels,
        fmt: WeightFormat,
        activation: str = "silu",
        *,
        bias: bool = False,
        fused: bool = False,
    ) -> None:
        self.kernels, self.activation = kernels, activation
        halves = {"gate_proj": shape.intermediate, "up_proj": shape.intermediate}
        if fused:
            halves = {"gate_up_proj": 2 * shape.intermediate}
        down = {"down_proj": shape.hidden}
        self.gate_up_proj = Linear(kernels, fmt, shape.hidden, halves, bias)
        self.down_proj = Linear(kernels, fmt, shape.intermediate, down, bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, hidden] → [n, hidden]."""
        return self.down_proj(self.kernels.gated(self.gate_up_proj(x), self.activation))


class PlainMLP(nn.Module):  # type: ignore[misc]
    """down(activation(up x)); `names` are the checkpoint's for up and down."""

    def __init__(
        self,
        shape: Shape,
        kernels: Kernels,
        fmt: WeightFormat,
        activation: str,
        *,
        bias: bool,
        names: tuple[str, str] = ("up_proj", "down_proj"),
    ) -> None:
        self.activation = _ACTIVATIONS[activation]
        up, down = names
        self.up_proj = Linear(kernels, fmt, shape.hidden, {up: shape.intermediate}, bias)
        self.down_proj = Linear(kernels, fmt, shape.intermediate, {down: shape.hidden}, bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, hidden] → [n, hidden]."""
        return self.down_proj(self.activation(self.up_proj(x)))


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": op.silu,
    "gelu": op.gelu,
    "gelu_tanh": lambda x: op.gelu(x, approximate="tanh"),
    "relu2": lambda x: op.square(op.relu(x)),
}


class PreNormBlock(nn.Module):  # type: ignore[misc]
    """Attention and MLP, each behind a norm; the sum with the residual is made inside the norms.

    `scale` multiplies what each of them adds.
    """

    def __init__(
        self,
        attention: nn.Module,
        mlp: nn.Module,
        norm: Callable[[], Norm],
        *,
        scale: float = 1.0,
    ) -> None:
        self.self_attn = attention
        self.mlp = mlp
        self.scale = scale
        self.input_layernorm = norm()
        self.post_attention_layernorm = norm()

    def forward(
        self, x: Tensor, residual: Tensor | None, rope: Rope, cache: LayerCache
    ) -> tuple[Tensor, Tensor]:
        """The block's output and the residual it is still to be added to, both [n, hidden]."""
        x, residual = self.input_layernorm(x, residual)
        x = self._scaled(self.self_attn(x, rope, cache))
        x, residual = self.post_attention_layernorm(x, residual)
        return self._scaled(self.mlp(x)), residual

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self.scale == 1 else x * self.scale


class PostNormBlock(nn.Module):  # type: ignore[misc]
    """Attention and MLP, each before a norm (Liu et al. 2021)."""

    def __init__(self, attention: nn.Module, mlp: nn.Module, norm: Callable[[], RmsNorm]) -> None:
        self.self_attn = attention
        self.mlp = mlp
        self.post_attention_layernorm = norm()
        self.post_feedforward_layernorm = norm()

    def forward(
        self, x: Tensor, residual: Tensor | None, rope: Rope, cache: LayerCache
    ) -> tuple[Tensor, Tensor]:
        """As PreNormBlock's."""
        x = x if residual is None else op.add(x, residual)
        after, _ = self.post_attention_layernorm(self.self_attn(x, rope, cache))
        x = op.add(x, after)
        after, _ = self.post_feedforward_layernorm(self.mlp(x))
        return after, x


class ParallelBlock(nn.Module):  # type: ignore[misc]
    """Attention and MLP side by side behind one norm (Wang & Komatsuzaki 2021)."""

    def __init__(self, attention: nn.Module, mlp: nn.Module, norm: Norm) -> None:
        self.self_attn = attention
        self.mlp = mlp
        self.input_layernorm = norm

    def forward(
        self, x: Tensor, residual: Tensor | None, rope: Rope, cache: LayerCache
    ) -> tuple[Tensor, Tensor]:
        """As PreNormBlock's."""
        x, residual = self.input_layernorm(x, residual)
        return op.add(self.self_attn(x, rope, cache), self.mlp(x)), residual


class SandwichBlock(nn.Module):  # type: ignore[misc]
    """Attention and MLP, each between two norms.

    `names`: what the checkpoint calls the norms before and after attention, before and after MLP.
    """

    def __init__(
        self,
        attention: nn.Module,
        mlp: nn.Module,
        norm: Callable[[], RmsNorm],
        names: tuple[str, str, str, str],
    ) -> None:
        self.self_attn = attention
        self.mlp = mlp
        self.names = names
        for name in names:
            setattr(self, name, norm())

    def forward(
        self, x: Tensor, residual: Tensor | None, rope: Rope, cache: LayerCache
    ) -> tuple[Tensor, Tensor]:
        """As PreNormBlock's."""
        before, after, before_mlp, after_mlp = (getattr(self, name) for name in self.names)
        x, residual = before(x, residual)
        x, _ = after(self.self_attn(x, rope, cache))
        x, residual = before_mlp(x, residual)
        x, _ = after_mlp(self.mlp(x))
        return x, residual


class Decoder(nn.Module):  # type: ignore[misc]
    """Embedding, blocks, final norm, head. `block` makes the layer of a number.

    `embedding_scale` multiplies what is looked up; `logit_softcap` c makes logits c tanh(logits/c).
    `logit_scale` multiplies logits. `mixture`: what stands in place of MLPs, where something does.
    """

    def __init__(
        self,
        shape: Shape,
        kernels: Kernels,
        fmt: WeightFormat,
        rotation: Rotation,
        block: Callable[[int], Any],
        norm: Norm,
        *,
        embedding_scale: float = 1.0,
        logit_softcap: float | None = None,
        logit_scale: float = 1.0,
        head_bias: bool = False,
        mixture: MixtureShape | None = None,
    ) -> None:
        self.shape, self.mixture = shape, mixture
        self.embedding_scale, self.logit_softcap = embedding_scale, logit_softcap
        self.logit_scale = logit_scale
        tied = shape.tied and head_bias
        self.embed_tokens = Embedding(kernels, fmt, shape.vocab, shape.hidden, head_bias=tied)
        self.rope = Rope(rotation)
        self.layers = nn.ModuleList([block(layer) for layer in range(shape.layers)])
        self.norm = norm
        head = {"lm_head": shape.vocab}
        self.lm_head = None if shape.tied else Linear(kernels, fmt, shape.hidden, head, head_bias)

    def forward(self, token_ids: Tensor, caches: Sequence[LayerCache]) -> Tensor:
        """Normalized hidden states [n, hidden] of `token_ids` [n]; a cache for each layer."""
        x, residual = self.embed_tokens(token_ids), None
        if self.embedding_scale != 1:
            x = x * self.embedding_scale
        for layer, (block, cache) in enumerate(zip(self.layers, caches, strict=True)):
            x, residual = block(x, residual, self.rope_of(layer), cache)
        return self.norm(x, residual)[0]

    def rope_of(self, _layer: int) -> Rope:
        """The rotation of a layer; families with more than one choose."""
        return self.rope

    def logits(self, x: Tensor) -> Tensor:
        """[n, hidden] → [n, vocab]."""
        y = self.embed_tokens.logits(x) if self.lm_head is None else self.lm_head(x)
        if self.logit_scale != 1:
            y = y * self.logit_scale
        if self.logit_softcap is None:
            return y
        return op.tanh(y / self.logit_softcap) * self.logit_softcap
