"""Goldens through the GPU kernels on OpenCL: logits agree with transformers in float32."""

import goldens
import numpy as np
import pytest
from compiled import LIMITS, Compiled
from opencl_kernels import device, target

# Largest difference from transformers, as a part of the largest logit.
TOLERANCE = 1e-4
# Grouped heads, biases, windows, softcaps, odd sizes: what the kernels have branches for.
NAMES = [
    "llama_odd_sizes",
    "qwen2_upper_layers_slide",
    "gemma_one_kv_head",
    "gemma2_alternating",
]


@pytest.fixture(scope="module", params=NAMES)
def golden(request):
    return goldens.load(request.param)


@pytest.fixture(scope="module")
def model(golden, tmp_path_factory):
    gpu = device()
    folder = goldens.write_checkpoint(golden, tmp_path_factory.mktemp("checkpoint"))
    return Compiled(folder, folder / "made", "f32", target("generic"), LIMITS, gpu)


def assert_agree(found, expected):
    assert np.abs(found - expected).max() / np.abs(expected).max() < TOLERANCE


def test_scoring_prefill_in_pieces_and_decoding_agree_with_transformers(golden, model):
    tokens, prompt = golden.token_ids, golden.prompt_tokens
    model.forget(len(tokens) + 3)
    assert_agree(model.score(tokens, 0)[golden.positions], golden.rows)
    model.forget(len(tokens) + 3)
    for start, end in ((0, 7), (7, 8), (8, prompt)):
        found = model.prefill(tokens[start:end], start)
    assert_agree(found, golden.rows[golden.positions.index(prompt - 1)])
    for position in range(prompt, len(tokens)):
        found = model.decode(tokens[position], position)
        if position in golden.positions:
            assert_agree(found, golden.rows[golden.positions.index(position)])
