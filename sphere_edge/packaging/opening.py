"""Opens what a user means by a model: a bundle, a file, a folder, or a built-in model's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sphere_edge import resources
from sphere_edge.bundle.read import is_bundle
from sphere_edge.console import SILENT, Progress
from sphere_edge.engines.options import check_context
from sphere_edge.packaging.built_in_models import TINY_WHISPER
from sphere_edge.packaging.cached import opened

if TYPE_CHECKING:
    # At run time each is imported when a model of its kind is opened.
    from sphere_edge.runtime.audio import AudioManager
    from sphere_edge.runtime.image import ImageManager
    from sphere_edge.runtime.text import TextManager


@dataclass(frozen=True)
class Opening:
    """A model, by its path or built-in name, and how to open it.

    `threads` 0: all performance cores. `context_tokens` and `backend` are for text models; None:
    the bundle's choice.
    """

    model: Path
    threads: int = 0
    context_tokens: int | None = None
    backend: str | None = None
    # How many texts are generated at once, each with the whole context.
    sequences: int = 1
    # A smaller model for speculative decoding, by its path.
    draft_model: Path | None = None
    # The image encoder of a bare .gguf.
    mmproj: Path | None = None
    # A file of public keys, one of which must have signed what is opened.
    trusted_keys: Path | None = None


def open_text(opening: Opening, progress: Progress = SILENT) -> tuple[TextManager, str]:
    """The open model, and why its backend is not the bundle's first choice, empty if it is.

    A backend that failed its validation on this machine is not used if there is another; `progress`
    gets a warning. Raises what `opened` and `TextManager.open` raise.
    """
    from sphere_edge.certify import kept_here
    from sphere_edge.runtime.text import TextManager

    check_context(opening.context_tokens)
    path = opened(opening.model, progress)
    backend, failed = kept_here.certified_backend(path, opening.backend)
    text = TextManager.open(
        path,
        context_tokens=opening.context_tokens,
        threads=opening.threads,
        backend=backend,
        sequences=opening.sequences,
        draft_model=None if opening.draft_model is None else opened(opening.draft_model, progress),
        mmproj=opening.mmproj,
        trusted_keys=opening.trusted_keys,
    )
    if failed:
        progress.warn(f"{failed}; going on with `{text.info.backend}`")
    # Of what the runtime found by itself it has warned in the log.
    return text, text.info.backend_reason or failed


def open_audio(opening: Opening, progress: Progress = SILENT) -> AudioManager:
    """The open speech model; a whisper.cpp file is opened as it is, `tiny-whisper` is one.

    Raises what `opened` and `AudioManager.open` raise.
    """
    from sphere_edge.runtime.audio import AudioManager

    path = opening.model
    if str(path) == TINY_WHISPER and not path.exists():
        path = resources.tiny_whisper()
    elif path.is_dir() or is_bundle(path):
        path = opened(path, progress)
    return AudioManager.open(path, threads=opening.threads, trusted_keys=opening.trusted_keys)


def open_image(opening: Opening, progress: Progress = SILENT) -> ImageManager:
    """The open image model. Raises what `opened` and `ImageManager.open` raise."""
    from sphere_edge.runtime.image import ImageManager

    path = opened(opening.model, progress)
    return ImageManager.open(path, threads=opening.threads, trusted_keys=opening.trusted_keys)
