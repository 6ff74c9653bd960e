"""GLM-4-9B (GLM team 2024): Llama with rotation of neighbouring pairs in half of each head."""

from __future__ import annotations

from dataclasses import dataclass

from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.decoder import Decoder, GatedMLP, PreNormBlock
from sphere_edge.models.kernels import Attention as AttentionSpec
from sphere_edge.models.kernels import Kernels
from sphere_edge.models.layers import Cache, Linear, RmsNorm, Rope
from sphere_edge.models.rope import Rotation, rotation
from sphere_edge.models.shape import Shape, activation
from sphere_edge.quantization.weights import WeightFormat


@dataclass(frozen=True)
class Config:
    """What config.json says of a GLM."""

    shape: Shape
    rotation: Rotation
    activation: str
    attention_bias: bool

    @classmethod
    def read(cls, config: ModelConfig, context_tokens: int) -> Config:
        """Raises ModelCorruptError or UnsupportedError for what cannot be built."""
        shape = Shape.read(config, default_epsilon=1.5625e-7, default_head_dim=128)
        rope = config.rope(default_partial_rotary_factor=0.5)
        return cls(
            shape=shape,
            rotation=rotation(rope, shape.head_dim, context_tokens, partial=True),
            activation=activation(config),
            attention_bias=config.take("attention_bias", bool, True),
        )


class Attention(nn.Module):  # type: ignore[misc]
    """Grouped-query attention; biases on q, k and v or on none."""

    def __init__(self, config: Config, kernels: Kernels, fmt: WeightFormat) -> None:
        shape = config.shape
        parts = {"q_proj": shape.query, "k_proj": shape.key, "v_proj": shape.key}
        output = {"o_proj": shape.hidden}
        self.kernels = kernels
        self.qkv_proj = Linear(kernels, fmt, shape.hidden, parts, config.attention_bias)
        self.o_proj = Linear(kernels, fmt, shape.query, output)
        self.spec = AttentionSpec(
            query_heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            scale=shape.head_dim**-0.5,
            rotary_dim=config.rotation.rotary_dim,
            interleaved=True,
        )

    def forward(self, x: Tensor, position: Tensor, rope: Rope, cache: Cache) -> Tensor:
        """[n, hidden] → [n, hidden]; the new keys and values go into `cache`."""
        q, cache = self.kernels.rotate_and_store(
            self.qkv_proj(x), position, rope.inverse_frequencies, rope.magnitude, cache, self.spec
        )
        return self.o_proj(self.kernels.attend(q, position, cache, self.spec))


class MLP(GatedMLP):
    """Gated MLP; the checkpoint, too, holds gate and up as one matrix."""

    def __init__(self, config: Config, kernels: Kernels, fmt: WeightFormat) -> None:
        super().__init__(config.shape, kernels, fmt, config.activation, fused=True)


def norm(config: Config, kernels: Kernels) -> RmsNorm:
    """The norm of this family."""
    return RmsNorm(kernels, config.shape.hidden, config.shape.epsilon)


class Block(PreNormBlock):
    """One layer."""

    def __init__(self, config: Config, kernels: Kernels, fmt: WeightFormat) -> None:
        attention, mlp = Attention(config, kernels, fmt), MLP(config, kernels, fmt)
        super().__init__(attention, mlp, lambda: norm(config, kernels))


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, kernels: Kernels, fmt: WeightFormat) -> None:
        def block(_layer: int) -> Block:
            return Block(config, kernels, fmt)

        final = norm(config, kernels)
        super().__init__(config.shape, kernels, fmt, config.rotation, block, final)
