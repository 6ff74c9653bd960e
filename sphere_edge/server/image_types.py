"""The fields of POST /v1/images/generations and /v1/images/edits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sphere_edge.server.body import Body
from sphere_edge.server.chat_types import Name

_LEFT_OUT: Mapping[str, str] = {
    "complexity": "no model here knows it",
    "frame_count": "images are still",
    "frame_duration_ms": "images are still",
    "input_fidelity": "use `strength`",
    "markup": "send a `mask`",
    "style": "say it in the `prompt`",
    "svg": "images are made of pixels",
}


class ImageBody(Body):
    """POST /v1/images/generations, and /v1/images/edits beside its files.

    `seed`, `steps`, `negative_prompt`, `cfg_scale` and `strength` are ours: without a seed no image
    can be made again.
    """

    left_out: ClassVar[Mapping[str, str]] = _LEFT_OUT

    model: Name
    prompt: Annotated[str, Field(min_length=1, max_length=32000)]
    n: Annotated[int, Field(ge=1, le=10)] = 1
    size: Annotated[str, Field(pattern=r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$")] | None = None
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png", "jpeg", "webp"] = "png"
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    background: Literal["opaque", "auto"] | None = None
    quality: Literal["auto", "standard"] | None = None
    moderation: Literal["auto", "low"] | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    safety_identifier: str | None = None
    user: str | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    negative_prompt: Annotated[str, Field(max_length=32000)] = ""
    cfg_scale: Annotated[float, Field(ge=0, le=100)] | None = None
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
