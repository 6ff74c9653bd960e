"""A transcript in the formats that people and programs read: text, JSON, SRT, WebVTT.

SubRip has no standard; WebVTT: https://www.w3.org/TR/webvtt1/.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sphere_edge.runtime.segment import Segment
from sphere_edge.runtime.transcription import Transcription, TranscriptionResult


def as_text(segments: Iterable[Segment]) -> Iterator[str]:
    """One line per segment."""
    for segment in segments:
        if line := segment.text.strip():
            yield line + "\n"


def as_srt(segments: Iterable[Segment]) -> Iterator[str]:
    """SubRip: numbered cues."""
    for number, segment in enumerate(segments, 1):
        times = f"{_time(segment.start_ms, ',')} --> {_time(segment.end_ms, ',')}"
        yield f"{number}\n{times}\n{_cue(segment)}\n\n"


def as_vtt(segments: Iterable[Segment]) -> Iterator[str]:
    """WebVTT, in which `&` and `<` are escaped."""
    yield "WEBVTT\n\n"
    for segment in segments:
        times = f"{_time(segment.start_ms, '.')} --> {_time(segment.end_ms, '.')}"
        words = _cue(segment).replace("&", "&amp;").replace("<", "&lt;")
        yield f"{times}\n{words}\n\n"


def as_json(transcription: Transcription) -> Iterator[str]:
    """One document: text, language, segments and timings."""
    segments = list(transcription)
    document = {
        "text": "".join(segment.text for segment in segments).strip(),
        **dataclasses.asdict(transcription.result),
        "segments": [dataclasses.asdict(segment) for segment in segments],
    }
    yield json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_verbose_json(transcription: Transcription) -> Iterator[str]:
    """One document with the fields of OpenAI's `verbose_json`: seconds, tokens, words."""
    segments = list(transcription)
    document = verbose(segments, transcription.result)
    yield json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def verbose(segments: Sequence[Segment], result: TranscriptionResult) -> dict[str, Any]:
    """The document of `as_verbose_json`."""
    return {
        "task": "transcribe",
        "language": result.language,
        "duration": result.audio_seconds,
        "text": "".join(segment.text for segment in segments).strip(),
        "segments": [
            {
                "id": number,
                "start": segment.start_ms / 1000,
                "end": segment.end_ms / 1000,
                "text": segment.text,
                "tokens": [token.id for token in segment.tokens],
                "avg_logprob": _mean_log(segment),
                "no_speech_prob": segment.no_speech_probability,
            }
            for number, segment in enumerate(segments)
        ],
        "words": [
            {"word": word.text.strip(), "start": word.start_ms / 1000, "end": word.end_ms / 1000}
            for segment in segments
            for word in segment.words
        ],
    }


def _mean_log(segment: Segment) -> float:
    """The mean natural logarithm of the tokens' probabilities; 0 without tokens."""
    logs = [math.log(max(token.probability, 1e-9)) for token in segment.tokens]
    return sum(logs) / len(logs) if logs else 0.0


FORMATS: dict[str, Callable[[Transcription], Iterator[str]]] = {
    "text": as_text,
    "json": as_json,
    "verbose-json": as_verbose_json,
    "srt": as_srt,
    "vtt": as_vtt,
}


def _cue(segment: Segment) -> str:
    """The text of a cue: an arrow or an empty line in it would end it."""
    return " ".join(segment.text.split()).replace("-->", "->")


def _time(ms: int, point: str) -> str:
    hours, rest = divmod(max(ms, 0), 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, rest = divmod(rest, 1000)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"
