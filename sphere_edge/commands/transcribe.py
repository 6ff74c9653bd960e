"""`sphere-edge transcribe`: transcribes an audio file."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console
from sphere_edge.errors import InvalidArgumentError, NotFoundError
from sphere_edge.packaging.opening import Opening, open_audio
from sphere_edge.runtime.transcription_request import TranscriptionRequest

_FORMATS = ("text", "json", "verbose-json", "srt", "vtt")


def transcribe(opening: Opening, file: Path, request: TranscriptionRequest, *, format: str) -> None:
    """Segments go to stdout as they are found, but JSON at the end; progress goes to stderr."""
    if format not in _FORMATS:
        message = f"invalid value `{format}` for --format"
        raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(_FORMATS)}")
    if not file.exists():
        message = f"there is no file `{file}`"
        raise NotFoundError(message)
    audio = open_audio(opening, console.progress())

    # Imports numpy, which a wrong command line need not wait for.
    from sphere_edge.runtime.transcript import FORMATS

    with audio:
        transcription = audio.transcribe(file, request)
        for part in FORMATS[format](transcription):
            console.write(part, end="")
    result = transcription.result
    console.say(
        f"{result.audio_seconds:.1f} s of `{result.language or 'nothing'}` "
        f"in {result.total_seconds:.1f} s"
    )
