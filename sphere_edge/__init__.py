"""sphere-edge: put AI models on phones and edge boards.

from sphere_edge import TextManager

with TextManager.open("dist/tiny.host") as text:
    print(text.generate("Once upon a time", max_tokens=50).text())
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sphere_edge.errors import (
    CancelledError,
    FormatMismatchError,
    InternalError,
    InvalidArgumentError,
    LoadFailedError,
    ModelCorruptError,
    NotFoundError,
    OutOfMemoryError,
    SphereEdgeError,
    Status,
    StorageError,
    TimeoutError,  # noqa: A004  the status code's own name
    UnavailableError,
    UnsupportedError,
    UntrustedError,
)

if TYPE_CHECKING:
    # For type checkers; at run time __getattr__ imports each when it is first asked for, so that
    # `sphere-edge --help` loads neither numpy nor the native core.
    from sphere_edge import resources
    from sphere_edge.runtime.audio import AudioManager
    from sphere_edge.runtime.embedding import EmbedRequest
    from sphere_edge.runtime.image import ImageManager
    from sphere_edge.runtime.image_request import ImageRequest
    from sphere_edge.runtime.text import TextManager
    from sphere_edge.runtime.text_request import TextRequest
    from sphere_edge.runtime.transcription_request import TranscriptionRequest

__version__ = "0.1.0"

__all__ = [
    "AudioManager",
    "CancelledError",
    "EmbedRequest",
    "FormatMismatchError",
    "ImageManager",
    "ImageRequest",
    "InternalError",
    "InvalidArgumentError",
    "LoadFailedError",
    "ModelCorruptError",
    "NotFoundError",
    "OutOfMemoryError",
    "SphereEdgeError",
    "Status",
    "StorageError",
    "TextManager",
    "TextRequest",
    "TimeoutError",
    "TranscriptionRequest",
    "UnavailableError",
    "UnsupportedError",
    "UntrustedError",
    "__version__",
    "resources",
]

# In which module of ours a name is that is imported only when it is used.
_MODULES = {
    "AudioManager": "runtime.audio",
    "EmbedRequest": "runtime.embedding",
    "ImageManager": "runtime.image",
    "ImageRequest": "runtime.image_request",
    "TextManager": "runtime.text",
    "TextRequest": "runtime.text_request",
    "TranscriptionRequest": "runtime.transcription_request",
}


def __getattr__(name: str) -> Any:
    if name == "resources":
        return importlib.import_module("sphere_edge.resources")
    if name in _MODULES:
        return getattr(importlib.import_module(f"sphere_edge.{_MODULES[name]}"), name)
    message = f"module `{__name__}` has no attribute `{name}`"
    raise AttributeError(message)
