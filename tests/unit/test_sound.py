"""Reading and resampling of audio, and the windows it is cut into."""

from __future__ import annotations

import gc
import io
import os
import struct
import sys
import threading
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sphere_edge import errors
from sphere_edge.runtime import sound, sound_parts
from sphere_edge.runtime.transcription import Windows

RATE = sound.SAMPLE_RATE


def read(audio: sound.Audio, sample_rate: int | None = None) -> np.ndarray:
    with sound.opened(audio, sample_rate) as opened:
        return np.concatenate([np.empty(0, np.float32), *opened])


def sine(hertz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(
        np.float32
    )


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_a_sine_of_any_rate_stays_the_same_sine(rate: int) -> None:
    samples = read(sine(440, rate), rate)
    assert abs(len(samples) - RATE) <= 1
    middle = slice(2000, 14000)
    assert np.abs(samples[middle] - sine(440, RATE)[middle]).max() < 2e-3


def test_what_is_above_half_the_rate_is_gone_and_not_folded_down() -> None:
    samples = read(sine(11000, 48000), 48000)
    assert np.abs(samples[2000:14000]).max() < 1e-3


@pytest.mark.parametrize(
    ("format", "subtype", "error"),
    [("WAV", "PCM_16", 1e-4), ("WAV", "PCM_U8", 1e-2), ("FLAC", "PCM_24", 1e-4)],
)
def test_lossless_files_come_back_as_they_were(
    tmp_path: Path, format: str, subtype: str, error: float
) -> None:
    path = tmp_path / "sine"
    soundfile.write(path, sine(440, RATE), RATE, format=format, subtype=subtype)
    assert np.abs(read(path) - sine(440, RATE)).max() < error


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        *(("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")),
        *(("OGG", "VORBIS"), ("OGG", "OPUS")),
    ],
)
def test_joined_files_are_read_to_the_end_of_the_last(format: str, subtype: str) -> None:
    joined = b""
    for hertz, seconds, rate in ((220, 2.0, 48000), (440, 3.0, 16000), (330, 1.0, 48000)):
        file = io.BytesIO()
        soundfile.write(file, sine(hertz, rate, seconds), rate, format=format, subtype=subtype)
        joined += file.getvalue()
    with sound.opened(joined) as opened:
        samples = np.concatenate(list(opened))
        assert opened.seconds == pytest.approx(6.0, abs=0.2)
    assert len(samples) == pytest.approx(6 * RATE, abs=0.2 * RATE)
    # The middle of the second one is its own sine.
    middle = samples[int(2.5 * RATE) : int(4.5 * RATE)]
    assert np.abs(np.fft.rfft(middle)).argmax() / 2.0 == pytest.approx(440, abs=1)
    if format == "MP3":
        assert len(read(joined + b"TAG" + bytes(125))) == len(samples)


@pytest.mark.parametrize(
    ("riff", "data"),
    [(0, 0), (4088, 0), (0xFFFFFFFF, 0xFFFFFFFF), (1000, 964), (64036, 64000), (64036, 96000)],
)
@pytest.mark.parametrize("junk", [b"", b"JUNK\x1c\0\0\0" + bytes(28)])
def test_a_wav_whose_recorder_was_ended_is_read_to_its_end(
    riff: int, data: int, junk: bytes
) -> None:
    pcm = (sine(440, RATE, 2.0) * 32767).astype("<i2").tobytes()
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    head = b"RIFF" + struct.pack("<I", riff) + b"WAVE" + junk + b"fmt " + form
    audio = head + b"data" + struct.pack("<I", data) + pcm
    assert len(read(audio)) == 2 * RATE


def test_audio_comes_out_of_a_pipe_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    soundfile.write(file, sine(440, RATE), RATE, format="FLAC")
    os.mkfifo(tmp_path / "pipe")
    for limit, is_read in ((1 << 20, True), (1000, False)):
        monkeypatch.setattr(sound, "_PIPE_BYTES", limit)

        def write() -> None:
            with suppress(BrokenPipeError):
                (tmp_path / "pipe").write_bytes(file.getvalue())

        writer = threading.Thread(target=write)
        writer.start()
        if is_read:
            assert len(read(tmp_path / "pipe")) == RATE
        else:
            with pytest.raises(errors.InvalidArgumentError, match="came out of"):
                read(tmp_path / "pipe")
        writer.join()


