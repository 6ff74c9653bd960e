"""A part of an image model: its kind, its file, and the names stable-diffusion.cpp reads it under.

Prefixes are those of its src/stable-diffusion.cpp, `init`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["checkpoint", "diffusion_model", "vae", "clip_l", "clip_g", "t5xxl", "llm"]

TEXT_ENCODERS: tuple[Kind, ...] = ("clip_l", "clip_g", "t5xxl", "llm")

_PREFIXES: dict[Kind, str] = {
    "checkpoint": "",
    "diffusion_model": "model.diffusion_model.",
    "vae": "vae.",
    "clip_l": "text_encoders.clip_l.transformer.",
    "clip_g": "text_encoders.clip_g.transformer.",
    "t5xxl": "text_encoders.t5xxl.transformer.",
    "llm": "text_encoders.llm.",
}
# What a UNet listens to. Short forms, as `te.1.`, are read as part 1 of the first encoder.
_UNET_PREFIXES: dict[Kind, str] = {
    "clip_l": "cond_stage_model.transformer.",
    "clip_g": "cond_stage_model.1.transformer.",
}
# Widths of the CLIP models that image models use: ViT-L/14 and ViT-H/14 below, ViT-bigG/14.
_CLIP_G_WIDTH = 1280
# A UNet by diffusers' names.
DIFFUSERS_UNET = "unet."


@dataclass(frozen=True)
class Part:
    """One part: its file and what is put before the names of its tensors."""

    kind: Kind
    path: Path
    prefix: str
    is_unet: bool = False


def clip_of(width: int) -> Kind:
    """Which of two CLIP text encoders one of this width is."""
    return "clip_g" if width >= _CLIP_G_WIDTH else "clip_l"


def prefix_of(kind: Kind, *, beside_unet: bool) -> str:
    """What names of a part of this kind begin with, in a model with or without a UNet."""
    found = _UNET_PREFIXES.get(kind) if beside_unet else None
    return found or _PREFIXES[kind]
