"""Per-position figures of two distributions over the next token, and intervals of their means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Neighbouring positions share their context, so they are drawn together: 32 tokens are a sentence.
BLOCK_TOKENS = 32
_DRAWS = 2000
_SEED = 20240
# Rows of [n, vocab] turned into float64 at a time.
_ROWS = 16


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % confidence interval (block bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Positions:
    """Figures of each position; all arrays are [n], information is in nats."""

    # Negative log-likelihood of the token that came, by the reference and by the candidate.
    reference_surprise: Floats
    candidate_surprise: Floats
    # KL(reference || candidate) of the distributions of the next token.
    divergence: Floats
    # Whether both hold the same token for the likeliest.
    agreement: npt.NDArray[np.bool_]


def positions(
    reference: npt.NDArray[np.float32],
    candidate: npt.NDArray[np.float32],
    following: npt.NDArray[np.int64],
) -> Positions:
    """Figures from the logits [n, vocab] of both and the tokens [n] that came next."""
    parts = []
    for first in range(0, len(following), _ROWS):
        rows = slice(first, first + _ROWS)
        p, q = _log_softmax(reference[rows]), _log_softmax(candidate[rows])
        each = np.arange(len(p))
        parts.append(
            Positions(
                reference_surprise=-p[each, following[rows]],
                candidate_surprise=-q[each, following[rows]],
                # Rounding may leave a hair below zero, which a divergence never is.
                divergence=np.maximum(np.sum(np.exp(p) * (p - q), axis=1), 0.0),
                agreement=reference[rows].argmax(axis=1) == candidate[rows].argmax(axis=1),
            )
        )
    return join(parts)


def join(parts: list[Positions]) -> Positions:
    """The positions of `parts` one after another."""
    return Positions(
        np.concatenate([part.reference_surprise for part in parts]),
        np.concatenate([part.candidate_surprise for part in parts]),
        np.concatenate([part.divergence for part in parts]),
        np.concatenate([part.agreement for part in parts]),
    )


def interval(
    values: npt.NDArray[np.generic], figure: Callable[[Floats], Floats] = lambda mean: mean
) -> Interval:
    """`figure` of the mean of `values` [n], with its interval.

    Blocks of 32 neighbours are drawn with replacement (Künsch 1989; the percentile interval of
    Efron 1979), 2,000 times with a fixed seed. Fewer than two blocks say nothing of the spread:
    the interval is then everything.
    """
    numbers = values.astype(np.float64)
    value = float(figure(np.asarray(numbers.mean())))
    blocks = len(numbers) // BLOCK_TOKENS
    if blocks < 2:
        return Interval(value, float("-inf"), float("inf"))
    edges = np.linspace(0, len(numbers), blocks + 1).astype(int)
    sums = np.add.reduceat(numbers, edges[:-1])
    sizes = np.diff(edges)
    drawn = np.random.default_rng(_SEED).integers(0, blocks, (_DRAWS, blocks))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(figure(means), [2.5, 97.5])
    return Interval(value, float(low), float(high))


def _log_softmax(logits: npt.NDArray[np.float32]) -> Floats:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    result: Floats = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    return result
