"""A model in place of a bundle: packaged for this machine at its first use, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sphere_edge import console, profiles, resources
from sphere_edge.bundle.read import MANIFEST, is_bundle, runnable
from sphere_edge.console import SILENT, Progress
from sphere_edge.engines.options import PackageOptions, check_context
from sphere_edge.errors import ModelCorruptError, NotFoundError
from sphere_edge.toolchain import cache

if TYPE_CHECKING:
    # At run time each is imported when a model of its kind is opened.
    from sphere_edge.runtime.audio import AudioManager
    from sphere_edge.runtime.image import ImageManager
    from sphere_edge.runtime.text import TextManager

# `packaging` has these names, too, and takes half a second to import.
_BUILT_IN = ("tiny", "tiny-image")
_BUILT_IN_AUDIO = "tiny-whisper"
# One of them is in the folder of a model; a bundle has its manifest.
_MODEL_FILES = ("config.json", "model_index.json")


def opened(path: Path, progress: Progress = SILENT) -> Path:
    """What the runtime opens for `path`: a bundle, a .gguf file, or a model on this machine.

    Raises what `bundle_of` and `runnable` raise.
    """
    bundle = bundle_of(path, progress)
    try:
        return runnable(bundle, profiles.host(), progress)
    except (ModelCorruptError, NotFoundError):
        if bundle == path:
            raise
    # Something has happened to the cache; what lies there can be made again.
    shutil.rmtree(bundle.parent)
    return runnable(bundle_of(path, progress), profiles.host(), progress)


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


def open_text(opening: Opening, progress: Progress = SILENT) -> tuple[TextManager, str]:
    """The open model, and why its backend is not the bundle's first choice, empty if it is.

    A backend that failed its validation on this machine is not used if there is another; `progress`
    gets a warning. Raises what `opened` and `TextManager.open` raise.
    """
    from sphere_edge.certify import here
    from sphere_edge.runtime.text import TextManager

    check_context(opening.context_tokens)
    path = opened(opening.model, progress)
    backend, failed = here.trusted(path, opening.backend)
    text = TextManager.open(
        path, context_tokens=opening.context_tokens, threads=opening.threads, backend=backend
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
    if str(path) == _BUILT_IN_AUDIO and not path.exists():
        path = resources.tiny_whisper()
    elif path.is_dir() or is_bundle(path):
        path = opened(path, progress)
    return AudioManager.open(path, threads=opening.threads)


def open_image(opening: Opening, progress: Progress = SILENT) -> ImageManager:
    """The open image model. Raises what `opened` and `ImageManager.open` raise."""
    from sphere_edge.runtime.image import ImageManager

    return ImageManager.open(opened(opening.model, progress), threads=opening.threads)


def bundle_of(path: Path, progress: Progress = SILENT) -> Path:
    """`path` itself, or the bundle in the cache if `path` is a model (or the name of a built-in).

    It is packaged as `package` would do it without any option, and again when its files or this
    tool have changed. Raises what packaging raises, and StorageError.
    """
    if not _is_model(path):
        return path
    from sphere_edge import packaging

    source = packaging.find(str(path), progress=progress)
    place = cache.folder() / "packaged" / f"{source.name}-{_key(str(source.path.resolve()))}"
    host = profiles.host().model_dump_json()
    folder = place / _key(_code(), host, *_state(source.path))
    bundle = folder / f"{source.name}.host"
    waits = f"waiting for another process that packages `{source.name}`"
    with cache.made_once(folder, on_wait=lambda: console.say(waits)) as made:
        if made is not None:
            console.say(f"packaging `{source.name}` for this machine, once")
            output = made / bundle.name
            packaging.package(source, profiles.host(), PackageOptions(), output, progress=progress)
            _leave_only(made, place)
    return bundle


def _is_model(path: Path) -> bool:
    if not path.exists():
        return str(path) in _BUILT_IN
    return not (path / MANIFEST).exists() and any((path / name).is_file() for name in _MODEL_FILES)


def _leave_only(made: Path, place: Path) -> None:
    """Removes what was made of the model's former files, which may be gigabytes."""
    for other in place.iterdir():
        if other != made and not other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _state(model: Path) -> list[str]:
    """What changes when somebody changes a file of the model: names, sizes and times."""
    files = sorted(file for file in model.rglob("*") if file.is_file())
    stats = [(file.relative_to(model), file.stat()) for file in files]
    return [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]


def _code() -> str:
    """What changes with this tool: a bundle is only as good as the code that made it."""
    digest = hashlib.sha256()
    for file in sorted(resources.code().rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
