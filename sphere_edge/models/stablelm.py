"""StableLM 2 and 3B (Bellagente et al. 2024): LayerNorms, a quarter of each head rotated."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeDefaults
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, GatedMLP, ParallelBlock, PreNormBlock, Stack
from sphere_edge.models.layers import LayerNorm, Numerics
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation


@dataclass(frozen=True)
class Config:
    """The config.json of a StableLM; `is_parallel`: attention and MLP side by side."""

    shape: Shape
    rotation: Rotation
    activation: str
    bias: bool
    is_parallel: bool

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("layer_norm_eps", 1e-5))
        rope = config.rope(defaults=RopeDefaults(partial_rotary_factor=0.25))
        if config.take("qk_layernorm", bool, False):
            message = "`qk_layernorm` is not supported"
            raise UnsupportedError(message)
        return cls(
            shape=shape,
            rotation=rotation(rope, shape.head_dim, context_tokens, partial=True),
            activation=activation(config),
            bias=config.take("use_qkv_bias", bool, False),
            is_parallel=config.take("use_parallel_residual", bool, False),
        )


class Attention(SelfAttention):
    """Grouped-query attention; biases on q, k and v or on none."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        spec = specified(config.shape, config.rotation)
        super().__init__(config.shape, numerics, spec, AttentionOptions(bias=config.bias))


class MLP(GatedMLP):
    """Gated MLP."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation)


def norm(config: Config) -> LayerNorm:
    """The norm of this family."""
    return LayerNorm(config.shape.hidden, config.shape.epsilon)


def block(config: Config, numerics: Numerics) -> PreNormBlock | ParallelBlock:
    """One layer."""
    attention, mlp = Attention(config, numerics), MLP(config, numerics)
    if config.is_parallel:
        return ParallelBlock(attention, mlp, norm(config))
    return PreNormBlock(attention, mlp, lambda: norm(config))


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        final = norm(config)
        super().__init__(
            config.shape,
            numerics,
            Stack(config.rotation, lambda _layer: block(config, numerics), final),
        )
