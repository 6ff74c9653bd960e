"""config.json: both transformers styles mean the same, and wrong values are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sphere_edge.errors import ModelCorruptError, NotFoundError, UnsupportedError
from sphere_edge.formats.config import ModelConfig, RopeDefaults


def config(**values: Any) -> ModelConfig:
    return ModelConfig({"model_type": "llama", **values})


def test_keys_are_typed_and_remembered(tmp_path: Path) -> None:
    text = '{"model_type": "qwen2", "hidden_size": 64, "rope_theta": 10000, "odd": 1, "gone": null}'
    (tmp_path / "config.json").write_text(text)
    read = ModelConfig.read(tmp_path)
    assert read.model_type == "qwen2"
    assert read.take("hidden_size", int) == 64
    assert read.take("rope_theta", float) == 10000.0
    assert read.take("gone", int, 3) == 3
    assert read.take("absent", str, None) is None
    assert read.unread() == {"odd"}


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        ("64", int, "`hidden_size` in config.json is `'64'` where a whole number belongs"),
        (True, int, "where a whole number belongs"),
        (1.5, int, "where a whole number belongs"),
        (True, float, "where a finite number belongs"),
        (float("inf"), float, "where a finite number belongs"),
        (10**400, float, "where a finite number belongs"),
        (1, bool, "where true or false belongs"),
        ({}, list, "where a list belongs"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(value: Any, kind: Any, says: str) -> None:
    with pytest.raises(ModelCorruptError) as caught:
        config(hidden_size=value).take("hidden_size", kind)
    assert says in caught.value.message


def test_a_key_without_default_must_be_there() -> None:
    with pytest.raises(ModelCorruptError, match="config.json has no `hidden_size`"):
        config(hidden_size=None).take("hidden_size", int)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "has no `model_type`"),
        ("[]", "not an object"),
        ("{", "is not valid JSON"),
        ('{"model_type": "a", "model_type": "b"}', "duplicate key `model_type`"),
        ('{"model_type": 3}', "where a string belongs"),
        (r'{"model_type": "\ud800"}', "is not valid JSON"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelCorruptError, match=says):
        ModelConfig.read(tmp_path)


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no `config.json` in"):
        ModelConfig.read(tmp_path)


LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}


def test_both_transformers_styles_give_the_same_rope() -> None:
    old = config(rope_theta=500000.0, rope_scaling=LLAMA3, max_position_embeddings=131072)
    new = config(rope_parameters={**LLAMA3, "rope_theta": 500000.0}, max_position_embeddings=131072)
    assert old.rope() == new.rope()
    rope = new.rope()
    assert (rope.kind, rope.theta, rope.factor) == ("llama3", 500000.0, 8.0)
    assert rope.original_context == 8192
    assert old.unread() == new.unread() == set()


def test_plain_rope_needs_no_keys_at_all() -> None:
    rope = config(max_position_embeddings=2048).rope(defaults=RopeDefaults(theta=150000.0))
    assert (rope.kind, rope.theta, rope.factor, rope.original_context) == (
        "default",
        150000.0,
        None,
        None,
    )


def test_phi3_style_longrope_is_read() -> None:
    scaling = {"type": "su", "short_factor": [1, 1.5], "long_factor": [2.0, 3.0]}
    rope = config(
        rope_scaling=scaling, original_max_position_embeddings=4096, max_position_embeddings=131072
    ).rope()
    assert rope.kind == "longrope"
    assert rope.short_factor == (1.0, 1.5)
    assert rope.long_factor == (2.0, 3.0)
    assert rope.original_context == 4096


def test_partial_rotation_is_read_in_both_places() -> None:
    assert config(partial_rotary_factor=0.5).rope().partial_rotary_factor == 0.5
    assert (
        config(rope_parameters={"partial_rotary_factor": 0.5}).rope()
        == config(partial_rotary_factor=0.5).rope()
    )


def test_rope_parameters_per_layer_type_are_read_by_name() -> None:
    table = {
        "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    both = config(rope_parameters=table)
    assert both.rope(layer_type="full_attention").theta == 1e6
    assert both.rope(layer_type="sliding_attention").theta == 1e4
    with pytest.raises(UnsupportedError, match="per layer type: full_attention, sliding_attention"):
        both.rope()


def test_unknown_rope_scaling_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="RoPE scaling `spiral`"):
        config(rope_scaling={"rope_type": "spiral"}).rope()


@pytest.mark.parametrize(
    "scaling", [[], "x", {"factor": "8"}, {"rope_type": 1}, {"long_factor": ["a"]}]
)
def test_rope_scaling_of_a_wrong_type_is_refused(scaling: Any) -> None:
    with pytest.raises(ModelCorruptError, match="in config.json is"):
        config(rope_scaling=json.loads(json.dumps(scaling))).rope()
