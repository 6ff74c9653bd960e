"""Where a model's parameters come from: what ties a traced graph to the checkpoint's tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sphere_edge.quantization.weights import WeightFormat


@dataclass(frozen=True)
class Part:
    """One checkpoint tensor and how many rows it brings."""

    name: str
    rows: int


@dataclass(frozen=True)
class Origin:
    """What one group of stored parameters is made of.

    `stored`: the parameters' names, one per array of the format, in the kernels' order.
    `parts`: checkpoint tensors, stacked on their rows; vectors where `columns` is None.
    `fmt`: None for float32 as it is; `kept`: it is the same whatever the rest of the model is in.
    `offset` is added to every number.
    `constant`: the value itself, for what no checkpoint holds.
    """

    stored: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    columns: int | None = None
    fmt: WeightFormat | None = None
    offset: float = 0.0
    constant: NDArray[np.float32] | None = None
    kept: bool = False

    @property
    def rows(self) -> int:
        """Rows of all parts together."""
        return sum(part.rows for part in self.parts)

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
