"""The native core's audio under sanitizers: its C test program, damaged files, and its logits."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from sanitized import program

from sphere_edge import AudioManager, console, packaging, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.toolchain import sources
from tests import random_hf_whisper, random_whisper

pytestmark = pytest.mark.group("sanitizers")

GOLDEN = Path(__file__).parents[1] / "data" / "whisper_logits.npz"
# As in make_whisper_golden.py: each of so many logits is kept, after so many tokens that are given.
EVERY, GIVEN = 64, 3
MUTATIONS = 24


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_whisper.write(tmp_path_factory.mktemp("whisper") / "random.bin")


@pytest.fixture(scope="module")
def detector() -> Path:
    models = sources.fetch("voice_detector", console.SILENT) / "models"
    return next(models.glob("for-tests-silero-*.bin"))


def test_every_case_passes_on_random_weights(programs: Path, model: Path, detector: Path) -> None:
    assert "cases passed" in program(programs, "audio-test", "cases", model, detector).stdout


def mutated(content: bytes, header_bytes: int, seed: int) -> bytes:
    """The file cut off, with flipped bytes in its header, or with a number that cannot be."""
    chance = random.Random(seed)
    damaged = bytearray(content)
    if seed % 3 == 0:
        return content[: chance.randrange(len(content))]
    if seed % 3 == 1:
        for _ in range(chance.choice([1, 2, 4])):
            damaged[chance.randrange(header_bytes)] = chance.randrange(256)
        return bytes(damaged)
    wrong = chance.choice([0, 1, 255, 65535, 2**31 - 1, 2**32 - 1])
    struct.pack_into("<I", damaged, 4 * chance.randrange(min(header_bytes, 80) // 4), wrong)
    return bytes(damaged)


def test_no_damaged_model_or_detector_brings_the_process_down(
    programs: Path, model: Path, detector: Path, tmp_path: Path
) -> None:
    # The words of the vocabulary are most of what comes before the tensors.
    begin = model.read_bytes().index(b"encoder.positional_embedding") + 400
    for seed in range(MUTATIONS):
        (tmp_path / f"model-{seed}.bin").write_bytes(mutated(model.read_bytes(), begin, seed))
        (tmp_path / f"voice-{seed}.bin").write_bytes(mutated(detector.read_bytes(), 300, seed))
    files = sorted(tmp_path.glob("*.bin"))
    said = program(programs, "audio-test", "survive", model, *files).stdout
    assert len(said.splitlines()) >= 2 * len(files)
    assert "INTERNAL" not in said
    assert "MODEL_CORRUPT" in said


def test_the_probability_of_silence_is_that_after_the_start_token(
    programs: Path, model: Path, tmp_path: Path
) -> None:
    """In every window, whatever language and task follow that token."""
    start, nobody_speaks = 50258, 50362
    silence = np.zeros(65 * 16000, np.float32)
    samples, found = tmp_path / "samples.f32", tmp_path / "logits.f32"
    samples.write_bytes(silence.tobytes())
    program(programs, "whisper-logits", model, samples, found, str(start))
    logits = np.fromfile(found, np.float32).astype(np.float64)
    expected = np.exp(logits[nobody_speaks] - np.logaddexp.reduce(logits))
    found_in = set()
    with AudioManager.open(model) as audio:
        for language, translate in (("en", False), ("de", False), ("fr", True)):
            segments = list(
                audio.transcribe(
                    silence,
                    language=language,
                    translate=translate,
                    temperature_step=0.0,
                    condition_on_previous_text=False,
                )
            )
            assert segments[-1].start_ms >= 30000
            found_in |= {one.no_speech_probability for one in segments}
    (probability,) = found_in
    # A prompt's first token and that token alone are not rounded alike: 2 % here.
    assert probability == pytest.approx(expected, rel=0.05)


def test_a_converted_checkpoint_gives_the_logits_and_tokens_of_transformers(
    programs: Path, tmp_path: Path
) -> None:
    checkpoint = random_hf_whisper.write(tmp_path / "checkpoint")
    output = tmp_path / "random.host"
    packaging.package(
        packaging.find(str(checkpoint)), profiles.host(), PackageOptions(quantization="f32"), output
    )
    samples = tmp_path / "samples.f32"
    samples.write_bytes(random_hf_whisper.sound().tobytes())
    found = tmp_path / "logits.f32"
    with np.load(GOLDEN) as file:
        tokens, answer, expected = file["tokens"], file["answer"], file["logits"]
    words = [str(token) for token in tokens]
    program(programs, "whisper-logits", output / "model.bin", samples, found, *words)
    logits = np.fromfile(found, np.float32).reshape(len(tokens), -1)
    assert np.abs(logits[:, ::EVERY] - expected).max() < 1e-3 * np.abs(expected).max()
    # The first ones are given, the model only answers from there on.
    assert (logits.argmax(axis=1)[GIVEN:] == answer[GIVEN:]).all()
