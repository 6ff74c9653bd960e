"""Gemma 2 (Riviere et al. 2024): Gemma with softcaps, alternating windows, four norms a layer."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, DecoderOptions, GatedMLP, SandwichBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import (
    Shape,
    activation,
    alternating,
    refuse_bidirectional,
    softcap,
    window,
)


@dataclass(frozen=True)
class Config:
    """The config.json of a Gemma 2; `windows` has one entry per layer."""

    shape: Shape
    rotation: Rotation
    activation: str
    attention_bias: bool
    windows: tuple[int | None, ...]
    scale: float
    attention_softcap: float | None
    logit_softcap: float | None

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, default_head_dim=256, default_tied=True)
        refuse_bidirectional(config)
        # Published files have both; `hidden_activation` is the one that transformers reads.
        config.take("hidden_act", str, None)
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config, "hidden_activation", "gelu_pytorch_tanh"),
            attention_bias=config.take("attention_bias", bool, False),
            windows=_windows(config, shape.layers),
            scale=config.take("query_pre_attn_scalar", float, 256.0) ** -0.5,
            attention_softcap=softcap(config, "attn_logit_softcapping", 50.0),
            logit_softcap=softcap(config, "final_logit_softcapping", 30.0),
        )


def _windows(config: ModelConfig, layers: int) -> tuple[int | None, ...]:
    """Every second layer slides, the first one first, unless `layer_types` differs."""
    return alternating(config, layers, period=2, width=window(config, 4096))


class Attention(SelfAttention):
    """Grouped-query attention with softcapped scores."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        spec = specified(
            config.shape,
            config.rotation,
            scale=config.scale,
            window=config.windows[layer],
            softcap=config.attention_softcap,
        )
        bias = config.attention_bias
        super().__init__(
            config.shape, numerics, spec, AttentionOptions(bias=bias, output_bias=bias)
        )


class MLP(GatedMLP):
    """Gated MLP."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation)


def norm(config: Config, kernels: Kernels) -> RmsNorm:
    """The norm of this family."""
    return RmsNorm(kernels, config.shape.hidden, config.shape.epsilon, offset=1.0)


_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)


class Block(SandwichBlock):
    """One layer."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        attention, mlp = Attention(config, numerics, layer), MLP(config, numerics)
        super().__init__(attention, mlp, lambda: norm(config, numerics.kernels), _NORMS)


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        def block(layer: int) -> Block:
            return Block(config, numerics, layer)

        final = norm(config, numerics.kernels)
        super().__init__(
            config.shape,
            numerics,
            Stack(config.rotation, block, final),
            DecoderOptions(
                embedding_scale=config.shape.hidden**0.5, logit_softcap=config.logit_softcap
            ),
        )
