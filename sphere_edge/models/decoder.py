"""What decoder-only families share: MLPs, blocks, and the whole stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor, op

from sphere_edge.models.kernels import LayerCache
from sphere_edge.models.layers import Embedding, LayerNorm, Linear, Numerics, RmsNorm, Rope
from sphere_edge.models.mixture import MixtureShape
from sphere_edge.models.rope import Rotation
from sphere_edge.models.shape import Shape

Norm = RmsNorm | LayerNorm


@dataclass(frozen=True)
class MlpOptions:
    """`fused`: the checkpoint, too, holds gate and up as one matrix."""

    bias: bool = False
    fused: bool = False


class GatedMLP(nn.Module):  # type: ignore[misc]
    """down(activation(gate x) * up x), gate and up in one multiplication (Shazeer 2020)."""

    def __init__(
        self,
        shape: Shape,
        numerics: Numerics,
        activation: str,
        options: MlpOptions = MlpOptions(),
    ) -> None:
        self.kernels, self.activation = numerics.kernels, activation
        halves = {"gate_proj": shape.intermediate, "up_proj": shape.intermediate}
        if options.fused:
            halves = {"gate_up_proj": 2 * shape.intermediate}
        down = {"down_proj": shape.hidden}
        self.gate_up_proj = Linear(numerics, shape.hidden, halves, bias=options.bias)
        self.down_proj = Linear(numerics, shape.intermediate, down, bias=options.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, hidden] → [n, hidden]."""
        return self.down_proj(self.kernels.gated(self.gate_up_proj(x), self.activation))


@dataclass(frozen=True)
class PlainMlpOptions:
    """`names` are the checkpoint's for up and down."""

    bias: bool
    names: tuple[str, str] = ("up_proj", "down_proj")


class PlainMLP(nn.Module):  # type: ignore[misc]
    """down(activation(up x))."""

    def __init__(
        self, shape: Shape, numerics: Numerics, activation: str, options: PlainMlpOptions
    ) -> None:
        self.activation = _ACTIVATIONS[activation]
        inner, outer, bias = shape.intermediate, shape.hidden, options.bias
        up, down = options.names
        self.up_proj = Linear(numerics, outer, {up: inner}, bias=bias)
        self.down_proj = Linear(numerics, inner, {down: outer}, bias=bias)

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


@dataclass(frozen=True)
class Stack:
    """The rotation of positions, what makes the layer of a number, and the final norm."""

    rotation: Rotation
    block: Callable[[int], Any]
    norm: Norm


@dataclass(frozen=True)
class DecoderOptions:
    """What differs between families.

    `embedding_scale` multiplies what is looked up; `logit_softcap` c makes logits c tanh(logits/c).
    `logit_scale` multiplies logits. `mixture`: what stands in place of MLPs, where something does.
    """

    embedding_scale: float = 1.0
    logit_softcap: float | None = None
    logit_scale: float = 1.0
    head_bias: bool = False
    mixture: MixtureShape | None = None


class Decoder(nn.Module):  # type: ignore[misc]
    """Embedding, blocks, final norm, head."""

    def __init__(
        self,
        shape: Shape,
        numerics: Numerics,
        stack: Stack,
        options: DecoderOptions = DecoderOptions(),
    ) -> None:
        self.shape, self.mixture = shape, options.mixture
        self.embedding_scale = options.embedding_scale
        self.logit_softcap, self.logit_scale = options.logit_softcap, options.logit_scale
        bias = options.head_bias
        tied_bias = shape.tied and bias
        self.embed_tokens = Embedding(numerics, shape.vocab, shape.hidden, head_bias=tied_bias)
        self.rope = Rope(stack.rotation)
        self.layers = nn.ModuleList([stack.block(layer) for layer in range(shape.layers)])
        self.norm = stack.norm
        head = {"lm_head": shape.vocab}
        self.lm_head = None if shape.tied else Linear(numerics, shape.hidden, head, bias=bias)

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
