"""Headers of whisper.cpp files: read rightly, refused when they lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge import errors
from sphere_edge.formats import whisper
from sphere_edge.formats.source import open_source
from sphere_edge.formats.wanted import Wanted
from tests import random_whisper


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_whisper.write(tmp_path_factory.mktemp("whisper") / "Tiny Random.bin")


def test_sizes_are_those_of_the_model(model: Path) -> None:
    shape = random_whisper.Shape()
    file = whisper.read(model)
    expected = sum(values.size for _, values, _ in random_whisper.tensors(shape, 0))
    assert (file.parameters, file.width, file.languages) == (expected, shape.width, 99)
    assert (file.audio_layers, file.text_layers) == (shape.layers, shape.layers)
    assert file.quantization == "F16"


def test_a_model_is_known_by_its_content(model: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "model.gguf"
    renamed.write_bytes(model.read_bytes())
    source = open_source(str(renamed))
    assert (source.kind, source.files) == ("whisper", (renamed,))
    assert open_source(str(model)).name == "tiny-random"
    with pytest.raises(errors.InvalidArgumentError, match="not gguf"):
        open_source(str(model), wanted=Wanted("gguf"))


# Not the file type at 44: the runtime looks at it, not we.
@pytest.mark.parametrize("offset", [*range(0, 44, 4), 48, 52])
@pytest.mark.parametrize("value", [b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0"])
def test_absurd_numbers_in_the_header_are_refused(
    model: Path, tmp_path: Path, offset: int, value: bytes
) -> None:
    content = bytearray(model.read_bytes())
    content[offset : offset + 4] = value
    path = tmp_path / "damaged.bin"
    path.write_bytes(content)
    with pytest.raises(errors.ModelCorruptError):
        whisper.read(path)


def test_a_file_cut_off_anywhere_is_refused(model: Path, tmp_path: Path) -> None:
    content = model.read_bytes()
    path = tmp_path / "short.bin"
    for length in (0, 3, 47, 60, 70_000, 500_000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(errors.ModelCorruptError):
            whisper.read(path)


def test_nan_in_its_weights_is_found(model: Path, tmp_path: Path) -> None:
    content = bytearray(model.read_bytes())
    file = whisper.read(model)
    assert sum(whisper.check_finite(file)) == file.weights_bytes
    for tensor in (file.tensors[0], file.tensors[-1]):
        damaged = bytearray(content)
        size = {"F16": 2, "F32": 4}[tensor.dtype]
        damaged[tensor.offset + size : tensor.offset + 2 * size] = b"\xff" * size
        path = tmp_path / "nan.bin"
        path.write_bytes(damaged)
        with pytest.raises(errors.ModelCorruptError, match="holds NaN"):
            list(whisper.check_finite(whisper.read(path)))


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.bin"
    path.write_bytes(random_whisper.header(random_whisper.Shape()))
    with pytest.raises(errors.ModelCorruptError, match="0 tensors"):
        whisper.read(path)


def test_a_tensor_that_comes_twice_does_not_hide_a_missing_one(model: Path, tmp_path: Path) -> None:
    content = model.read_bytes()
    path = tmp_path / "twice.bin"
    path.write_bytes(content.replace(b"encoder.conv2.bias", b"encoder.conv1.bias"))
    with pytest.raises(errors.ModelCorruptError, match="twice"):
        whisper.read(path)
