"""A transcript while it is being made: segments as they are found, and the figures at the end.

Audio goes through the engine in windows of ten minutes, so that hours take no more memory. The last
segment of a window may have been cut off: it is dropped, and the next window begins where it did.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sphere_edge import errors
from sphere_edge.errors import SphereEdgeError, Status
from sphere_edge.runtime import binding, sound
from sphere_edge.runtime.deadline import Deadline
from sphere_edge.runtime.engine_task import EngineTask
from sphere_edge.runtime.output_stream import OutputStream
from sphere_edge.runtime.segment import Segment, segment_of
from sphere_edge.runtime.sound import Samples
from sphere_edge.runtime.transcription_request import TranscriptionRequest, filled

WINDOW_SECONDS = 600
# Whisper takes at most half of its 448 tokens as the prompt.
_PROMPT_CHARACTERS = 600
_MS_PER_SAMPLE = 1000 / sound.SAMPLE_RATE


@dataclass(frozen=True)
class TranscriptionResult:
    """How a transcription went; `language_probability` is 1 if the caller named the language.

    `first_segment_seconds` runs from the call to the first segment, 0 if there is none.
    """

    language: str
    language_probability: float
    cancelled: bool
    audio_seconds: float
    first_segment_seconds: float
    total_seconds: float
    encode_seconds: float
    decode_seconds: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of audio: less than 1 is faster than speech."""
        return self.total_seconds / self.audio_seconds if self.audio_seconds else 0.0


@dataclass(frozen=True)
class Job:
    """What to transcribe and how; `sample_rate` of an array, None: 16 kHz."""

    audio: sound.Audio
    request: TranscriptionRequest
    sample_rate: int | None = None
    on_progress: Callable[[float], object] | None = None
    window_seconds: int = WINDOW_SECONDS


# Runs the engine on samples with options, a segment function and the struct for its figures.
Call = Callable[
    [Samples, binding.TranscribeOptions, Any, binding.AudioResult], SphereEdgeError | None
]


class Transcription(OutputStream[Segment, TranscriptionResult]):
    """A transcript: iterate for its segments, then read `result`, as with every OutputStream."""

    def __init__(self, call: Call, cancel: Callable[[], None], job: Job) -> None:
        """Made by AudioManager, from the engine's call and the function that cancels it."""
        super().__init__(lambda task: _Run(call, job, task).run(), cancel)

    def text(self) -> str:
        """Waits for the end; the whole transcript, with what was read before."""
        for _ in self:
            pass
        return "".join(segment.text for segment in self._items).strip()


