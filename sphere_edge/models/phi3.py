"""Phi-3, 3.5 and Phi-4-mini (Abdin et al. 2024): Llama with fused projections and LongRoPE."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeDefaults, RopeParameters
from sphere_edge.models.attention import AttentionOptions, SelfAttention, specified
from sphere_edge.models.decoder import Decoder, GatedMLP, MlpOptions, PreNormBlock, Stack
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Numerics, RmsNorm
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation, window


@dataclass(frozen=True)
class Config:
    """The config.json of a Phi-3."""

    shape: Shape
    rotation: Rotation
    activation: str
    window: int | None

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for a configuration that cannot be built."""
        shape = Shape.read(config, epsilon=("rms_norm_eps", 1e-5))
        return cls(
            shape=shape,
            rotation=rotation(_rope(config), shape.head_dim, context_tokens, partial=True),
            activation=activation(config),
            window=window(config),
        )


def _rope(config: ModelConfig) -> RopeParameters:
    rope = config.rope(defaults=RopeDefaults(original_context=4096))
    if rope.kind == "yarn":
        # What some of the first configurations call LongRoPE.
        rope = replace(rope, kind="longrope")
    if rope.kind not in ("default", "longrope"):
        message = f"the RoPE scaling `{rope.kind}` is not supported in Phi-3"
        raise UnsupportedError(message, hint="supported: longrope, as in transformers")
    return rope


class Attention(SelfAttention):
    """Grouped-query attention; the checkpoint, too, holds q, k and v as one matrix."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        spec = specified(config.shape, config.rotation, window=config.window)
        super().__init__(config.shape, numerics, spec, AttentionOptions(fused=True))


class MLP(GatedMLP):
    """Gated MLP; the checkpoint, too, holds gate and up as one matrix."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        super().__init__(config.shape, numerics, config.activation, MlpOptions(fused=True))


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
