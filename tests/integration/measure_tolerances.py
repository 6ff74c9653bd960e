"""How far correct kernels are from the reference: `python tests/integration/measure_tolerances.py`.

One random model per family in every weight format, compiled for this machine's best instructions;
prints the mean and the largest difference of logits as parts of their standard deviation. The
tolerances of sphere_edge/certify/tolerance.py are four times the largest of a format.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import goldens
import numpy as np
from compiled import LIMITS, Compiled
from test_reference import reference_of

from sphere_edge import profiles
from sphere_edge.compiler.target import CpuTarget

FORMATS = ("f32", "f16", "q8", "q4")


def measure(name: str, fmt: str, folder: Path) -> tuple[float, float]:
    """The mean and the largest difference of one model in one format."""
    host = profiles.host()
    target = CpuTarget.of(host.triple, host.cpu.features)
    golden = goldens.load(name)
    reference, right = reference_of(golden, folder, target.weight_format(fmt))
    # As bundles are made: an exact cache for exact weights, half the memory for all others.
    limits = replace(LIMITS, kv_dtype="float32" if fmt == "f32" else "float16")
    model = Compiled(folder / "checkpoint", folder / "compiled", fmt, target, limits)
    found = model.score(golden.token_ids, 0)[golden.positions]
    apart = np.abs(found - right) / reference.deviation
    return float(apart.mean(axis=1).max()), float(apart.max())


def main(wanted: list[str]) -> None:
    """Prints a line per model and format, and the largest of each format."""
    families = {name.split("_")[0]: name for name in goldens.names()}
    worst = dict.fromkeys(FORMATS, (0.0, 0.0))
    for name in wanted or families.values():
        for fmt in FORMATS:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(name, fmt, Path(folder))
            worst[fmt] = (max(worst[fmt][0], found[0]), max(worst[fmt][1], found[1]))
            print(f"{name:32} {fmt}  mean {found[0]:.1e}  largest {found[1]:.1e}", flush=True)
    for fmt, (mean, largest) in worst.items():
        print(f"{'the largest of all':32} {fmt}  mean {mean:.1e}  largest {largest:.1e}")


if __name__ == "__main__":
    main(sys.argv[1:])
