"""A mixture of experts in place of an MLP: a router picks a few of many for each token."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.models.kernels import ClampedSwiglu, Experts
from sphere_edge.models.layers import ExpertLinear, Linear, Numerics
from sphere_edge.quantization.weights import WeightFormat

# Row blocks of all targets divide it; an expert begins with a whole row block.
_ROWS = 16


@dataclass(frozen=True)
class MixtureShape:
    """`top_k` of `experts` gated MLPs from `hidden` through `intermediate` features.

    `normalized`: the routing weights of a token add up to 1.
    """

    experts: int
    top_k: int
    hidden: int
    intermediate: int
    normalized: bool

    def __post_init__(self) -> None:
        if not 0 < self.top_k <= self.experts < 1 << 12:
            message = f"config.json means `{self.top_k}` of `{self.experts}` experts per token"
            raise ModelCorruptError(message)
        for rows in (self.hidden, 2 * self.intermediate):
            if rows % _ROWS:
                message = f"experts with matrices of `{rows}` rows are not supported"
                raise UnsupportedError(message, hint=f"multiples of {_ROWS} are")


@dataclass(frozen=True)
class MixtureOptions:
    """What differs between families.

    `router`: what the checkpoint calls it; `bias`: of router and experts; `mxfp4`: that is what the
    checkpoint's experts are, which costs four bits in every format and is as exact as the model's.
    """

    router: str
    bias: bool = False
    mxfp4: bool = False


class Mixture(nn.Module):  # type: ignore[misc]
    """The router, in float32 as it is small and sensitive, and the experts in `fmt` or in mxfp4."""

    def __init__(
        self,
        shape: MixtureShape,
        numerics: Numerics,
        activation: str | ClampedSwiglu,
        options: MixtureOptions,
    ) -> None:
        self.kernels, self.shape = numerics.kernels, shape
        row_block, exact = numerics.fmt.row_block, not numerics.fmt.is_quantized
        whole = replace(numerics, fmt=WeightFormat("f32", row_block), kept=True)
        rows = {options.router: shape.experts}
        self.router = Linear(whole, shape.hidden, rows, bias=options.bias)
        if options.mxfp4:
            numerics = replace(numerics, fmt=WeightFormat("mxfp4", row_block), kept=True)
        self.experts = _Experts(shape, numerics, activation, _Settings(options.bias, exact))

    def forward(self, x: Tensor) -> Tensor:
        """[n, hidden] → [n, hidden]."""
        logits = self.router(x)
        normalized = self.shape.normalized
        expert_indices, routing_weights = self.kernels.route(
            logits, self.shape.top_k, normalized=normalized
        )
        return self.kernels.combine(self.experts(x, expert_indices), routing_weights)


@dataclass(frozen=True)
class _Settings:
    bias: bool
    exact: bool


class _Experts(nn.Module):  # type: ignore[misc]
    def __init__(
        self,
        shape: MixtureShape,
        numerics: Numerics,
        activation: str | ClampedSwiglu,
        settings: _Settings,
    ) -> None:
        self.kernels, self.activation = numerics.kernels, activation
        bias, exact = settings.bias, settings.exact
        inner, outer = shape.intermediate, shape.hidden
        both = Experts(shape.experts, shape.top_k, 2 * inner, outer, exact)
        down = Experts(shape.experts, shape.top_k, outer, inner, exact)
        halves = {"gate_proj": inner, "up_proj": inner}
        self.gate_up_proj = ExpertLinear(numerics, both, halves, bias=bias)
        rows = {"down_proj": outer}
        self.down_proj = ExpertLinear(numerics, down, rows, bias=bias)

    def forward(self, x: Tensor, expert_indices: Tensor) -> Tensor:
        """[n, hidden] and the experts of each token [n, top_k] → [n top_k, hidden]."""
        product = self.kernels.gated(self.gate_up_proj(x, expert_indices), self.activation)
        return self.down_proj(product, expert_indices)
