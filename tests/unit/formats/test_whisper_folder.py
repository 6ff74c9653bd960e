"""Whisper checkpoints of Hugging Face: read with care, written as whisper.cpp has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sphere_edge.errors import InvalidArgumentError, ModelCorruptError, UnsupportedError
from sphere_edge.formats import mel, whisper, whisper_folder, whisper_write
from sphere_edge.formats.source import open_source
from tests import random_hf_whisper, random_whisper


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_hf_whisper.write(tmp_path_factory.mktemp("hf") / "random")


def converted(folder: Path, path: Path, quantization: str = "f16") -> Path:
    found = whisper_folder.read(folder)
    tensors = found.tensors()
    header = whisper_write.Header(found.dimensions, found.words)
    whisper_write.write(path, header, tensors, quantization)
    return path


def test_a_checkpoint_becomes_a_file_that_our_reader_takes(folder: Path, tmp_path: Path) -> None:
    assert open_source(str(folder)).kind == "whisper"
    file = whisper.read(converted(folder, tmp_path / "model.bin"))
    assert (file.quantization, file.width, file.audio_layers, file.text_layers) == ("F16", 64, 2, 3)
    names = {tensor.name for tensor in file.tensors}
    assert "decoder.blocks.2.cross_attn.query.bias" in names
    assert "encoder.blocks.0.attn.key.bias" not in names


@pytest.mark.parametrize(("quantization", "dtype"), [("q5_0", "Q5_0"), ("q8_0", "Q8_0")])
def test_quantizing_at_once_or_later_gives_the_same_bytes(
    folder: Path, tmp_path: Path, quantization: str, dtype: str
) -> None:
    at_once = converted(folder, tmp_path / "once.bin", quantization)
    later = tmp_path / "later.bin"
    half = whisper.read(converted(folder, tmp_path / "half.bin"))
    whisper_write.quantize(half, later, quantization)
    assert later.read_bytes() == at_once.read_bytes()
    file = whisper.read(later)
    assert file.quantization == dtype
    kept = {tensor.name: tensor.dtype for tensor in file.tensors}
    assert kept["encoder.conv1.weight"] == "F16"
    assert kept["decoder.positional_embedding"] == "F32"
    with pytest.raises(InvalidArgumentError, match="quantized already"):
        whisper_write.quantize(file, tmp_path / "again.bin", "q8_0")


def test_an_unknown_quantization_is_named(tmp_path: Path) -> None:
    file = whisper.read(random_whisper.write(tmp_path / "random.bin"))
    with pytest.raises(InvalidArgumentError, match="`q9`"):
        whisper_write.quantize(file, tmp_path / "out.bin", "q9")


def test_the_filters_are_triangles_of_equal_area() -> None:
    for bins in (80, 128):
        filters = mel.filters(bins)
        assert filters.shape == (bins, 201)
        assert filters.min() == 0
        # A line every 40 Hz; the narrow ones fall between lines.
        assert filters[-20:].sum(axis=1) * 40 == pytest.approx(np.ones(20), rel=0.1)
    # librosa's, transformers' and OpenAI's mel_80[0, 1] and maximum.
    assert mel.filters(80)[0, 1] == pytest.approx(0.02486259, abs=1e-7)
    assert mel.filters(80).max() == pytest.approx(0.0258807, abs=1e-7)


def changed(folder: Path, into: Path, **values: object) -> Path:
    into.mkdir()
    for path in folder.iterdir():
        (into / path.name).symlink_to(path)
    (into / "config.json").unlink()
    (into / "config.json").write_text(json.dumps({**random_hf_whisper.CONFIG, **values}))
    return into


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"d_model": 96, "encoder_ffn_dim": 384, "decoder_ffn_dim": 384}, ModelCorruptError),
        ({"d_model": -1}, ModelCorruptError),
        ({"d_model": True}, ModelCorruptError),
        ({"encoder_layers": 3}, ModelCorruptError),
        ({"encoder_layers": 1}, UnsupportedError),
        ({"encoder_attention_heads": 5}, UnsupportedError),
        ({"vocab_size": 99}, UnsupportedError),
        ({"max_source_positions": 100}, UnsupportedError),
        ({"activation_function": "relu"}, UnsupportedError),
        ({"num_mel_bins": 81}, UnsupportedError),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    folder: Path, tmp_path: Path, values: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        whisper_folder.read(changed(folder, tmp_path / "changed", **values))


def test_a_vocabulary_with_holes_is_refused(folder: Path, tmp_path: Path) -> None:
    into = changed(folder, tmp_path / "holes")
    (into / "vocab.json").unlink()
    (into / "vocab.json").write_text(json.dumps({"a": 0}))
    with pytest.raises(ModelCorruptError, match="words instead of"):
        whisper_folder.read(into)
