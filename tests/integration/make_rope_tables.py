"""Makes tests/data/rope_tables.json with transformers: `python make_rope_tables.py` in this folder.

Needs the `train` dependency group (torch, transformers), like make_goldens.py. For each golden it
holds what transformers rotates the heads of its layers by: see tests/unit/test_rope_tables.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import goldens
import torch
from make_goldens import reference, switch_tokens

FILE = Path(__file__).parents[1] / "data" / "rope_tables.json"
# Longer than any length at which the goldens' frequencies change.
_LONG_TEXT = 600


def tables(golden: goldens.Golden) -> list[dict[str, Any]]:
    """Each different rotation of the model: magnitude, frequencies, and those of longer texts."""
    model = reference(golden.config, golden.seed)
    switch = switch_tokens(golden.config)
    found = [
        table(module, prefix, switch)
        for module in model.modules()
        if type(module).__name__.endswith("RotaryEmbedding")
        and "Vision" not in type(module).__name__
        for prefix in getattr(module, "layer_types", None) or [""]
    ]
    unique = {json.dumps(one): one for one in found}
    return [unique[text] for text in sorted(unique)]


def table(module: Any, layer_type: str, switch: int | None) -> dict[str, Any]:
    """The rotation of layers of `layer_type`, "" where all layers have the same."""
    prefix = f"{layer_type}_" if layer_type else ""
    short = frequencies(module, prefix)
    kind = module.rope_type[layer_type] if layer_type else module.rope_type
    beyond: list[float] = []
    switches = kind == "longrope" and switch is not None
    if switches:
        words = {"layer_type": layer_type} if layer_type else {}
        module(torch.zeros(1), torch.arange(_LONG_TEXT)[None], **words)
        beyond = frequencies(module, prefix)
    magnitude = float(getattr(module, f"{prefix}attention_scaling"))
    return {
        "magnitude": magnitude,
        "inverse_frequencies": short,
        "switch_tokens": switch if switches else 0,
        "beyond": beyond,
    }


def frequencies(module: Any, prefix: str) -> list[float]:
    """The module's present inverse frequencies; nine digits are all of a float32."""
    values = getattr(module, f"{prefix}inv_freq").float().tolist()
    return [float(f"{value:.9g}") for value in values]


def main() -> None:
    """Writes the tables of every golden."""
    made = {name: tables(goldens.load(name)) for name in goldens.names()}
    lines = [f"{json.dumps(name)}: {json.dumps(found)}" for name, found in made.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(made)} goldens in {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
