"""Qwen3 with mixtures of experts (Yang et al. 2025) in some or all of its layers."""

from __future__ import annotations

from dataclasses import dataclass

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, DecoderOptions, GatedMLP, PreNormBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm
from sphere_edge.models.mixture import Mixture, MixtureOptions, MixtureShape
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation, window


@dataclass(frozen=True)
class Config:
    """The config.json of a Qwen3 mixture; `dense` layers have an MLP like Qwen3's."""

    shape: Shape
    rotation: Rotation
    activation: str
    attention_bias: bool
    window: int | None
    mixture: MixtureShape
    dense: frozenset[int]

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config)
        width = window(config, 4096)
        # transformers applies the window to all layers or none, whatever this is.
        config.take("max_window_layers", int, None)
        return cls(
            shape=shape,
            rotation=rotation(config.rope(), shape.head_dim, context_tokens),
            activation=activation(config),
            attention_bias=config.take("attention_bias", bool, False),
            window=width if config.take("use_sliding_window", bool, False) else None,
            mixture=_mixture(config, shape),
            dense=_dense(config, shape.layers),
        )


def _mixture(config: ModelConfig, shape: Shape) -> MixtureShape:
    local = config.take("num_local_experts", int, 128)
    return MixtureShape(
        experts=config.take("num_experts", int, local),
        top_k=config.take("num_experts_per_tok", int, 8),
        hidden=shape.hidden,
        intermediate=config.take("moe_intermediate_size", int, 768),
        normalized=config.take("norm_topk_prob", bool, False),
    )


def _dense(config: ModelConfig, layers: int) -> frozenset[int]:
    """Layers without experts: those named, and those that the step leaves out."""
    named, step = (
        config.take("mlp_only_layers", list, []),
        config.take("decoder_sparse_step", int, 1),
    )
    return frozenset(
        layer for layer in range(layers) if layer in named or step <= 0 or (layer + 1) % step
    )


class Attention(SelfAttention):
    """Grouped-query attention with normalized queries and keys."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        shape, bias = config.shape, config.attention_bias
        super().__init__(
            shape,
            numerics,
            specified(shape, config.rotation, window=config.window),
            AttentionOptions(
                bias=bias,
                output_bias=bias,
                head_norm=lambda: RmsNorm(numerics.kernels, shape.head_dim, shape.epsilon),
            ),
        )


class MLP(GatedMLP):
    """Gated MLP of the dense layers."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation)


class Experts(Mixture):
    """Mixture of experts of the other layers."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.mixture, numerics, config.activation, MixtureOptions(router="gate"))


def norm(config: Config, kernels: Kernels) -> RmsNorm:
    """The norm of this family."""
    return RmsNorm(kernels, config.shape.hidden, config.shape.epsilon)


class Block(PreNormBlock):
    """One layer."""

    def __init__(self, config: Config, numerics: Numerics, layer: int) -> None:
        attention = Attention(config, numerics)
        inner = MLP if layer in config.dense else Experts
        super().__init__(attention, inner(config, numerics), lambda: norm(config, numerics.kernels))


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
