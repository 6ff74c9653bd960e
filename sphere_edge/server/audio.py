"""POST /v1/audio/transcriptions, /translations: platform.openai.com/docs/api-reference/audio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from sphere_edge import errors
from sphere_edge.errors import InvalidArgumentError, SphereEdgeError
from sphere_edge.runtime import sound, transcript
from sphere_edge.runtime.audio import AudioManager
from sphere_edge.runtime.deadline import Deadline
from sphere_edge.runtime.segment import Segment
from sphere_edge.runtime.transcription import Transcription, TranscriptionResult
from sphere_edge.runtime.transcription_request import TranscriptionRequest
from sphere_edge.server import http_error
from sphere_edge.server.audio_types import TranscriptionForm, TranslationForm
from sphere_edge.server.clients import client_of
from sphere_edge.server.exchange import Events, Output, Reply, as_json, event
from sphere_edge.server.form import Form, file_of
from sphere_edge.server.http_error import HttpError, invalid
from sphere_edge.server.job import running

_PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class _Call:
    """A file and how it is transcribed."""

    model: str
    audio: bytes
    request: TranscriptionRequest
    most_seconds: int


async def transcriptions(request: Request, form: Form[TranscriptionForm]) -> Output:
    """The transcript, or its pieces as events."""
    fields = form.fields
    words = "word" in fields.timestamp_granularities
    if fields.timestamp_granularities and fields.response_format != "verbose_json":
        message = "`timestamp_granularities` needs the response_format `verbose_json`"
        raise invalid(message, "timestamp_granularities")
    call = _call(
        request, form, TranscriptionRequest(language=fields.language, word_timestamps=words)
    )
    if fields.stream:
        return Events(_events(request, call))
    return await _whole(request, fields, call)


async def translations(request: Request, form: Form[TranslationForm]) -> Output:
    """The same in English."""
    call = _call(request, form, TranscriptionRequest(translate=True))
    return await _whole(request, form.fields, call)


def _call(request: Request, form: Form[Any], how: TranscriptionRequest) -> _Call:
    fields, settings = form.fields, request.app.state.settings
    how = replace(
        how, prompt=fields.prompt, temperature=fields.temperature, timeout_s=settings.timeout_s
    )
    return _Call(fields.model, file_of(form, "file"), how, settings.limits.audio_seconds)


async def _whole(request: Request, fields: TranslationForm, call: _Call) -> Output:
    segments: list[Segment] = []
    pieces = _transcribed(request, call)
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Segment):
                segments.append(piece)
            else:
                result = piece
    plain = {"text": transcript.as_text, "srt": transcript.as_srt, "vtt": transcript.as_vtt}
    if (form := plain.get(fields.response_format)) is not None:
        return Reply("".join(form(segments)).encode(), _PLAIN)
    usage = {"type": "duration", "seconds": result.audio_seconds}
    if fields.response_format == "verbose_json":
        return as_json({**_verbose(segments, result, call.request), "usage": usage})
    return as_json({"text": _text(segments), "usage": usage})


def _verbose(
    segments: list[Segment], result: TranscriptionResult, request: TranscriptionRequest
) -> dict[str, Any]:
    document = transcript.verbose(segments, result)
    if request.translate:
        document["task"] = "translate"
    if not request.word_timestamps:
        del document["words"]
    # What OpenAI's clients expect there, and whisper.cpp does not tell.
    unknown = {"seek": 0, "temperature": request.temperature or 0.0, "compression_ratio": 1.0}
    document["segments"] = [{**unknown, **segment} for segment in document["segments"]]
    return document


async def _events(request: Request, call: _Call) -> AsyncGenerator[bytes, None]:
    segments: list[Segment] = []
    pieces = _transcribed(request, call)
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Segment):
                delta = piece.text if segments else piece.text.lstrip()
                segments.append(piece)
                name = "transcript.text.delta"
                yield event({"type": name, "delta": delta, "logprobs": []}, name)
            else:
                name = "transcript.text.done"
                usage = {"type": "duration", "seconds": piece.audio_seconds}
                done = {"type": name, "text": _text(segments), "logprobs": [], "usage": usage}
                yield event(done, name)


async def _transcribed(
    request: Request, call: _Call
) -> AsyncGenerator[Segment | TranscriptionResult, None]:
    models = request.app.state.models
    async with (
        models.turn(call.model, "audio", client_of(request)) as audio,
        running(_AudioJob(audio, call)) as job,
    ):
        async for segment in job:
            yield segment
        yield job.result


def _text(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in segments).strip()


class _AudioJob:
    """A transcription, a Job of Segments."""

    def __init__(self, audio: AudioManager, call: _Call) -> None:
        self._audio = audio
        self._call = call
        self._deadline = Deadline(call.request.timeout_s)
        self._transcription: Transcription | None = None
        self._cancelled = False

    def run(self, emit: Callable[[Segment], None]) -> TranscriptionResult:
        """Raises HttpError for what is not audio, and what AudioManager raises."""
        call = self._call
        try:
            self._check_length()
        except SphereEdgeError as error:
            raise http_error.of(error, "file") from error
        request = replace(call.request, timeout_s=self._deadline.left_s)
        self._transcription = self._audio.transcribe(call.audio, request)
        try:
            with self._transcription as transcription:
                if self._cancelled:
                    transcription.cancel()
                for segment in transcription:
                    emit(segment)
        except errors.TimeoutError as error:
            raise self._deadline.error() from error
        except InvalidArgumentError as error:
            # Only the engine knows the languages.
            is_language = f"`{call.request.language}`" in error.message
            raise http_error.of(error, "language" if is_language else None) from error
        return transcription.result

    def _check_length(self) -> None:
        """What does not say how long it is, is decoded once for it."""
        most = self._call.most_seconds
        with sound.opened(self._call.audio) as opened:
            seconds = opened.seconds
            if seconds is None:
                seconds = 0.0
                for block in opened:
                    seconds += len(block) / sound.SAMPLE_RATE
                    if self._cancelled or self._deadline.has_passed or seconds > most:
                        break
        if seconds > most:
            message = f"the audio is longer than `{most}` seconds"
            raise HttpError(413, message, code="audio_too_long", param="file")

    def cancel(self) -> None:
        """From any thread."""
        self._cancelled = True
        if self._transcription is not None:
            self._transcription.cancel()
