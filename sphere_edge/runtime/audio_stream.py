"""Live audio: samples go in as they come, partial and final segments come out.

The engine works inside `push` and `finish`, on the caller's thread.
"""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.runtime import binding
from sphere_edge.runtime.binding import C
from sphere_edge.runtime.handle import Handle
from sphere_edge.runtime.segment import Segment, segment_of


@dataclass(frozen=True)
class StreamSegment:
    """A segment; one that is not final is replaced by the next. Times are from the beginning."""

    segment: Segment
    is_final: bool


class AudioStream:
    """A live stream of audio on an AudioManager, for one thread at a time."""

    def __init__(self, handle: Handle, options: binding.StreamOptions) -> None:
        """Made by `AudioManager.stream`. Raises InvalidArgumentError: invalid options."""
        self._handle = handle
        self._found: list[StreamSegment] = []
        # Kept here: the library calls it as long as the stream is open.
        self._on_segment = binding.StreamFunction(self._receive)
        self._stream: c_void_p | None = None
        stream = c_void_p()
        handle.call(
            C.se_audio_stream_open,
            ctypes.byref(options),
            self._on_segment,
            None,
            ctypes.byref(stream),
        )
        self._stream = stream

    def push(self, samples: npt.NDArray[Any]) -> list[StreamSegment]:
        """Adds samples [n], floats of full scale 1 or int16 at 16 kHz, mono; the new segments.

        Returns at once while less than a step is new. Raises InvalidArgumentError.
        """
        if samples.ndim != 1 or not (
            samples.dtype == np.int16 or np.issubdtype(samples.dtype, np.floating)
        ):
            message = (
                f"live audio is [n] of floats or int16, not {samples.ndim}-D `{samples.dtype}`"
            )
            raise InvalidArgumentError(message)
        floats = samples / np.float32(32768) if samples.dtype == np.int16 else samples
        block = np.ascontiguousarray(floats, dtype=np.float32)
        pointer = block.ctypes.data_as(ctypes.POINTER(c_float))
        self._handle.library.call(C.se_audio_stream_push, self._open(), pointer, len(block))
        return self._taken()

    def finish(self) -> list[StreamSegment]:
        """Transcribes what is left, all of which becomes final. The stream then begins anew."""
        self._handle.library.call(C.se_audio_stream_finish, self._open())
        return self._taken()

    def close(self) -> None:
        """Frees the stream; what was not final is lost. Closing twice is fine."""
        if self._stream is not None:
            self._handle.library.run(C.se_audio_stream_close, self._stream)
            self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self.close()

    def _open(self) -> c_void_p:
        if self._stream is None:
            message = "the stream is closed"
            raise InvalidArgumentError(message)
        return self._stream

    def _taken(self) -> list[StreamSegment]:
        found, self._found = self._found, []
        return found

    def _receive(self, pointer: Any, is_final: bool, _: int | None) -> bool:
        self._found.append(StreamSegment(segment_of(pointer.contents), is_final))
        return True
