"""Grouped-query attention as every family here has it; a family passes what is special.

`specified` gives what kernels need to know, `SelfAttention` the projections around them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor

from sphere_edge.models.kernels import Attention, LayerCache
from sphere_edge.models.layers import (
    Linear,
    Numerics,
    RmsNorm,
    Rope,
    Sinks,
    normalize_heads,
    normalize_rows,
)
from sphere_edge.models.rope import Rotation
from sphere_edge.models.shape import Shape


def specified(shape: Shape, rotation: Rotation, **special: Any) -> Attention:
    """The attention of a layer, scaled by 1 / sqrt(head_dim) unless `special` has another scale.

    `special`: fields of sphere_edge.models.kernels.Attention.
    """
    settings = {"scale": shape.head_dim**-0.5, **special}
    return Attention(
        query_heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        rotary_dim=rotation.rotary_dim,
        **settings,
    )


@dataclass(frozen=True)
class AttentionOptions:
    """What differs between families.

    `bias`: of q, k and v; `output_bias`: of the output, which the checkpoint calls `output`.
    `fused`: the checkpoint, too, holds q, k and v as one matrix. `head_norm` makes the norm of each
    query and each key head, `row_norm` that of all query or all key heads as one row.
    """

    bias: bool = False
    output_bias: bool = False
    output: str = "o_proj"
    fused: bool = False
    head_norm: Callable[[], RmsNorm] | None = None
    row_norm: Callable[[int], RmsNorm] | None = None


class SelfAttention(nn.Module):  # type: ignore[misc]
    """q, k and v in one multiplication, attention over the KV cache, and the output."""

    def __init__(
        self,
        shape: Shape,
        numerics: Numerics,
        spec: Attention,
        options: AttentionOptions = AttentionOptions(),
    ) -> None:
        self.kernels, self.spec = numerics.kernels, spec
        parts = {"q_proj": shape.query, "k_proj": shape.key, "v_proj": shape.key}
        if options.fused:
            parts = {"qkv_proj": shape.query + 2 * shape.key}
        self.qkv_proj = Linear(numerics, shape.hidden, parts, bias=options.bias)
        output = {options.output: shape.hidden}
        self.o_proj = Linear(numerics, shape.query, output, bias=options.output_bias)
        head_norm, row_norm = options.head_norm, options.row_norm
        self.normalize = normalize_heads if row_norm is None else normalize_rows
        self.q_norm = None if head_norm is None else head_norm()
        self.k_norm = None if head_norm is None else head_norm()
        if row_norm is not None:
            self.q_norm, self.k_norm = row_norm(shape.query), row_norm(shape.key)
        self.sinks = Sinks(shape.heads) if spec.sinks else None

    def forward(self, x: Tensor, rope: Rope, cache: LayerCache) -> Tensor:
        """[n, hidden] → [n, hidden]; the new keys and values go into `cache`."""
        qkv = self.qkv_proj(x)
        if self.q_norm is not None and self.k_norm is not None:
            qkv = self.normalize(qkv, self.q_norm, self.k_norm, self.spec)
        q, cache = self.kernels.rotate_and_store(qkv, rope.frequencies, cache, self.spec)
        sinks = None if self.sinks is None else self.sinks.weight
        return self.o_proj(self.kernels.attend(q, cache, self.spec, sinks))
