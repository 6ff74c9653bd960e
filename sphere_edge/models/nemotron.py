"""Nemotron (Parmar et al. 2024) and Minitron: LayerNorms that store w - 1, squared ReLU."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats.config import ModelConfig, RopeDefaults
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, PlainMLP, PlainMlpOptions, PreNormBlock, Stack
from sphere_edge.models.layers import LayerNorm, Numerics, StoredNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation


@dataclass(frozen=True)
class Config:
    """The config.json of a Nemotron."""

    shape: Shape
    rotation: Rotation
    activation: str
    attention_bias: bool
    mlp_bias: bool

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("norm_eps", 1e-5))
        rope = config.rope(defaults=RopeDefaults(partial_rotary_factor=0.5))
        _check_repeated(config, "rope_percent", rope.partial_rotary_factor)
        _check_repeated(config, "kv_channels", shape.head_dim)
        return cls(
            shape=shape,
            rotation=rotation(rope, shape.head_dim, context_tokens, partial=True),
            activation=activation(config, default="relu2", gated=False),
            attention_bias=config.take("attention_bias", bool, False),
            mlp_bias=config.take("mlp_bias", bool, False),
        )


def _check_repeated(config: ModelConfig, name: str, value: float) -> None:
    """Some checkpoints repeat a value under NeMo's name, which transformers does not read."""
    if config.take(name, float, value) != value:
        message = f"`{name}` in config.json is not the `{value}` of another key"
        raise ModelCorruptError(message)


class Attention(SelfAttention):
    """Grouped-query attention; biases on all four projections or on none."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        spec = specified(config.shape, config.rotation)
        bias = config.attention_bias
        super().__init__(
            config.shape, numerics, spec, AttentionOptions(bias=bias, output_bias=bias)
        )


class MLP(PlainMLP):
    """Plain MLP, with biases where the config asks for them."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(
            config.shape, numerics, config.activation, PlainMlpOptions(bias=config.mlp_bias)
        )


def norm(config: Config) -> LayerNorm:
    """The norm of this family."""
    return LayerNorm(config.shape.hidden, config.shape.epsilon, StoredNorm(offset=1.0))


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
