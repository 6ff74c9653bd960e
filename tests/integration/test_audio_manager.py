"""AudioManager on the real engine with random weights: nonsense, but always the same."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sphere_edge import AudioManager, TextManager, errors, profiles
from sphere_edge.bundle.read import read_manifest
from sphere_edge.bundle.verify import verify
from sphere_edge.engines.options import PackageOptions
from sphere_edge.packaging import find, package
from sphere_edge.run import ProgramFailedError, run
from sphere_edge.runtime import transcription
from sphere_edge.runtime.transcription_request import TranscriptionRequest
from tests import random_whisper, runtimes

RATE = 16000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_whisper.write(tmp_path_factory.mktemp("whisper") / "random.bin")


@pytest.fixture(scope="module")
def audio(model: Path) -> AudioManager:
    return AudioManager.open(model)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return (np.random.default_rng(1).standard_normal(3 * RATE) * 0.1).astype(np.float32)


def transcript(
    manager: AudioManager, samples: object, **options: object
) -> list[tuple[int, int, str]]:
    options = {"language": "en", "temperature_step": 0.0, **options}
    found = list(manager.transcribe(samples, **options))
    return [(segment.start_ms, segment.end_ms, segment.text) for segment in found]


def test_the_same_audio_gives_the_same_transcript_whatever_came_before(
    audio: AudioManager, noise: np.ndarray
) -> None:
    first = transcript(audio, noise)
    assert first
    transcript(audio, noise[::-1].copy(), prompt="another")
    assert transcript(audio, noise) == first


def test_sampling_begins_anew_with_every_call(audio: AudioManager, noise: np.ndarray) -> None:
    first = transcript(audio, noise, temperature=0.8)
    assert transcript(audio, noise, temperature=0.8) == first


def test_the_language_is_detected_or_taken_as_given(audio: AudioManager, noise: np.ndarray) -> None:
    found = audio.transcribe(noise, temperature_step=0.0)
    found.text()
    assert 0 < found.result.language_probability < 1
    given = audio.transcribe(noise, language=found.result.language, temperature_step=0.0)
    assert [segment.language for segment in given] == [found.result.language] * len(given._items)
    assert given.text() == found.text()
    assert given.result.language_probability == 1


def test_words_lie_inside_their_segment_and_make_up_its_text(
    audio: AudioManager, noise: np.ndarray
) -> None:
    segments = list(
        audio.transcribe(noise, language="en", temperature_step=0.0, word_timestamps=True)
    )
    assert segments
    for segment in segments:
        assert "".join(word.text for word in segment.words) == segment.text
        assert all(word.start_ms <= word.end_ms for word in segment.words)
        assert 0 <= segment.probability <= 1


@pytest.mark.parametrize("seconds", [1.0, 2.5, 5.0])
def test_no_time_is_after_the_end_of_the_audio(audio: AudioManager, seconds: float) -> None:
    # A model of random weights hears ends anywhere in its 30 s.
    noise = (np.random.default_rng(1).standard_normal(int(seconds * RATE)) * 0.1).astype(np.float32)
    options = {"language": "en", "temperature_step": 0.0, "word_timestamps": True}
    segments = list(audio.transcribe(noise, **options))
    assert segments
    times = [(one.start_ms, one.end_ms) for one in segments]
    times += [(word.start_ms, word.end_ms) for one in segments for word in one.words]
    assert all(0 <= start <= end <= seconds * 1000 for start, end in times)


def heard_in_silence(audio: AudioManager, **options: object) -> list[str]:
    """The texts of two windows and a little; silence is the same in each."""
    request = {"language": "en", "temperature_step": 0.0, **options}
    return [one.text for one in audio.transcribe(np.zeros(65 * RATE, np.float32), **request)]


def test_a_loop_is_not_gone_on_with_in_the_next_window(audio: AudioManager) -> None:
    """Greedily, random weights say the same again and again; so both windows begin anew."""
    texts = heard_in_silence(audio)
    periods = [at for at in range(20, len(texts) // 2 + 1) if texts[at : 2 * at] == texts[:at]]
    assert periods != []


def test_the_text_before_a_window_can_be_left_out(audio: AudioManager) -> None:
    # Sampled, which avoids loops; the first windows are sampled alike.
    usual = heard_in_silence(audio, temperature=0.3)
    without = heard_in_silence(audio, temperature=0.3, condition_on_previous_text=False)
    assert without[0] == usual[0]
    assert without != usual


def test_a_wav_an_array_and_bytes_give_the_same_transcript(
    audio: AudioManager, noise: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "noise.wav"
    soundfile.write(path, noise, RATE, subtype="FLOAT")
    expected = transcript(audio, noise)
    assert transcript(audio, path) == transcript(audio, path.read_bytes()) == expected


def test_stereo_is_mixed_down(audio: AudioManager, noise: np.ndarray) -> None:
    assert transcript(audio, np.stack([noise, noise], axis=1)) == transcript(audio, noise)


def test_the_runner_transcribes_what_python_does(
    audio: AudioManager, model: Path, noise: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "noise.wav"
    soundfile.write(path, noise, RATE, subtype="FLOAT")
    runner = runtimes.here().runner
    words = [runner, "transcribe", model, path, "--language", "en", "--json"]
    output = json.loads(run([*words, "--no-fallback"], timeout_s=300).stdout)
    expected = list(audio.transcribe(noise, language="en", temperature_step=0.0))
    assert [segment["text"] for segment in output["segments"]] == [s.text for s in expected]
    assert output["audio_seconds"] == pytest.approx(3)


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 10), (b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff", 10), (b"RIFF\0\0\0\0WAVE", 10)],
)
def test_the_runner_refuses_what_is_not_a_wav(
    model: Path, tmp_path: Path, content: bytes, status: int
) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    runner = runtimes.here().runner
    with pytest.raises(ProgramFailedError) as caught:
        run([runner, "transcribe", model, path, "--json"], timeout_s=300)
    assert json.loads(caught.value.completed.stdout)["error"]["code"] == status


def test_cancelling_ends_a_transcript_soon(audio: AudioManager) -> None:
    loud = np.random.default_rng(2).standard_normal(120 * RATE).astype(np.float32)
    begun = threading.Event()
    answer = audio.transcribe(loud, language="en", on_progress=lambda _: begun.set())
    assert begun.wait(300)
    audio.cancel()
    list(answer)
    assert answer.result.cancelled
    assert not answer.is_running
    assert transcript(audio, loud[: 2 * RATE])


@pytest.mark.parametrize("reports", [0, 1, 20, 40])
def test_a_cancel_takes_effect_while_a_long_spectrogram_or_a_window_is_computed(
    slow: AudioManager, reports: int
) -> None:
    # On one thread the spectrogram alone takes seconds, and the encoder a second for each window;
    # progress is reported ten times a second, between pieces of either.
    loud = np.random.default_rng(2).standard_normal(600 * RATE).astype(np.float32)
    reported: list[float] = []
    answer = slow.transcribe(loud, language="en", on_progress=reported.append)
    while len(reported) < reports:
        time.sleep(0.01)
    before = len(reported)
    answer.close()
    # 200 ms where nobody else works: benchmarks/audio_latency.py measures that.
    assert len(reported) <= before + 1


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> AudioManager:
    shape = random_whisper.Shape(width=384, heads=6, layers=4)
    path = random_whisper.write(tmp_path_factory.mktemp("slow") / "slow.bin", shape)
    return AudioManager.open(path, threads=1)


def test_a_timeout_is_an_error_of_its_own(audio: AudioManager) -> None:
    loud = np.random.default_rng(2).standard_normal(120 * RATE).astype(np.float32)
    with pytest.raises(errors.TimeoutError, match=r"longer than the 0\.05 s it was allowed"):
        audio.transcribe(loud, language="en", timeout_s=0.05).text()


def test_a_timeout_ends_the_decoding_of_a_file(audio: AudioManager) -> None:
    file = io.BytesIO()
    loud = np.random.default_rng(2).standard_normal(60 * RATE) * 0.1
    soundfile.write(file, loud, RATE, format="FLAC")
    half = len(file.getvalue()) // 2
    # Who decodes it to the end cannot.
    damaged = file.getvalue()[:half] + bytes(half)
    with pytest.raises(errors.UnsupportedError):
        audio.transcribe(damaged, timeout_s=600).text()
    with pytest.raises(errors.TimeoutError):
        audio.transcribe(damaged, timeout_s=1e-6).text()


def test_what_on_progress_raises_reaches_the_reader(audio: AudioManager, noise: np.ndarray) -> None:
    def raise_it(_: float) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        audio.transcribe(noise, language="en", on_progress=raise_it).text()


def test_progress_rises_to_one(audio: AudioManager, noise: np.ndarray) -> None:
    reported: list[float] = []
    transcript(audio, noise, on_progress=reported.append)
    assert reported == sorted(reported)
    assert reported[-1] == 1


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        (np.zeros(0, dtype=np.float32), {}, "no samples"),
        (np.full(RATE, np.nan, dtype=np.float32), {}, "not finite"),
        (np.full(RATE, np.inf, dtype=np.float32), {}, "not finite"),
        (np.zeros(RATE, dtype=np.uint8), {}, "floats or int16"),
        (np.zeros((2, 2, 2), dtype=np.float32), {}, "not of shape"),
        (np.zeros(RATE, dtype=np.float32), {"language": "xx"}, "no such language"),
        (np.zeros(RATE, dtype=np.float32), {"language": "english" * 99}, "no such language"),
        (np.zeros(RATE, dtype=np.float32), {"language": "yue"}, "does not know"),
    ],
)
def test_invalid_requests_are_refused(
    audio: AudioManager, samples: np.ndarray, options: dict[str, object], words: str
) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=words):
        audio.transcribe(samples, **{"language": "en", **options}).text()


def test_less_than_a_tenth_of_a_second_gives_nothing(audio: AudioManager) -> None:
    for count in (1, 150, RATE // 10 - 1):
        assert transcript(audio, np.ones(count, dtype=np.float32)) == []


def test_a_model_for_english_only_translates_nothing(tmp_path: Path) -> None:
    shape = random_whisper.Shape(vocab_size=random_whisper.ENGLISH)
    with AudioManager.open(random_whisper.write(tmp_path / "en.bin", shape)) as english:
        assert english.info.languages == 1
        silence = np.zeros(RATE, dtype=np.float32)
        for options in ({"translate": True}, {"language": "de"}):
            with pytest.raises(errors.InvalidArgumentError):
                english.transcribe(silence, **options).text()
        answer = english.transcribe(silence, temperature_step=0.0)
        answer.text()
        assert answer.result.language == "en"


def damaged(model: Path, folder: Path, at: int, value: bytes) -> Path:
    path = folder / "damaged.bin"
    content = bytearray(model.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("offset", range(0, 48, 4))
@pytest.mark.parametrize("value", [b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"])
def test_a_header_with_absurd_numbers_is_refused(
    model: Path, tmp_path: Path, offset: int, value: bytes
) -> None:
    with pytest.raises(errors.ModelCorruptError):
        AudioManager.open(damaged(model, tmp_path, offset, value))


def test_a_model_cut_off_anywhere_is_refused(model: Path, tmp_path: Path) -> None:
    content = model.read_bytes()
    path = tmp_path / "short.bin"
    for length in (0, 3, 47, 60, 70_000, 500_000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(errors.ModelCorruptError):
            AudioManager.open(path)


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.bin"
    path.write_bytes(random_whisper.header(random_whisper.Shape()))
    with pytest.raises(errors.ModelCorruptError, match="no weights"):
        AudioManager.open(path)


def test_each_manager_refuses_the_models_of_the_other(model: Path, tmp_path: Path) -> None:
    gguf = tmp_path / "text.bin"
    gguf.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(errors.FormatMismatchError):
        AudioManager.open(gguf)
    with pytest.raises(errors.FormatMismatchError):
        TextManager.open(model)


@pytest.fixture(scope="module")
def bundle(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("dist") / "random.host"
    made = package(find(str(model)), profiles.host(), PackageOptions(), output)
    assert made.tried_here
    return output


def test_a_bundle_is_packaged_verified_and_used(
    bundle: Path, audio: AudioManager, noise: np.ndarray
) -> None:
    verify(bundle)
    manifest = read_manifest(bundle)
    assert manifest.audio is not None
    assert (manifest.task, manifest.engine) == ("audio", "whisper")
    with AudioManager.open(bundle) as manager:
        assert transcript(manager, noise) == transcript(audio, noise)
    with pytest.raises(errors.FormatMismatchError, match="for `audio`"):
        TextManager.open(bundle)


def test_a_bundle_of_text_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "tiny.host"
    package(find("tiny"), profiles.host(), PackageOptions(), output)
    with pytest.raises(errors.FormatMismatchError, match="for `text`"):
        AudioManager.open(output)


def test_speech_and_text_at_once_give_what_each_gives_alone(
    audio: AudioManager, noise: np.ndarray, tmp_path: Path
) -> None:
    output = tmp_path / "tiny.host"
    package(find("tiny"), profiles.host(), PackageOptions(), output)
    with TextManager.open(output) as text:
        options = {"max_tokens": 24, "temperature": 0}
        written = text.generate("The sky is", **options).text()
        expected = transcript(audio, noise)
        for _ in range(3):
            speech = audio.transcribe(noise, language="en", temperature_step=0.0)
            writing = text.generate("The sky is", **options)
            assert writing.text() == written
            assert speech.text() == "".join(piece for _, _, piece in expected).strip()


def test_long_audio_goes_through_in_windows(audio: AudioManager) -> None:
    samples = (np.random.default_rng(3).standard_normal(12 * RATE) * 0.05).astype(np.float32)
    request = TranscriptionRequest(language="en", temperature_step=0.0)
    job = transcription.Job(samples, request, window_seconds=5)
    found = transcription.Transcription(audio._run, audio._handle.cancel, job)
    starts = [segment.start_ms for segment in found]
    assert found.result.audio_seconds == pytest.approx(12)
    assert starts == sorted(starts)
    assert starts[-1] > 5000


HOUR = """
import resource, struct, sys
from pathlib import Path

