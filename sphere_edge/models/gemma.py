"""Gemma (Mesnard et al. 2024): Llama with a scaled embedding and norms that store w - 1."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, DecoderOptions, GatedMLP, PreNormBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation, refuse_bidirectional


@dataclass(frozen=True)
class Config:
    """The config.json of a Gemma."""

    shape: Shape
    rotation: Rotation
    activation: str
    attention_bias: bool

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, default_head_dim=256, default_tied=True)
        refuse_bidirectional(config)
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=_activation(config),
            attention_bias=config.take("attention_bias", bool, False),
        )


def _activation(config: ModelConfig) -> str:
    """The first releases have `gelu` and mean its tanh approximation."""
    newer = config.take("hidden_activation", str, None)
    name = "hidden_act" if newer is None else "hidden_activation"
    name_in_config = activation(config, name, "gelu_pytorch_tanh")
    return "gelu_tanh" if name_in_config == "gelu" else name_in_config


class Attention(SelfAttention):
    """Grouped-query attention; biases on all four projections or on none."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        spec = specified(config.shape, config.rotation)
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


class Block(PreNormBlock):
    """One layer."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        attention, mlp = Attention(config, numerics), MLP(config, numerics)
        super().__init__(attention, mlp, lambda: norm(config, numerics.kernels))


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        def block(_layer: int) -> Block:
            return Block(config, numerics)

        final = norm(config, numerics.kernels)
        super().__init__(
            config.shape,
            numerics,
            Stack(config.rotation, block, final),
            DecoderOptions(embedding_scale=config.shape.hidden**0.5),
        )
