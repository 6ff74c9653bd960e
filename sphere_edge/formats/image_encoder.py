"""The image encoder of a GGUF model, its `mmproj`: found by what the file says of itself."""

from __future__ import annotations

from pathlib import Path

from sphere_edge.errors import InvalidArgumentError, SphereEdgeError, UnsupportedError
from sphere_edge.formats import gguf, gguf_parts
from sphere_edge.formats.gguf import GgufFile

_ARCHITECTURE = "clip"


def opened(path: Path) -> GgufFile:
    """The header of the image encoder at `path`. Raises UnsupportedError where it is none."""
    file = gguf.read(path, needs_architecture=False)
    if not _sees(file):
        message = f"`{path.name}` is not an image encoder of a GGUF model"
        hint = "give the model's mmproj file, which its repository has beside the model"
        raise UnsupportedError(message, hint=hint)
    return file


def beside(folder: Path) -> Path | None:
    """The one in `folder`, None without any. Raises InvalidArgumentError where there are more."""
    found = [
        folder / name
        for (name, *_) in gguf_parts.models(path.name for path in folder.glob("*"))
        if not name.startswith(".") and _is_one(folder / name)
    ]
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:12])
        message = f"`{folder}` holds {len(found)} image encoders: {names}"
        raise InvalidArgumentError(message, hint=f"choose one: --mmproj {found[0]}")
    return found[0] if found else None


def _is_one(path: Path) -> bool:
    try:
        return _sees(gguf.read(path, needs_architecture=False))
    except SphereEdgeError:
        # Whatever it is, the model is looked for by others.
        return False


def _sees(file: GgufFile) -> bool:
    is_encoder = file.metadata.get("general.architecture") == _ARCHITECTURE
    return is_encoder and file.metadata.get("clip.has_vision_encoder") is True
