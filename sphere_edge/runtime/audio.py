"""AudioManager: speech recognition, from a bundle folder or a whisper.cpp file, in this process.

with AudioManager.open("dist/whisper-base.host") as audio:
    for segment in audio.transcribe("meeting.mp3"):
        print(segment.start_ms, segment.text)
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import math
import os
import threading
from collections.abc import Callable
from ctypes import c_float
from pathlib import Path
from typing import Any

from sphere_edge import errors
from sphere_edge.runtime import binding, library, options
from sphere_edge.runtime.handle import Handle
from sphere_edge.runtime.listening import Heard, Listening
from sphere_edge.runtime.sound import Audio, Samples
from sphere_edge.runtime.transcription import (
    Asked,
    Segment,
    Token,
    Transcription,
    TranscriptionResult,
    Word,
)
from sphere_edge.runtime.work import Work

__all__ = [
    "AudioInfo",
    "AudioManager",
    "Heard",
    "Listening",
    "Segment",
    "Token",
    "Transcription",
    "TranscriptionResult",
    "Word",
]

_GREATEST_THREADS = 512
_MOST_BEAMS = 8
_LONGEST_SEGMENT = 10000
_LONGEST_TIMEOUT_S = 0xFFFFFFFF / 1000


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """What was opened; `languages` 1: English only."""

    name: str
    engine: str
    backend: str
    family: str
    quantization: str
    parameters: int
    multilingual: bool
    languages: int
    sample_rate: int
    mel_bins: int
    vocab_size: int
    threads: int
    has_voice_detector: bool
    weights_bytes: int
    load_seconds: float


class AudioManager:
    """A speech recognition model that is open.

    It may be used from any thread, by one call at a time: while a transcript is being made, another
    `transcribe` raises InvalidArgumentError, unless it comes from the thread that began the first:
    then it ends it and takes its place. Nothing survives a fork. Every failure is a SphereEdgeError
    with `.code` and `.hint`.
    """

    def __init__(self, handle: Handle, name: str) -> None:
        """Made by `open`."""
        self._handle = handle
        self._turn = threading.RLock()
        self._answer: Work[Segment, TranscriptionResult] | None = None
        told = json.loads(handle.string("se_audio_info"))
        names = {field.name for field in dataclasses.fields(AudioInfo)} - {"name"}
        self.info = AudioInfo(name=name, **{key: told[key] for key in names})

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int = 0,
        voice_detector: str | os.PathLike[str] | None = None,
    ) -> AudioManager:
        """Opens a bundle folder or a whisper.cpp file (ggml .bin).

        `threads` 0: as many as there are performance cores. `voice_detector`: a Silero VAD in
        whisper.cpp's format; None: the bundle's own, if it has one. Builds the native runtime when
        it is not in the cache yet. Raises NotFoundError, ModelCorruptError, FormatMismatchError (a
        text model, another runtime), OutOfMemoryError, UnsupportedError (a runtime without audio).
        """
        place = Path(path)
        detector = None if voice_detector is None else library.encoded(Path(voice_detector))
        asked = binding.AudioOpenOptions(
            size=ctypes.sizeof(binding.AudioOpenOptions),
            threads=options.count("threads", threads, _GREATEST_THREADS),
            voice_detector=detector,
        )
        arguments = (library.encoded(place), ctypes.byref(asked))
        name = place.stem if place.suffix == ".bin" else place.absolute().name
        return cls(Handle(library.load(), "se_audio_open", *arguments), name)

    def transcribe(
        self,
        audio: Audio,
        *,
        sample_rate: int | None = None,
        language: str | None = None,
        translate: bool = False,
        prompt: str | None = None,
        temperature: float = 0.0,
        temperature_step: float = 0.2,
        beam_size: int = 0,
        word_timestamps: bool = False,
        max_segment_characters: int = 0,
        voice_detection: bool = False,
        timeout_s: float | None = None,
        on_progress: Callable[[float], object] | None = None,
    ) -> Transcription:
        """Writes down what is said in `audio`: a file's path or bytes, or an array of samples.

        Files: wav, flac, ogg, mp3, and with the extra `m4a` also m4a, aac and webm; of any rate and
        number of channels. Arrays: [n] or [n, channels] of floats or int16 at `sample_rate`
        (default 16000). `language` is a code such as `de`; None: found out. `translate`: into
        English. `prompt`: words and names that may come. `temperature_step` is added after each
        attempt that came out badly; 0: one attempt only. `beam_size` 0: greedy.
        `max_segment_characters` ends segments at a word's end before they get longer; 0: as they
        come. `voice_detection` hears only where somebody speaks, and needs a bundle with a voice
        detector. `on_progress` gets what is done, 0 to 1, on the engine's thread.

        Failures are raised by reading the transcript: NotFoundError, UnsupportedError (a format
        that is not read), InvalidArgumentError, errors.TimeoutError.
        """
        asked = Asked(
            audio=audio,
            sample_rate=None if sample_rate is None else _at_least_one("sample_rate", sample_rate),
            language=None if language in (None, "auto") else _text("language", language),
            translate=bool(translate),
            prompt=None if prompt is None else _text("prompt", prompt),
            temperature=_number("temperature", temperature, 1),
            temperature_step=_number("temperature_step", temperature_step, 1),
            beam_size=options.count("beam_size", beam_size, _MOST_BEAMS),
            word_timestamps=bool(word_timestamps),
            max_segment_characters=options.count(
                "max_segment_characters", max_segment_characters, _LONGEST_SEGMENT
            ),
            voice_detection=bool(voice_detection),
            timeout_s=None
            if timeout_s is None
            else _number("timeout_s", timeout_s, _LONGEST_TIMEOUT_S),
            on_progress=on_progress,
        )
        with self._turn:
            answer = self._answer
            if answer is not None and answer.is_running:
                if not answer.is_abandoned and answer.reader != threading.get_ident():
                    message = "the model is still making a transcript"
                    hint = "read it to its end, or close it"
                    raise errors.InvalidArgumentError(message, hint=hint)
                answer.stop()
            transcription = Transcription(self._run, self._handle.cancel, asked)
            self._answer = transcription.work
            return transcription

    def listen(
        self,
        *,
        language: str | None = None,
        translate: bool = False,
        prompt: str | None = None,
        voice_detection: bool = False,
        step_ms: int = 1000,
        silence_ms: int = 800,
        longest_ms: int = 15000,
    ) -> Listening:
        """Begins with live audio: push its samples as they come, get what was heard so far.

        with audio.listen(language="en") as listening:
            for block in microphone:
                for heard in listening.push(block):
                    print(heard.segment.text, "" if heard.is_final else "…")

        Listens once per `step_ms` of new audio. A segment is final when it ended `silence_ms` ago,
        or when there is `longest_ms` of audio since it began. Raises InvalidArgumentError.
        """
        asked = binding.TranscribeOptions(
            size=ctypes.sizeof(binding.TranscribeOptions),
            language=_encoded("language", language),
            translate=bool(translate),
            prompt=_encoded("prompt", prompt),
            voice_detection=bool(voice_detection),
        )
        stream = binding.StreamOptions(
            size=ctypes.sizeof(binding.StreamOptions),
            step_ms=options.count("step_ms", step_ms, 10000),
            silence_ms=options.count("silence_ms", silence_ms, 10000),
            longest_ms=options.count("longest_ms", longest_ms, 25000),
            transcribe=ctypes.pointer(asked),
        )
        return Listening(self._handle, stream)

    def cancel(self) -> None:
        """Ends the transcript under way, if there is one; from any thread."""
        answer = self._answer
        if answer is not None:
            answer.cancel()

    def close(self) -> None:
        """Ends the transcript under way and frees the model. Closing twice is fine."""
        answer = self._answer
        if answer is not None:
            answer.stop()
        with self._turn:
            self._handle.close()

    def __enter__(self) -> AudioManager:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _run(
        self,
        samples: Samples,
        asked: binding.TranscribeOptions,
        on_segment: Any,
        result: binding.AudioResult,
    ) -> errors.SphereEdgeError | None:
        pointer = samples.ctypes.data_as(ctypes.POINTER(c_float))
        return self._handle.status(
            "se_audio_transcribe",
            pointer,
            len(samples),
            ctypes.byref(asked),
            on_segment,
            None,
            ctypes.byref(result),
        )


def _text(name: str, value: Any) -> str:
    options.string(name, value)
    text: str = value
    return text


def _encoded(name: str, value: str | None) -> bytes | None:
    return None if value is None else _text(name, value).encode()


def _at_least_one(name: str, value: Any) -> int:
    if options.count(name, value, 0x7FFFFFFF) == 0:
        message = f"{name} is 0"
        raise errors.InvalidArgumentError(message)
    number: int = value
    return number


def _number(name: str, value: Any, greatest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        message = f"{name} is not a number: `{value!r}`"
        raise errors.InvalidArgumentError(message)
    if not 0 <= value <= greatest:
        message = f"{name} is not from 0 to {greatest:g}: `{value!r}`"
        raise errors.InvalidArgumentError(message)
    return float(value)
