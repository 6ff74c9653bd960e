"""A transcript while it is being made: segments as they are found, and the account at the end.

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
from sphere_edge.runtime.sound import Samples
from sphere_edge.runtime.work import Answer, Work

WINDOW_SECONDS = 600
# Whisper takes at most half of its 448 tokens as what was said before.
_PROMPT_CHARACTERS = 600
_MS_PER_SAMPLE = 1000 / sound.SAMPLE_RATE


@dataclass(frozen=True)
class Word:
    """A word of a segment; `probability` is the mean of its tokens'."""

    start_ms: int
    end_ms: int
    text: str
    probability: float


@dataclass(frozen=True)
class Token:
    """A token of a segment; bytes in `text` that alone are no UTF-8 are U+FFFD."""

    id: int
    text: str
    probability: float


@dataclass(frozen=True)
class Segment:
    """A piece of the transcript: a phrase or a sentence. Times are from the beginning of the audio.

    `no_speech_probability`: that nobody speaks there. `words` only if they were asked for.
    """

    start_ms: int
    end_ms: int
    text: str
    language: str
    probability: float
    no_speech_probability: float
    words: tuple[Word, ...] = ()
    tokens: tuple[Token, ...] = ()

    def later(self, offset_ms: int) -> Segment:
        """The same, `offset_ms` later."""
        return replace(
            self,
            start_ms=self.start_ms + offset_ms,
            end_ms=self.end_ms + offset_ms,
            words=tuple(
                replace(word, start_ms=word.start_ms + offset_ms, end_ms=word.end_ms + offset_ms)
                for word in self.words
            ),
        )


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
class Asked:
    """What the caller wants; the core checks the ranges."""

    audio: sound.Audio
    sample_rate: int | None
    language: str | None
    translate: bool
    prompt: str | None
    temperature: float
    temperature_step: float
    beam_size: int
    word_timestamps: bool
    max_segment_characters: int
    voice_detection: bool
    timeout_s: float | None
    on_progress: Callable[[float], object] | None
    window_seconds: int = WINDOW_SECONDS


# Runs the engine on samples with options, a segment function and the struct for its account.
Call = Callable[
    [Samples, binding.TranscribeOptions, Any, binding.AudioResult], SphereEdgeError | None
]


class Transcription(Answer[Segment, TranscriptionResult]):
    """A transcript: iterate for its segments, then read `result`; the rest as with every Answer."""

    def __init__(self, call: Call, cancel: Callable[[], None], asked: Asked) -> None:
        """Made by AudioManager, from the engine's call and the function that cancels it."""
        super().__init__(lambda work: _Run(call, asked, work).run(), cancel)

    def text(self) -> str:
        """Waits for the end; all that was said, with what was read before."""
        for _ in self:
            pass
        return "".join(segment.text for segment in self._said).strip()

    def __enter__(self) -> Transcription:
        return self


