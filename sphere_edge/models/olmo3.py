"""OLMo 3 (OLMo team 2025): OLMo 2 with windows; only layers without one have scaled RoPE."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeDefaults, RopeParameters
from sphere_edge.models import olmo2
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, PostNormBlock, Stack
from sphere_edge.models.layers import Numerics, RmsNorm, Rope
from sphere_edge.models.olmo2 import MLP, norm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation, alternating, window

_THETA = 500000.0


@dataclass(frozen=True)
class Config(olmo2.Config):
    """The config.json of an OLMo 3; `windows` has one entry per layer.

    `local_rotation` is that of layers with a window.
    """

    local_rotation: Rotation
    windows: tuple[int | None, ...]

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("rms_norm_eps", 1e-5))
        rope = config.rope(layer_type="full_attention", defaults=RopeDefaults(theta=_THETA))
        local = rotation(_local_rope(config), shape.head_dim, context_tokens)
        if local.beyond is not None:
            message = "RoPE scaling `longrope` in layers with a window is not supported"
            hint = f"up to `--context {local.switch_tokens}` it is"
            raise UnsupportedError(message, hint=hint)
        return cls(
            shape=shape,
            rotation=rotation(rope, shape.head_dim, context_tokens),
            local_rotation=local,
            activation=activation(config),
            attention_bias=config.take("attention_bias", bool, False),
            windows=alternating(config, shape.layers, period=4, width=window(config, 4096)),
        )


def _local_rope(config: ModelConfig) -> RopeParameters:
    """Newer files have one table per layer type; in older ones only full attention is scaled."""
    layer_type = "sliding_attention"
    if layer_type in config.take("rope_parameters", dict, {}):
        return config.rope(layer_type=layer_type, defaults=RopeDefaults(theta=_THETA))
    return RopeParameters(theta=config.take("rope_theta", float, _THETA))


class Attention(SelfAttention):
    """Grouped-query attention; queries are normalized as one row, and so are keys."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        shape, bias, width = config.shape, config.attention_bias, config.windows[layer]
        super().__init__(
            shape,
            numerics,
            specified(shape, config.rotation, window=width),
            AttentionOptions(
                bias=bias,
                output_bias=bias,
                row_norm=lambda features: RmsNorm(numerics.kernels, features, shape.epsilon),
            ),
        )


class Block(PostNormBlock):
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
        self.windows = config.windows
        self.local_rope = Rope(config.local_rotation)

    def rope_of(self, layer: int) -> Rope:
        """Layers with a window have a rotation of their own."""
        return self.rope if self.windows[layer] is None else self.local_rope
