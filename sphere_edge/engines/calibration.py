"""Rounds a model's matrices to q4 while a calibration text passes through them.

Each matrix is rounded when its inputs arrive, which are already those of the rounded matrices
before it, so that it makes up for what they lost (see quantization/feedback.py). One matrix is held
in float32 at a time; the rounded ones are kept as they are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge.compiler.reference import ReferenceModel, TextReading
from sphere_edge.compiler.reference_kernels import ReferenceKernels
from sphere_edge.engines import weights
from sphere_edge.formats.safetensors import TensorEntry
from sphere_edge.formats.tensors import Tensors
from sphere_edge.models.kernels import Matrix
from sphere_edge.models.layers import matrices, weight_mappings
from sphere_edge.models.registry import Family
from sphere_edge.models.weight_mapping import WeightMapping
from sphere_edge.quantization import feedback
from sphere_edge.quantization.weights import GROUP, WeightFormat

Floats = npt.NDArray[np.float32]
# The format of the matrix at a path: a name of FORMATS, or None to leave it as it is.
Formats = Callable[[str], str | None]

# Weights that fit are kept in float32 between two readings: those of 150 million parameters.
_KEPT_BYTES = 600_000_000
# A wider matrix is left to plain rounding: decomposing what its inputs have in common takes the
# cube of its columns, and memory for three float64 matrices of their square.
_MOST_COLUMNS = 8192
_PLAIN = WeightFormat("f32", 1)
_Q4 = WeightFormat("q4", 1)


@dataclass(frozen=True)
class Rounded:
    """A checkpoint (`Tensors`) of which the tensors in `packed` are q4 already."""

    exact: Tensors
    packed: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)

    @property
    def tensors(self) -> Mapping[str, TensorEntry]:
        """Names to types and shapes."""
        return self.exact.tensors

    def entry(self, name: str) -> TensorEntry:
        """As the exact checkpoint's."""
        return self.exact.entry(name)

    def read(self, name: str, rows: slice | None = None) -> Floats:
        """What q4 makes of the tensor `name`, or the tensor as it is."""
        if name not in self.packed:
            return self.exact.read(name, rows)
        part = {suffix: array[rows or slice(None)] for suffix, array in self.packed[name].items()}
        return _Q4.unpack(part, len(part["data"]), self.entry(name).shape[1])

    def read_stored(self, name: str, rows: slice | None = None) -> npt.NDArray[Any]:
        """As the exact checkpoint's, or as `read`."""
        if name in self.packed:
            return self.read(name, rows)
        return self.exact.read_stored(name, rows)

    def scales(self, name: str, rows: slice | None = None) -> Floats | None:
        """The scales of what is rounded, or those of the exact checkpoint."""
        if name not in self.packed:
            return self.exact.scales(name, rows)
        return self.packed[name]["scale"][rows or slice(None), :, 0].astype(np.float32)


@dataclass(frozen=True)
class Source:
    """A model and its weights."""

    family: Family
    checkpoint: Tensors


