"""Cohere 2 (Command R7B, Aya; Cohere 2024): parallel blocks, of which those that slide rotate."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, DecoderOptions, GatedMLP, ParallelBlock, Stack
from sphere_edge.models.layers import LayerNorm, Numerics, Rope, StoredNorm
from sphere_edge.models.rope import Rotation, rotation, still
from sphere_edge.models.shape import Shape, activation, alternating, pattern, window


@dataclass(frozen=True)
class Config:
    """The config.json of a Cohere 2; `windows` and `rotates` have one entry per layer."""

    shape: Shape
    rotation: Rotation
    activation: str
    attention_bias: bool
    windows: tuple[int | None, ...]
    rotates: tuple[bool, ...]
    logit_scale: float

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("layer_norm_eps", 1e-5), default_tied=True)
        windows = _windows(config, shape.layers)
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config),
            attention_bias=config.take("attention_bias", bool, False),
            windows=windows,
            rotates=tuple(width is not None for width in windows),
            logit_scale=config.take("logit_scale", float, 0.0625),
        )


def _windows(config: ModelConfig, layers: int) -> tuple[int | None, ...]:
    """All but every fourth layer slide, unless the config differs."""
    period = pattern(config, 4)
    if period <= 0:
        message = f"`sliding_window_pattern` in config.json is `{period}`"
        raise ModelCorruptError(message)
    return alternating(config, layers, period=period, width=window(config, 4096))


class Attention(SelfAttention):
    """Grouped-query attention; biases on all four projections or on none."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        width, bias = config.windows[layer], config.attention_bias
        spec = specified(config.shape, config.rotation, interleaved=True, window=width)
        super().__init__(
            config.shape, numerics, spec, AttentionOptions(bias=bias, output_bias=bias)
        )


class MLP(GatedMLP):
    """Gated MLP."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation)


def norm(config: Config) -> LayerNorm:
    """The norm of this family."""
    return LayerNorm(config.shape.hidden, config.shape.epsilon, StoredNorm(bias=False))


class Block(ParallelBlock):
    """One layer."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        attention, mlp = Attention(config, numerics, layer), MLP(config, numerics)
        super().__init__(attention, mlp, norm(config))


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        def block(layer: int) -> Block:
            return Block(config, numerics, layer)

        final, scale = norm(config), config.logit_scale
        super().__init__(
            config.shape,
            numerics,
            Stack(config.rotation, block, final),
            DecoderOptions(logit_scale=scale),
        )
        self.rotates = config.rotates
        self.no_rope = Rope(still(config.rotation))

    def rope_of(self, layer: int) -> Rope:
        """Some layers do not rotate."""
        return self.rope if self.rotates[layer] else self.no_rope
