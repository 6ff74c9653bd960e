"""Qwen3 (Yang et al. 2025): Qwen2 with a norm on every query and key head, biases optional."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, GatedMLP, PreNormBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation, windows


@dataclass(frozen=True)
class Config:
    """The config.json of a Qwen3; `windows` has one entry per layer."""

    shape: Shape
    rotation: Rotation
    activation: str
    windows: tuple[int | None, ...]
    attention_bias: bool

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, default_head_dim=128)
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config),
            windows=windows(config, shape.layers),
            attention_bias=config.take("attention_bias", bool, False),
        )


class Attention(SelfAttention):
    """Grouped-query attention with normalized queries and keys."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        shape, bias = config.shape, config.attention_bias
        window = config.windows[layer]
        super().__init__(
            shape,
            numerics,
            specified(shape, config.rotation, window=window),
            AttentionOptions(
                bias=bias,
                output_bias=bias,
                head_norm=lambda: RmsNorm(numerics.kernels, shape.head_dim, shape.epsilon),
            ),
        )


class MLP(GatedMLP):
    """Gated MLP."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation)


def norm(config: Config, kernels: Kernels) -> RmsNorm:
    """The norm of this family."""
    return RmsNorm(kernels, config.shape.hidden, config.shape.epsilon)


class Block(PreNormBlock):
    """One layer."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        attention, mlp = Attention(config, numerics, layer), MLP(config, numerics)
        super().__init__(attention, mlp, lambda: norm(config, numerics.kernels))


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        def block(layer: int) -> Block:
            return Block(config, numerics, layer)

        final = norm(config, numerics.kernels)
        super().__init__(config.shape, numerics, Stack(config.rotation, block, final))