class Reader:
    """A model that reads one text in float32, its matrices rounded as is asked each time.

    `last_only`: the logits are those after the last token alone.
    """

    def __init__(self, source: Source, tokens: list[int], *, last_only: bool = False) -> None:
        kernels = ReferenceKernels(product=self._multiply)
        model = source.family.build(kernels, _PLAIN)
        self._checkpoint = source.checkpoint
        self._mappings = {
            name: mapping for mapping in weight_mappings(model) for name in mapping.stored
        }
        self._paths = {id(one.weight.data): path for path, one in matrices(model)}
        size = sum(4 * one.rows * one.columns for _, one in matrices(model))
        self._keeps = not last_only and size <= _KEPT_BYTES
        self._kept: dict[str, Floats] = {}
        rows = [len(tokens) - 1] if last_only else None
        self._text = TextReading(ReferenceModel(model, kernels), tokens, rows)
        # Changes a matrix, given its path and inputs, before it is multiplied with them.
        self._change: Callable[[str, Floats, Floats], Floats] | None = None

    def logits(self, formats: Formats, checkpoint: Tensors | None = None) -> npt.NDArray[Any]:
        """After each token, [tokens, vocab]. Each matrix is rounded by itself as `formats` says.

        `checkpoint`: the model's own weights, some of them rounded.
        """
        before, self._checkpoint = self._checkpoint, checkpoint or self._checkpoint
        try:
            # Activations may be too large for float32; what then is not finite is told from logits.
            with np.errstate(over="ignore", invalid="ignore"):
                changed = None
                if self._change is None:
                    changed = [name for name in self._mappings if self._is_changed(name, formats)]
                return self._text.logits(lambda name: self._load(name, formats), changed)
        finally:
            self._checkpoint = before

    def rounded(self, is_rounded: Callable[[str], bool]) -> Rounded:
        """The checkpoint with matrices at paths that `is_rounded` in q4, each for its inputs."""
        packed: dict[str, dict[str, npt.NDArray[Any]]] = {}

        def change(path: str, weight: Floats, inputs: Floats) -> Floats:
            columns, mapping = weight.shape[1], self._mappings[f"{path}.weight.data"]
            if not is_rounded(path) or columns % GROUP or columns > _MOST_COLUMNS:
                return weight
            if self._is_rounded_already(path):
                return weight
            with weights.naming(mapping):
                found, scales = feedback.for_inputs(weight, inputs)
                arrays, start = _Q4.pack(found, scales), 0
            for source in mapping.sources:
                rows = slice(start, start + source.rows)
                packed[source.name] = {suffix: one[rows] for suffix, one in arrays.items()}
                start = rows.stop
            return found

        self._change = change
        try:
            self.logits(lambda _: None)
        finally:
            self._change = None
        return Rounded(self._checkpoint, packed)

    def names(self, path: str) -> list[str]:
        """The checkpoint's tensors that the matrix at `path` is made of."""
        return [source.name for source in self._mappings[f"{path}.weight.data"].sources]

    def _multiply(self, x: npt.NDArray[Any], matrix: Matrix, arrays: tuple[Any, ...]) -> Any:
        weight, inputs = arrays[0][:, :, 0], x.astype(np.float32)
        path = self._paths.get(id(matrix.arrays[0]))
        if self._change is not None and path is not None:
            weight = self._change(path, weight, inputs)
        return inputs @ weight.T

    def _load(self, name: str, formats: Formats) -> npt.NDArray[Any]:
        mapping = self._mappings[name]
        if mapping.kept or mapping.columns is None:
            return weights.packed(self._checkpoint, mapping)[name]
        values = self._values(name, mapping)
        path = name.split(".weight")[0]
        wanted = formats(path)
        if wanted is not None and not (wanted == "q4" and self._is_rounded_already(path)):
            fmt = WeightFormat(wanted, 1)
            with weights.naming(mapping):
                packed = fmt.pack(values)
            values = fmt.unpack(packed, *values.shape)
        return values[:, :, None]

    def _is_changed(self, name: str, formats: Formats) -> bool:
        mapping = self._mappings[name]
        is_matrix = not mapping.kept and mapping.columns is not None
        asked = is_matrix and formats(name.split(".weight")[0]) is not None
        return asked or self._is_packed(mapping)

    def _is_packed(self, mapping: WeightMapping) -> bool:
        """Whether the checkpoint has the tensors of a weight in q4."""
        checkpoint = self._checkpoint
        return isinstance(checkpoint, Rounded) and any(
            source.name in checkpoint.packed for source in mapping.sources
        )

    def _values(self, name: str, mapping: WeightMapping) -> Floats:
        changed = self._is_packed(mapping)
        if not changed and name in self._kept:
            return self._kept[name]
        values = weights.exact(self._checkpoint, mapping)
        if not changed and self._keeps:
            self._kept[name] = values
        return values

    def _is_rounded_already(self, path: str) -> bool:
        """Whether the checkpoint has the matrix as multiples of scales, which q4 then keeps."""
        return all(
            self._checkpoint.scales(name, slice(0, 1)) is not None for name in self.names(path)
        )