class _Run:
    """One transcription, window by window, on the engine's thread."""

    def __init__(
        self, call: Call, job: Job, task: EngineTask[Segment, TranscriptionResult]
    ) -> None:
        self._call = call
        self._job = job
        self._task = task
        self._began = time.monotonic()
        self._deadline = Deadline(job.request.timeout_s)
        self._language = job.request.language
        self._prompt = job.request.prompt or ""
        self._result = TranscriptionResult("", 0.0, False, 0.0, 0.0, 0.0, 0.0, 0.0)
        self._first_segment_seconds: float | None = None
        # What the caller's on_progress raised: ctypes would only print it.
        self._raised: BaseException | None = None

    def run(self) -> SphereEdgeError | None:
        """Until the end of the audio, a failure or a cancel."""
        failure: SphereEdgeError | None = None
        with sound.opened(self._job.audio, self._job.sample_rate) as opened:
            windows = Windows(self._until_over(opened), self._job.window_seconds)
            while failure is None and (samples := windows.next()) is not None:
                if self._task.is_cancelled:
                    failure = errors.CancelledError("the call was cancelled")
                    break
                if self._deadline.has_passed:
                    failure = self._deadline.error()
                    break
                total = opened.seconds or math.inf
                failure, done = self._window(samples, windows.offset, windows.is_last, total)
                windows.advance(done)
            seconds = windows.offset / sound.SAMPLE_RATE
        if failure is None or failure.code in (Status.CANCELLED, Status.TIMEOUT):
            self._task.result = replace(
                self._result,
                cancelled=failure is not None and failure.code is Status.CANCELLED,
                audio_seconds=seconds,
                first_segment_seconds=self._first_segment_seconds or 0.0,
                total_seconds=time.monotonic() - self._began,
            )
        return failure

    def _until_over(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Decoding ten minutes takes a second, before the engine is at work."""
        for block in blocks:
            if self._task.is_cancelled or self._deadline.has_passed:
                return
            yield block

    def _window(
        self, samples: Samples, offset: int, is_last: bool, total_seconds: float
    ) -> tuple[SphereEdgeError | None, int]:
        """Transcribes one window; also says how many of its samples are done."""
        offset_ms = round(offset * _MS_PER_SAMPLE)
        # The segment that may be cut off by the window's end.
        held: Segment | None = None

        def on_segment(pointer: Any, _: int | None) -> bool:
            nonlocal held
            if held is not None and not is_last and not self._put(held):
                return False
            held = segment_of(pointer.contents).later(offset_ms)
            return not is_last or self._put(held)

        def on_progress(done: float, _: int | None) -> bool:
            at = (offset + done * len(samples)) / sound.SAMPLE_RATE
            self._report(1.0 if is_last and done >= 1 else min(at / total_seconds, 1.0))
            return self._raised is None and not self._task.is_cancelled

        result = binding.AudioResult(size=ctypes.sizeof(binding.AudioResult))
        options = self._options(binding.ProgressFunction(on_progress))
        failure = self._call(samples, options, binding.SegmentFunction(on_segment), result)
        if self._raised is not None:
            raise self._raised
        self._add(result)
        if failure is not None and failure.code is Status.TIMEOUT:
            failure = self._deadline.error()
        if failure is not None or is_last or held is None:
            return failure, len(samples)
        begin = round((held.start_ms - offset_ms) / _MS_PER_SAMPLE)
        if begin < len(samples) // 2:
            # A segment as long as that is not a phrase; transcribing it again would never end.
            self._put(held)
            return None, len(samples)
        return None, begin

    def _report(self, done: float) -> None:
        if self._job.on_progress is not None:
            try:
                self._job.on_progress(done)
            except BaseException as error:
                self._raised = error

    def _put(self, segment: Segment) -> bool:
        if self._first_segment_seconds is None:
            self._first_segment_seconds = time.monotonic() - self._began
        if self._job.request.condition_on_previous_text:
            self._prompt = (self._prompt + segment.text)[-_PROMPT_CHARACTERS:]
        return self._task.put(segment)

    def _options(self, on_progress: Any) -> binding.TranscribeOptions:
        """The request, with what the windows before have shown and the time that is left."""
        request = replace(
            self._job.request,
            language=self._language or None,
            prompt=self._prompt or None,
            timeout_s=self._deadline.left_s,
        )
        options = filled(request)
        options.on_progress = on_progress
        return options

    def _add(self, window: binding.AudioResult) -> None:
        result = self._result
        language = window.language.decode()
        if not result.language and language:
            # All windows are taken to be in the language of the first.
            self._language = language
            result = replace(
                result, language=language, language_probability=window.language_probability
            )
        self._result = replace(
            result,
            encode_seconds=result.encode_seconds + window.encode_seconds,
            decode_seconds=result.decode_seconds + window.decode_seconds,
        )


class Windows:
    """Cuts blocks of samples into windows that may overlap: each begins where the last was done."""

    def __init__(self, blocks: Iterator[Samples], seconds: int) -> None:
        self.offset = 0
        self.is_last = False
        self._blocks = blocks
        self._size = seconds * sound.SAMPLE_RATE
        self._kept: Samples = np.empty(0, dtype=np.float32)

    def next(self) -> Samples | None:
        """The next window, None at the end; of audio without a sample there is one, empty."""
        if self.is_last:
            return None
        parts, count = [self._kept], len(self._kept)
        # One sample more than a window: so it is known whether there is another.
        while count <= self._size:
            block = next(self._blocks, None)
            if block is None:
                self.is_last = True
                break
            parts.append(block)
            count += len(block)
        self._kept = np.concatenate(parts)
        return self._kept[: self._size] if not self.is_last else self._kept

    def advance(self, done: int) -> None:
        """The first `done` samples of the window are done."""
        self.offset += done
        self._kept = self._kept[done:]
