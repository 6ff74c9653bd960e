"""What published models' config.json say, key by key: all is read and nothing refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sphere_edge.formats.config import ModelConfig
from sphere_edge.models.registry import Family, family

CONFIGS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "published_configs.json").read_text()
)
# What shows that a key was read and not only passed over.
FACTS: dict[str, dict[str, Any]] = {
    "Llama-3.2-1B-Instruct": {"head_dim": 64, "kv_heads": 8, "tied": True},
    "SmolLM2-135M": {"head_dim": 64, "kv_heads": 3, "tied": True},
    "SmolLM3-3B": {"head_dim": 128, "kv_heads": 4, "tied": True},
    "Mistral-7B-Instruct-v0.3": {"head_dim": 128, "kv_heads": 8, "tied": False},
    "Mistral-7B-v0.1": {"head_dim": 128, "kv_heads": 8, "tied": False},
    "Qwen2.5-0.5B-Instruct": {"head_dim": 64, "kv_heads": 2, "tied": True},
    "Qwen3-0.6B": {"head_dim": 128, "kv_heads": 8, "tied": True},
    "Qwen3-30B-A3B": {"head_dim": 128, "kv_heads": 4, "tied": False},
    "phi-2": {"head_dim": 80, "kv_heads": 32, "tied": False},
    "Phi-3.5-mini-instruct": {"head_dim": 96, "kv_heads": 32, "tied": False},
    "Phi-4-mini-instruct": {"head_dim": 128, "kv_heads": 8, "tied": True},
    "gemma-2b": {"head_dim": 256, "kv_heads": 1, "tied": True},
    "gemma-2-2b-it": {"head_dim": 256, "kv_heads": 4, "tied": True},
    "gemma-3-4b-it": {"head_dim": 256, "heads": 8, "vocab": 262208, "tied": True},
    "gemma-3-27b-it": {"head_dim": 128, "heads": 32, "context_tokens": 131072, "tied": True},
    "Mistral-Small-3.1-24B-Instruct-2503": {"head_dim": 128, "kv_heads": 8, "tied": False},
    "Qwen2-VL-2B-Instruct": {"head_dim": 128, "kv_heads": 2, "tied": True},
    "gemma-3-1b-it": {"head_dim": 256, "kv_heads": 1, "tied": True},
    "Minitron-4B-Base": {"head_dim": 128, "kv_heads": 8, "tied": False},
    "Nemotron-Mini-4B-Instruct": {"head_dim": 128, "kv_heads": 8, "tied": False},
    "gpt-oss-20b": {"head_dim": 64, "kv_heads": 8, "tied": False},
    "glm-4-9b-chat-hf": {"head_dim": 128, "kv_heads": 2, "tied": False},
    "GLM-4-9B-0414": {"head_dim": 128, "kv_heads": 2, "tied": False},
    "DeepSeek-R1-Distill-Qwen-1.5B": {"head_dim": 128, "kv_heads": 2, "tied": False},
}


def read(name: str, **changes: Any) -> Family:
    return family(ModelConfig({**CONFIGS[name], **changes}), 8192)


def test_every_config_has_its_facts() -> None:
    assert set(CONFIGS) == set(FACTS)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_published_config_is_read_to_its_last_key(name: str) -> None:
    made = read(name)
    assert made.unread == ()
    shape = made.config.shape
    assert {key: getattr(shape, key) for key in FACTS[name]} == FACTS[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_key_that_its_family_does_not_know_is_reported(name: str) -> None:
    assert read(name, residual_multiplier=0.22).unread == ("residual_multiplier",)


def windows(name: str) -> list[Any]:
    config = read(name).config
    return list(config.windows) if hasattr(config, "windows") else [config.window]


def test_windows_are_where_the_models_have_them() -> None:
    assert windows("Mistral-7B-v0.1") == [4096]
    assert windows("Mistral-7B-Instruct-v0.3") == [None]
    assert windows("Phi-3.5-mini-instruct") == [262144]
    assert windows("gemma-2-2b-it")[:3] == [4096, None, 4096]
    assert [layer for layer, width in enumerate(windows("gemma-3-1b-it")) if width is None] == [
        5,
        11,
        17,
        23,
    ]
    assert windows("gemma-3-4b-it")[4:6] == [1024, None]
    assert windows("gpt-oss-20b")[:2] == [128, None]
    assert set(windows("Qwen2.5-0.5B-Instruct")) == {None}


def test_rotations_are_those_of_the_models() -> None:
    still = read("SmolLM3-3B").config.rotates
    assert [layer for layer, rotates in enumerate(still) if not rotates][:2] == [3, 7]
    assert read("Phi-3.5-mini-instruct").config.rotation.switch_tokens == 4096
    assert read("Phi-4-mini-instruct").config.rotation.rotary_dim == 96
    assert read("phi-2").config.rotation.rotary_dim == 32
    gemma = read("gemma-3-4b-it").config
    assert gemma.rotation.inverse_frequencies[1] == pytest.approx(1e6 ** -(2 / 256) / 8)
    assert gemma.local_rotation.inverse_frequencies[1] == pytest.approx(1e4 ** -(2 / 256))
    assert read("gpt-oss-20b").config.rotation.magnitude == pytest.approx(1.3465736)