class _Run:
    """One transcription, window by window, on the engine's thread."""

    def __init__(self, call: Call, asked: Asked, work: Work[Segment, TranscriptionResult]) -> None:
        self._call = call
        self._asked = asked
        self._work = work
        self._began = time.monotonic()
        self._language = asked.language
        self._prompt = asked.prompt or ""
        self._account = TranscriptionResult("", 0.0, False, 0.0, 0.0, 0.0, 0.0, 0.0)
        self._first_segment_seconds: float | None = None
        # What the caller's on_progress raised: ctypes would only print it.
        self._raised: BaseException | None = None

    def run(self) -> SphereEdgeError | None:
        """Until the end of the audio, a failure or a cancel."""
        failure: SphereEdgeError | None = None
        with sound.opened(self._asked.audio, self._asked.sample_rate) as opened:
            windows = Windows(self._until_cancelled(opened), self._asked.window_seconds)
            while failure is None and (samples := windows.next()) is not None:
                if self._work.is_cancelled:
                    failure = errors.CancelledError("the call was cancelled")
                    break
                total = opened.seconds or math.inf
                failure, done = self._window(samples, windows.offset, windows.is_last, total)
                windows.advance(done)
            heard = windows.offset / sound.SAMPLE_RATE
        if failure is None or failure.code in (Status.CANCELLED, Status.TIMEOUT):
            self._work.result = replace(
                self._account,
                cancelled=failure is not None and failure.code is Status.CANCELLED,
                audio_seconds=heard,
                first_segment_seconds=self._first_segment_seconds or 0.0,
                total_seconds=time.monotonic() - self._began,
            )
        return failure

    def _until_cancelled(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """To decode ten minutes takes a second, in which the engine is not asked."""
        for block in blocks:
            if self._work.is_cancelled:
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
            self._tell(1.0 if is_last and done >= 1 else min(at / total_seconds, 1.0))
            return self._raised is None and not self._work.is_cancelled

        filled = binding.AudioResult(size=ctypes.sizeof(binding.AudioResult))
        options = self._options(binding.ProgressFunction(on_progress))
        if isinstance(options, SphereEdgeError):
            return options, 0
        failure = self._call(samples, options, binding.SegmentFunction(on_segment), filled)
        if self._raised is not None:
            raise self._raised
        self._add(filled)
        if failure is not None or is_last or held is None:
            return failure, len(samples)
        begin = round((held.start_ms - offset_ms) / _MS_PER_SAMPLE)
        if begin < len(samples) // 2:
            # A segment as long as that is no phrase; to hear it again would take for ever.
            self._put(held)
            return None, len(samples)
        return None, begin

    def _tell(self, done: float) -> None:
        if self._asked.on_progress is not None:
            try:
                self._asked.on_progress(done)
            except BaseException as error:
                self._raised = error

    def _put(self, segment: Segment) -> bool:
        if self._first_segment_seconds is None:
            self._first_segment_seconds = time.monotonic() - self._began
        self._prompt = (self._prompt + segment.text)[-_PROMPT_CHARACTERS:]
        return self._work.put(segment)

    def _options(self, on_progress: Any) -> binding.TranscribeOptions | SphereEdgeError:
        asked = self._asked
        options = binding.TranscribeOptions(
            size=ctypes.sizeof(binding.TranscribeOptions),
            language=self._language.encode() if self._language else None,
            translate=asked.translate,
            prompt=self._prompt.encode() if self._prompt else None,
            temperature=asked.temperature,
            temperature_step=asked.temperature_step,
            beam_size=asked.beam_size,
            word_timestamps=asked.word_timestamps,
            max_segment_characters=asked.max_segment_characters,
            voice_detection=asked.voice_detection,
            on_progress=on_progress,
        )
        if asked.timeout_s is not None:
            left = asked.timeout_s - (time.monotonic() - self._began)
            if left <= 0:
                message = f"the call took longer than the {asked.timeout_s:g} s it was allowed"
                return errors.TimeoutError(message, hint="allow more time")
            options.timeout_ms = math.ceil(left * 1000)
        return options

    def _add(self, filled: binding.AudioResult) -> None:
        account = self._account
        language = filled.language.decode()
        if not account.language and language:
            # What the first window is in, the others are in.
            self._language = language
            account = replace(
                account, language=language, language_probability=filled.language_probability
            )
        self._account = replace(
            account,
            encode_seconds=account.encode_seconds + filled.encode_seconds,
            decode_seconds=account.decode_seconds + filled.decode_seconds,
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


def segment_of(filled: binding.AudioSegment) -> Segment:
    """A copy of what the library shows."""
    return Segment(
        start_ms=filled.start_ms,
        end_ms=filled.end_ms,
        text=filled.text.decode("utf-8", "replace"),
        language=filled.language.decode(),
        probability=filled.probability,
        no_speech_probability=filled.no_speech_probability,
        words=tuple(
            Word(
                word.start_ms,
                word.end_ms,
                word.text.decode("utf-8", "replace"),
                word.probability,
            )
            for word in filled.words[: filled.word_count]
        ),
        tokens=tuple(
            Token(token.id, token.text.decode("utf-8", "replace"), token.probability)
            for token in filled.tokens[: filled.token_count]
        ),
    )
