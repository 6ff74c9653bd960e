"""Mixed bits: where 4 bits hurt a model most it gets 8, as far as a budget reaches.

The model's parts are rounded to q4 one at a time, with all else as it is, and the model reads a
calibration text: the mean KL divergence of its predictions says what that part's rounding costs.
The most costly per weight come first. Parts are single matrices; of large models the embedding, the
head and whole layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge.compiler.reference import ReferenceModel, every_logit
from sphere_edge.compiler.reference_kernels import ReferenceKernels
from sphere_edge.console import Progress
from sphere_edge.engines import weights
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.formats.tensors import Tensors
from sphere_edge.models.decoder import Decoder
from sphere_edge.models.layers import Numerics, matrices, store_as, weight_mappings
from sphere_edge.models.registry import Family
from sphere_edge.quantization.weights import FORMATS, WeightFormat

NAME = "q4+q8"
_LEAST, _MOST = FORMATS["q4"], FORMATS["q8"]
# How many tokens are read, and multiplications that all of it may cost: some minutes.
_TOKENS, _FEWEST_TOKENS = 96, 16
_BUDGET = 2e12
_PLAIN = WeightFormat("f32", 1)


@dataclass(frozen=True)
class _Part:
    """A part of the model: its weights, and the divergence that q4 causes there."""

    name: str
    elements: int
    divergence: float


def check(bits: float, quantization: str) -> None:
    """InvalidArgumentError for a budget that mixing q4 and q8 cannot keep."""
    if quantization != "q4":
        message = f"--bits mixes q4 and q8, and the weights are to be {quantization}"
        raise InvalidArgumentError(message, hint="add --quant q4, or leave out --bits")
    if not _LEAST <= bits <= _MOST:
        message = f"`{bits:g}` bits per weight cannot be reached by mixing q4 and q8"
        raise InvalidArgumentError(message, hint=f"choose between {_LEAST} (q4) and {_MOST} (q8)")


def format_of(quantization: str) -> str:
    """The weight format that most matrices of a bundle are in."""
    return "q4" if quantization == NAME else quantization


@dataclass(frozen=True)
class Weighed:
    """A model whose weights are in `checkpoint`, and the calibration text that it reads."""

    family: Family
    checkpoint: Tensors
    tokens: list[int]


def refine(weighed: Weighed, bits: float, progress: Progress) -> tuple[Family, tuple[str, ...]]:
    """The family with parts in q8 until `bits` a weight are used, and the names of those parts.

    `bits` counts the scales and is an average over all matrices.
    """
    made = weighed.family
    model = made.build(None, _PLAIN)
    part_of = _division(model)
    parts = _measured(weighed, model, part_of, progress)
    room = sum(part.elements for part in parts) * (bits - _LEAST) / (_MOST - _LEAST)
    in_q8 = []
    # The name decides between equals.
    for part in sorted(parts, key=lambda one: (-one.divergence / one.elements, one.name)):
        if part.elements <= room:
            room -= part.elements
            in_q8.append(part.name)
    return raised(made, lambda path: part_of(path) in in_q8), tuple(sorted(in_q8))


def raised(made: Family, is_raised: Callable[[str], bool]) -> Family:
    """The family whose models have the matrices at paths that `is_raised` names in q8."""

    def build(config: Any, numerics: Numerics) -> Decoder:
        model: Decoder = made.model(config, numerics)
        for path, matrix in matrices(model):
            if is_raised(path):
                store_as(matrix, WeightFormat("q8", matrix.fmt.row_block))
        return model

    return replace(made, model=build)


Division = Callable[[str], str]


def _division(model: Decoder) -> Division:
    """Which part of the model the matrix at a path belongs to."""
    sizes = [matrix.rows * matrix.columns for _, matrix in matrices(model)]
    if len(sizes) * sum(sizes) * _TOKENS <= _BUDGET:
        return lambda path: path
    return lambda path: ".".join(path.split(".")[:2]) if path.startswith("layers.") else path


def _measured(
    weighed: Weighed, model: Decoder, part_of: Division, progress: Progress
) -> list[_Part]:
    made, checkpoint = weighed.family, weighed.checkpoint
    sizes: dict[str, int] = {}
    for path, matrix in matrices(model):
        sizes[part_of(path)] = sizes.get(part_of(path), 0) + matrix.rows * matrix.columns
    affordable = int(_BUDGET / (len(sizes) * sum(sizes.values())))
    tokens = weighed.tokens[: max(_FEWEST_TOKENS, min(_TOKENS, affordable))]
    kernels = ReferenceKernels()
    logits_with = every_logit(ReferenceModel(made.build(kernels, _PLAIN), kernels), tokens)
    with progress.step("measuring what 4 bits cost", len(sizes) + 1) as step:
        exact = logits_with(_rounded(made, checkpoint, lambda _: False))
        step.advance()
        parts = []
        for name, elements in sizes.items():

            def is_rounded(path: str, wanted: str = name) -> bool:
                return part_of(path) == wanted

            logits = logits_with(_rounded(made, checkpoint, is_rounded))
            # Rounded, so that another machine's last bits do not choose otherwise.
            divergence = float(f"{_divergence(exact, logits):.3g}")
            parts.append(_Part(name, elements, divergence))
            step.advance()
    return parts


def _rounded(
    made: Family, checkpoint: Tensors, is_rounded: Callable[[str], bool]
) -> Callable[[str], Any]:
    """Gives the parameters in float32; matrices at paths that `is_rounded` as q4 leaves them."""
    model = made.build(None, _PLAIN)
    by_name = {name: mapping for mapping in weight_mappings(model) for name in mapping.stored}
    q4 = WeightFormat("q4", 1)

    def load(name: str) -> npt.NDArray[np.generic]:
        mapping = by_name[name]
        array = weights.packed(checkpoint, mapping)[name]
        if (
            mapping.fmt is None
            or mapping.columns is None
            or not is_rounded(name.split(".weight")[0])
        ):
            return array
        values = _PLAIN.unpack({"data": array}, mapping.rows, mapping.columns)
        return _PLAIN.pack(q4.unpack(q4.pack(values), *values.shape))["data"]

    return load


def _divergence(exact: npt.NDArray[np.float64], logits: npt.NDArray[np.float64]) -> float:
    """Mean KL(exact || other) of the rows' distributions, in nats."""
    p, q = (rows - rows.max(axis=1, keepdims=True) for rows in (exact, logits))
    p -= np.log(np.exp(p).sum(axis=1, keepdims=True))
    q -= np.log(np.exp(q).sum(axis=1, keepdims=True))
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())
