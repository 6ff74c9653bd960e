"""Audio as speech models take it: float32, 16 kHz, mono, in blocks, from files, bytes and arrays.

Files are read by libsndfile (wav, flac, ogg with Vorbis or Opus, mp3), containers such as m4a by
sound_container.py, and resampled by libsoxr, all block by block, so that an hour takes no more
memory than a second.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError, UnsupportedError
from sphere_edge.runtime import sound_container, sound_parts

SAMPLE_RATE = 16000

Samples = npt.NDArray[np.float32]
Audio = str | os.PathLike[str] | bytes | npt.NDArray[Any]

_BLOCK_SECONDS = 10
# Of all channels. Between blocks a caller may stop, so the next one has to come soon.
_BLOCK_VALUES = 1 << 20
_PIPE_BYTES = 4 << 30
_RATES = (1000, 768_000)
_CONVERT = "convert it: ffmpeg -i FILE -ar 16000 -ac 1 out.wav"


class Sound:
    """A source of audio, opened: iterate once for blocks of float32 [n] at SAMPLE_RATE.

    `seconds` is the duration in its header, None if there is none.
    """

    def __init__(
        self, blocks: Iterator[npt.NDArray[Any]], rate: int, seconds: float | None
    ) -> None:
        """From blocks [n] or [n, channels] at a sample rate of `rate`."""
        if not _RATES[0] <= rate <= _RATES[1]:
            message = f"unsupported sample rate: `{rate}`"
            raise InvalidArgumentError(message, hint=f"use one from {_RATES[0]} to {_RATES[1]} Hz")
        self.seconds = seconds
        self._blocks = blocks
        self._rate = rate

    def __iter__(self) -> Iterator[Samples]:
        mono = (_mono(block) for block in self._blocks)
        return mono if self._rate == SAMPLE_RATE else _resampled(mono, self._rate)


@contextmanager
def opened(audio: Audio, sample_rate: int | None = None) -> Iterator[Sound]:
    """Opens a file by path, the bytes of a file, or an array of samples.

    An array is [n] or [n, channels], floats of full scale 1 or int16, at `sample_rate` (default
    16000), which only arrays have. Raises NotFoundError, StorageError (cannot be read),
    UnsupportedError (an unknown format), InvalidArgumentError (no audio in it).
    """
    if isinstance(audio, np.ndarray):
        yield _of_array(audio, sample_rate or SAMPLE_RATE)
        return
    if sample_rate is not None:
        message = "a sample rate is given for audio that has its own"
        raise InvalidArgumentError(message, hint="leave it out")
    with _stream(audio) as (stream, name):
        container = sound_container.format_of(stream)
        if container is None:
            yield from _of_file(stream, name)
        else:
            yield from _of_container(stream, container, name)


def _of_array(samples: npt.NDArray[Any], rate: int) -> Sound:
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] == 0):
        message = f"samples are an array [n] or [n, channels], not of shape `{samples.shape}`"
        raise InvalidArgumentError(message)
    if samples.dtype != np.int16 and not np.issubdtype(samples.dtype, np.floating):
        message = f"samples are floats or int16, not `{samples.dtype}`"
        raise InvalidArgumentError(message, hint="scale them to floats from -1 to 1")
    step = _BLOCK_SECONDS * rate
    blocks = (samples[at : at + step] for at in range(0, len(samples), step))
    return Sound(blocks, rate, len(samples) / rate)


@contextmanager
def _stream(audio: str | os.PathLike[str] | bytes) -> Iterator[tuple[IO[bytes], str]]:
    if isinstance(audio, bytes):
        yield io.BytesIO(audio), "the audio"
        return
    path = Path(audio)
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"there is no file `{path}`"
        raise NotFoundError(message) from error
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror}"
        raise StorageError(message) from error
    with file:
        if file.seekable():
            yield file, f"`{path}`"
            return
        with _whole(file, path) as copy:
            yield copy, f"`{path}`"


@contextmanager
def _whole(pipe: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    """All that comes out of a pipe, in a file that is deleted at the end."""
    left = _PIPE_BYTES
    with TemporaryFile() as copy:
        while piece := pipe.read(1 << 20):
            left -= len(piece)
            if left < 0:
                message = f"more than {_PIPE_BYTES >> 30} GiB came out of `{path}`"
                raise InvalidArgumentError(message, hint="save the recording to a file first")
            copy.write(piece)
        copy.seek(0)
        yield copy


def _of_file(stream: IO[bytes], name: str) -> Iterator[Sound]:
    import soundfile

    try:
        parts = sound_parts.parts(stream)
        if len(parts) > 1:
            yield _joined(parts, name)
            return
        with soundfile.SoundFile(parts[0]) as file:
            yield _of_sound_file(file, name)
    except soundfile.LibsndfileError as error:
        raise _unknown(name, error) from error


def _of_sound_file(file: Any, name: str) -> Sound:
    # A live recording has no length yet.
    seconds = file.frames / file.samplerate if file.frames < 2**62 else None
    step = min(_BLOCK_SECONDS * file.samplerate, _BLOCK_VALUES // file.channels)
    return Sound(_blocks(file, step, name), file.samplerate, seconds)


def _joined(parts: Sequence[IO[bytes]], name: str) -> Sound:
    """One after the other; each may have a sample rate of its own."""
    import soundfile

    # Each is opened twice, so that never more than one of a thousand is.
    def opened() -> Iterator[Sound]:
        for part in parts:
            part.seek(0)
            with soundfile.SoundFile(part) as file:
                yield _of_sound_file(file, name)

    known = [sound.seconds for sound in opened()]
    seconds = None if None in known else sum(one or 0.0 for one in known)
    return Sound(itertools.chain.from_iterable(opened()), SAMPLE_RATE, seconds)


def _of_container(stream: IO[bytes], container: str, name: str) -> Iterator[Sound]:
    with sound_container.opened(stream, container, name) as (blocks, rate, seconds):
        yield Sound(blocks, rate, seconds)


def _blocks(file: Any, step: int, name: str) -> Iterator[npt.NDArray[Any]]:
    import soundfile

    while True:
        try:
            block = file.read(step, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise _unknown(name, error) from error
        if not len(block):
            return
        yield block


def _unknown(name: str, error: Exception) -> UnsupportedError:
    reason = str(getattr(error, "error_string", error)).strip().rstrip(".").lower()
    message = f"{name} is not audio that can be read: {reason}"
    return UnsupportedError(message, hint=_CONVERT)


def _mono(block: npt.NDArray[Any]) -> Samples:
    """The mean over channels, as float32 of full scale 1."""
    floats = block.astype(np.float32) / 32768 if block.dtype == np.int16 else block
    mixed = floats.mean(axis=1, dtype=np.float32) if floats.ndim == 2 else floats
    return np.ascontiguousarray(mixed, dtype=np.float32)


def _resampled(blocks: Iterator[Samples], rate: int) -> Iterator[Samples]:
    import soxr

    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
