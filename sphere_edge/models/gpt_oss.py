"""gpt-oss (OpenAI 2025): attention sinks, windows in every second layer, mixtures of experts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeDefaults, RopeParameters
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, DecoderOptions, PreNormBlock, Stack
from sphere_edge.models.kernels import ClampedSwiglu, Kernels
from sphere_edge.models.layers import Numerics, RmsNorm
from sphere_edge.models.mixture import Mixture, MixtureOptions, MixtureShape
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation, alternating, window

# The RoPE of a config.json without RoPE scaling.
_ROPE = RopeParameters(kind="yarn", factor=32.0, truncate=False, original_context=4096)


@dataclass(frozen=True)
class Config:
    """The config.json of a gpt-oss; `windows` has one entry per layer.

    `mxfp4`: the checkpoint's experts are stored so, and stay so in every weight format.
    """

    shape: Shape
    rotation: Rotation
    attention_bias: bool
    windows: tuple[int | None, ...]
    mixture: MixtureShape
    swiglu: ClampedSwiglu
    mxfp4: bool

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("rms_norm_eps", 1e-5), default_head_dim=64)
        _check_activation(config)
        stored = config.take("quantization_config", dict, {})
        return cls(
            shape=shape,
            rotation=rotation(_rope(config), shape.head_dim, context_tokens),
            attention_bias=config.take("attention_bias", bool, True),
            windows=alternating(config, shape.layers, period=2, width=window(config, 128)),
            mixture=_mixture(config, shape),
            swiglu=ClampedSwiglu(
                alpha=config.take("swiglu_alpha", float, 1.702),
                limit=config.take("swiglu_limit", float, 7.0),
            ),
            mxfp4=stored.get("quant_method") == "mxfp4",
        )


def _check_activation(config: ModelConfig) -> None:
    if activation(config) != "silu":
        message = f"`hidden_act` `{config.take('hidden_act', str)}` is not supported in gpt-oss"
        raise UnsupportedError(message, hint="its experts are made for `silu`")


def _rope(config: ModelConfig) -> RopeParameters:
    rope = config.rope(defaults=RopeDefaults(theta=150000.0))
    has_scaling = config.take("rope_parameters", dict, {}) or config.take("rope_scaling", dict, {})
    return rope if has_scaling else replace(_ROPE, theta=rope.theta)


def _mixture(config: ModelConfig, shape: Shape) -> MixtureShape:
    top_k = config.take("num_experts_per_tok", int, 4)
    if config.take("experts_per_token", int, top_k) != top_k:
        message = "`experts_per_token` and `num_experts_per_tok` in config.json differ"
        raise ModelCorruptError(message)
    return MixtureShape(
        experts=config.take("num_local_experts", int, 128),
        top_k=top_k,
        hidden=shape.hidden,
        intermediate=shape.intermediate,
        normalized=True,
    )


class Attention(SelfAttention):
    """Grouped-query attention with sinks; biases on all four projections or on none."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        window = config.windows[layer]
        spec = specified(config.shape, config.rotation, window=window, sinks=True)
        bias = config.attention_bias
        super().__init__(
            config.shape, numerics, spec, AttentionOptions(bias=bias, output_bias=bias)
        )


class MLP(Mixture):
    """Mixture of experts, everything with biases."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(
            config.mixture,
            numerics,
            config.swiglu,
            MixtureOptions(router="router", bias=True, mxfp4=config.mxfp4),
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
        shape, mixture = config.shape, config.mixture
        super().__init__(
            shape, numerics, Stack(config.rotation, block, final), DecoderOptions(mixture=mixture)
        )
