"""Which of the checkpoint's tensors each parameter of a traced graph is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sphere_edge.quantization.weights import WeightFormat


@dataclass(frozen=True)
class SourceTensor:
    """One checkpoint tensor and how many rows it has."""

    name: str
    rows: int


@dataclass(frozen=True)
class WeightMapping:
    """The source tensors of one group of stored parameters.

    `stored`: the parameters' names, one per array of the format, in the kernels' order.
    `sources`: checkpoint tensors, stacked on their rows; vectors where `columns` is None.
    `fmt`: None for float32; `kept`: the format does not follow that of the rest of the model.
    `offset` is added to every number.
    `constant`: the value, for a parameter that is not in the checkpoint.
    """

    stored: tuple[str, ...]
    sources: tuple[SourceTensor, ...] = ()
    columns: int | None = None
    fmt: WeightFormat | None = None
    offset: float = 0.0
    constant: NDArray[np.float32] | None = None
    kept: bool = False

    @property
    def rows(self) -> int:
        """Rows of all source tensors together."""
        return sum(source.rows for source in self.sources)

    def arrays(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Name, dtype and shape of each stored parameter."""
        if self.constant is not None:
            return [(self.stored[0], "float32", self.constant.shape)]
        if self.columns is None or self.fmt is None:
            return [(self.stored[0], "float32", (self.rows,))]
        layout = self.fmt.parameters(self.rows, self.columns).values()
        return [
            (name, dtype, shape) for name, (shape, dtype) in zip(self.stored, layout, strict=True)
        ]
