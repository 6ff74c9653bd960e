"""Checkpoints and the streaming writer: read is what was stored, and every lie is refused."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from sphere_edge.errors import (
    InternalError,
    ModelCorruptError,
    NotFoundError,
    SphereEdgeError,
    StorageError,
    UnsupportedError,
)
from sphere_edge.formats.safetensors import Checkpoint, Writer, read_header


def write_raw(path: Path, header: Any, data: bytes = b"") -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def entry(
    begin: int, end: int, shape: list[Any] | None = None, dtype: str = "F32"
) -> dict[str, Any]:
    shape = [(end - begin) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def refused(folder: Path, says: str, kind: type[SphereEdgeError] = ModelCorruptError) -> None:
    with pytest.raises(kind) as caught:
        Checkpoint.open(folder)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("code", "dtype"),
    [
        ("f32", np.float32),
        ("f16", np.float16),
        ("bf16", ml_dtypes.bfloat16),
        ("f8_e4m3", ml_dtypes.float8_e4m3fn),
        ("f8_e5m2", ml_dtypes.float8_e5m2),
    ],
)
def test_every_float_type_is_read_as_float32(tmp_path: Path, code: str, dtype: Any) -> None:
    values = np.array([[0.0, 1.0, -2.0], [0.5, -0.25, 96.0]], np.float32)
    with Writer(tmp_path / "model.safetensors", [("w", code, (2, 3))]) as writer:
        writer.write("w", values.astype(dtype))
    checkpoint = Checkpoint.open(tmp_path)
    got = checkpoint.read("w")
    assert got.dtype == np.float32
    assert np.array_equal(got, values)
    assert checkpoint.tensors["w"].dtype == code
    assert checkpoint.parameters == 6


def test_rows_are_read_alone(tmp_path: Path) -> None:
    values = np.arange(40, dtype=np.float32).reshape(10, 2, 2)
    safetensors.numpy.save_file({"a": values[:1], "w": values}, tmp_path / "model.safetensors")
    checkpoint = Checkpoint.open(tmp_path)
    assert np.array_equal(checkpoint.read("w", slice(3, 7)), values[3:7])
    assert np.array_equal(checkpoint.read("w", slice(8, 99)), values[8:])
    assert checkpoint.read("w", slice(7, 3)).shape == (0, 2, 2)


def test_a_tensor_longer_than_one_reading_step_comes_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sphere_edge.formats.safetensors._READ_STEP_BYTES", 64)
    values = np.arange(1001, dtype=np.float32)
    safetensors.numpy.save_file({"w": values}, tmp_path / "model.safetensors")
    assert np.array_equal(Checkpoint.open(tmp_path).read("w"), values)


def test_integers_are_no_weights_but_can_be_read_as_stored(tmp_path: Path) -> None:
    blocks = np.arange(12, dtype=np.uint8).reshape(3, 4)
    safetensors.numpy.save_file({"blocks": blocks}, tmp_path / "model.safetensors")
    checkpoint = Checkpoint.open(tmp_path)
    with pytest.raises(UnsupportedError, match="`u8`"):
        checkpoint.read("blocks")
    assert np.array_equal(checkpoint.read_stored("blocks", slice(1, 3)), blocks[1:])


def test_the_reference_library_reads_what_the_writer_wrote(tmp_path: Path) -> None:
    path = tmp_path / "out.safetensors"
    packed = np.arange(24, dtype=np.uint32).reshape(6, 4)
    scales = np.linspace(0, 1, 6, dtype=np.float16)
    with Writer(path, [("q", "uint32", (6, 4)), ("s", "float16", (6,)), ("one", "f32", ())]) as out:
        # Slabs of two tensors in turn, as packing writes them.
        for start in (0, 2, 4):
            out.write("q", packed[start : start + 2])
            out.write("s", scales[start : start + 2])
        out.write("one", np.float32(7).reshape(()))
    got = safetensors.numpy.load_file(path)
    assert np.array_equal(got["q"], packed)
    assert np.array_equal(got["s"], scales)
    assert got["one"] == 7
    assert (8 + struct.unpack("<Q", path.read_bytes()[:8])[0]) % 64 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_an_unfinished_file_is_not_left_behind(tmp_path: Path) -> None:
    with (
        pytest.raises(InternalError, match="`w` was not written to its end"),
        Writer(tmp_path / "out.safetensors", [("w", "f32", (4,))]) as writer,
    ):
        writer.write("w", np.zeros(3, np.float32))
    with (
        pytest.raises(KeyboardInterrupt),
        Writer(tmp_path / "out.safetensors", [("w", "f32", (4,))]) as writer,
    ):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "array", [np.zeros(4, np.float16), np.zeros((4, 1), np.float32), np.zeros(5, np.float32)]
)
def test_the_writer_refuses_another_type_shape_or_more_rows(tmp_path: Path, array: Any) -> None:
    with (
        pytest.raises(InternalError, match="tensor `w`"),
        Writer(tmp_path / "out.safetensors", [("w", "f32", (4,))]) as writer,
    ):
        writer.write("w", array)


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "out.safetensors.part").symlink_to(full)
    with (
        pytest.raises(StorageError, match="cannot be written: No space left on device"),
        Writer(tmp_path / "out.safetensors", [("w", "f32", (4,))]) as writer,
    ):
        writer.write("w", np.zeros(4, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_a_storage_error_when_writing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Writer(tmp_path / "nowhere" / "out.safetensors", [("w", "f32", (4,))])


def test_shards_are_read_as_one_model(tmp_path: Path) -> None:
    first, second = np.ones((2, 2), np.float32), np.zeros(3, np.float32)
    safetensors.numpy.save_file({"a": first}, tmp_path / "model-00001-of-00002.safetensors")
    safetensors.numpy.save_file({"b": second}, tmp_path / "model-00002-of-00002.safetensors")
    assert set(Checkpoint.open(tmp_path).tensors) == {"a", "b"}
    index = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index_path = tmp_path / "model.safetensors.index.json"
    index_path.write_text(json.dumps({"weight_map": index}))
    checkpoint = Checkpoint.open(tmp_path)
    assert np.array_equal(checkpoint.read("b"), second)
    assert checkpoint.parameters == 7


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    shard = "model-00001-of-00002.safetensors"
    safetensors.numpy.save_file({"a": np.ones(2, np.float32)}, tmp_path / shard)
    refused(tmp_path, "shard `model-00002-of-00002.safetensors` is missing", NotFoundError)
    index = {"weight_map": {"a": shard, "b": "model-00002-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(tmp_path, "shard `model-00002-of-00002.safetensors` is missing", NotFoundError)


def test_an_index_that_names_the_wrong_shard_is_refused(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"a": np.ones(2, np.float32)}, tmp_path / "x.safetensors")
    safetensors.numpy.save_file({"b": np.ones(2, np.float32)}, tmp_path / "y.safetensors")
    index = {"weight_map": {"a": "y.safetensors", "b": "y.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(tmp_path, "`a` is in `y.safetensors`, but it is not")


@pytest.mark.parametrize(
    "shard",
    ["../secret.safetensors", "/etc/x.safetensors", "a/b.safetensors", "a\\b.safetensors", "", 7],
)
def test_an_index_cannot_leave_the_folder(tmp_path: Path, shard: Any) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    safetensors.numpy.save_file({"a": np.ones(2, np.float32)}, tmp_path / "secret.safetensors")
    index = {"weight_map": {"a": shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "not a safetensors file of the folder")


def test_several_files_without_an_index_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        values = {name: np.ones(2, np.float32)}
        safetensors.numpy.save_file(values, tmp_path / f"{name}.safetensors")
    refused(tmp_path, "several safetensors files and no index: one.safetensors, two.safetensors")


def test_the_same_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        path = tmp_path / f"model-0000{number}-of-00002.safetensors"
        safetensors.numpy.save_file({"a": np.ones(2, np.float32)}, path)
    refused(tmp_path, "tensor `a` is in both")


def test_an_empty_folder_has_no_safetensors(tmp_path: Path) -> None:
    refused(tmp_path, "there are no safetensors files", NotFoundError)


LIES: dict[str, tuple[Any, bytes, str]] = {
    "overlap": ({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12), "`b` overlaps"),
    "hole": ({"a": entry(0, 8), "b": entry(12, 16)}, bytes(16), "4 bytes before tensor `b`"),
    "beyond": ({"a": entry(0, 8), "b": entry(8, 16)}, bytes(12), "`b` ends beyond"),
    "surplus": ({"a": entry(0, 8)}, bytes(9), "1 bytes at its end"),
    "size": ({"a": entry(0, 8, [3])}, bytes(8), "takes 8 bytes where its shape needs 12"),
    "negative": ({"a": entry(0, 8, [-2])}, bytes(8), "shape of tensor `a` is `[-2]`"),
    "true": ({"a": entry(0, 4, [True])}, bytes(4), "shape of tensor `a`"),
    "fraction": ({"a": entry(0, 8, [2.0])}, bytes(8), "shape of tensor `a`"),
    "rank": ({"a": entry(0, 4, [1] * 1000)}, bytes(4), "shape of tensor `a`"),
    "huge": ({"a": entry(0, 0, [2**62, 2**62, 0])}, b"", "shape of tensor `a`"),
    "backwards": ({"a": entry(8, 0, [2])}, bytes(8), "takes -8 bytes"),
    "one offset": ({"a": {**entry(0, 8), "data_offsets": [0]}}, bytes(8), "offsets of tensor"),
    "extra key": ({"a": {**entry(0, 8), "x": 1}}, bytes(8), "is not dtype, shape and"),
    "no object": ({"a": 1}, bytes(8), "is not dtype, shape and"),
    "list": (b"[1]", b"", "is not a JSON object"),
    "no json": (b"{nonsense", b"", "is not valid JSON"),
    "no utf-8": (b'{"\xff": 1}', b"", "is not valid JSON"),
    "twice": (b'{"a": 1, "a": 2}', b"", "duplicate key `a`"),
    "deep": (b'{"a": ' + b"[" * 100_000, b"", "is not valid JSON"),
    "no tensors": ({}, b"", "holds no tensors"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_refused(tmp_path: Path, name: str) -> None:
    header, data, says = LIES[name]
    write_raw(tmp_path / "model.safetensors", header, data)
    refused(tmp_path, says)


@pytest.mark.parametrize("dtype", ["F7", "f32", "", None, ["F32"]])
def test_an_unknown_element_type_is_unsupported(tmp_path: Path, dtype: Any) -> None:
    write_raw(tmp_path / "model.safetensors", {"a": {**entry(0, 4), "dtype": dtype}}, bytes(4))
    refused(tmp_path, "unknown type", UnsupportedError)


@pytest.mark.parametrize("data", [b"", b"\x01", bytes(8), struct.pack("<Q", 2**63) + b"{}"])
def test_a_truncated_header_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelCorruptError, match="is damaged"):
        read_header(path)


def test_an_oversized_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_001) + b"{")
        file.truncate(200_000_000)
    with pytest.raises(ModelCorruptError, match="of 100000001 bytes is too long"):
        read_header(path)


def test_a_file_cut_off_after_it_was_checked_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"w": np.ones(100, np.float32)}, path)
    checkpoint = Checkpoint.open(tmp_path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelCorruptError, match="ends inside tensor `w`"):
        checkpoint.read("w")


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"w": np.ones(4, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelCorruptError, match="no tensor `model.norm.weight`"):
        Checkpoint.open(tmp_path).read("model.norm.weight")


def test_no_damage_gets_past_the_checks(tmp_path: Path) -> None:
    chance = random.Random(11)
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(
        {"a": np.ones((3, 4), np.float32), "b": np.zeros(5, np.uint8)}, path
    )
    sound = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(sound)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(sound))] = chance.choice(b'0129{}[]",:-.eEnf \x00\xff')
        path.write_bytes(damaged[: len(sound) - chance.choice((0, 0, 1, 60))])
        try:
            entries = read_header(path)
        except SphereEdgeError:
            continue
        assert sum(entry.bytes for entry in entries) < len(sound)
        assert all(entry.offset + entry.bytes <= path.stat().st_size for entry in entries)
