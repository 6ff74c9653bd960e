"""Rounding to q4 with error feedback: what one column loses, the columns after it make up for.

GPTQ (Frantar et al. 2022) in the form of LDLQ (Chee et al. 2023), which needs no inverse: with the
Gram matrix of a layer's inputs H = R R^T, R upper triangular, and U = R / diag(R), column k becomes

    q_k = round((w_k + sum over j < k of (w_j - q_j s_j) U[j, k]) / s_k)

which leaves the smallest error of the layer's outputs that any such order can: the sum over k of
(w_k' - q_k s_k)^2 R[k, k]^2, w_k' what is rounded there. That also weighs the choice of scales.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sphere_edge.errors import ModelCorruptError
from sphere_edge.quantization.weights import GROUP, WeightFormat

Floats = NDArray[np.float32]

# All later tokens attend to the first one, which has activations of its own: it counts as much as
# this share of all. And this share of all, the last ones, only judge.
_SHARE_OF_FIRST, _SHARE_OF_JUDGES = 0.25, 0.2
# Added to the diagonal of H, as a share of its mean: inputs of another text are not in its span.
_DAMPING = 0.5
_Q4 = WeightFormat("q4", 1)
# What the largest magnitude of a group is tried to become.
_DIVISORS = (-8.0, -7.5, -7.0, -6.5, -8.5, -9.0, -9.6)


def quantize(weight: Floats, gram: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """`weight` [rows, columns] as integers -8..7 times scales [rows, columns / 32].

    `gram` [columns, columns]: the sum over tokens of x x^T, x the inputs. Columns are whole groups
    of 32. Returns the products, float32 [rows, columns], and the scales, which fit float16.
    Raises ModelCorruptError for inputs that are not finite.
    """
    if not np.isfinite(gram).all():
        message = "the model's activations are not finite"
        raise ModelCorruptError(message, hint="download the model again")
    rows, columns = weight.shape
    feedback, importance = _decomposed(gram)
    # Columns first: what is rounded together lies together. Rounded columns replace exact ones.
    exact = np.ascontiguousarray(weight.T, np.float32)
    lost = np.zeros_like(exact)
    scales = np.empty((columns // GROUP, rows), np.float32)
    for group in range(columns // GROUP):
        first = group * GROUP
        span = slice(first, first + GROUP)
        wanted = exact[span] + feedback[:first, span].T @ lost[:first]
        scale = _scale(wanted, importance[span])
        scales[group] = scale
        inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
        for column in range(GROUP):
            rounded = np.rint(wanted[column] * inverse)
            np.clip(rounded, -8, 7, out=rounded)
            rounded *= scale
            error = exact[first + column] - rounded
            lost[first + column], exact[first + column] = error, rounded
            later = feedback[first + column, first + column + 1 : first + GROUP]
            wanted[column + 1 :] += later[:, None] * error
    return np.ascontiguousarray(exact.T), np.ascontiguousarray(scales.T)


def for_inputs(weight: Floats, inputs: Floats) -> tuple[Floats, Floats]:
    """As `quantize`, for `inputs` [tokens, columns]; or by itself, where that is better.

    Better is what loses less of the outputs for inputs that were held back; few inputs, or inputs
    without much in common, are better not relied on, and those that are not finite say nothing.
    """
    plain = _Q4.pack(weight)
    alone = _Q4.unpack(plain, *weight.shape), plain["scale"][:, :, 0].astype(np.float32)
    if not np.isfinite(inputs).all():
        return alone
    norms = np.linalg.norm(inputs, axis=1, keepdims=True)
    # What comes after a layer is normalized for each token, so each token counts the same.
    unit = np.divide(inputs, norms, out=np.zeros_like(inputs), where=norms > 0)
    held = max(1, int(_SHARE_OF_JUDGES * len(unit)))
    judging, used = unit[-held:], unit[:-held]
    gram = used.T @ used + _SHARE_OF_FIRST * len(used) * (unit[:1].T @ unit[:1])
    found = quantize(weight, gram)
    lost, lost_alone = (np.square(judging @ (weight - one[0]).T).sum() for one in (found, alone))
    return found if lost < lost_alone else alone


def _decomposed(gram: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """U, unit upper triangular, and diag(R)^2 of the damped Gram matrix."""
    damped = gram.astype(np.float64)
    diagonal = np.einsum("ii->i", damped)
    diagonal += _DAMPING * diagonal.mean() + 1e-12
    # H reversed = L L^T, so R is L reversed.
    upper = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
    pivots = np.einsum("ii->i", upper).copy()
    return (upper / pivots).astype(np.float32), np.square(pivots).astype(np.float32)


def _scale(wanted: Floats, importance: Floats) -> Floats:
    """The best of some scales for each row of a group [32, rows], as float16 has it: [rows]."""
    largest, smallest = wanted.max(axis=0), wanted.min(axis=0)
    extreme = np.where(largest > -smallest, largest, smallest)
    inverse = np.divide(1, extreme, out=np.zeros_like(extreme), where=np.abs(extreme) > 1e-30)
    weighted = wanted * importance[:, None]
    best, explained = np.zeros_like(extreme), np.zeros_like(extreme)
    for divisor in _DIVISORS:
        tried = wanted * (inverse * np.float32(divisor))
        np.rint(tried, out=tried)
        np.clip(tried, -8, 7, out=tried)
        products = np.einsum("ir,ir->r", weighted, tried)
        squares = np.einsum("ir,ir,i->r", tried, tried, importance)
        fitted = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
        better = products * fitted > explained
        explained = np.where(better, products * fitted, explained)
        best = np.where(better, fitted, best)
    most = np.finfo(np.float16).max
    kept: Floats = np.clip(best, -most, most).astype(np.float16).astype(np.float32)
    return kept
