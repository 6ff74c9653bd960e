"""Checks a configuration against transformers: `python tests/integration/check_family.py FILE`.

Random weights, no download; needs the `train` dependency group (torch, transformers). The
configuration should be small: its model is run twice in float32. Prints the differences as parts
of the largest logit; 1 is returned where one is beyond the tolerance.

`--goldens` checks those of tests/data/goldens instead, or some of them, which needs neither. What
was found goes to tests/data/family_deviations.json and into the table of docs/models.md.
"""

from __future__ import annotations

import json
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

import goldens
import numpy as np
from compiled import Compiled

from sphere_edge import profiles
from sphere_edge.compiler.target import CpuTarget

TOLERANCE = 1e-4
_TESTS = Path(__file__).parents[1]
DEVIATIONS = _TESTS / "data" / "family_deviations.json"
_TABLE = _TESTS.parent / "docs" / "make_family_table.py"


def differences(golden: goldens.Golden, model: Compiled) -> dict[str, float]:
    """What each kind of call differs by, as a part of the largest logit."""
    largest = float(np.abs(golden.rows).max())
    ids, count = golden.token_ids, golden.prompt_tokens
    at = {position: golden.rows[index] for index, position in enumerate(golden.positions)}
    model.forget(len(ids))
    found = {"whole text": np.abs(model.score(ids, 0)[golden.positions] - golden.rows).max()}
    model.forget(len(ids))
    first = model.prefill(ids[:count], 0)
    found["first token"] = np.abs(first - at[count - 1]).max()
    decoded = [model.decode(ids[position], position) for position in range(count, len(ids))]
    found[f"{len(decoded)} decoded"] = max(
        np.abs(decoded[position - count] - row).max()
        for position, row in at.items()
        if position >= count
    )
    model.forget(len(ids))
    for start, stop in ((0, 7), (7, 8), (8, 23), (23, count)):
        pieces = model.prefill(ids[start:stop], start)
    found["in pieces"] = np.abs(pieces - at[count - 1]).max()
    model.prefill(ids[::-1][:11], 5)
    rewound = model.prefill(ids[5:count], 5)
    found["after a rewind"] = np.abs(rewound - at[count - 1]).max()
    return {name: float(difference) / largest for name, difference in found.items()}


def checked(golden: goldens.Golden, scratch: Path) -> dict[str, float]:
    """`differences` of our code, compiled for this machine; `scratch` has to last."""
    host = profiles.host()
    checkpoint = goldens.write_checkpoint(golden, scratch / golden.name / "checkpoint")
    target = CpuTarget.of(host.triple, host.cpu.features)
    made = scratch / golden.name / "made"
    return differences(golden, Compiled(checkpoint, made, "f32", target))


def one(path: Path) -> int:
    """Compares one configuration and prints a line per kind of call."""
    import make_goldens

    config: dict[str, Any] = json.loads(path.read_text())
    golden, _ = make_goldens.run(path.stem, config)
    with tempfile.TemporaryDirectory() as scratch:
        found = checked(golden, Path(scratch))
    for name, difference in found.items():
        print(f"{name:20} {difference:.1e}")
    return int(max(found.values()) >= TOLERANCE)


def all_goldens(wanted: list[str]) -> int:
    """Compares these goldens, or all, and writes down what was found as it is found."""
    known = json.loads(DEVIATIONS.read_text()) if DEVIATIONS.is_file() else {}
    found = {name: known[name] for name in goldens.names() if name in known}
    with tempfile.TemporaryDirectory() as scratch:
        for name in wanted or goldens.names():
            measured = checked(goldens.load(name), Path(scratch))
            print(f"{name:40} {max(measured.values()):.1e}", flush=True)
            found[name] = {kind: float(f"{value:.1e}") for kind, value in measured.items()}
            DEVIATIONS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    if set(found) == set(goldens.names()):
        runpy.run_path(str(_TABLE), run_name="__main__")
    return int(max(max(kinds.values()) for kinds in found.values()) >= TOLERANCE)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python tests/integration/check_family.py config.json | --goldens [name…]")
    sys.exit(all_goldens(sys.argv[2:]) if sys.argv[1] == "--goldens" else one(Path(sys.argv[1])))
