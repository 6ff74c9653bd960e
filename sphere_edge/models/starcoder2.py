"""StarCoder2 (Lozhkov et al. 2024): LayerNorms, biases everywhere, a plain MLP, one window."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, PlainMLP, PlainMlpOptions, PreNormBlock, Stack
from sphere_edge.models.layers import LayerNorm, Numerics
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation, window


@dataclass(frozen=True)
class Config:
    """The config.json of a StarCoder2."""

    shape: Shape
    rotation: Rotation
    activation: str
    bias: bool
    window: int | None

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("norm_epsilon", 1e-5), default_tied=True)
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config, default="gelu_pytorch_tanh", gated=False),
            bias=config.take("use_bias", bool, True),
            window=window(config),
        )


class Attention(SelfAttention):
    """Grouped-query attention over the last `window` tokens."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        spec = specified(config.shape, config.rotation, window=config.window)
        super().__init__(
            config.shape,
            numerics,
            spec,
            AttentionOptions(bias=config.bias, output_bias=config.bias),
        )


class MLP(PlainMLP):
    """Plain MLP."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        names = ("c_fc", "c_proj")
        super().__init__(
            config.shape,
            numerics,
            config.activation,
            PlainMlpOptions(bias=config.bias, names=names),
        )


def norm(config: Config) -> LayerNorm:
    """The norm of this family."""
    return LayerNorm(config.shape.hidden, config.shape.epsilon)


class Block(PreNormBlock):
    """One layer."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        attention, mlp = Attention(config, numerics), MLP(config, numerics)
        super().__init__(attention, mlp, lambda: norm(config))


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        def block(_layer: int) -> Block:
            return Block(config, numerics)

        final = norm(config)
        super().__init__(config.shape, numerics, Stack(config.rotation, block, final))
