"""GLM-4-0414 (GLM team 2025): GLM with a norm after attention and after the MLP, too."""

from __future__ import annotations

from sphere_edge.models.decoder import Decoder, SandwichBlock
from sphere_edge.models.glm import MLP, Attention, Config, norm
from sphere_edge.models.kernels import Kernels
from sphere_edge.quantization.weights import WeightFormat

_NORMS = (
    "input_layernorm",
    "post_self_attn_layernorm",
    "post_attention_layernorm",
    "post_mlp_layernorm",
)


class Block(SandwichBlock):
    """One layer."""

    def __init__(self, config: Config, kernels: Kernels, fmt: WeightFormat) -> None:
        attention, mlp = Attention(config, kernels, fmt), MLP(config, kernels, fmt)
        super().__init__(attention, mlp, lambda: norm(config, kernels), _NORMS)


class Model(Decoder):
    """The whole decoder."""

    def __init__(self, config: Config, kernels: Kernels, fmt: WeightFormat) -> None:
        def block(_layer: int) -> Block:
            return Block(config, kernels, fmt)

        final = norm(config, kernels)
        super().__init__(config.shape, kernels, fmt, config.rotation, block, final)
