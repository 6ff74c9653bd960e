"""Audio inside containers that libsndfile does not know: m4a and mp4, aac, mka and webm.

FFmpeg's libraries decode them, by way of PyAV, which is an extra, since they
are 35 MB. They are given the format and an open file, so that no playlist in disguise makes them
open another file or an address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from sphere_edge.errors import UnsupportedError

EXTRA = "sphere-edge[m4a]"
_HEAD_BYTES = 12
# Of up to 8 channels at 768 kHz. Between blocks a caller may stop, so the next one comes soon.
_BLOCK_SECONDS = 1


def format_of(stream: IO[bytes]) -> str | None:
    """FFmpeg's name of the container that begins here, None if it is none of these."""
    head = stream.read(_HEAD_BYTES)
    stream.seek(0)
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    # Twelve bits of sync, and the layer is always 0: the frames of MP3 have another one.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "aac"
    return None


@contextmanager
def opened(
    stream: IO[bytes], format: str, name: str
) -> Iterator[tuple[Iterator[npt.NDArray[np.float32]], int, float | None]]:
    """Blocks [n, channels] of full scale 1, the sample rate, and the duration in its header (s).

    Raises UnsupportedError: PyAV is not installed, or there is no audio in it that it decodes.
    """
    try:
        import av
    except ImportError as error:
        message = f"{name} is {format}, which needs a decoder that is not installed"
        hint = f'pip install "{EXTRA}", or convert it: ffmpeg -i FILE -ar 16000 -ac 1 out.wav'
        raise UnsupportedError(message, hint=hint) from error
    try:
        container = av.open(stream, format=format, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise _undecodable(name, error) from error
    with container:
        # A track may be announced whose codec is unknown or missing.
        track = next((one for one in container.streams.audio if one.codec_context), None)
        if track is None:
            message = f"{name} holds no audio that can be decoded"
            raise UnsupportedError(message)
        duration = container.duration
        seconds = duration / av.time_base if duration and duration > 0 else None
        yield _blocks(container, track, name), track.rate or 0, seconds


def _blocks(container: Any, track: Any, name: str) -> Iterator[npt.NDArray[np.float32]]:
    """Frames of about a thousand samples, put together, whatever each one's own format is."""
    import av

    as_floats = av.AudioResampler(format="fltp", layout=track.layout, rate=track.rate)
    parts: list[npt.NDArray[np.float32]] = []
    count = 0
    frames = container.decode(track)
    while True:
        try:
            frame = next(frames, None)
            made = as_floats.resample(frame)
        except (av.FFmpegError, ValueError) as error:
            raise _undecodable(name, error) from error
        for one in made:
            parts.append(one.to_ndarray().T)
            count += len(parts[-1])
        if parts and (frame is None or count >= _BLOCK_SECONDS * track.rate):
            yield np.concatenate(parts)
            parts, count = [], 0
        if frame is None:
            return


def _undecodable(name: str, error: Exception) -> UnsupportedError:
    reason = str(getattr(error, "strerror", None) or error).strip().lower()
    message = f"{name} is not audio that can be read: {reason}"
    return UnsupportedError(message)
