"""Gemma 3, text only (Kamath et al. 2025): Gemma 2 with normalized heads and a RoPE per window."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeDefaults, RopeParameters
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, DecoderOptions, GatedMLP, SandwichBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm, Rope
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import (
    Shape,
    activation,
    alternating,
    refuse_bidirectional,
    softcap,
    window,
)


@dataclass(frozen=True)
class Config:
    """The config.json of a Gemma 3; `windows` has one entry per layer.

    `local_rotation` is that of layers with a window.
    """

    shape: Shape
    rotation: Rotation
    local_rotation: Rotation
    activation: str
    attention_bias: bool
    windows: tuple[int | None, ...]
    scale: float
    logit_softcap: float | None

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, default_head_dim=256, default_tied=True)
        refuse_bidirectional(config)
        if softcap(config, "attn_logit_softcapping") is not None:
            # transformers reads the key and never uses it: what such a model expects is unknown.
            message = "`attn_logit_softcapping` is not supported in Gemma 3"
            raise UnsupportedError(message)
        local_rotation = rotation(
            rope_parameters(config, "sliding_attention"), shape.head_dim, context_tokens
        )
        if local_rotation.beyond is not None:
            message = "RoPE scaling `longrope` in layers with a window is not supported"
            hint = f"up to `--context {local_rotation.switch_tokens}` it is"
            raise UnsupportedError(message, hint=hint)
        return cls(
            shape=shape,
            rotation=rotation(
                rope_parameters(config, "full_attention"), shape.head_dim, context_tokens
            ),
            local_rotation=local_rotation,
            activation=activation(config, "hidden_activation", "gelu_pytorch_tanh"),
            attention_bias=config.take("attention_bias", bool, False),
            windows=_windows(config, shape.layers),
            scale=config.take("query_pre_attn_scalar", float, 256.0) ** -0.5,
            logit_softcap=softcap(config, "final_logit_softcapping"),
        )


def _windows(config: ModelConfig, layers: int) -> tuple[int | None, ...]:
    """All but every sixth layer slide, unless the config differs."""
    usual = config.take("_sliding_window_pattern", int, 6)
    period = config.take("sliding_window_pattern", int, usual)
    if period <= 0:
        message = f"`sliding_window_pattern` in config.json is `{period}`"
        raise ModelCorruptError(message)
    return alternating(config, layers, period=period, width=window(config, 4096))


def rope_parameters(config: ModelConfig, layer_type: str) -> RopeParameters:
    """Newer files have one table per layer type; in older ones only full attention is scaled."""
    nested = layer_type in config.take("rope_parameters", dict, {})
    local = config.take("rope_local_base_freq", float, 10000.0)
    if layer_type == "full_attention":
        return config.rope(layer_type=layer_type, defaults=RopeDefaults(theta=1000000.0))
    return config.rope(layer_type=layer_type) if nested else RopeParameters(theta=local)


class Attention(SelfAttention):
    """Grouped-query attention with normalized queries and keys."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        shape, bias = config.shape, config.attention_bias
        window = config.windows[layer]
        super().__init__(
            shape,
            numerics,
            specified(shape, config.rotation, scale=config.scale, window=window),
            AttentionOptions(
                bias=bias,
                output_bias=bias,
                head_norm=lambda: RmsNorm(
                    numerics.kernels, shape.head_dim, shape.epsilon, offset=1.0
                ),
            ),
        )


class MLP(GatedMLP):
    """Gated MLP."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation)


def norm(config: Config, kernels: Kernels) -> RmsNorm:
    """The norm of this family."""
    return RmsNorm(kernels, config.shape.hidden, config.shape.epsilon, offset=1.0)


_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)


class Block(SandwichBlock):
    """One layer."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        attention, mlp = Attention(config, numerics, layer), MLP(config, numerics)
        super().__init__(attention, mlp, lambda: norm(config, numerics.kernels), _NORMS)


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        def block(layer: int) -> Block:
            return Block(config, numerics, layer)

        final = norm(config, numerics.kernels)
        super().__init__(
            config.shape,
            numerics,
            Stack(config.rotation, block, final),
            DecoderOptions(
                embedding_scale=config.shape.hidden**0.5, logit_softcap=config.logit_softcap
            ),
        )
        self.windows = config.windows
        self.local_rope = Rope(config.local_rotation)

    def rope_of(self, layer: int) -> Rope:
        """Layers with a window rotate faster."""
        return self.rope if self.windows[layer] is None else self.local_rope
