"""The built-in speech model, voice detection and live audio on the real engine."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sphere_edge import AudioManager, errors, packaging, profiles, resources
from sphere_edge.bundle.read import read_manifest
from sphere_edge.bundle.verify import verify
from sphere_edge.engines.options import PackageOptions

RATE = 16000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("dist") / "tiny-whisper.host"
    packaging.package(packaging.find("tiny-whisper"), profiles.host(), PackageOptions(), output)
    return output


@pytest.fixture(scope="module")
def audio(bundle: Path) -> AudioManager:
    return AudioManager.open(bundle, threads=1)


def samples() -> dict[str, np.ndarray]:
    folder = resources.speech_samples()
    said = json.loads((folder / "samples.json").read_text())
    return {text: soundfile.read(folder / name, dtype="float32")[0] for name, text in said.items()}


def wrong_words(said: str, heard: str) -> int:
    """Insertions, deletions and substitutions between two texts."""
    one, other = said.split(), heard.split()
    row = list(range(len(other) + 1))
    for i, word in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, its in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != its))
    return row[-1]


def test_recordings_that_training_never_heard_are_written_down(audio: AudioManager) -> None:
    said = samples()
    wrong = sum(wrong_words(text, audio.transcribe(sound).text()) for text, sound in said.items())
    # The card says how it does on more of them: these first twelve are its hard ones.
    assert wrong <= 0.25 * sum(len(text.split()) for text in said)


def test_the_bundle_holds_a_voice_detector_and_is_sound(bundle: Path, audio: AudioManager) -> None:
    verify(bundle)
    assert {file.role for file in read_manifest(bundle).files} == {"model", "voice-detector"}
    assert audio.info.has_voice_detector


def test_where_nobody_speaks_nothing_is_heard(audio: AudioManager) -> None:
    noise = np.random.default_rng(1).standard_normal(2 * RATE).astype(np.float32) * 0.001
    assert audio.transcribe(noise, voice_detection=True).text() == ""


def test_the_detector_finds_speech_late_in_silence(audio: AudioManager) -> None:
    text, sound = ("close the door", samples()["close the door"])
    late = np.concatenate([np.zeros(8 * RATE, dtype=np.float32), sound])
    segments = list(audio.transcribe(late, voice_detection=True))
    assert segments[0].start_ms > 7500
    assert "".join(segment.text for segment in segments).strip() == text


def test_live_audio_is_heard_while_it_comes(audio: AudioManager) -> None:
    text, sound = ("close the door", samples()["close the door"])
    with audio.listen(language="en", silence_ms=400) as listening:
        heard = listening.push(sound)
        for _ in range(3):
            heard += listening.push(np.zeros(RATE // 2, dtype=np.int16))
        heard += listening.finish()
        assert "".join(one.segment.text for one in heard if one.is_final).strip() == text
        with pytest.raises(errors.InvalidArgumentError):
            listening.push(np.full(10, np.nan, dtype=np.float32))
    with pytest.raises(errors.InvalidArgumentError, match="closed"):
        listening.push(sound)


def test_segments_are_kept_short(audio: AudioManager) -> None:
    sound = max(samples().items())[1]
    for segment in audio.transcribe(sound, max_segment_characters=8):
        assert len(segment.text) <= 8 or " " not in segment.text.strip()


def test_a_damaged_detector_is_refused(bundle: Path, tmp_path: Path) -> None:
    content = (bundle / "voice-detector.bin").read_bytes()
    path = tmp_path / "detector.bin"
    for damaged in (b"", content[:1000], content[:-1], content + b"\0", b"x" + content[1:]):
        path.write_bytes(damaged)
        with pytest.raises(errors.ModelCorruptError):
            AudioManager.open(bundle, voice_detector=path)


def test_voices_are_not_looked_for_without_a_detector(tmp_path: Path) -> None:
    with AudioManager.open(resources.tiny_whisper()) as deaf:
        silence = np.zeros(RATE, dtype=np.float32)
        with pytest.raises(errors.InvalidArgumentError, match="no voice detector"):
            deaf.transcribe(silence, voice_detection=True).text()


def test_eight_bit_wav_and_a_header_that_promises_ten_hours(
    audio: AudioManager, tmp_path: Path
) -> None:
    text, sound = ("close the door", samples()["close the door"])
    path = tmp_path / "eight.wav"
    soundfile.write(path, sound, RATE, subtype="PCM_U8")
    assert audio.transcribe(path).text() == text
    ten_hours = 10 * 3600 * RATE * 2
    header = b"RIFF" + struct.pack("<I", ten_hours + 36) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    path.write_bytes(header + b"data" + struct.pack("<I", ten_hours) + bytes(980))
    told = audio.transcribe(path)
    assert told.text() == ""
    assert told.result.audio_seconds < 1