import soxr, soundfile
from sphere_edge.runtime import sound, transcription
from sphere_edge.runtime.transcription_request import TranscriptionRequest

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

path, rate = Path(sys.argv[1]), 8000
size = 3600 * rate * 4
header = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt "
header += struct.pack("<IHHIIHH", 16, 1, 2, rate, 4 * rate, 4, 16)
with path.open("wb") as file:
    file.write(header + b"data" + struct.pack("<I", size))
    file.truncate(len(header) + 8 + size)
windows = []

def engine(samples, options, on_segment, result):
    windows.append(len(samples))

request = TranscriptionRequest(language="en", temperature_step=0.0)
job = transcription.Job(path, request)
before = peak_mib()
transcription.Transcription(engine, lambda: None, job).text()
print(sum(windows) // sound.SAMPLE_RATE, max(windows) // sound.SAMPLE_RATE, peak_mib() - before)
"""


def test_an_hour_goes_to_the_engine_in_bounded_memory(tmp_path: Path) -> None:
    # Two channels of 8 kHz, of a file that takes no place on the disk.
    done = run([sys.executable, "-c", HOUR, tmp_path / "hour.wav"], timeout_s=300)
    seconds, longest, mib = map(float, done.stdout.split())
    assert (seconds, longest) == (3600, 600)
    # Ten minutes are 37 MiB, an hour would be 220.
    assert mib < 160
