"""Mistral (Jiang et al. 2023): Llama without biases, with a sliding window in every layer."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import SelfAttention, specified
from sphere_edge.models.decoder import Decoder, GatedMLP, PreNormBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation, window


@dataclass(frozen=True)
class Config:
    """The config.json of a Mistral."""

    shape: Shape
    rotation: Rotation
    activation: str
    window: int | None

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config)
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config),
            window=window(config, 4096),
        )


class Attention(SelfAttention):
    """Grouped-query attention over the last `window` tokens."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        spec = specified(config.shape, config.rotation, window=config.window)
        super().__init__(config.shape, numerics, spec)


class MLP(GatedMLP):
    """Gated MLP."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation)


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
