"""The fields of POST /v1/audio/transcriptions and /v1/audio/translations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sphere_edge.server.body import Body
from sphere_edge.server.chat_types import Name

_NO_SPEAKERS = "speakers are not distinguished"


class TranslationForm(Body):
    """POST /v1/audio/translations, beside its `file`."""

    model: Name
    prompt: Annotated[str, Field(max_length=4096)] | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0


class TranscriptionForm(TranslationForm):
    """POST /v1/audio/transcriptions, beside its `file`."""

    left_out: ClassVar[Mapping[str, str]] = {
        "include": "not known to the server yet",
        "keywords": "name them in the `prompt`",
        "known_speaker_names": _NO_SPEAKERS,
        "known_speaker_references": _NO_SPEAKERS,
        "languages": "name one, or none",
    }
    language: Annotated[str, Field(max_length=16)] | None = None
    timestamp_granularities: list[Literal["word", "segment"]] = Field(default_factory=list)
    # `auto` is what is done anyway: long audio goes through the engine in windows.
    chunking_strategy: Literal["auto"] | None = None
    stream: bool = False
