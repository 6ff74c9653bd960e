"""SmolLM3 (Bakouch et al. 2025): Llama with layers that do not rotate at all."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeDefaults
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, GatedMLP, MlpOptions, PreNormBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm, Rope
from sphere_edge.models.rope import Rotation, rotation, still
from sphere_edge.models.shape import Shape, activation, layer_types, window


@dataclass(frozen=True)
class Config:
    """The config.json of a SmolLM3; `rotates` and `windows` have one entry per layer."""

    shape: Shape
    rotation: Rotation
    activation: str
    attention_bias: bool
    mlp_bias: bool
    rotates: tuple[bool, ...]
    windows: tuple[int | None, ...]

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, default_tied=True)
        rope = config.rope(defaults=RopeDefaults(theta=2000000.0))
        rotates = _rotates(config, shape.layers)
        return cls(
            shape=shape,
            rotation=rotation(rope, shape.head_dim, context_tokens),
            activation=activation(config),
            attention_bias=config.take("attention_bias", bool, False),
            mlp_bias=config.take("mlp_bias", bool, False),
            rotates=rotates,
            windows=_windows(config, rotates),
        )


def _rotates(config: ModelConfig, layers: int) -> tuple[bool, ...]:
    """All but every fourth layer, unless the config differs."""
    period = config.take("no_rope_layer_interval", int, 4)
    rotating = config.take("no_rope_layers", list, None)
    if rotating is None and period > 0:
        return tuple((layer + 1) % period != 0 for layer in range(layers))
    if rotating is None or len(rotating) < layers or not all(value in (0, 1) for value in rotating):
        name = "no_rope_layer_interval" if rotating is None else "no_rope_layers"
        message = f"`{name}` in config.json does not give which of `{layers}` layers rotate"
        raise ModelCorruptError(message)
    return tuple(bool(value) for value in rotating[:layers])


def _windows(config: ModelConfig, rotates: tuple[bool, ...]) -> tuple[int | None, ...]:
    """Layers that do not rotate slide, where anything does, unless `layer_types` differs."""
    used, width = config.take("use_sliding_window", bool, False), window(config)
    # Copied from Qwen's configurations; transformers does not look at it here.
    config.take("max_window_layers", int, None)
    kinds = layer_types(config, len(rotates))
    if kinds is None:
        slides = [used and not rotating for rotating in rotates]
    else:
        slides = [kind == "sliding_attention" for kind in kinds]
    if any(slides) and not used:
        message = "`layer_types` has sliding layers and `use_sliding_window` is false"
        raise UnsupportedError(message, hint="transformers hides some tokens then and not others")
    return tuple(width if sliding else None for sliding in slides)


class Attention(SelfAttention):
    """Grouped-query attention; biases on all four projections or on none."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        spec = specified(config.shape, config.rotation, window=config.windows[layer])
        bias = config.attention_bias
        super().__init__(
            config.shape, numerics, spec, AttentionOptions(bias=bias, output_bias=bias)
        )


class MLP(GatedMLP):
    """Gated MLP, with biases where the config asks for them."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(
            config.shape, numerics, config.activation, MlpOptions(bias=config.mlp_bias)
        )


def norm(config: Config, kernels: Kernels) -> RmsNorm:
    """The norm of this family."""
    return RmsNorm(kernels, config.shape.hidden, config.shape.epsilon)


class Block(PreNormBlock):
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
