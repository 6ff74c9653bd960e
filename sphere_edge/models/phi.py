"""Phi 1, 1.5 and 2 (Li et al. 2023): attention and MLP side by side behind one LayerNorm."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeDefaults
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import (
    Decoder,
    DecoderOptions,
    ParallelBlock,
    PlainMLP,
    PlainMlpOptions,
    Stack,
)
from sphere_edge.models.layers import LayerNorm, Numerics, StoredNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation


@dataclass(frozen=True)
class Config:
    """The config.json of a Phi."""

    shape: Shape
    rotation: Rotation
    activation: str

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("layer_norm_eps", 1e-5))
        rope = config.rope(defaults=RopeDefaults(partial_rotary_factor=0.5))
        if config.take("qk_layernorm", bool, False):
            message = "`qk_layernorm` is not supported"
            raise UnsupportedError(message)
        return cls(
            shape=shape,
            rotation=rotation(rope, shape.head_dim, context_tokens, partial=True),
            activation=activation(config, default="gelu_new", gated=False),
        )


class Attention(SelfAttention):
    """Grouped-query attention, every projection with a bias."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        spec = specified(config.shape, config.rotation)
        super().__init__(
            config.shape,
            numerics,
            spec,
            AttentionOptions(bias=True, output_bias=True, output="dense"),
        )


class MLP(PlainMLP):
    """Plain MLP with biases."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        names = ("fc1", "fc2")
        super().__init__(
            config.shape, numerics, config.activation, PlainMlpOptions(bias=True, names=names)
        )


def norm(config: Config, name: str | None = None) -> LayerNorm:
    """The norm of this family."""
    return LayerNorm(config.shape.hidden, config.shape.epsilon, StoredNorm(name=name))


class Block(ParallelBlock):
    """One layer."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        attention, mlp = Attention(config, numerics), MLP(config, numerics)
        super().__init__(attention, mlp, norm(config))


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        def block(_layer: int) -> Block:
            return Block(config, numerics)

        final = norm(config, "final_layernorm")
        super().__init__(
            config.shape,
            numerics,
            Stack(config.rotation, block, final),
            DecoderOptions(head_bias=True),
        )
