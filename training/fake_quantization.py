"""Four-bit weights without packing: rounds float weights to what round-to-nearest keeps of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

GROUP = 32
# Symmetric: -7..7 times the group's largest magnitude / 7.
LEVELS = 7


def quantizable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The matrices that packaging quantizes: linear layers and the embedding, also the head."""
    return [parameter for parameter in model.parameters() if parameter.ndim == 2]


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """`weight` [rows, columns] rounded to nearest in groups of 32 columns with float16 scales."""
    groups = weight.reshape(weight.shape[0], -1, GROUP)
    scale = (groups.abs().amax(-1, keepdim=True) / LEVELS).half().float().clamp_min(1e-8)
    return ((groups / scale).round().clamp(-LEVELS, LEVELS) * scale).reshape(weight.shape)


@contextmanager
def four_bit(model: torch.nn.Module) -> Iterator[None]:
    """Inside, `model` computes with rounded weights; afterwards it has its own again.

    Gradients made inside reach the full weights unchanged (straight-through, Bengio et al. 2013).
    """
    weights = quantizable(model)
    kept = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            weight.copy_(rounded(weight))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, own in zip(weights, kept, strict=True):
                weight.copy_(own)
