"""A checkpoint's tensors become the bundle's weights: checked, stacked, packed, aligned."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sphere_edge.console import SILENT
from sphere_edge.engines import weights
from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats.safetensors import Checkpoint, read_header
from sphere_edge.models.weight_mapping import SourceTensor, WeightMapping
from sphere_edge.quantization.weights import WeightFormat

Q4 = WeightFormat("q4", 4)


def stacked(fmt=Q4):
    """Two matrices of 6 and 5 rows on one another, a norm with an offset, and a constant."""
    suffixes = tuple(f"qkv.{suffix}" for suffix in fmt.parameters(11, 40))
    return [
        WeightMapping(
            suffixes, (SourceTensor("q.weight", 6), SourceTensor("k.weight", 5)), 40, fmt
        ),
        WeightMapping(("norm.weight",), (SourceTensor("norm.weight", 5),), offset=1.0),
        WeightMapping(("rope",), constant=np.arange(3, dtype=np.float32)),
    ]


@pytest.fixture
def tensors():
    random = np.random.default_rng(0)
    shapes = {"q.weight": (6, 40), "k.weight": (5, 40), "norm.weight": (5,)}
    return {name: random.standard_normal(s).astype(np.float32) for name, s in shapes.items()}


def checkpoint(folder, tensors):
    save_file(tensors, folder / "model.safetensors")
    return Checkpoint.open(folder)


@pytest.mark.parametrize("slice_elements", [1, 1 << 20])
def test_stacked_tensors_are_packed_as_one_matrix_however_small_the_slices(
    tmp_path, tensors, monkeypatch, slice_elements
):
    monkeypatch.setattr(weights, "_SLICE_ELEMENTS", slice_elements)
    source = checkpoint(tmp_path, tensors)
    assert weights.check(source, stacked()) == ()
    (tmp_path / "out").mkdir()
    [path] = weights.convert(source, stacked(), tmp_path / "out", SILENT)
    made = load_file(path)
    whole = Q4.pack(np.concatenate([tensors["q.weight"], tensors["k.weight"]]))
    for suffix, array in whole.items():
        np.testing.assert_array_equal(made[f"qkv.{suffix}"], array)
    np.testing.assert_array_equal(made["norm.weight"], tensors["norm.weight"] + 1)
    np.testing.assert_array_equal(made["rope"], [0, 1, 2])


def test_tensors_of_even_sizes_come_first_and_are_aligned(tmp_path, tensors):
    source = checkpoint(tmp_path, tensors)
    (tmp_path / "out").mkdir()
    odd_first = stacked()[::-1]
    [path] = weights.convert(source, odd_first, tmp_path / "out", SILENT)
    entries = read_header(path)
    odd = [entry.bytes % 64 != 0 for entry in entries]
    assert odd == sorted(odd)
    first_odd = odd.index(True)
    assert first_odd > 0
    assert all(entry.offset % 64 == 0 for entry in entries[: first_odd + 1])


def test_weights_are_spread_over_shards_below_the_limit(tmp_path, tensors, monkeypatch):
    monkeypatch.setattr(weights, "SHARD_LIMIT_BYTES", weights._HEADER_BYTES + 1000)
    source = checkpoint(tmp_path, tensors)
    (tmp_path / "out").mkdir()
    paths = weights.convert(source, stacked(WeightFormat("f32", 4)), tmp_path / "out", SILENT)
    assert [path.name for path in paths] == [
        "weights-00001.safetensors",
        "weights-00002.safetensors",
    ]
    assert {name for path in paths for name in load_file(path)} == {
        "qkv.data",
        "norm.weight",
        "rope",
    }


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path, tensors):
    source = checkpoint(tmp_path, tensors)
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        [path] = weights.convert(source, stacked(), tmp_path / name, SILENT)
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_a_missing_tensor_is_named(tmp_path, tensors):
    del tensors["k.weight"]
    with pytest.raises(ModelCorruptError, match=r"`k\.weight`"):
        weights.check(checkpoint(tmp_path, tensors), stacked())


@pytest.mark.parametrize("shape", [(5, 41), (4, 40), (200,), (5, 40, 1)])
def test_a_wrongly_shaped_tensor_is_named(tmp_path, tensors, shape):
    tensors["k.weight"] = np.zeros(shape, np.float32)
    with pytest.raises(ModelCorruptError, match=r"`k\.weight`"):
        weights.check(checkpoint(tmp_path, tensors), stacked())


def test_a_bias_that_the_model_has_no_place_for_is_refused_by_name(tmp_path, tensors):
    tensors["q.bias"] = np.zeros(6, np.float32)
    with pytest.raises(ModelCorruptError, match=r"`q\.bias`"):
        weights.check(checkpoint(tmp_path, tensors), stacked())


def test_tensors_beside_the_model_are_reported_and_derived_buffers_are_not(tmp_path, tensors):
    tensors["vision.patch.weight"] = np.zeros((2, 2), np.float32)
    tensors["layers.0.self_attn.rotary_emb.inv_freq"] = np.zeros(4, np.float32)
    assert weights.check(checkpoint(tmp_path, tensors), stacked()) == ("vision.patch.weight",)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["k.weight", "norm.weight"])
def test_a_number_that_is_not_finite_is_refused_with_the_tensor_and_leaves_no_file(
    tmp_path, tensors, name, value
):
    tensors[name].flat[-1] = value
    source = checkpoint(tmp_path, tensors)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelCorruptError, match=name.replace(".", r"\.")):
        weights.convert(source, stacked(), tmp_path / "out", SILENT)
    assert list((tmp_path / "out").iterdir()) == []


def test_memory_does_not_grow_with_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_SLICE_ELEMENTS", 1 << 14)
    peaks = []
    for rows in (1024, 8192):
        folder = tmp_path / str(rows)
        (folder / "out").mkdir(parents=True)
        source = checkpoint(folder, {"w": np.ones((rows, 256), np.float32)})
        mapping = WeightMapping(("w.data", "w.scale"), (SourceTensor("w", rows),), 256, Q4)
        tracemalloc.start()
        weights.convert(source, [mapping], folder / "out", SILENT)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Eight times the weights (8 MiB of them), and yet no more than a few slices.
    assert max(peaks) < 2 << 20


def test_two_tensors_are_compared_in_slices(tmp_path, tensors, monkeypatch):
    monkeypatch.setattr(weights, "_SLICE_ELEMENTS", 40)
    changed = tensors["q.weight"].copy()
    changed[-1, -1] += 1
    tensors |= {"same": tensors["q.weight"].copy(), "changed": changed}
    source = checkpoint(tmp_path, tensors)
    assert not weights.differ(source, "q.weight", "same")
    assert weights.differ(source, "q.weight", "changed")
    assert weights.differ(source, "q.weight", "k.weight")


def test_parameters_counts_the_checkpoints_numbers():
    assert weights.parameters(stacked()) == 11 * 40 + 5
    assert weights.parameters([dataclasses.replace(stacked()[0], fmt=None)]) == 440
