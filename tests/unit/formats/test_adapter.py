"""LoRA adapters are merged as they were trained, or refused as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sphere_edge.errors import ModelCorruptError, NotFoundError, SphereEdgeError, UnsupportedError
from sphere_edge.formats.adapter import Adapted, adapter_sha256
from sphere_edge.formats.safetensors import Checkpoint
from tests import quantized_checkpoints as made

LAYER = "model.layers.0.self_attn.q_proj"
ROWS, COLUMNS, RANK = 12, 20, 4


@pytest.fixture
def base(tmp_path: Path) -> Checkpoint:
    draws = np.random.default_rng(1)
    weight = draws.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    arrays: made.Arrays = {
        f"{LAYER}.weight": ("f32", weight),
        "lm_head.weight": ("f32", np.zeros((5, COLUMNS), np.float32)),
    }
    (tmp_path / "base").mkdir()
    made.write(tmp_path / "base" / "model.safetensors", arrays)
    return Checkpoint.open(tmp_path / "base")


def factors(rank: int = RANK, layer: str = LAYER) -> dict[str, Any]:
    draws = np.random.default_rng(2)
    return {
        f"{layer}.lora_A.weight": draws.normal(size=(rank, COLUMNS)).astype(np.float32),
        f"{layer}.lora_B.weight": draws.normal(size=(ROWS, rank)).astype(np.float32),
    }


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 2.0),
        ({"lora_alpha": 1}, 0.25),
        ({"use_rslora": True}, 4.0),
        ({"alpha_pattern": {"q_proj": 16}}, 4.0),
        ({"r": 8, "rank_pattern": {"self_attn.q_proj": 4}}, 2.0),
        # The first that fits, as regular expressions of an end or of all of the name.
        ({"alpha_pattern": {r"self_attn\.[qk]_proj": 16, "q_proj": 1}}, 4.0),
        ({"alpha_pattern": {r"model\.layers\.\d+\.self_attn\.q_proj": 16}}, 4.0),
        ({"alpha_pattern": {r"^self_attn\.q_proj": 16, "proj": 1}}, 2.0),
        ({"r": 8, "rank_pattern": {r"layers\.(0|1)\..*_proj": 4}}, 2.0),
        ({"init_lora_weights": "gaussian", "lora_dropout": 0.1, "layer_replication": None}, 2.0),
        ({"target_modules": ["q_proj"]}, 2.0),
        ({"target_modules": r".*\.q_proj"}, 2.0),
    ],
)
def test_a_layer_is_changed_by_the_scaled_product(
    base: Checkpoint, tmp_path: Path, config: dict[str, Any], scale: float
) -> None:
    given = factors()
    adapted = Adapted(base, made.write_adapter(tmp_path / "lora", given, **config))
    up, down = given[f"{LAYER}.lora_B.weight"], given[f"{LAYER}.lora_A.weight"]
    expected = base.read(f"{LAYER}.weight") + scale * (up @ down)
    np.testing.assert_allclose(adapted.read(f"{LAYER}.weight"), expected, rtol=1e-5)
    rows = slice(3, 7)
    np.testing.assert_allclose(adapted.read(f"{LAYER}.weight", rows), expected[rows], rtol=1e-5)
    np.testing.assert_array_equal(adapted.read("lm_head.weight"), base.read("lm_head.weight"))


def test_a_module_that_was_trained_whole_takes_the_place_of_the_old(
    base: Checkpoint, tmp_path: Path
) -> None:
    head = np.ones((5, COLUMNS), np.float32)
    lora = made.write_adapter(tmp_path / "lora", {**factors(), "lm_head.weight": head})
    np.testing.assert_array_equal(Adapted(base, lora).read("lm_head.weight"), head)


@pytest.mark.parametrize(
    ("weights", "config", "kind", "says"),
    [
        (factors(), {"peft_type": "IA3"}, UnsupportedError, "`IA3`"),
        (factors(), {"use_dora": True}, UnsupportedError, "`use_dora`"),
        (factors(), {"bias": "all"}, UnsupportedError, "`bias`"),
        (factors(), {"fan_in_fan_out": True}, UnsupportedError, "`fan_in_fan_out`"),
        (factors(), {"init_lora_weights": "pissa"}, UnsupportedError, "begins as `pissa`"),
        (factors(), {"init_lora_weights": "pissa_niter_4"}, UnsupportedError, "`pissa_niter_4`"),
        (factors(), {"init_lora_weights": "olora"}, UnsupportedError, "begins as `olora`"),
        (factors(), {"init_lora_weights": "corda"}, UnsupportedError, "begins as `corda`"),
        (factors(), {"init_lora_weights": "loftq"}, UnsupportedError, "begins as `loftq`"),
        (factors(), {"alora_invocation_tokens": [1, 2]}, UnsupportedError, "`alora_invocation"),
        (factors(), {"layer_replication": [[0, 4], [2, 5]]}, UnsupportedError, "`layer_repl"),
        (factors(), {"lora_bias": True}, UnsupportedError, "`lora_bias`"),
        (factors(), {"use_qalora": True}, UnsupportedError, "`use_qalora`"),
        (factors(), {"target_parameters": ["a"]}, UnsupportedError, "`target_parameters`"),
        (factors(), {"trainable_token_indices": [5]}, UnsupportedError, "`trainable_token"),
        (factors(), {"something_new": 7}, UnsupportedError, "`something_new`"),
        (factors(), {"rank_pattern": {"(a+)+b": 8}}, UnsupportedError, "repeats too much"),
        (factors(), {"rank_pattern": {"(": 8}}, ModelCorruptError, "not a regular expression"),
        (factors(), {"rank_pattern": ["q_proj"]}, ModelCorruptError, "`rank_pattern`"),
        (factors(), {"r": 0}, ModelCorruptError, "`r`"),
        (factors(), {"r": 8}, ModelCorruptError, "q_proj"),
        (factors(), {"lora_alpha": "x"}, ModelCorruptError, "`alpha_pattern`"),
        (factors(layer="model.layers.9.q"), {}, ModelCorruptError, "the model does not have"),
        (factors(), {"target_modules": ["v_proj"]}, ModelCorruptError, "`v_proj`"),
        ({"lm_head.weight": np.ones((6, 20), np.float32)}, {}, ModelCorruptError, "lm_head"),
        ({"lm_head.weight": np.ones((5, 20), np.float32)}, {}, ModelCorruptError, "no layer"),
        ({f"{LAYER}.lora_embedding_A": np.ones((2, 2), np.float32)}, {}, UnsupportedError, "kind"),
    ],
)
def test_what_cannot_be_merged_whole_is_refused(
    base: Checkpoint,
    tmp_path: Path,
    weights: dict[str, Any],
    config: dict[str, Any],
    kind: type[SphereEdgeError],
    says: str,
) -> None:
    lora = made.write_adapter(tmp_path / "lora", weights, **config)
    with pytest.raises(kind, match=says):
        Adapted(base, lora)


@pytest.mark.parametrize("side", "AB")
def test_an_adapter_with_nan_is_called_damaged(base: Checkpoint, tmp_path: Path, side: str) -> None:
    weights = factors()
    weights[f"{LAYER}.lora_{side}.weight"][0, 1] = np.nan
    adapted = Adapted(base, made.write_adapter(tmp_path / "lora", weights))
    with pytest.raises(ModelCorruptError, match="the adapter's numbers"):
        adapted.read(f"{LAYER}.weight")


def test_half_of_a_pair_is_refused(base: Checkpoint, tmp_path: Path) -> None:
    for side in "AB":
        half = {name: one for name, one in factors().items() if f"lora_{side}" in name}
        with pytest.raises(ModelCorruptError):
            Adapted(base, made.write_adapter(tmp_path / side, half))


def test_a_folder_without_an_adapter_is_refused(base: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no adapter"):
        Adapted(base, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4}))
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(NotFoundError) as refusal:
        Adapted(base, tmp_path)
    assert "pickles" in str(refusal.value.hint)


def test_another_adapter_is_another_origin(tmp_path: Path) -> None:
    one = made.write_adapter(tmp_path / "one", factors())
    other = made.write_adapter(tmp_path / "other", factors(), lora_alpha=9)
    assert adapter_sha256(one) != adapter_sha256(other)
