"""Lets the model compute with the weights that packaging would leave it, in the real format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sphere_edge.quantization.weights import WeightFormat

# The numbers are the same for any row block; this is the one of AVX-512.
Q4 = WeightFormat("q4", row_block=16)


def _rounded(weight: torch.Tensor) -> torch.Tensor:
    """`weight` [rows, columns] packed to 4 bit and unpacked again."""
    array = weight.detach().numpy()
    return torch.from_numpy(Q4.unpack(Q4.pack(array), *array.shape))


@contextmanager
def four_bit(model: torch.nn.Module) -> Iterator[None]:
    """Inside, `model` computes with 4-bit weights; afterwards it has its own again.

    All matrices are rounded: linear layers and the embedding, which is also the head. Gradients
    made inside reach the full weights unchanged (straight-through, Bengio et al. 2013).
    """
    weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    kept = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            weight.copy_(_rounded(weight))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, own in zip(weights, kept, strict=True):
                weight.copy_(own)
