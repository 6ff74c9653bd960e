"""EXAONE 4.0 (LG AI Research 2025): norms behind attention and MLP; only what slides rotates."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, GatedMLP, PostNormBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm, Rope
from sphere_edge.models.rope import Rotation, rotation, still
from sphere_edge.models.shape import Shape, activation, alternating, pattern, window


@dataclass(frozen=True)
class Config:
    """The config.json of an EXAONE 4; `windows` and `rotates` have one entry per layer."""

    shape: Shape
    rotation: Rotation
    activation: str
    windows: tuple[int | None, ...]
    rotates: tuple[bool, ...]

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("rms_norm_eps", 1e-5))
        windows = _windows(config, shape.layers)
        # Models without any window rotate in all layers, the others where they slide.
        is_mixed = window(config, 4096) is not None
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config),
            windows=windows,
            rotates=tuple(not is_mixed or width is not None for width in windows),
        )


def _windows(config: ModelConfig, layers: int) -> tuple[int | None, ...]:
    """All but every fourth layer slide, unless the config differs; `LLLG` means the same."""
    width = window(config, 4096)
    period = pattern(config, 4)
    if width is not None and period <= 0:
        message = f"`sliding_window_pattern` in config.json is `{period}`"
        raise ModelCorruptError(message)
    return alternating(config, layers, period=max(1, period), width=width)


class Attention(SelfAttention):
    """Grouped-query attention with normalized queries and keys."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        shape, width = config.shape, config.windows[layer]
        super().__init__(
            shape,
            numerics,
            specified(shape, config.rotation, window=width),
            AttentionOptions(
                head_norm=lambda: RmsNorm(numerics.kernels, shape.head_dim, shape.epsilon)
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
        self.rotates = config.rotates
        self.no_rope = Rope(still(config.rotation))

    def rope_of(self, layer: int) -> Rope:
        """Some layers do not rotate."""
        return self.rope if self.rotates[layer] else self.no_rope
