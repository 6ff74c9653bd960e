"""Mixed bits: q4 that makes up for its own errors, and q8 where that is not enough.

Matrices are rounded to q4 for the inputs that a calibration text gives them (see calibration.py).
What each of them costs is measured on another text, as the mean KL divergence of the predictions
from those of the exact model. The most costly per weight become q8: until a budget of bits is used
up, or until the whole costs no more than TARGET, as far as the device has memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge.console import Progress
from sphere_edge.engines.calibration import Reader, Rounded, Source
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.models.decoder import Decoder
from sphere_edge.models.layers import Numerics, matrices, store_as
from sphere_edge.models.registry import Family
from sphere_edge.quantization.weights import FORMATS, WeightFormat

NAME = "q4+q8"
# A mean KL divergence that is hard to notice, in nats: about that of llama.cpp's Q4_K_M.
TARGET = 0.055
_LEAST, _MOST = FORMATS["q4"], FORMATS["q8"]
# Larger models lose less by 4 bits, and measuring them would take long.
_MOST_PARAMETERS = 7e8
# Tokens of the calibration text, and multiplications of one token with all weights.
_TOKENS, _FEWEST_TOKENS, _BUDGET = 1200, 512, 2.5e11
# Tokens on which costs are measured.
_MEASURED = 64
# So many matrices are measured one by one. Of more, those of one kind in each of some ten spans of
# layers are measured together, and one by one only where they cost the most.
_ONE_BY_ONE, _SPANS, _SPLIT = 24, 10, 6
# How often the whole is measured again and more of it raised.
_ROUNDS = 4


@dataclass(frozen=True)
class Texts:
    """Token ids of the text that matrices are rounded for, and of the one that judges them."""

    calibration: list[int]
    measured: list[int]


@dataclass(frozen=True)
class Refined:
    """A model whose matrices at the paths `in_q8` are q8, and the weights it is made of."""

    family: Family
    checkpoint: Rounded
    in_q8: tuple[str, ...]

    @property
    def quantization(self) -> str:
        """What the manifest calls it."""
        return NAME if self.in_q8 else "q4"


def check(bits: float, quantization: str) -> None:
    """InvalidArgumentError for a budget that mixing q4 and q8 cannot keep."""
    if quantization != "q4":
        message = f"--bits mixes q4 and q8, and the weights are to be {quantization}"
        raise InvalidArgumentError(message, hint="add --quant q4, or leave out --bits")
    if not _LEAST <= bits <= _MOST:
        message = f"`{bits:g}` bits per weight cannot be reached by mixing q4 and q8"
        raise InvalidArgumentError(message, hint=f"choose between {_LEAST} (q4) and {_MOST} (q8)")


def to_bits(source: Source, texts: Texts, bits: float, progress: Progress) -> Refined:
    """The model with matrices in q8 until `bits` a weight are used.

    `bits` counts the scales and is an average over all matrices.
    """
    measured = _Measured.of(source, texts, progress)
    room = sum(measured.sizes.values()) * (bits - _LEAST) / (_MOST - _LEAST)
    in_q8 = []
    for path in measured.ranked():
        if measured.sizes[path] <= room:
            room -= measured.sizes[path]
            in_q8.append(path)
    return measured.refined(in_q8)


def to_target(
    source: Source, texts: Texts, fits: Callable[[Family], bool], progress: Progress
) -> Refined | None:
    """The model with as many matrices in q8 as it takes to cost no more than TARGET.

    As far as it `fits` the device. None: plain q4 costs no more, or the model is too large to tell.
    """
    sizes = _sizes(source)
    if sum(sizes.values()) > _MOST_PARAMETERS:
        return None
    reader = Reader(source, texts.measured[:_MEASURED])
    exact = reader.logits(lambda _: None)
    # Numbers that are not finite are for the conversion to name.
    if not divergence(exact, reader.logits(lambda _: "q4")) > TARGET:
        return None
    measured = _Measured.of(source, texts, progress)
    ranked = measured.ranked()
    most = _longest(ranked, lambda paths: fits(raised(source.family, paths)))
    count = 0
    for _ in range(_ROUNDS):
        found = measured.cost(ranked[:count])
        if found <= TARGET or count == most:
            break
        count = min(most, measured.needed(ranked, count, found))
    return measured.refined(ranked[:count])


def raised(family: Family, paths: Iterable[str]) -> Family:
    """The family whose models have the matrices at `paths` in q8."""
    chosen = frozenset(paths)

    def build(config: Any, numerics: Numerics) -> Decoder:
        model: Decoder = family.model(config, numerics)
        for path, matrix in matrices(model):
            if path in chosen:
                store_as(matrix, WeightFormat("q8", matrix.fmt.row_block))
        return model

    return replace(family, model=build)


@dataclass(frozen=True)
class _Measured:
    """A model with all that is known of it: the rounded weights, and what each matrix costs."""

    source: Source
    reader: Reader
    exact: npt.NDArray[Any]
    rounded: Rounded
    sizes: dict[str, int]
    costs: dict[str, float]

    @classmethod
    def of(cls, source: Source, texts: Texts, progress: Progress) -> _Measured:
        """Reads both texts."""
        sizes = _sizes(source)
        tokens = max(_FEWEST_TOKENS, min(_TOKENS, int(_BUDGET / sum(sizes.values()))))
        text = texts.calibration[:tokens]
        reader = Reader(source, texts.measured[:_MEASURED])
        exact = reader.logits(lambda _: None)
        with progress.step("rounding what a text needs"):
            looked_up = {"embed_tokens", "lm_head"}
            rounded = Reader(source, text, last_only=True).rounded(
                lambda path: path not in looked_up
            )
        costs = _Costs(reader, exact, rounded, sizes).measured(progress)
        return cls(source, reader, exact, rounded, sizes, costs)

    def ranked(self) -> list[str]:
        """All matrices, the most costly per weight first; the name decides between equals."""
        return sorted(self.sizes, key=lambda path: (-self.costs[path] / self.sizes[path], path))

    def cost(self, in_q8: list[str]) -> float:
        """What the model costs with some matrices in q8."""
        left = self._without(in_q8)

        def formats(path: str) -> str | None:
            if path in in_q8:
                return "q8"
            return None if set(self.reader.names(path)) <= left.packed.keys() else "q4"

        return divergence(self.exact, self.reader.logits(formats, left))

    def needed(self, ranked: list[str], count: int, found: float) -> int:
        """How many of `ranked` have to be q8 where `count` of them leave a cost of `found`."""
        left = sum(self.costs[path] for path in ranked[count:])
        wanted = left * TARGET / found
        while count < len(ranked):
            left -= self.costs[ranked[count]]
            count += 1
            if left <= wanted:
                break
        return count

    def refined(self, in_q8: list[str]) -> Refined:
        """The model with those matrices in q8."""
        made = raised(self.source.family, in_q8)
        return Refined(made, self._without(in_q8), tuple(sorted(in_q8)))

    def _without(self, in_q8: list[str]) -> Rounded:
        return _only(self.rounded, self.reader, [path for path in self.sizes if path not in in_q8])


@dataclass(frozen=True)
class _Costs:
    """Measures the divergence that rounding some matrices causes, all others left as they are."""

    reader: Reader
    exact: npt.NDArray[Any]
    rounded: Rounded
    sizes: dict[str, int]

    def measured(self, progress: Progress) -> dict[str, float]:
        """What each matrix costs; of some measured together, each the same per weight."""
        with progress.step("measuring what 4 bits cost"):
            together = {tuple(part): self._of(part) for part in _parts(list(self.sizes))}
            for part in sorted(together, key=lambda part: -together[part])[:_SPLIT]:
                if len(part) > 1:
                    del together[part]
                    together |= {(path,): self._of([path]) for path in part}
        costs: dict[str, float] = {}
        for part, cost in together.items():
            size = sum(self.sizes[path] for path in part)
            costs |= {path: cost * self.sizes[path] / size for path in part}
        return costs

    def _of(self, paths: list[str]) -> float:
        left = _only(self.rounded, self.reader, paths)

        def formats(path: str) -> str | None:
            by_itself = path in paths and not set(self.reader.names(path)) <= left.packed.keys()
            return "q4" if by_itself else None

        return divergence(self.exact, self.reader.logits(formats, left))


def _only(rounded: Rounded, reader: Reader, paths: list[str]) -> Rounded:
    """With the matrices at `paths` alone rounded."""
    names = {name for path in paths for name in reader.names(path)}
    packed = {name: one for name, one in rounded.packed.items() if name in names}
    return Rounded(rounded.exact, packed)


def _sizes(source: Source) -> dict[str, int]:
    """How many weights each matrix has, by its path."""
    model = source.family.build(None, WeightFormat("f32", 1))
    return {path: one.rows * one.columns for path, one in matrices(model)}


def _parts(paths: list[str]) -> list[list[str]]:
    """The matrices that are measured together."""
    if len(paths) <= _ONE_BY_ONE:
        return [[path] for path in paths]
    layers = [int(path.split(".")[1]) for path in paths if path.startswith("layers.")]
    length = -(-(max(layers, default=0) + 1) // _SPANS)
    parts: dict[tuple[int, str], list[str]] = {}
    for path in paths:
        _, layer, kind = path.split(".", 2) if path.startswith("layers.") else ("", "-1", path)
        parts.setdefault((int(layer) // length, kind), []).append(path)
    return list(parts.values())


def _longest(ranked: list[str], fits: Callable[[list[str]], bool]) -> int:
    """The length of the longest beginning of `ranked` that fits; more never fits better."""
    fitting, beyond = 0, len(ranked) + 1
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        fitting, beyond = (middle, beyond) if fits(ranked[:middle]) else (fitting, middle)
    return fitting


def divergence(exact: npt.NDArray[Any], logits: npt.NDArray[Any]) -> float:
    """Mean KL(exact || other) of the rows' distributions, in nats.

    Rounded, so that another machine's last bits do not choose otherwise.
    """
    p, q = (rows - rows.max(axis=1, keepdims=True) for rows in (exact, logits))
    p -= np.log(np.exp(p).sum(axis=1, keepdims=True))
    q -= np.log(np.exp(q).sum(axis=1, keepdims=True))
    return float(f"{float((np.exp(p) * (p - q)).sum(axis=1).mean()):.3g}")
