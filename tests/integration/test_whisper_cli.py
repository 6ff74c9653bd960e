"""Transcripts and quantized files equal those of whisper.cpp's own programs, on the same ggml."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sphere_edge import AudioManager, resources
from sphere_edge.formats import whisper, whisper_write
from sphere_edge.run import run
from tests import random_whisper

pytestmark = pytest.mark.group("sanitizers")

RATE = 16000
LINE = re.compile(r"^\[([\d:.]+) --> ([\d:.]+)\]  (.*)$", re.MULTILINE)
Lines = list[tuple[str, str, str]]
OPTIONS: dict[str, tuple[list[str], dict[str, object]]] = {
    "greedy, one attempt": (["-bs", "1", "-nf"], {"temperature_step": 0.0}),
    "greedy, warmer when it comes out badly": (["-bs", "1"], {}),
    "beam search": (["-bs", "3", "-nf"], {"temperature_step": 0.0, "beam_size": 3}),
    "sampled": (["-bs", "1", "-nf", "-tp", "0.7"], {"temperature_step": 0.0, "temperature": 0.7}),
    "with a prompt": (
        ["-bs", "1", "-nf", "--prompt", "seven eight"],
        {"temperature_step": 0.0, "prompt": "seven eight"},
    ),
    "short segments": (
        ["-bs", "1", "-nf", "-ml", "12", "-sow"],
        {"temperature_step": 0.0, "max_segment_characters": 12},
    ),
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Single recordings, and two with a long pause between."""
    folder = tmp_path_factory.mktemp("recordings")
    flac = sorted(resources.speech_samples().glob("*.flac"))[:4]
    sounds = [soundfile.read(path, dtype="int16")[0] for path in flac]
    pause = np.zeros(3 * RATE, dtype=np.int16)
    sounds.append(np.concatenate([pause, sounds[1], pause, sounds[3]]))
    paths = [folder / f"{i}.wav" for i in range(len(sounds))]
    for path, sound in zip(paths, sounds, strict=True):
        soundfile.write(path, sound, RATE, subtype="PCM_16")
    return paths


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_whisper.write(tmp_path_factory.mktemp("random") / "random.bin")


def theirs(programs: Path, model: Path, recording: Path, *words: str | Path) -> Lines:
    done = run(
        [programs / "whisper-cli", "-m", model, "-f", recording, "-t", "2", "-ng", *words],
        timeout_s=300,
    )
    return LINE.findall(done.stdout)


def ours(audio: AudioManager, recording: Path, **options: object) -> Lines:
    found = audio.transcribe(recording, **options)
    return [(time(one.start_ms), time(one.end_ms), one.text) for one in found]


def time(ms: int) -> str:
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


@pytest.mark.parametrize("case", OPTIONS)
def test_the_built_in_model_says_what_whisper_cli_says(
    programs: Path, recordings: list[Path], case: str
) -> None:
    words, options = OPTIONS[case]
    # It samples anew with every file.
    some = recordings[-1:] if "temperature" in options else recordings[2:]
    with AudioManager.open(resources.tiny_whisper(), threads=2) as audio:
        for recording in some:
            expected = theirs(programs, resources.tiny_whisper(), recording, "-l", "en", *words)
            assert expected
            assert ours(audio, recording, language="en", **options) == expected


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["-l", "auto"], {}),
        (["-l", "de"], {"language": "de"}),
        (["-l", "de", "-tr"], {"language": "de", "translate": True}),
    ],
)
def test_languages_and_translation_are_those_of_whisper_cli(
    programs: Path,
    recordings: list[Path],
    multilingual: Path,
    words: list[str],
    options: dict[str, object],
) -> None:
    with AudioManager.open(multilingual, threads=2) as audio:
        found = ours(audio, recordings[1], temperature_step=0.0, **options)
    assert found
    # Random weights speak of times behind the end, which are not passed on.
    end = time(round(soundfile.info(recordings[1]).duration * 1000))
    said = theirs(programs, multilingual, recordings[1], "-bs", "1", "-nf", *words)
    assert found == [(min(first, end), min(last, end), text) for first, last, text in said]


@pytest.mark.parametrize("quantization", ["q5_0", "q8_0"])
def test_quantized_files_are_those_of_its_own_quantizer(
    programs: Path, multilingual: Path, tmp_path: Path, quantization: str
) -> None:
    theirs, ours = tmp_path / "theirs.bin", tmp_path / "ours.bin"
    run([programs / "whisper-quantize", multilingual, theirs, quantization], timeout_s=300)
    whisper_write.quantize(whisper.read(multilingual), ours, quantization)
    assert ours.read_bytes() == theirs.read_bytes()