def test_chunks_behind_the_samples_of_a_wav_are_no_samples() -> None:
    file = io.BytesIO()
    soundfile.write(file, sine(440, RATE), RATE, format="WAV", subtype="PCM_16")
    tagged = file.getvalue() + b"LIST\x04\0\0\0INFO"
    assert len(read(tagged)) == RATE


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_any_beginning_of_joined_files_is_read_or_refused(format: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, sine(440, RATE, 0.2), RATE, format=format)
    joined = file.getvalue() * 3
    for end in range(0, len(joined), max(1, len(joined) // 60)):
        with suppress(errors.SphereEdgeError):
            read(joined[:end])


def test_thousands_of_joined_files_are_refused() -> None:
    file = io.BytesIO()
    soundfile.write(file, sine(440, RATE, 0.001), RATE, format="WAV", subtype="PCM_16")
    with pytest.raises(errors.UnsupportedError, match="more than 1000 joined recordings"):
        read(file.getvalue() * 2000)


@pytest.mark.parametrize(
    "part",
    [
        b"fLaC\0\0\0\x22",
        b"OggS\0\x02" + bytes(20) + b"\0" + b"OggS\0\0" + bytes(20) + b"\0",
        b"RIFF\x0c\0\0\0WAVEdata\x02\0\0\0\0\0",
        b"RIFF\x0c\0\0\0WAVE" + b"JUNK\0\0\0\0" * 900 + b"data\x02\0\0\0\0\0",
    ],
)
def test_millions_of_beginnings_take_no_memory(part: bytes) -> None:
    joined = io.BytesIO(part * ((8 << 20) // len(part)))
    tracemalloc.start()
    with suppress(errors.UnsupportedError):
        sound_parts.parts(joined)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_of_joined_files_one_is_open_at_a_time() -> None:
    file = io.BytesIO()
    soundfile.write(file, sine(440, RATE, 0.1), RATE, format="FLAC")
    with sound.opened(file.getvalue() * 20) as opened:
        assert opened.seconds == pytest.approx(2.0)
        for block in opened:
            assert len(block) == RATE // 10
            files = [one for one in gc.get_objects() if isinstance(one, soundfile.SoundFile)]
            assert len([one for one in files if not one.closed]) == 1


@pytest.mark.parametrize(("format", "subtype"), [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_lossy_files_keep_the_pitch(format: str, subtype: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, sine(440, 44100), 44100, format=format, subtype=subtype)
    samples = read(file.getvalue())
    spectrum = np.abs(np.fft.rfft(samples[:RATE], RATE))
    assert spectrum.argmax() == 440


def test_channels_are_averaged_and_int16_is_scaled() -> None:
    left, right = sine(440, RATE), -sine(440, RATE)
    assert np.abs(read(np.stack([left, right], axis=1))).max() < 1e-6
    assert np.abs(read((left * 32768).astype(np.int16)) - left).max() < 1e-4


def test_a_wav_whose_header_promises_ten_hours_gives_what_is_there() -> None:
    file = io.BytesIO()
    soundfile.write(file, sine(440, RATE, 0.03), RATE, format="WAV", subtype="PCM_16")
    content = bytearray(file.getvalue())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 2 * RATE * 36000)
    assert len(read(bytes(content))) == 480


def encoded(samples: np.ndarray, rate: int, container: str, codec: str) -> bytes:
    """[n, 2] of full scale 1 in a container, by the library that other programs use, too."""
    av = pytest.importorskip("av", reason="the extra `m4a` is not installed")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        track = out.add_stream(codec, rate=rate, layout="stereo")
        planes = np.ascontiguousarray(samples.T, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = rate, 0
        for some in (frame, None):
            for packet in track.encode(some):
                out.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("ipod", "aac", 44100),
        ("mp4", "alac", 22050),
        ("adts", "aac", 48000),
        ("webm", "libopus", 48000),
    ],
)
def test_m4a_and_its_kin_keep_pitch_length_and_loudness(
    container: str, codec: str, rate: int
) -> None:
    tone = sine(440, rate, 12.0)
    samples = read(encoded(np.stack([tone, tone], axis=1), rate, container, codec))
    assert 12 * RATE <= len(samples) < 12.1 * RATE
    spectrum = np.abs(np.fft.rfft(samples[RATE : 2 * RATE]))
    assert spectrum.argmax() == 440
    assert np.abs(samples[RATE : 11 * RATE]).max() == pytest.approx(0.5, abs=0.05)


def test_the_channels_of_an_m4a_are_averaged() -> None:
    tone = sine(440, 44100)
    content = encoded(np.stack([tone, -tone], axis=1), 44100, "ipod", "alac")
    assert np.abs(read(content)).max() < 1e-4


def test_an_m4a_cut_off_or_without_audio_is_refused() -> None:
    whole = encoded(np.zeros((4410, 2)), 44100, "ipod", "aac")
    # What an m4a holds is written at its end.
    for content in (whole[: len(whole) // 2], whole[:40], b"\x00\x00\x00\x18ftypM4A "):
        with pytest.raises(errors.UnsupportedError, match="(no|not) audio"):
            read(content)


def test_without_its_decoder_an_m4a_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Python does for a module that is not there.
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(errors.UnsupportedError, match="mp4, which needs a decoder") as caught:
        read(b"\x00\x00\x00\x18ftypM4A ")
    assert "sphere-edge[m4a]" in (caught.value.hint or "")


@pytest.mark.parametrize("content", [b"", b"no audio at all", b"\xff\xfb", b"ftypM4A"])
def test_what_is_not_audio_is_refused(content: bytes) -> None:
    with pytest.raises(errors.UnsupportedError, match="not audio that can be read") as caught:
        read(content)
    assert "ffmpeg" in (caught.value.hint or "")


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFoundError):
        read(tmp_path / "missing.wav")


@pytest.mark.parametrize("rate", [1, 10**9])
def test_rates_that_nothing_has_are_refused(rate: int) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="unsupported sample rate"):
        read(sine(440, RATE), rate)


def test_windows_cover_all_samples_and_begin_where_the_last_was_done() -> None:
    samples = np.arange(25 * RATE, dtype=np.float32)
    windows = Windows(iter(np.array_split(samples, 7)), seconds=10)
    begun = []
    while (window := windows.next()) is not None:
        assert window[0] == windows.offset
        assert len(window) <= 10 * RATE
        begun.append(windows.offset // RATE)
        windows.advance(len(window) if windows.is_last else 9 * RATE)
    assert begun == [0, 9, 18]
    assert windows.offset == len(samples)


def test_audio_of_one_window_is_not_cut() -> None:
    windows = Windows(iter([np.zeros(10 * RATE, np.float32)]), seconds=10)
    window = windows.next()
    assert window is not None
    assert len(window) == 10 * RATE
    assert windows.is_last
