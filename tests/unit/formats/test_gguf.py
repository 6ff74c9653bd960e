"""GGUF headers: what a file says is read, and every lie is refused before memory is spent."""

from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import gguf as reference
import numpy as np
import pytest

from sphere_edge.errors import (
    ModelCorruptError,
    NotFoundError,
    SphereEdgeError,
    UnsupportedError,
)
from sphere_edge.formats import gguf


def write(path: Path, tokens: int = 20) -> Path:
    writer: Any = reference.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_array("llama.attention.head_count_kv", [2, 4, 2])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{number}" for number in range(tokens)])
    writer.add_chat_template("{{ messages }}")
    blocks = np.zeros((4, 64 // 32 * 18), np.uint8)
    writer.add_tensor("blk.0.weight", blocks, raw_dtype=reference.GGMLQuantizationType.Q4_0)
    writer.add_tensor("norm.weight", np.ones(64, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("gguf") / "model.gguf").read_bytes()


def test_a_sound_file_is_described(tmp_path: Path) -> None:
    file = gguf.read(write(tmp_path / "model.gguf", tokens=5000))
    assert file.architecture == "llama"
    assert file.parameters == 4 * 64 + 64
    assert file.quantization == "q4_0"
    assert file.context_tokens == 2048
    assert file.vocab_size == 5000
    assert gguf.read(write(tmp_path / "small.gguf")).vocab_size == 20
    assert file.tokenizer == "gpt2"
    assert file.has_chat_template
    assert file.number("attention.head_count_kv") == 4
    assert file.tensors["blk.0.weight"].shape == (64, 4)
    assert file.weights_bytes == 4 * 36 + 256
    end = max(tensor.offset + tensor.bytes for tensor in file.tensors.values())
    assert end <= (tmp_path / "model.gguf").stat().st_size


def test_offsets_point_at_the_data(tmp_path: Path) -> None:
    path = write(tmp_path / "model.gguf")
    tensor = gguf.read(path).tensors["norm.weight"]
    data = path.read_bytes()[tensor.offset : tensor.offset + tensor.bytes]
    assert np.array_equal(np.frombuffer(data, np.float32), np.ones(64, np.float32))


def test_every_truncation_is_refused(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "model.gguf"
    data_end = len(sound) - len(sound) % 32
    for length in [*range(0, 200, 7), *range(200, data_end, 59), data_end - 300]:
        path.write_bytes(sound[:length])
        with pytest.raises(ModelCorruptError, match="is damaged"):
            gguf.read(path)


def test_wrong_magic_is_refused(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGML" + sound[4:])
    with pytest.raises(ModelCorruptError, match="does not begin as a GGUF file does"):
        gguf.read(path)


@pytest.mark.parametrize(
    ("version", "says"), [(1, "of version 1"), (4, "of version 4"), (3 << 24, "is big-endian")]
)
def test_other_versions_are_unsupported(
    tmp_path: Path, sound: bytes, version: int, says: str
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(sound[:4] + struct.pack("<I", version) + sound[8:])
    with pytest.raises(UnsupportedError, match=says):
        gguf.read(path)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


ARCHITECTURE = text("general.architecture") + struct.pack("<I", 8) + text("llama")


def header(tensors: int, keys: int, body: bytes, padding: int = 4096) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + body + bytes(padding)


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + sizes + struct.pack("<IQ", kind, offset)


LIES: dict[str, tuple[bytes, str]] = {
    "tensor count": (header(2**40, 1, ARCHITECTURE), "claims 1099511627776 tensors"),
    "key count": (header(0, 2**63, ARCHITECTURE), "claims 0 tensors and"),
    "long key": (header(0, 1, struct.pack("<Q", 2**40)), "a text claims"),
    "key beyond the end": (header(0, 1, struct.pack("<Q", 9999)), "ends inside its header"),
    "array length": (
        header(0, 1, text("a") + struct.pack("<IIQ", 9, 4, 2**61)),
        "key `a` claims 2305843009213693952 values",
    ),
    "texts length": (
        header(0, 1, text("a") + struct.pack("<IIQ", 9, 8, 2**61)),
        "key `a` claims 2305843009213693952 values",
    ),
    "value type": (header(0, 1, text("a") + struct.pack("<I", 99)), "unknown type 99"),
    "nesting": (
        header(0, 1, text("a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 99),
        "unknown type 9",
    ),
    "no architecture": (header(0, 0, b""), "it has no `general.architecture`"),
    "twice": (header(0, 2, ARCHITECTURE * 2), "duplicate key `general.architecture`"),
    "alignment": (
        header(0, 2, ARCHITECTURE + text("general.alignment") + struct.pack("<II", 4, 33)),
        "its alignment is `33`",
    ),
    "alignment 0": (
        header(0, 2, ARCHITECTURE + text("general.alignment") + struct.pack("<II", 4, 0)),
        "its alignment is `0`",
    ),
    "axes": (
        header(1, 1, ARCHITECTURE + tensor("w", (1,) * 9, 0, 0)),
        "tensor `w` has 9 axes",
    ),
    "beyond": (
        header(1, 1, ARCHITECTURE + tensor("w", (1024, 4), 0, 0)),
        "`w` ends beyond the end of the file",
    ),
    "offset": (
        header(1, 1, ARCHITECTURE + tensor("w", (4,), 0, 2**63)),
        "`w` ends beyond the end of the file",
    ),
    "huge shape": (
        header(1, 1, ARCHITECTURE + tensor("w", (2**60, 2**60), 0, 0)),
        "the shape of tensor `w`",
    ),
    "blocks": (header(1, 1, ARCHITECTURE + tensor("w", (31,), 2, 0)), "not blocks of 32"),
    "overlap": (
        header(2, 1, ARCHITECTURE + tensor("a", (64,), 0, 0) + tensor("b", (64,), 0, 32)),
        "tensor `b` overlaps",
    ),
    "name twice": (
        header(2, 1, ARCHITECTURE + tensor("a", (8,), 0, 0) + tensor("a", (8,), 0, 32)),
        "duplicate tensor `a`",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_refused(tmp_path: Path, name: str) -> None:
    data, says = LIES[name]
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ModelCorruptError) as caught:
        gguf.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert says in caught.value.message
    assert peak < 32 * 1024 * 1024


def test_an_unknown_tensor_type_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(header(1, 1, ARCHITECTURE + tensor("w", (4,), 4321, 0)))
    with pytest.raises(UnsupportedError, match="unknown type 4321"):
        gguf.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        gguf.read(tmp_path / "absent.gguf")


def test_no_damage_gets_past_the_checks(tmp_path: Path, sound: bytes) -> None:
    chance = random.Random(7)
    path = tmp_path / "model.gguf"
    for _ in range(150):
        damaged = bytearray(sound)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(sound))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        path.write_bytes(damaged[: len(sound) - chance.choice((0, 0, 1, 300))])
        try:
            file = gguf.read(path)
        except SphereEdgeError:
            continue
        for entry in file.tensors.values():
            assert entry.offset + entry.bytes <= path.stat().st_size


KINDS = {
    "adapter": ("llama", "a LoRA adapter"),
    "mmproj": ("clip", "the image or audio part"),
    "imatrix": ("", "an importance matrix"),
    "": ("controlvector", "a control vector"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_beside_models_is_called_by_its_name(tmp_path: Path, kind: str) -> None:
    architecture, what = KINDS[kind]
    path = tmp_path / "beside.gguf"
    writer: Any = reference.GGUFWriter(path, architecture)
    if kind:
        writer.add_type(kind)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedError, match=what) as caught:
        gguf.read(path)
    assert "download" not in str(caught.value.hint)
    assert what in str(gguf.aside(path))
    assert gguf.aside(write(tmp_path / "model.gguf")) is None


def test_data_that_llama_cpp_cannot_map_are_refused(tmp_path: Path) -> None:
    for alignment in (16, 32, 64):
        refused = 0
        # Where the data begin depends on how long the header is.
        for length in range(0, 64, 8):
            path = tmp_path / "model.gguf"
            writer: Any = reference.GGUFWriter(path, "llama")
            writer.add_custom_alignment(alignment)
            writer.add_description("x" * length)
            writer.add_tensor("w", np.ones(8, np.float32))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            file = gguf.read(path)
            if file.tensors["w"].offset % 32:
                refused += 1
                with pytest.raises(UnsupportedError, match="multiples of 16 bytes"):
                    gguf.check_alignment(file)
            else:
                gguf.check_alignment(file)
        assert (refused > 0) is (alignment == 16)
