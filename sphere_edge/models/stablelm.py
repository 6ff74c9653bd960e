"""StableLM 2 and 3B (Bellagente et al. 2024): LayerNorms, a quarter of each head rotated."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import SelfAttention, specified
from sphere_edge.models.decoder import Decoder, GatedMLP, ParallelBlock, PreNormBlock
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import LayerNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation
from sphere_edge.quantization.weights import WeightFormat


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
        shape = Shape.read(config, epsilon="layer_norm_eps", default_epsilon=1e-5)
        rope = config.rope(default_partial_rotary_factor=0.25)
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

    def __init__(self, config: Config, kernels: Kernels, fmt: WeightFormat) -> None:
        spec = specified(config.shape, config.rotation)
        super().__init__(config.shape, kernels, fmt, spec, bias=config.bias)


class MLP(GatedMLP):
    """Gated MLP."""

    def __init__(self, config: Config, kernels: Kernels, fmt: WeightFormat) -> None:
        super().__init__(config.shape, kernels, fmt, config.activation)


def norm(config: Config) -> LayerNorm:
    """The norm of this family."""
    return LayerNorm(config.shape.hidden, config.shape.epsilon)


def block(config: Config, kernels: Kernels, fmt: WeightFormat) -> PreNormBlock | ParallelBlock:
    """One layer."""
    attention, mlp = Attention(config, kernels, fmt), MLP(config, kernels, fmt)
    if config.is_parallel:
        return ParallelBlock(attention, mlp, norm(config))
    return PreNormBlock(attention, mlp, lambda: norm(config))


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, kernels: Kernels, fmt: WeightFormat) -> None:
        final = norm(config)
        super().__init__(
            config.shape,
            kernels,
            fmt,
            config.rotation,
            lambda _layer: block(config, kernels, fmt),
            final,
        )
