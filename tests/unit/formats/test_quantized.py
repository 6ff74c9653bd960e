"""GPTQ, AWQ and fp8 checkpoints are read as the numbers they stand for, and packed unrounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats import quantized
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import DTYPES, Checkpoint
from sphere_edge.formats.tensors import Tensors
from sphere_edge.quantization.weights import WeightFormat
from tests import quantized_checkpoints as made

ROWS, COLUMNS = 24, 128
NAME = "model.layers.0.mlp.up_proj"


def read(folder: Path, arrays: made.Arrays, **said: Any) -> Tensors:
    made.write(folder / "model.safetensors", arrays)
    config = ModelConfig({"model_type": "llama", "quantization_config": said})
    return quantized.opened(Checkpoint.open(folder), config)


def blocks(group: int) -> Any:
    return np.arange(COLUMNS) // group


@pytest.mark.parametrize("group", [32, 64, 128, -1])
@pytest.mark.parametrize("symmetric", [True, False])
def test_gptq_weights_are_the_numbers_they_stand_for(
    tmp_path: Path, group: int, symmetric: bool
) -> None:
    width = COLUMNS if group == -1 else group
    numbers = made.whole_numbers(ROWS, COLUMNS, width, symmetric=symmetric)
    tensors = read(
        tmp_path,
        made.gptq(NAME, *numbers, index=blocks(width)),
        quant_method="gptq",
        bits=4,
        group_size=group,
        sym=symmetric,
    )
    assert list(tensors.tensors) == [f"{NAME}.weight"]
    assert tensors.entry(f"{NAME}.weight").shape == (ROWS, COLUMNS)
    expected = made.meant(*numbers, blocks(width))
    np.testing.assert_allclose(tensors.read(f"{NAME}.weight"), expected, rtol=1e-6)
    part = tensors.read(f"{NAME}.weight", slice(5, 9))
    np.testing.assert_allclose(part, expected[5:9], rtol=1e-6)


def test_the_second_gptq_format_stores_zeros_as_they_are(tmp_path: Path) -> None:
    numbers = made.whole_numbers(ROWS, COLUMNS, 32, symmetric=False)
    arrays = made.gptq(NAME, *numbers, zero_offset=0)
    said = {"quant_method": "gptq", "bits": 4, "group_size": 32, "checkpoint_format": "gptq_v2"}
    found = read(tmp_path, arrays, **said).read(f"{NAME}.weight")
    np.testing.assert_allclose(found, made.meant(*numbers, blocks(32)), rtol=1e-6)


@pytest.mark.parametrize("group", [32, 64, 128])
def test_awq_weights_are_the_numbers_they_stand_for(tmp_path: Path, group: int) -> None:
    numbers = made.whole_numbers(ROWS, COLUMNS, group, symmetric=False)
    said = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm"}
    found = read(tmp_path, made.awq(NAME, *numbers), **said).read(f"{NAME}.weight")
    np.testing.assert_allclose(found, made.meant(*numbers, blocks(group)), rtol=1e-6)


def test_act_order_follows_its_index(tmp_path: Path) -> None:
    numbers = made.whole_numbers(ROWS, COLUMNS, 32, symmetric=True)
    index = np.random.default_rng(1).permutation(blocks(32))
    said = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True}
    tensors = read(tmp_path, made.gptq(NAME, *numbers, index=index), **said)
    np.testing.assert_allclose(
        tensors.read(f"{NAME}.weight"), made.meant(*numbers, index), rtol=1e-6
    )
    assert tensors.scales(f"{NAME}.weight") is None
    with pytest.raises(UnsupportedError, match="sorted by activation"):
        quantized.check_format(tensors, "q4")
    quantized.check_format(tensors, "f16")


@pytest.mark.parametrize("row_block", [4, 16])
def test_symmetric_weights_are_kept_to_the_bit_in_q4(tmp_path: Path, row_block: int) -> None:
    q, zeros, scales = made.whole_numbers(ROWS, COLUMNS, 64, symmetric=True)
    # Groups that do not use the whole range, from which the scale cannot be guessed.
    numbers = (np.clip(q, 3, 13), zeros, scales)
    said = {"quant_method": "gptq", "bits": 4, "group_size": 64}
    tensors = read(tmp_path, made.gptq(NAME, *numbers), **said)
    quantized.check_format(tensors, "q4")
    weight, scales = (read(f"{NAME}.weight") for read in (tensors.read, tensors.scales))
    fmt = WeightFormat("q4", row_block)
    kept = fmt.unpack(fmt.pack(weight, scales), ROWS, COLUMNS)
    np.testing.assert_array_equal(kept, weight)
    # Rounding them again would not have.
    assert not np.array_equal(fmt.unpack(fmt.pack(weight), ROWS, COLUMNS), weight)


def test_zero_points_are_kept_in_q8_and_refused_in_q4(tmp_path: Path) -> None:
    numbers = made.whole_numbers(ROWS, COLUMNS, 32, symmetric=False)
    said = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True}
    tensors = read(tmp_path, made.awq(NAME, *numbers), **said)
    with pytest.raises(UnsupportedError, match="zero points") as refusal:
        quantized.check_format(tensors, "q4")
    assert "--quant q8" in str(refusal.value.hint)
    quantized.check_format(tensors, "q8")
    weight, scales = (read(f"{NAME}.weight") for read in (tensors.read, tensors.scales))
    fmt = WeightFormat("q8", 8)
    np.testing.assert_array_equal(fmt.unpack(fmt.pack(weight, scales), ROWS, COLUMNS), weight)


def test_scales_that_do_not_fit_the_weights_are_an_error() -> None:
    weight = np.random.default_rng(1).normal(size=(16, 32)).astype(np.float32)
    with pytest.raises(ModelCorruptError, match="not whole multiples"):
        WeightFormat("q4", 16).pack(weight, np.full((16, 1), 0.1, np.float32))


@pytest.mark.parametrize(
    ("scale_name", "shape"),
    [
        ("weight_scale_inv", (2, 3)),
        ("weight_scale", (200, 1)),
        ("weight_scale", (200,)),
        ("weight_scale", (1,)),
        ("weight_scale", ()),
    ],
)
def test_fp8_weights_are_multiplied_with_their_scales(
    tmp_path: Path, scale_name: str, shape: tuple[int, ...]
) -> None:
    draws = np.random.default_rng(2)
    stored = draws.normal(size=(200, 300)).astype(ml_dtypes.float8_e4m3fn)
    scale = draws.uniform(0.5, 2, shape).astype(np.float32)
    arrays: made.Arrays = {
        "a.weight": ("f8_e4m3", stored),
        f"a.{scale_name}": ("f32", np.asarray(scale)),
        "a.input_scale": ("f32", np.ones(1, np.float32)),
        "norm.weight": ("f32", np.ones(4, np.float32)),
    }
    tensors = read(tmp_path, arrays, quant_method="fp8")
    full = np.asarray(scale).reshape(-1, 1) if len(shape) < 2 else scale
    if shape == (2, 3):
        full = np.repeat(np.repeat(scale, 128, 0), 128, 1)[:200, :300]
    expected = stored.astype(np.float32) * full
    assert set(tensors.tensors) == {"a.weight", "norm.weight"}
    np.testing.assert_allclose(tensors.read("a.weight"), expected, rtol=1e-6)
    np.testing.assert_allclose(tensors.read("a.weight", slice(126, 131)), expected[126:131])


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 3}, "3"),
        ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "gemv"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({}, "unnamed"),
    ],
)
def test_other_ways_are_refused_by_name(tmp_path: Path, said: dict[str, Any], named: str) -> None:
    arrays: made.Arrays = {"a.weight": ("f32", np.ones((2, 2), np.float32))}
    with pytest.raises(UnsupportedError, match=f"`{named}`") as refusal:
        read(tmp_path, arrays, **said)
    assert refusal.value.hint


@pytest.mark.parametrize("leaf", ["scales", "qzeros", "qweight", "g_idx"])
def test_shapes_that_contradict_each_other_are_refused(tmp_path: Path, leaf: str) -> None:
    numbers = made.whole_numbers(ROWS, COLUMNS, 32, symmetric=True)
    arrays = made.gptq(NAME, *numbers, index=blocks(32))
    dtype, array = arrays[f"{NAME}.{leaf}"]
    arrays[f"{NAME}.{leaf}"] = (dtype, array[:-1])
    with pytest.raises(ModelCorruptError, match=f"`{NAME}`"):
        read(tmp_path, arrays, quant_method="gptq", bits=4, group_size=32)


def test_a_group_that_is_not_there_is_refused(tmp_path: Path) -> None:
    numbers = made.whole_numbers(ROWS, COLUMNS, 32, symmetric=True)
    arrays = made.gptq(NAME, *numbers, index=blocks(32) + 1)
    tensors = read(tmp_path, arrays, quant_method="gptq", bits=4, group_size=32)
    with pytest.raises(ModelCorruptError, match="not there"):
        tensors.read(f"{NAME}.weight")


def in_folder(folder: Path, arrays: made.Arrays, **config: Any) -> Tensors:
    """As `read`, with the config.json of the folder and what lies beside it."""
    made.write(folder / "model.safetensors", arrays)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    return quantized.opened(Checkpoint.open(folder), ModelConfig.read(folder))


def test_autogptqs_own_file_says_how_where_config_json_does_not(tmp_path: Path) -> None:
    numbers = made.whole_numbers(ROWS, COLUMNS, 32, symmetric=True)
    said = {"bits": 4, "group_size": 32, "desc_act": False, "sym": True}
    (tmp_path / "quantize_config.json").write_text(json.dumps(said))
    tensors = in_folder(tmp_path, made.gptq(NAME, *numbers))
    np.testing.assert_allclose(
        tensors.read(f"{NAME}.weight"), made.meant(*numbers, blocks(32)), rtol=1e-6
    )


def test_autoawqs_own_file_says_how_in_its_own_words(tmp_path: Path) -> None:
    numbers = made.whole_numbers(ROWS, COLUMNS, 32, symmetric=False)
    said = {"zero_point": True, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}
    (tmp_path / "quant_config.json").write_text(json.dumps(said))
    tensors = in_folder(tmp_path, made.awq(NAME, *numbers))
    np.testing.assert_allclose(
        tensors.read(f"{NAME}.weight"), made.meant(*numbers, blocks(32)), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("leaves", "tool"),
    [
        ({"weight": "u32", "scales": "f16", "biases": "f16"}, "MLX"),
        ({"weight": "u8", "weight.absmax": "f32", "weight.quant_map": "f32"}, "bitsandbytes"),
        ({"weight": "i8", "SCB": "f32"}, "bitsandbytes"),
        ({"qweight": "i32", "scales": "f16"}, "GPTQ or AWQ"),
        ({"W_q": "u8"}, "HQQ"),
        ({"weight_packed": "i32"}, "compressed-tensors"),
    ],
)
@pytest.mark.parametrize("config", [{}, {"quantization_config": {"group_size": 64, "bits": 4}}])
def test_what_quantized_a_checkpoint_is_told_by_its_tensors(
    tmp_path: Path, leaves: dict[str, str], tool: str, config: dict[str, Any]
) -> None:
    arrays: made.Arrays = {
        f"{NAME}.{leaf}": (dtype, np.zeros((8, 8), DTYPES[dtype])) for leaf, dtype in leaves.items()
    }
    with pytest.raises(UnsupportedError, match=f"quantized by {tool}") as caught:
        in_folder(tmp_path, arrays, **config)
    assert "bfloat16" in str(caught.value.hint)
