"""TranscriptionRequest: how speech is transcribed, and the one function that fills the C struct."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TypedDict

from sphere_edge.runtime import arguments, binding

_MAX_BEAMS = 8
_MAX_SEGMENT_CHARACTERS = 10000


@dataclass(frozen=True)
class TranscriptionRequest:
    """How speech is transcribed.

    `language`: a code such as `de`; None or `auto`: detected. `translate`: into English. `prompt`:
    words and names that may occur. `temperature_step` is added after each attempt that failed; 0:
    one attempt only. `beam_size` 0: greedy. `max_segment_characters` ends segments at the end of a
    word before they get longer; 0: no limit. `vad` transcribes only where there is speech, and
    needs a bundle with a VAD model. `condition_on_previous_text`: what was said before helps with
    the next 30 s; without it nothing can be repeated from there.
    """

    language: str | None = None
    translate: bool = False
    prompt: str | None = None
    temperature: float = 0.0
    temperature_step: float = 0.2
    beam_size: int = 0
    word_timestamps: bool = False
    max_segment_characters: int = 0
    vad: bool = False
    condition_on_previous_text: bool = True
    timeout_s: float | None = None


class TranscriptionOptions(TypedDict, total=False):
    """The fields of TranscriptionRequest as keywords."""

    language: str | None
    translate: bool
    prompt: str | None
    temperature: float
    temperature_step: float
    beam_size: int
    word_timestamps: bool
    max_segment_characters: int
    vad: bool
    condition_on_previous_text: bool
    timeout_s: float | None


def filled(request: TranscriptionRequest) -> binding.TranscribeOptions:
    """`request` as the C struct. Raises InvalidArgumentError; the core checks the ranges."""
    language = None if request.language == "auto" else request.language
    options = binding.TranscribeOptions(
        size=ctypes.sizeof(binding.TranscribeOptions),
        language=arguments.optional_string("language", language),
        translate=bool(request.translate),
        prompt=arguments.optional_string("prompt", request.prompt),
        temperature=arguments.number("temperature", request.temperature),
        temperature_step=arguments.number("temperature_step", request.temperature_step),
        beam_size=arguments.count("beam_size", request.beam_size, _MAX_BEAMS),
        word_timestamps=bool(request.word_timestamps),
        max_segment_characters=arguments.count(
            "max_segment_characters", request.max_segment_characters, _MAX_SEGMENT_CHARACTERS
        ),
        vad=bool(request.vad),
        ignore_previous_text=not request.condition_on_previous_text,
    )
    if request.timeout_s is not None:
        options.timeout_ms = arguments.milliseconds("timeout_s", request.timeout_s)
    return options
