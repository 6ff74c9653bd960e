"""gpt-oss stores all experts of a layer as one tensor; here each is a matrix of its own.

    X.experts.gate_up_proj          [experts, in, 2 out]  transposed, gate and up row by row in turn
    X.experts.down_proj             [experts, in, out]    transposed
    X.experts.NAME_bias             [experts, out]
    X.experts.NAME_blocks  u8       [experts, out, in / 32, 16]  mxfp4: byte k holds columns 2k
    X.experts.NAME_scales  u8       [experts, out, in / 32]      (lower four bits) and 2k + 1

They are read as X.experts.E.gate_proj.weight, up_proj and down_proj [out, in], with .bias, the
names of other mixtures. One expert is in memory at a time, and mxfp4 in four bits.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats.safetensors import Checkpoint, TensorEntry, named
from sphere_edge.quantization import mxfp4

Floats = npt.NDArray[np.float32]

_FUSED = re.compile(r"(?P<root>.+\.experts)\.(?P<layer>gate_up_proj|down_proj)(?P<leaf>|_blocks)$")
_BIAS = re.compile(r"(?P<root>.+\.experts)\.(?P<layer>gate_up_proj|down_proj)_bias$")
_GROUP, _NOT_A_NUMBER = 32, 255
_EXPERTS_LIMIT = 1 << 12
# Two threads read two experts; a third is being begun.
_KEPT = 3


@dataclass(frozen=True)
class _Location:
    """Where an expert's tensor is: rows first, first + step, … of one expert of `fused`."""

    fused: str
    expert: int
    first: int
    step: int
    kind: str


def are_fused(checkpoint: Checkpoint) -> bool:
    """Whether the experts of `checkpoint` are stored as gpt-oss stores them."""
    return any(_FUSED.match(name) for name in checkpoint.tensors)


class SeparateExperts:
    """`checkpoint` with a matrix per expert, as sphere_edge.formats.tensors.Tensors."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises ModelCorruptError where shapes do not belong together."""
        self._checkpoint = checkpoint
        self._locations: dict[str, _Location] = {}
        self._kept: OrderedDict[tuple[str, int], npt.NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()
        tensors: dict[str, TensorEntry] = {}
        for name, entry in checkpoint.tensors.items():
            match, bias = _FUSED.match(name), _BIAS.match(name)
            if match is not None:
                tensors |= self._each(match, *self._described(entry, match["leaf"]))
            elif bias is not None:
                tensors |= self._each(bias, entry, "bias", entry.shape[1:])
            elif not (name.endswith("_scales") and name[:-7] + "_blocks" in checkpoint.tensors):
                tensors[name] = entry
        self.tensors: Mapping[str, TensorEntry] = MappingProxyType(tensors)

    def entry(self, name: str) -> TensorEntry:
        """As Tensors.entry."""
        return named(self.tensors, name)

    def read(self, name: str, rows: slice | None = None) -> Floats:
        """As Tensors.read."""
        location, wanted = self._locations.get(name), rows or slice(None)
        if location is None:
            return self._checkpoint.read(name, rows)
        stored = self._stored(location.fused, location.expert)
        own = slice(location.first, None, location.step)
        if location.kind == "weight":
            return np.ascontiguousarray(stored[:, own].T[wanted], np.float32)
        if location.kind == "bias":
            return stored[own][wanted].astype(np.float32)
        octets = stored[own][wanted]
        codes = np.stack([octets & 15, octets >> 4], axis=-1).reshape(*octets.shape[:2], _GROUP)
        numbers: Floats = mxfp4.INTEGERS[codes]
        numbers *= self._scales_of(location, wanted)[..., None]
        return numbers.reshape(len(numbers), -1)

    def read_stored(self, name: str, rows: slice | None = None) -> npt.NDArray[Any]:
        """As Tensors.read_stored."""
        if name in self._locations:
            return self.read(name, rows)
        return self._checkpoint.read_stored(name, rows)

    def scales(self, name: str, rows: slice | None = None) -> Floats | None:
        """As Tensors.scales."""
        location = self._locations.get(name)
        if location is None or location.kind != "mxfp4":
            return None
        return self._scales_of(location, rows or slice(None))

    def _scales_of(self, location: _Location, rows: slice) -> Floats:
        name = location.fused.removesuffix("_blocks") + "_scales"
        scale = self._stored(name, location.expert)[location.first :: location.step][rows]
        if (scale == _NOT_A_NUMBER).any():
            message = f"a scale of `{name}` is not a number"
            raise ModelCorruptError(message, hint="download the model again")
        return mxfp4.scales(scale)

    def _stored(self, name: str, expert: int) -> npt.NDArray[Any]:
        """All of one expert in one tensor, in the type it is stored in."""
        with self._lock:
            if (name, expert) in self._kept:
                self._kept.move_to_end((name, expert))
                return self._kept[name, expert]
        found: npt.NDArray[Any] = self._checkpoint.read_stored(name, slice(expert, expert + 1))[0]
        with self._lock:
            self._kept[name, expert] = found
            while len(self._kept) > 2 * _KEPT:
                self._kept.popitem(last=False)
        return found

    def _described(self, entry: TensorEntry, leaf: str) -> tuple[TensorEntry, str, tuple[int, ...]]:
        """The kind of a fused tensor, and the shape [out, in] of all its rows."""
        if leaf != "_blocks":
            if len(entry.shape) != 3:
                raise _corrupt(entry, "is not three-dimensional")
            return entry, "weight", entry.shape[:0:-1]
        scales = self._checkpoint.entry(entry.name.removesuffix("_blocks") + "_scales")
        octets = _GROUP // 2
        if entry.shape != (*scales.shape, octets) or len(scales.shape) != 3:
            raise _corrupt(entry, f"does not go with scales of shape {scales.shape}")
        if (entry.dtype, scales.dtype) != ("u8", "u8"):
            raise _corrupt(entry, f"is of type {entry.dtype} with scales of {scales.dtype}")
        return entry, "mxfp4", (scales.shape[1], scales.shape[2] * _GROUP)

    def _each(
        self, match: re.Match[str], entry: TensorEntry, kind: str, shape: tuple[int, ...]
    ) -> dict[str, TensorEntry]:
        """The tensors of each expert in a fused one, whose places are noted."""
        tensors = {}
        leaf = "bias" if kind == "bias" else "weight"
        if not shape or not 0 < entry.shape[0] <= _EXPERTS_LIMIT:
            raise _corrupt(entry, "has no experts")
        for name, first, step in _layers(match["layer"]):
            if shape[0] % step:
                raise _corrupt(entry, "does not hold as many rows of gate as of up")
            own = (shape[0] // step, *shape[1:])
            for expert in range(entry.shape[0]):
                tensor = f"{match['root']}.{expert}.{name}.{leaf}"
                size = int(np.prod(own)) * max(1, entry.bytes // max(1, entry.elements))
                tensors[tensor] = replace(entry, name=tensor, shape=own, bytes=size)
                self._locations[tensor] = _Location(entry.name, expert, first, step, kind)
        return tensors


def _layers(fused: str) -> Iterator[tuple[str, int, int]]:
    """The layers in a fused one, each with its first row and the distance to its next."""
    if fused == "gate_up_proj":
        yield "gate_proj", 0, 2
        yield "up_proj", 1, 2
    else:
        yield fused, 0, 1


def _corrupt(entry: TensorEntry, reason: str) -> ModelCorruptError:
    return ModelCorruptError(f"the experts' tensor `{entry.name}` of shape {entry.shape} {reason}")
