"""Mixed bits: q4 that makes up for its own errors, and q8 where that is not enough.

Matrices are rounded to q4 for the inputs that a calibration text gives them (see calibration.py).
What each of them costs is measured on another text, as the mean KL divergence of the predictions
from those of the exact model. The most costly per weight become q8: until a budget of bits is used
up, or until the whole costs no more than TARGET, as far as the device has memory. Without a budget
the whole is measured once more, and dropped where plain q4 costs no more. Models above
MOST_BIT_BY_BIT are measured in fewer parts, and rounded without error feedback.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge.console import Progress
from sphere_edge.engines import weights
from sphere_edge.engines.calibration import Formats, Reader, Rounded, Source
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.formats.tensors import Tensors
from sphere_edge.models.decoder import Decoder
from sphere_edge.models.layers import Numerics, matrices, store_as, weight_mappings
from sphere_edge.models.registry import Family
from sphere_edge.quantization.mixed_bits import MOST_BIT_BY_BIT, NAME
from sphere_edge.quantization.weights import FORMATS, WeightFormat

# A mean KL divergence, in nats. Chosen on SmolLM2-135M alone, where 87 % of the predictions then
# keep their most likely token; 56 % do with plain q4 (docs/quality.md).
TARGET = 0.055
_LEAST, _MOST = FORMATS["q4"], FORMATS["q8"]
_PLAIN = WeightFormat("f32", 1)
# Tokens of the calibration text, and multiplications of one token with all weights.
_TOKENS, _FEWEST_TOKENS, _BUDGET = 1200, 512, 2.5e11
# Tokens on which costs are measured, and those of large models.
_MEASURED, _MEASURED_OF_LARGE = 64, 16
# So many matrices are measured one by one. Of more, those of one kind in each of some ten spans of
# layers are measured together, and one by one only where they cost the most.
_ONE_BY_ONE, _SPANS, _SPLIT = 24, 10, 6
# How often the whole is measured, and more of it raised between.
_ROUNDS = 5


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


def bytes_of(bits: float, in_q4: int, in_q8: int) -> int:
    """What `bits` a weight take of a model that has these bytes with all matrices in q4 or q8."""
    return in_q4 + math.ceil((in_q8 - in_q4) * (bits - _LEAST) / (_MOST - _LEAST))


def all_in_q8(family: Family) -> Family:
    """The family whose models have every matrix in q8 that can be."""
    return raised(family, (path for path, _ in matrices(family.build(None, _PLAIN))))


def to_bits(source: Source, texts: Texts, bits: float, progress: Progress) -> Refined:
    """The model with matrices in q8 until `bits` a weight are used.

    `bits` counts the scales and is an average over all matrices. Raises ModelCorruptError for a
    weight that q4 cannot store.
    """
    measured = _Measured.of(_Judge.of(source, texts), texts, progress)
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

    As far as it `fits` the device. None where plain q4 costs no more than TARGET, or no more than
    what was found, or where float32 cannot tell. Raises as to_bits.
    """
    judge = _Judge.of(source, texts)
    plain = judge.cost(lambda _: "q4")
    if plain <= TARGET or not np.isfinite(judge.exact).all():
        return None
    measured = _Measured.of(judge, texts, progress)
    ranked = measured.ranked()
    most = _longest(ranked, lambda paths: fits(raised(source.family, paths)))
    count, best = 0, (math.inf, 0)
    for _ in range(_ROUNDS):
        found = measured.cost(ranked[:count])
        best = min(best, (found, count))
        if found <= TARGET or count == most:
            break
        count = min(most, measured.needed(ranked, count, found))
    cost, count = best
    return measured.refined(ranked[:count]) if cost < plain else None


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
class _Judge:
    """A model that reads the text which judges, and its log-probabilities with exact weights."""

    source: Source
    parameters: int
    reader: Reader
    exact: npt.NDArray[Any]

    @classmethod
    def of(cls, source: Source, texts: Texts) -> _Judge:
        """Reads the text once."""
        parameters = weights.parameters(list(weight_mappings(source.family.build(None, _PLAIN))))
        tokens = _MEASURED if parameters <= MOST_BIT_BY_BIT else _MEASURED_OF_LARGE
        reader = Reader(source, texts.measured[:tokens])
        with np.errstate(over="ignore", invalid="ignore"):
            exact = log_probabilities(reader.logits(lambda _: None))
        return cls(source, parameters, reader, exact)

    @property
    def is_large(self) -> bool:
        """Whether only a few readings of the model can be waited for."""
        return self.parameters > MOST_BIT_BY_BIT

    def cost(self, formats: Formats, checkpoint: Tensors | None = None) -> float:
        """The divergence of the same with its matrices rounded."""
        return divergence(self.exact, self.reader.logits(formats, checkpoint))


