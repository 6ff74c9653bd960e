"""AudioManager: speech recognition, from a bundle folder or a whisper.cpp file, in this process.

with AudioManager.open("dist/whisper-base.host") as audio:
    for segment in audio.transcribe("meeting.mp3"):
        print(segment.start_ms, segment.text)
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
from collections.abc import Callable
from ctypes import c_float
from pathlib import Path
from typing import Any, TypedDict

from typing_extensions import Unpack

from sphere_edge import errors
from sphere_edge.runtime import arguments, binding, library, transcription_request
from sphere_edge.runtime.audio_stream import AudioStream
from sphere_edge.runtime.binding import C
from sphere_edge.runtime.handle import AUDIO, Handle
from sphere_edge.runtime.manager import Manager, model_name
from sphere_edge.runtime.request import requested, warn_renamed
from sphere_edge.runtime.sound import Audio, Samples
from sphere_edge.runtime.transcription import Job, Transcription
from sphere_edge.runtime.transcription_request import TranscriptionOptions, TranscriptionRequest

# Live audio has no time for a second attempt.
_LIVE = TranscriptionRequest(temperature_step=0.0)


@dataclasses.dataclass(frozen=True)
class AudioOpenOptions:
    """How a speech model is opened.

    `threads` 0: as many as there are performance cores. `vad_model`: a Silero VAD in whisper.cpp's
    format; None: the bundle's own, if it has one. `trusted_keys`: a file of public keys
    (docs/signing.md), one of which must have signed the bundle.
    """

    threads: int = 0
    vad_model: str | os.PathLike[str] | None = None
    trusted_keys: str | os.PathLike[str] | None = None


class AudioOpenKeywords(TypedDict, total=False):
    """The fields of AudioOpenOptions as keywords."""

    threads: int
    vad_model: str | os.PathLike[str] | None
    trusted_keys: str | os.PathLike[str] | None


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
    has_vad: bool
    weights_bytes: int
    load_seconds: float

    @property
    def has_voice_detector(self) -> bool:
        """`has_vad` by its former name."""
        warn_renamed("has_voice_detector", "has_vad", stack=3)
        return self.has_vad


class AudioManager(Manager):
    """A speech recognition model that is open.

    It may be used from any thread, by one call at a time: while a transcript is being made, another
    `transcribe` raises InvalidArgumentError, unless it comes from the thread that began the first:
    then it ends it and takes its place. Nothing survives a fork. Every failure is a SphereEdgeError
    with `.code` and `.hint`.
    """

    def __init__(self, handle: Handle, name: str) -> None:
        """Made by `open`."""
        super().__init__(handle)
        self.info = handle.info(AudioInfo, name)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        options: AudioOpenOptions | None = None,
        **changes: Unpack[AudioOpenKeywords],
    ) -> AudioManager:
        """Opens a bundle folder or a whisper.cpp file (ggml .bin).

        How: AudioOpenOptions, or its fields as keywords. Builds the native runtime when it is not
        in the cache yet. Raises NotFoundError, ModelCorruptError, FormatMismatchError (a text
        model, another runtime), OutOfMemoryError, UnsupportedError (a runtime without audio),
        UntrustedError, InvalidArgumentError.
        """
        wanted = requested(AudioOpenOptions(), options, changes)
        model = Path(path)
        location = arguments.model_path(model)
        vad_model = wanted.vad_model
        struct = binding.AudioOpenOptions(
            size=ctypes.sizeof(binding.AudioOpenOptions),
            threads=arguments.count("threads", wanted.threads, arguments.MAX_THREADS),
            vad_model=None if vad_model is None else arguments.model_path(vad_model),
            trusted_keys=arguments.trusted_keys(wanted.trusted_keys),
        )
        core = library.load(engine="whisper")
        handle = Handle(core, AUDIO, location, ctypes.byref(struct))
        return cls(handle, model_name(model, ".bin"))

    def transcribe(
        self,
        audio: Audio,
        request: TranscriptionRequest | None = None,
        *,
        sample_rate: int | None = None,
        on_progress: Callable[[float], object] | None = None,
        **changes: Unpack[TranscriptionOptions],
    ) -> Transcription:
        """Transcribes `audio`: a file's path or bytes, or an array of samples.

        Files: wav, flac, ogg, mp3, and with the extra `m4a` also m4a, aac and webm; of any rate and
        number of channels. Arrays: [n] or [n, channels] of floats or int16 at `sample_rate`
        (default 16000). How: a TranscriptionRequest, or its fields as keywords. `on_progress` gets
        what is done, 0 to 1, on the engine's thread.

        Failures are raised by reading the transcript: NotFoundError, UnsupportedError (a format
        that cannot be read), InvalidArgumentError, errors.TimeoutError.
        """
        request = requested(TranscriptionRequest(), request, changes)
        # A request that cannot be met is refused here, not on the engine's thread.
        transcription_request.filled(request)
        if sample_rate is not None:
            arguments.count("sample_rate", sample_rate, arguments.INT32, least=1)
        with self._exclusive(replaces=True):
            job = Job(audio, request, sample_rate, on_progress)
            transcription = Transcription(self._run, self._handle.cancel, job)
            self._began(transcription.task)
            return transcription

    def stream(
        self,
        request: TranscriptionRequest | None = None,
        *,
        step_ms: int = 1000,
        silence_ms: int = 800,
        longest_ms: int = 15000,
        **changes: Unpack[TranscriptionOptions],
    ) -> AudioStream:
        """Begins to transcribe live audio: push samples as they come, get the segments so far.

        with audio.stream(language="en") as stream:
            for block in microphone:
                for found in stream.push(block):
                    print(found.segment.text, "" if found.is_final else "…")

        Transcribes once per `step_ms` of new audio, in one attempt unless `temperature_step` is
        given. A segment is final when it ended `silence_ms` ago, or when there is `longest_ms` of
        audio since it began. Raises InvalidArgumentError.
        """
        transcribe = transcription_request.filled(requested(_LIVE, request, changes))
        options = binding.StreamOptions(
            size=ctypes.sizeof(binding.StreamOptions),
            step_ms=arguments.count("step_ms", step_ms, 10000),
            silence_ms=arguments.count("silence_ms", silence_ms, 10000),
            longest_ms=arguments.count("longest_ms", longest_ms, 25000),
            transcribe=ctypes.pointer(transcribe),
        )
        return AudioStream(self._handle, options)

    def listen(self, **options: Any) -> AudioStream:
        """The former name of `stream`."""
        warn_renamed("AudioManager.listen", "AudioManager.stream", stack=3)
        return self.stream(**options)

    def _run(
        self,
        samples: Samples,
        options: binding.TranscribeOptions,
        on_segment: Any,
        result: binding.AudioResult,
    ) -> errors.SphereEdgeError | None:
        pointer = samples.ctypes.data_as(ctypes.POINTER(c_float))
        return self._handle.status(
            *(C.se_audio_transcribe, pointer, len(samples), ctypes.byref(options)),
            *(on_segment, None, ctypes.byref(result)),
        )
