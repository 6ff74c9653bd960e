"""An image model: its parts by their headers, and on which devices they fit in which format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from sphere_edge.bundle.manifest import Memory
from sphere_edge.console import human_bytes
from sphere_edge.engines import diffusion_fit
from sphere_edge.formats import diffusion
from sphere_edge.formats.source import ModelSource
from sphere_edge.inspection import formats_that_fit
from sphere_edge.inspection.description import Description, Table


@dataclass(frozen=True)
class _Part:
    """A file of the model."""

    kind: str
    path: Path
    parameters: int
    size_bytes: int


def describe(source: ModelSource) -> Description:
    """The family is for the engine to find, which is not built here."""
    parts = [
        _Part(
            part.kind,
            part.path,
            sum(map(math.prod, diffusion.shapes(part.path).values())),
            part.path.stat().st_size,
        )
        for part in diffusion.parts(source.path)
    ]
    sizes = diffusion_fit.sizes(source.path)
    found = formats_that_fit.fits(sizes.fits)

    def memory(best: str | None) -> Memory:
        return sizes.memory(best or "q4_K")

    rows = [
        (one.kind, one.path.name, f"{one.parameters:,}", human_bytes(one.size_bytes))
        for one in parts
    ]
    needs = f"{sizes.side}x{sizes.side} NEEDS →"
    return Description(
        tables=(
            Table(("PART", "FILE", "PARAMETERS →", "SIZE →"), rows),
            formats_that_fit.table(found, memory, needs),
        ),
        as_json={
            "name": source.name,
            "format": "diffusion",
            "parts": [
                {
                    "part": one.kind,
                    "path": str(one.path),
                    "parameters": one.parameters,
                    "bytes": one.size_bytes,
                }
                for one in parts
            ],
            "weights_bytes": dict(sizes.weights_bytes),
            "side": sizes.side,
            "fit": formats_that_fit.as_json(found, memory),
        },
    )
