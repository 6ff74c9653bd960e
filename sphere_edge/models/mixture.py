"""A mixture of experts in place of an MLP: a router picks a few of many for each token."""

from __future__ import annotations

from dataclasses import dataclass

from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.models.kernels import ClampedSwiglu, Experts, Kernels
from sphere_edge.models.layers import ExpertLinear, Linear
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


class Mixture(nn.Module):  # type: ignore[misc]
    """The router, in float32 as it is small and sensitive, and the experts in `fmt` or in mxfp4.

    `router`: what the checkpoint calls it; `bias`: of router and experts; `mxfp4`: that is what the
    checkpoint's experts are, which costs four bits in every format and is as exact as `fmt`.
    """

    def __init__(
        self,
        shape: MixtureShape,
        kernels: Kernels,
        fmt: WeightFormat,
        activation: str | ClampedSwiglu,
        *,
        router: str,
        bias: bool = False,
        mxfp4: bool = False,
    ) -> None:
        self.kernels, self.shape = kernels, shape
        whole, exact = WeightFormat("f32", fmt.row_block), not fmt.is_quantized
        rows = {router: shape.experts}
        self.router = Linear(kernels, whole, shape.hidden, rows, bias, kept=True)
        fmt = WeightFormat("mxfp4", fmt.row_block) if mxfp4 else fmt
        settings = _Settings(bias=bias, exact=exact, kept=mxfp4)
        self.experts = _Experts(shape, kernels, fmt, activation, settings)

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
    kept: bool


class _Experts(nn.Module):  # type: ignore[misc]
    def __init__(
        self,
        shape: MixtureShape,
        kernels: Kernels,
        fmt: WeightFormat,
        activation: str | ClampedSwiglu,
        settings: _Settings,
    ) -> None:
        self.kernels, self.activation = kernels, activation
        bias, kept, exact = settings.bias, settings.kept, settings.exact
        inner, outer = shape.intermediate, shape.hidden
        both = Experts(shape.experts, shape.top_k, 2 * inner, outer, exact)
        down = Experts(shape.experts, shape.top_k, outer, inner, exact)
        halves = {"gate_proj": inner, "up_proj": inner}
        self.gate_up_proj = ExpertLinear(kernels, fmt, both, halves, bias=bias, kept=kept)
        rows = {"down_proj": outer}
        self.down_proj = ExpertLinear(kernels, fmt, down, rows, bias=bias, kept=kept)

    def forward(self, x: Tensor, expert_indices: Tensor) -> Tensor:
        """[n, hidden] and the experts of each token [n, top_k] → [n top_k, hidden]."""
        product = self.kernels.gated(self.gate_up_proj(x, expert_indices), self.activation)
        return self.down_proj(product, expert_indices)
