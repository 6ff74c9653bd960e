"""Q4_1 and Q5_1 weights times several rows at once: the numbers of each row alone."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from sphere_edge.runtime.text import TextManager
from tests import random_gguf

TYPES = gguf.GGMLQuantizationType


@pytest.mark.parametrize("weights", [TYPES.Q4_1, TYPES.Q5_1], ids=lambda weights: weights.name)
def test_a_prompt_gives_the_logits_of_its_tokens_one_by_one(
    tmp_path: Path, weights: gguf.GGMLQuantizationType
) -> None:
    model = random_gguf.write(tmp_path / "random.gguf", weights=weights)
    tokens = np.random.default_rng(3).integers(0, 256, 150).tolist()
    with TextManager.open(model, threads=2, context_tokens=256) as text:
        # The prompt that each continues is in the cache: one row is computed.
        alone = np.stack([text.next_logits(tokens[: end + 1]) for end in range(len(tokens))])
        for count in (2, 3, 4, 6, 7, 33, 63):
            text.reset()
            np.testing.assert_array_equal(text.logits(tokens[:count]), alone[:count])
        # From 64 rows on, ggml's attention adds up in another order, and rounded numbers differ.
        text.reset()
        assert np.corrcoef(text.next_logits(tokens), alone[-1])[0, 1] > 0.99
    assert np.ptp(alone) > 1
