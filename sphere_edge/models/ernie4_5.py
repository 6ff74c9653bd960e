"""ERNIE 4.5, dense (Baidu 2025): Llama with rotation of neighbouring pairs."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, GatedMLP, MlpOptions, PreNormBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation


@dataclass(frozen=True)
class Config:
    """The config.json of an ERNIE 4.5."""

    shape: Shape
    rotation: Rotation
    activation: str
    bias: bool

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(
            config, epsilon=("rms_norm_eps", 1e-5), default_head_dim=128, default_tied=True
        )
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config),
            bias=config.take("use_bias", bool, False),
        )


class Attention(SelfAttention):
    """Grouped-query attention; biases everywhere or nowhere."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        spec = specified(config.shape, config.rotation, interleaved=True)
        super().__init__(
            config.shape,
            numerics,
            spec,
            AttentionOptions(bias=config.bias, output_bias=config.bias),
        )


class MLP(GatedMLP):
    """Gated MLP, with biases where the config asks for them."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation, MlpOptions(bias=config.bias))


def norm(config: Config, kernels: Kernels) -> RmsNorm:
    """The norm of this family."""
    return RmsNorm(kernels, config.shape.hidden, config.shape.epsilon)


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
        super().__init__(config.shape, numerics, Stack(config.rotation, block, final))
