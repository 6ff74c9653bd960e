"""The built-in model's folder is small, whole, and shaped so that every weight format fits it."""

from __future__ import annotations

import json

import numpy as np
from safetensors import safe_open
from tokenizers import Tokenizer

from sphere_edge.quantization.weights import GROUP
from sphere_edge.resources import tiny_model


def test_the_weights_are_small_finite_and_divide_into_groups() -> None:
    path = tiny_model() / "model.safetensors"
    assert path.stat().st_size <= 10_000_000
    parameters = 0
    with safe_open(path, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118  this object is no mapping
            tensor = file.get_tensor(name)
            assert np.isfinite(tensor).all(), name
            assert all(size % GROUP == 0 for size in tensor.shape), name
            parameters += tensor.size
    assert 2_000_000 < parameters < 5_000_000


def test_config_and_tokenizer_agree() -> None:
    config = json.loads((tiny_model() / "config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(tiny_model() / "tokenizer.json"))
    assert config["model_type"] == "llama"
    assert config["vocab_size"] == tokenizer.get_vocab_size()
    assert config["vocab_size"] % 16 == 0
    generation = json.loads((tiny_model() / "generation_config.json").read_text(encoding="utf-8"))
    assert tokenizer.token_to_id("<|im_end|>") == config["eos_token_id"]
    assert config["eos_token_id"] in generation["eos_token_id"]


def test_any_text_survives_the_tokenizer() -> None:
    tokenizer = Tokenizer.from_file(str(tiny_model() / "tokenizer.json"))
    for text in ("Grüße, 世界! 🙂\n\ttabs  and   spaces", "def f(x):\n    return x**2", "\x00\x7f"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_model_card_names_the_licence_and_how_to_remake_it() -> None:
    card = (tiny_model() / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in card
    assert "python -m training.train_tiny" in card
