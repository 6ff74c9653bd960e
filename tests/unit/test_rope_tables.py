"""What each family rotates by, in every golden's configuration, is what transformers rotates by.

The logits of all these configurations are compared in tests/integration/test_families.py, most of
them only when models or compiler have changed; a rotation that is right here is right there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tvm.relax.frontend import nn

from sphere_edge import profiles
from sphere_edge.compiler import kernels
from sphere_edge.compiler.target import CpuTarget
from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.layers import Rope
from sphere_edge.models.registry import family
from sphere_edge.models.rope import Rotation

_DATA = Path(__file__).parents[1] / "data"
_TABLES = json.loads((_DATA / "rope_tables.json").read_text())
# As long as the goldens' texts: LongRoPE's other frequencies are needed.
_CONTEXT = 512


def test_every_golden_has_its_tables() -> None:
    assert set(_TABLES) == {path.stem for path in (_DATA / "goldens").glob("*.json")}


@pytest.mark.parametrize("name", _TABLES)
def test_heads_are_rotated_as_transformers_rotates_them(name: str) -> None:
    config = ModelConfig(json.loads((_DATA / "goldens" / f"{name}.json").read_text())["config"])
    target = CpuTarget(profiles.host().triple, "generic")
    context = min(_CONTEXT, config.take("max_position_embeddings", int))
    made = family(config, context)
    model = made.build(kernels.for_target(target), target.weight_format("f32"))
    found = [rope.rotation for rope in ropes(model) if rope.rotation.inverse_frequencies.any()]
    # A family may hold one that no layer of this configuration uses, but it lacks none.
    for table in _TABLES[name]:
        assert any(agree(rotation, table, context) for rotation in found), (table, found)


def ropes(module: Any) -> Iterator[Rope]:
    """All rotations below `module`."""
    if isinstance(module, Rope):
        yield module
    elif isinstance(module, nn.ModuleList):
        for child in module:
            yield from ropes(child)
    elif isinstance(module, nn.Module):
        for child in vars(module).values():
            yield from ropes(child)


def agree(rotation: Rotation, table: dict[str, Any], context: int) -> bool:
    """Equal but for rounding: transformers computes frequencies in float32."""

    def same(found: Any, expected: list[float]) -> bool:
        return len(found) == len(expected) and np.allclose(found, expected, rtol=1e-5, atol=0)

    if not same(rotation.inverse_frequencies, table["inverse_frequencies"]):
        return False
    # No text gets past a switch at the end of the context.
    switch = table["switch_tokens"] if table["switch_tokens"] < context else 0
    longer = rotation.beyond is not None and same(rotation.beyond, table["beyond"])
    return (
        rotation.magnitude == pytest.approx(table["magnitude"], rel=1e-6)
        and rotation.switch_tokens == switch
        and longer == (switch > 0)
    )
