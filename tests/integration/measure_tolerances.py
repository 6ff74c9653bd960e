"""How far correct kernels are from the reference: `python tests/integration/measure_tolerances.py`.

One random model per family in every weight format, compiled for this machine's best instructions;
prints the mean and the largest difference of logits as parts of their standard deviation. The
tolerances of sphere_edge/certify/tolerance.py are multiples of the largest of a format.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import goldens
import numpy as np
from both_sides import reference_logits
from compiled import LIMITS, Compiled

from sphere_edge import profiles
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.registry import family

FORMATS = ("f32", "f16", "q8", "q4")


def measure(name: str, fmt: str, folder: Path) -> tuple[float, float]:
    """The mean and the largest difference of one model in one format."""
    host = profiles.host()
    target = CpuTarget.of(host.triple, host.cpu.features)
    golden = goldens.load(name)
    checkpoint = goldens.write_checkpoint(golden, folder / "checkpoint")
    # As bundles are made: an exact cache for exact weights, half the memory for all others.
    limits = replace(LIMITS, kv_dtype="float32" if fmt == "f32" else "float16")
    model = Compiled(checkpoint, folder / "compiled", fmt, target, limits)
    config = ModelConfig.read(checkpoint)
    made = family(config, min(LIMITS.context_tokens, config.take("max_position_embeddings", int)))
    lengths = [position + 1 for position in golden.positions]
    weights = target.weight_format(fmt)
    right = reference_logits(made, weights, model.stored, golden.token_ids, lengths)
    found = model.score(golden.token_ids, 0)[golden.positions]
    apart = np.abs(found - right) / right.std(axis=1).mean()
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
