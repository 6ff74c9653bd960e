"""gpt-oss's stacked experts, in bfloat16 and in mxfp4, read as a matrix each."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sphere_edge.console import SILENT
from sphere_edge.engines import weights
from sphere_edge.errors import ModelCorruptError, UnsupportedError
from sphere_edge.formats import quantized
from sphere_edge.formats.config import ModelConfig
from sphere_edge.formats.safetensors import Checkpoint
from sphere_edge.models.weight_mapping import SourceTensor, WeightMapping
from sphere_edge.quantization.weights import WeightFormat

ROOT = "model.layers.0.mlp.experts"
COUNT, INNER, HIDDEN = 3, 16, 64
# The values of E2M1, from the specification.
VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
MXFP4 = {"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}}


def opened(folder, tensors, config=None):
    save_file(tensors, folder / "model.safetensors")
    return quantized.opened(Checkpoint.open(folder), ModelConfig(config or MXFP4))


def packed(count=COUNT, inner=INNER, hidden=HIDDEN):
    random = np.random.default_rng(2)
    return {
        f"{ROOT}.gate_up_proj_blocks": random.integers(
            0, 256, (count, 2 * inner, hidden // 32, 16), np.uint8
        ),
        f"{ROOT}.gate_up_proj_scales": random.integers(
            110, 135, (count, 2 * inner, hidden // 32), np.uint8
        ),
        f"{ROOT}.gate_up_proj_bias": random.random((count, 2 * inner)).astype(np.float32),
    }


def meant(blocks, scales):
    """Numbers [experts, out, in], from the specification."""
    codes = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*blocks.shape[:3], 32)
    numbers = np.where(codes & 8, -1, 1) * VALUES[codes & 7]
    numbers = numbers * 2.0 ** (scales[..., None].astype(float) - 127)
    return numbers.reshape(*blocks.shape[:2], -1).astype(np.float32)


def test_mxfp4_experts_are_read_as_what_they_mean(tmp_path):
    stored = packed()
    tensors = opened(tmp_path, stored)
    expected = meant(stored[f"{ROOT}.gate_up_proj_blocks"], stored[f"{ROOT}.gate_up_proj_scales"])
    for expert in range(COUNT):
        for first, half in enumerate(("gate_proj", "up_proj")):
            name = f"{ROOT}.{expert}.{half}"
            assert tensors.entry(f"{name}.weight").shape == (INNER, HIDDEN)
            found = tensors.read(f"{name}.weight", slice(2, 9))
            assert np.array_equal(found, expected[expert, first::2][2:9])
            bias = stored[f"{ROOT}.gate_up_proj_bias"][expert, first::2]
            assert np.array_equal(tensors.read(f"{name}.bias"), bias)


def test_experts_in_floats_are_stored_transposed(tmp_path):
    random = np.random.default_rng(3)
    both = random.random((COUNT, HIDDEN, 2 * INNER)).astype(np.float32)
    down = random.random((COUNT, INNER, HIDDEN)).astype(np.float32)
    stored = {f"{ROOT}.gate_up_proj": both, f"{ROOT}.down_proj": down, "model.norm.weight": down}
    tensors = opened(tmp_path, stored, {"model_type": "gpt_oss"})
    assert np.array_equal(tensors.read(f"{ROOT}.2.up_proj.weight"), both[2, :, 1::2].T)
    assert np.array_equal(tensors.read(f"{ROOT}.1.down_proj.weight", slice(5, 7)), down[1].T[5:7])
    assert tensors.scales(f"{ROOT}.1.down_proj.weight") is None
    assert np.array_equal(tensors.read("model.norm.weight"), down)


def mapping(count, inner, hidden):
    parts = tuple(
        SourceTensor(f"{ROOT}.{expert}.{half}_proj.weight", inner)
        for expert in range(count)
        for half in ("gate", "up")
    )
    return WeightMapping(("w.data", "w.scale"), parts, hidden, WeightFormat("mxfp4", 16), kept=True)


def test_a_bundle_holds_the_checkpoints_four_bits_to_the_bit(tmp_path):
    stored = packed()
    needed = [mapping(COUNT, INNER, HIDDEN)]
    weights.convert(opened(tmp_path, stored), needed, tmp_path, SILENT)
    found = load_file(tmp_path / "weights-00001.safetensors")
    expected = meant(stored[f"{ROOT}.gate_up_proj_blocks"], stored[f"{ROOT}.gate_up_proj_scales"])
    unpacked = WeightFormat("mxfp4", 16).unpack(
        {"data": found["w.data"], "scale": found["w.scale"]}, COUNT * 2 * INNER, HIDDEN
    )
    halves = unpacked.reshape(COUNT, 2, INNER, HIDDEN)
    assert np.array_equal(halves[:, 0], expected[:, 0::2])
    assert np.array_equal(halves[:, 1], expected[:, 1::2])
    assert sum(array.nbytes for array in found.values()) * 8 == 4.25 * expected.size


def test_packaging_unpacks_a_slice_at_a_time(tmp_path):
    count, inner, hidden = 48, 256, 1024
    tensors = opened(tmp_path, packed(count, inner, hidden))
    tracemalloc.start()
    weights.convert(tensors, [mapping(count, inner, hidden)], tmp_path, SILENT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < count * 2 * inner * hidden * 4 / 2


def test_a_scale_that_is_no_number_is_refused(tmp_path):
    stored = packed()
    stored[f"{ROOT}.gate_up_proj_scales"][1, 3, 0] = 255
    tensors = opened(tmp_path, stored)
    with pytest.raises(ModelCorruptError, match="scale"):
        tensors.read(f"{ROOT}.1.up_proj.weight")


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "said"),
    [
        ("gate_up_proj_scales", (COUNT, 2 * INNER, 1), np.uint8, "scales"),
        ("gate_up_proj_blocks", (COUNT, 2 * INNER, 2, 8), np.uint8, "scales"),
        ("gate_up_proj_blocks", (COUNT, 2 * INNER, 2, 16), np.int32, "type"),
        ("gate_up_proj_blocks", (2 * INNER, 2, 16), np.uint8, "scales"),
        ("gate_up_proj_bias", (COUNT, 2 * INNER + 1), np.float32, "gate"),
        ("gate_up_proj_bias", (COUNT,), np.float32, "no experts"),
    ],
)
def test_tensors_that_do_not_belong_together_are_refused(tmp_path, name, shape, dtype, said):
    stored = {**packed(), f"{ROOT}.{name}": np.ones(shape, dtype)}
    with pytest.raises(ModelCorruptError, match=said):
        opened(tmp_path, stored)


def test_blocks_without_scales_are_refused(tmp_path):
    stored = packed()
    del stored[f"{ROOT}.gate_up_proj_scales"]
    with pytest.raises(ModelCorruptError, match="gate_up_proj_scales"):
        opened(tmp_path, stored)


def test_a_config_that_says_mxfp4_over_other_tensors_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="mxfp4"):
        opened(tmp_path, {"model.norm.weight": np.ones(4, np.float32)})
