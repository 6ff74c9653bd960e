"""OLMo 2 (OLMo team 2025): norms after attention and MLP, and over all query and all key heads."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, GatedMLP, PostNormBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation


@dataclass(frozen=True)
class Config:
    """The config.json of an OLMo 2."""

    shape: Shape
    rotation: Rotation
    activation: str
    attention_bias: bool

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("rms_norm_eps", 1e-5))
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config),
            attention_bias=config.take("attention_bias", bool, False),
        )


class Attention(SelfAttention):
    """Grouped-query attention; queries are normalized as one row, and so are keys."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        shape, bias = config.shape, config.attention_bias
        super().__init__(
            shape,
            numerics,
            specified(shape, config.rotation),
            AttentionOptions(
                bias=bias,
                output_bias=bias,
                row_norm=lambda features: RmsNorm(numerics.kernels, features, shape.epsilon),
            ),
        )


class MLP(GatedMLP):
    """Gated MLP."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation)


def norm(config: Config, kernels: Kernels) -> RmsNorm:
    """The norm of this family."""
    return RmsNorm(kernels, config.shape.hidden, config.shape.epsilon)


class Block(PostNormBlock):
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
        super().__init__(config.shape, numerics, Stack(config.rotation, block, final))
