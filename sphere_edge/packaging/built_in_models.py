"""The names of the models that come with sphere-edge, and their files."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import resources

TINY = "tiny"
TINY_WHISPER = "tiny-whisper"
TINY_IMAGE = "tiny-image"

_FILES = {
    TINY: resources.tiny_model,
    TINY_WHISPER: resources.tiny_whisper,
    TINY_IMAGE: resources.tiny_image,
}


def path_of(name: str) -> Path | None:
    """Where the built-in model `name` lies; None if there is none of that name."""
    return _FILES[name]() if name in _FILES else None
