"""What memory speech models are predicted to take, and on which devices they then fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sphere_edge import __main__, errors, packaging, profiles
from sphere_edge.engines import whisper_fit
from sphere_edge.engines.options import PackageOptions
from sphere_edge.formats import whisper
from tests import random_hf_whisper, random_whisper


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_whisper.write(tmp_path_factory.mktemp("whisper") / "random.bin")


def profile_with(usable_bytes: int) -> profiles.DeviceProfile:
    host = profiles.host()
    memory = host.memory.model_copy(update={"usable_bytes": usable_bytes})
    return host.model_copy(update={"memory": memory})


def test_a_file_and_the_checkpoint_it_could_come_from_are_predicted_alike(
    model: Path, tmp_path: Path
) -> None:
    file = whisper.read(model)
    one = whisper_fit.sizes(model)
    other = whisper_fit.sizes(random_hf_whisper.write(tmp_path / "hf"))
    assert list(one.weights_bytes) == list(other.weights_bytes) == ["f16", "q8_0", "q5_0"]
    assert one.weights_bytes["f16"] == file.weights_bytes
    assert one.memory("f16").peak_bytes > one.memory("q8_0").peak_bytes > file.weights_bytes
    like = dataclasses.replace(other, text_layers=one.text_layers, weights_bytes=one.weights_bytes)
    assert like.memory("q5_0") == one.memory("q5_0")


def test_the_best_format_that_fits_is_found(model: Path) -> None:
    sizes = whisper_fit.sizes(model)
    for name in sizes.weights_bytes:
        assert sizes.best(profile_with(sizes.memory(name).peak_bytes)) == name
    assert sizes.best(profile_with(2**20)) is None


def test_a_model_too_large_for_a_device_is_refused_with_what_would_fit(
    model: Path, tmp_path: Path
) -> None:
    needed = whisper_fit.sizes(model).memory("q8_0").peak_bytes
    with pytest.raises(errors.OutOfMemoryError, match="at its peak") as caught:
        packaging.package(
            packaging.find(str(model)), profile_with(needed), PackageOptions(), tmp_path / "out"
        )
    assert caught.value.hint == "--quant q8_0 fits"
    assert list(tmp_path.iterdir()) == []


def test_inspect_says_which_devices_a_speech_model_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = random_hf_whisper.write(tmp_path / "hf")
    assert __main__.main(["inspect", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "MAY USE" in told
    for name in profiles.names():
        assert name in told
