"""GLM-4-0414 (GLM team 2025): GLM with a norm after attention and after the MLP, too."""

from __future__ import annotations

from sphere_edge.models.decoder import Decoder, SandwichBlock, Stack
from sphere_edge.models.glm import MLP, Attention, Config, norm
from sphere_edge.models.layers import Numerics

_NORMS = (
    "input_layernorm",
    "post_self_attn_layernorm",
    "post_attention_layernorm",
    "post_mlp_layernorm",
)


class Block(SandwichBlock):
    """One layer."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        attention, mlp = Attention(config, numerics), MLP(config, numerics)
        super().__init__(attention, mlp, lambda: norm(config, numerics.kernels), _NORMS)


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, numerics: Numerics) -> None:
        def block(_layer: int) -> Block:
            return Block(config, numerics)

        final = norm(config, numerics.kernels)
        super().__init__(config.shape, numerics, Stack(config.rotation, block, final))
