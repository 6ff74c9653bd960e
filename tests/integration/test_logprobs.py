"""Log probabilities of compiled models against those of the logits that transformers computed."""

from __future__ import annotations

from pathlib import Path

import goldens
import numpy as np
import pytest
import speaking

from sphere_edge.engines.options import PackageOptions
from sphere_edge.runtime.text import TextManager
from tests import made_bundles

# What is special about the head: none, a scale, a softcap, a bias, experts.
ALWAYS = (
    "cohere_as_published",
    "gemma2_alternating",
    "llama_odd_sizes",
    "phi_full_heads",
    "qwen3_moe_grouped",
)
# Largest difference in nats. Logits agree within 1e-4 of the largest in float32 (test_families),
# and a log probability differs by at most twice as much; the other formats round the weights. The
# random Gemmas have logits twice as large as the others, and larger errors with them.
TOLERANCES = {"f32": 1e-3, "q8": 0.15}
GEMMA_TOLERANCE = 0.4
FIRST_TOKEN = {"max_tokens": 1, "temperature": 0, "top_logprobs": 20, "ignore_end_of_text": True}


def cases():
    """Golden and weight format; all but a few only when the code of models has changed."""
    for name in goldens.EACH_FAMILY:
        marks = () if name in ALWAYS else pytest.mark.group("goldens")
        # Experts of mxfp4 have no other format, and a router's close decision may turn.
        formats = ("f32",) if name.startswith(("gpt_oss", "qwen3_moe")) else TOLERANCES
        for fmt in formats:
            yield pytest.param(name, fmt, marks=marks, id=f"{name}-{fmt}")


def expected_logprobs(golden: goldens.Golden, position: int) -> np.ndarray:
    """Of all tokens; those that only the tokenizer has got a logit of 0."""
    row = golden.rows[golden.positions.index(position)].astype(np.float64)
    logits = np.concatenate([row, np.zeros(speaking.TOKENS - len(row))])
    largest = logits.max()
    return logits - largest - np.log(np.exp(logits - largest).sum())


@pytest.mark.parametrize(("name", "fmt"), list(cases()))
def test_they_are_those_of_transformers(name: str, fmt: str, tmp_path: Path) -> None:
    golden = goldens.load(name)
    model = speaking.padded(golden, tmp_path / "model")
    bundle = made_bundles.made(model, options=PackageOptions(quantization=fmt)).folder
    prompt = golden.token_ids[: golden.prompt_tokens]
    with TextManager.open(bundle) as text:
        answer = text.generate(prompt, **FIRST_TOKEN)
        (found,) = [one for delta in answer.deltas() for one in delta.logprobs]
    expected = expected_logprobs(golden, golden.prompt_tokens - 1)
    assert len(found.top_logprobs) == 20
    assert found.top_logprobs[0].token_id == found.token_id
    is_rounded_gemma = fmt == "q8" and name.startswith(("gemma_", "gemma3_"))
    tolerance = GEMMA_TOLERANCE if is_rounded_gemma else TOLERANCES[fmt]
    for one in (found, *found.top_logprobs):
        assert abs(one.logprob - expected[one.token_id]) < tolerance
    if fmt == "f32":
        likeliest = np.sort(expected)[-20:]
        assert np.allclose(sorted(one.logprob for one in found.top_logprobs), likeliest, atol=1e-3)
