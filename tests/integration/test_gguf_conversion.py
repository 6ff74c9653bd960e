"""Safetensors models that become GGUFs compute in llama.cpp what transformers computed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import goldens
import numpy as np
import pytest

from sphere_edge import packaging, profiles, resources
from sphere_edge.engines.options import PackageOptions
from sphere_edge.errors import UnsupportedError
from sphere_edge.formats.source import open_source
from sphere_edge.runtime import TextManager

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
TOKENS = 2048
CONVERTED = (
    "gemma2_alternating",
    "gemma3_all_slide",
    "gemma3_every_second_is_full",
    "gemma_one_kv_head",
    "llama_full_heads_biases_linear",
    "llama_grouped_tied_llama3",
    "llama_yarn",
    "mistral_no_window_wide_heads",
    "mistral_one_kv_head_tied",
    "phi3_longrope_long",
    "phi3_longrope_short",
    "phi3_tied",
    "qwen2_grouped_tied",
    "qwen3_full_heads_odd_head",
    "qwen3_grouped_tied",
)
# What llama.cpp would compute otherwise, and the words that say so.
REFUSED = {
    "gemma2_no_softcaps": "attn_logit_softcapping",
    "gemma_biases": "self_attn",
    "gemma_untied_linear": "head that differs",
    "glm_grouped": "`glm` cannot be written",
    "qwen3_biases_layer_types": "o_proj.bias",
}


def speaking(golden: goldens.Golden, folder: Path) -> Path:
    """The golden with the built-in tokenizer; tokens beyond its vocabulary have empty rows."""
    tensors = goldens.weights(golden)
    for name, values in tensors.items():
        if values.shape[0] == golden.config["vocab_size"]:
            more = np.zeros((TOKENS - len(values), *values.shape[1:]), np.float32)
            tensors[name] = np.concatenate([values, more])
    goldens.write_checkpoint(golden, folder, tensors)
    (folder / "config.json").write_text(json.dumps({**golden.config, "vocab_size": TOKENS}))
    for name in TOKENIZER_FILES:
        shutil.copy(resources.tiny_model() / name, folder / name)
    return folder


def package(folder: Path, output: Path, quantization: str) -> packaging.Packaged:
    options = PackageOptions(quantization=quantization, as_gguf=True)
    return packaging.package(open_source(str(folder)), profiles.host(), options, output)


@pytest.mark.parametrize("name", CONVERTED)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    golden = goldens.load(name)
    made = package(speaking(golden, tmp_path / "model"), tmp_path / "made", "f32")
    with TextManager.open(made.output) as text:
        found = text.logits(golden.token_ids)[golden.positions, : golden.rows.shape[1]]
    # llama.cpp's KV cache is float16; a wrong order of rows or a wrong norm is off by the whole.
    np.testing.assert_allclose(found, golden.rows, rtol=0, atol=5e-3 * np.abs(golden.rows).max())


@pytest.mark.parametrize(("name", "words"), REFUSED.items())
def test_what_llama_cpp_would_compute_otherwise_is_refused_by_name(
    name: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=words):
        package(speaking(goldens.load(name), tmp_path / "model"), tmp_path / "made", "f32")
    assert not (tmp_path / "made").exists()
