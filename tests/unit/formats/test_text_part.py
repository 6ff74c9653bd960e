"""The text part of a multimodal checkpoint is found by its names, and the rest is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sphere_edge.engines import weights
from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import text_part
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import Checkpoint
from tests.cli_process import in_process
from tests.recorded_progress import RecordedProgress

TEXT = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 10,
    "max_position_embeddings": 64,
}


def checkpoint(folder: Path, *names: str) -> Checkpoint:
    save_file({name: np.zeros((10, 8), np.float16) for name in names}, folder / "model.safetensors")
    return Checkpoint.open(folder)


@pytest.mark.parametrize(
    ("stored", "own"),
    [
        ("language_model.model.embed_tokens.weight", "model.embed_tokens.weight"),
        ("language_model.lm_head.weight", "lm_head.weight"),
        ("model.language_model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"),
        ("model.text_model.norm.weight", "model.norm.weight"),
        ("model.layers.0.language_model.weight", "model.layers.0.language_model.weight"),
        ("lm_head.weight", "lm_head.weight"),
    ],
)
def test_tensors_have_the_names_of_the_text_model_alone(stored: str, own: str) -> None:
    assert text_part.name(stored) == own


def test_towers_are_left_out_and_counted(tmp_path: Path) -> None:
    names = ("vision_tower.x.weight", "multi_modal_projector.y", "model.connector.z.weight")
    parts = text_part.parts(checkpoint(tmp_path, "language_model.model.norm.weight", *names))
    assert list(parts.text.tensors) == ["model.norm.weight"]
    assert parts.note == "connector, multi_modal_projector, vision_tower: 3 tensors, 240 parameters"


def test_two_tensors_of_one_name_are_corrupt(tmp_path: Path) -> None:
    both = checkpoint(tmp_path, "language_model.model.norm.weight", "model.norm.weight")
    with pytest.raises(ModelCorruptError, match="`model.norm.weight`"):
        text_part.parts(both)


@pytest.mark.parametrize("text", [None, "llama", []])
def test_a_wrapper_without_a_text_part_is_corrupt(text: object) -> None:
    with pytest.raises(ModelCorruptError, match="`text_config`"):
        ModelConfig({"model_type": "llava", "text_config": text})


def test_what_is_beside_the_text_config_counts_but_sizes() -> None:
    beside = {"hidden_size": 4096, "quantization_config": {"quant_method": "gptq"}}
    config = ModelConfig({"model_type": "llava", "text_config": TEXT, **beside, "surprise": 1})
    assert (config.wrapper, config.model_type) == ("llava", "llama")
    assert config.take("hidden_size", int) == 8
    assert config.take("quantization_config", dict) == beside["quantization_config"]
    assert "surprise" in config.unread()


@pytest.mark.parametrize(
    ("outer", "inner", "tied"),
    [
        ({}, {}, True),
        ({}, {"tie_word_embeddings": False}, False),
        ({"tie_word_embeddings": True}, {}, True),
    ],
)
def test_the_head_is_tied_where_either_config_says_so(
    outer: dict[str, bool], inner: dict[str, bool], tied: bool
) -> None:
    text = {**TEXT, "model_type": "gemma3_text", **inner}
    config = ModelConfig({"model_type": "gemma3", "text_config": text, **outer})
    assert config.take("tie_word_embeddings", bool) is tied


def test_packaging_says_what_it_leaves_out(tmp_path: Path) -> None:
    checkpoint(tmp_path, "language_model.model.norm.weight", "vision_tower.x.weight")
    config = ModelConfig({"model_type": "llava", "text_config": TEXT})
    progress = RecordedProgress()
    opened = weights.opened(tmp_path, config, None, progress)
    assert list(opened.tensors) == ["model.norm.weight"]
    (said,) = progress.lines
    assert "only the text part of this llava is packaged, without vision_tower: 1 tensors" in said


def test_inspect_says_what_is_left_out(tmp_path: Path) -> None:
    checkpoint(tmp_path, "language_model.model.embed_tokens.weight", "vision_tower.x.weight")
    text = {**TEXT, "tie_word_embeddings": True}
    config = {"model_type": "mistral3", "text_config": text, "vision_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    told = json.loads(in_process("inspect", tmp_path, "--json").stdout)
    assert (told["wrapper"], told["family"], told["parameters"]) == ("mistral3", "llama", 80)
    assert told["left_out"] == "vision_tower: 1 tensors, 80 parameters"
    assert "vision_tower" in in_process("inspect", tmp_path).stdout
