"""Which models packaging measures where nobody asks for a format."""

from __future__ import annotations

import pytest

from sphere_edge.quantization import mixed_bits


@pytest.mark.parametrize(
    ("parameters", "expected"), [(19_000_000, False), (135_000_000, True), (494_000_000, False)]
)
def test_small_models_and_large_ones_stay_plain(parameters: int, expected: bool) -> None:
    assert mixed_bits.is_measured(parameters, has_experts=False) == expected
    assert not mixed_bits.is_measured(parameters, has_experts=True)
