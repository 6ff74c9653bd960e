"""What conversion reads from: a checkpoint as it is on disk, or one computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sphere_edge.formats.safetensors import TensorEntry


class Tensors(Protocol):
    """Named tensors of floating-point numbers; `sphere_edge.formats.safetensors.Checkpoint` is one.

    All methods may be called from several threads.
    """

    @property
    def tensors(self) -> Mapping[str, TensorEntry]:
        """Names to types and shapes."""

    def entry(self, name: str) -> TensorEntry:
        """The tensor `name`; raises ModelCorruptError naming it if there is none."""

    def read(self, name: str, rows: slice | None = None) -> npt.NDArray[np.float32]:
        """The tensor `name` as float32, or only `rows` of its first axis."""

    def read_stored(self, name: str, rows: slice | None = None) -> npt.NDArray[Any]:
        """The same in the type it is stored in."""

    def scales(self, name: str, rows: slice | None = None) -> npt.NDArray[np.float32] | None:
        """The scale of each group of 32 columns, where `read`'s rows are whole multiples of it.

        float32 [rows, columns / 32]; None where they are any numbers.
        """