@dataclass(frozen=True)
class _Measured:
    """A model with all that is known of it: the rounded weights, and what each matrix costs."""

    judge: _Judge
    rounded: Rounded
    sizes: dict[str, int]
    costs: dict[str, float]

    @classmethod
    def of(cls, judge: _Judge, texts: Texts, progress: Progress) -> _Measured:
        """Reads the calibration text once, the other one for each part of the model."""
        sizes = _sizes(judge.source)
        rounded = Rounded(judge.source.checkpoint)
        if not judge.is_large:
            with progress.step("rounding what a text needs"):
                rounded = _for_inputs(judge, texts)
        return cls(judge, rounded, sizes, _Costs(judge, rounded, sizes).measured(progress))

    def ranked(self) -> list[str]:
        """All matrices, the most costly per weight first; the name decides between equals."""
        return sorted(self.sizes, key=lambda path: (-self.costs[path] / self.sizes[path], path))

    def cost(self, in_q8: list[str]) -> float:
        """What the model costs with some matrices in q8."""
        left = self._without(in_q8)

        def formats(path: str) -> str | None:
            if path in in_q8:
                return "q8"
            return None if set(self.judge.reader.names(path)) <= left.packed.keys() else "q4"

        return self.judge.cost(formats, left)

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
        made = raised(self.judge.source.family, in_q8)
        return Refined(made, self._without(in_q8), tuple(sorted(in_q8)))

    def _without(self, in_q8: list[str]) -> Rounded:
        left = [path for path in self.sizes if path not in in_q8]
        return _only(self.rounded, self.judge.reader, left)


@dataclass(frozen=True)
class _Costs:
    """Measures the divergence that rounding some matrices causes, all others left as they are."""

    judge: _Judge
    rounded: Rounded
    sizes: dict[str, int]

    def measured(self, progress: Progress) -> dict[str, float]:
        """What each matrix costs; of some measured together, each the same per weight."""
        with progress.step("measuring what 4 bits cost"):
            paths, is_large = list(self.sizes), self.judge.is_large
            parts = _layers(paths) if is_large else _parts(paths)
            together = {tuple(part): self._of(part) for part in parts}
            worst = sorted(together, key=lambda part: -together[part])
            for part in [] if is_large else worst[:_SPLIT]:
                if len(part) > 1:
                    del together[part]
                    together |= {(path,): self._of([path]) for path in part}
        costs: dict[str, float] = {}
        for part, cost in together.items():
            size = sum(self.sizes[path] for path in part)
            costs |= {path: cost * self.sizes[path] / size for path in part}
        return costs

    def _of(self, paths: list[str]) -> float:
        left = _only(self.rounded, self.judge.reader, paths)

        def formats(path: str) -> str | None:
            is_rounded = set(self.judge.reader.names(path)) <= left.packed.keys()
            return "q4" if path in paths and not is_rounded else None

        return self.judge.cost(formats, left)


def _for_inputs(judge: _Judge, texts: Texts) -> Rounded:
    """The model's matrices rounded for what the calibration text puts into them."""
    tokens = max(_FEWEST_TOKENS, min(_TOKENS, int(_BUDGET / judge.parameters)))
    reader = Reader(judge.source, texts.calibration[:tokens], last_only=True)
    looked_up = {"embed_tokens", "lm_head"}
    return reader.rounded(lambda path: path not in looked_up)


def _only(rounded: Rounded, reader: Reader, paths: list[str]) -> Rounded:
    """With the matrices at `paths` alone rounded."""
    names = {name for path in paths for name in reader.names(path)}
    packed = {name: one for name, one in rounded.packed.items() if name in names}
    return Rounded(rounded.exact, packed)


def _sizes(source: Source) -> dict[str, int]:
    """How many weights each matrix has, by its path."""
    model = source.family.build(None, _PLAIN)
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


def _layers(paths: list[str]) -> list[list[str]]:
    """Those of each layer together: the fewest parts."""
    parts: dict[str, list[str]] = {}
    for path in paths:
        part = ".".join(path.split(".")[:2]) if path.startswith("layers.") else path
        parts.setdefault(part, []).append(path)
    return list(parts.values())


def _longest(ranked: list[str], fits: Callable[[list[str]], bool]) -> int:
    """The length of the longest beginning of `ranked` that fits; more never fits better."""
    fitting, beyond = 0, len(ranked) + 1
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        fitting, beyond = (middle, beyond) if fits(ranked[:middle]) else (fitting, middle)
    return fitting


def divergence(exact: npt.NDArray[Any], logits: npt.NDArray[Any]) -> float:
    """Mean KL(exact || other) of the rows' distributions, in nats; infinite for what is not finite.

    `exact`: as log_probabilities makes them. Rounded, so that another machine's last bits do not
    choose otherwise.
    """
    if not (np.isfinite(exact).all() and np.isfinite(logits).all()):
        return math.inf
    lost = np.exp(exact) * (exact - log_probabilities(logits))
    return float(f"{float(lost.sum(axis=1).mean()):.3g}")


def log_probabilities(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of each row's distribution, [rows, vocab]."""
    rows: npt.NDArray[Any] = logits - logits.max(axis=1, keepdims=True)
    rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
    return rows
