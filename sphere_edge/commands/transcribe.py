"""`sphere-edge transcribe`: writes down what is said in an audio file."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import console, packaged_once, resources
from sphere_edge.bundle.read import is_bundle
from sphere_edge.errors import InvalidArgumentError, NotFoundError
from sphere_edge.packaging import TINY_WHISPER

_FORMATS = ("text", "json", "verbose-json", "srt", "vtt")


def transcribe(
    bundle: Path,
    file: Path,
    *,
    language: str | None,
    translate: bool,
    format: str,
    prompt: str | None,
    beam_size: int,
    words: bool,
    max_length: int,
    vad: bool,
    threads: int,
) -> None:
    """Segments go to stdout as they are found, but JSON at the end; progress goes to stderr."""
    if format not in _FORMATS:
        message = f"--format cannot be `{format}`"
        raise InvalidArgumentError(message, hint=f"choose one of: {', '.join(_FORMATS)}")
    if not file.exists():
        message = f"there is no file `{file}`"
        raise NotFoundError(message)
    path = bundle
    if str(bundle) == TINY_WHISPER and not bundle.exists():
        path = resources.tiny_whisper()
    elif bundle.is_dir() or is_bundle(bundle):
        path = packaged_once.opened(bundle, console.progress())

    from sphere_edge.runtime.audio import AudioManager
    from sphere_edge.runtime.transcript import FORMATS

    with AudioManager.open(path, threads=threads) as audio:
        transcription = audio.transcribe(
            file,
            language=language,
            translate=translate,
            prompt=prompt,
            beam_size=beam_size,
            word_timestamps=words,
            max_segment_characters=max_length,
            vad=vad,
        )
        for part in FORMATS[format](transcription):
            console.write(part, end="")
    result = transcription.result
    console.say(
        f"{result.audio_seconds:.1f} s of `{result.language or 'nothing'}` "
        f"in {result.total_seconds:.1f} s"
    )
