"""Checks a configuration against transformers: `python tests/integration/check_family.py FILE`.

Random weights, no download; needs the `train` dependency group. The configuration should be small:
its model is run twice in float32. Prints the differences as parts of the largest logit.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import goldens
import make_goldens
import numpy as np
from compiled import Compiled

from sphere_edge import profiles
from sphere_edge.compiler.target import CpuTarget

TOLERANCE = 1e-4


def differences(golden: goldens.Golden, model: Compiled) -> dict[str, float]:
    """What whole texts, pieces, decoding and a rewind differ by, per kind of call."""
    largest = float(np.abs(golden.rows).max())
    ids, count = golden.token_ids, golden.prompt_tokens
    at = {position: golden.rows[index] for index, position in enumerate(golden.positions)}
    found = {"score": np.abs(model.score(ids, 0)[golden.positions] - golden.rows).max()}
    model.forget(len(ids))
    found["prefill"] = np.abs(model.prefill(ids[:count], 0) - at[count - 1]).max()
    model.prefill(ids[::-1][:11], 5)
    for start, stop in ((5, 17), (17, count)):
        rewound = model.prefill(ids[start:stop], start)
    found["rewind, in pieces"] = np.abs(rewound - at[count - 1]).max()
    decoded = [model.decode(ids[position], position) for position in range(count, len(ids))]
    found["decode"] = max(
        np.abs(decoded[position - count] - row).max()
        for position, row in at.items()
        if position >= count
    )
    return {name: float(difference) / largest for name, difference in found.items()}


def main(path: Path) -> int:
    """Compares, prints a line per kind of call, and returns 1 if one is beyond the tolerance."""
    config: dict[str, Any] = json.loads(path.read_text())
    golden, _ = make_goldens.run(path.stem, config)
    host = profiles.host()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = goldens.write_checkpoint(golden, Path(folder) / "checkpoint")
        target = CpuTarget.of(host.triple, host.cpu.features)
        model = Compiled(checkpoint, Path(folder) / "made", "f32", target)
        found = differences(golden, model)
    for name, difference in found.items():
        print(f"{name:20} {difference:.1e}")
    return int(max(found.values()) >= TOLERANCE)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/integration/check_family.py config.json")
    sys.exit(main(Path(sys.argv[1])))
