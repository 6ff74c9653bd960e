"""A checkpoint is the same model whichever class of transformers saved it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import quantized
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.formats.tensors import Tensors
from tests import quantized_checkpoints as made

NAMES = ("embed_tokens.weight", "layers.0.mlp.up_proj.weight", "norm.weight")
ARRAYS: made.Arrays = {
    name: ("f32", np.full((2, 2), number, np.float32)) for number, name in enumerate(NAMES)
}
HEAD: made.Arrays = {"lm_head.weight": ("f32", np.full((2, 2), 9, np.float32))}


def opened(folder: Path, arrays: made.Arrays, **config: Any) -> Tensors:
    made.write(folder / "model.safetensors", arrays)
    values = ModelConfig({"model_type": "llama", **config})
    return quantized.opened(Checkpoint.open(folder), values)


def test_a_model_saved_without_its_prefix_has_the_usual_names(tmp_path: Path) -> None:
    tensors = opened(tmp_path, ARRAYS)
    assert set(tensors.tensors) == {f"model.{name}" for name in NAMES}
    for number, name in enumerate(NAMES):
        assert tensors.entry(f"model.{name}").name == f"model.{name}"
        assert (tensors.read(f"model.{name}") == number).all()
    with pytest.raises(ModelCorruptError, match=r"`lm_head\.weight`") as caught:
        tensors.entry("lm_head.weight")
    assert "AutoModelForCausalLM" in str(caught.value.hint)


def test_usual_names_stay(tmp_path: Path) -> None:
    usual: made.Arrays = {**{f"model.{name}": one for name, one in ARRAYS.items()}, **HEAD}
    assert set(opened(tmp_path, usual).tensors) == set(usual)
    prefixless: made.Arrays = {**ARRAYS, **HEAD}
    (tmp_path / "other").mkdir()
    assert set(opened(tmp_path / "other", prefixless).tensors) == set(usual)


def test_a_tied_head_alone_is_the_embedding(tmp_path: Path) -> None:
    arrays: made.Arrays = {"model.norm.weight": ARRAYS["norm.weight"], **HEAD}
    tied = opened(tmp_path, arrays, tie_word_embeddings=True)
    assert set(tied.tensors) == {"model.norm.weight", "model.embed_tokens.weight"}
    assert (tied.read("model.embed_tokens.weight") == 9).all()
    # Where nothing ties them, a missing embedding is missing.
    assert "model.embed_tokens.weight" not in opened(tmp_path, arrays).tensors
