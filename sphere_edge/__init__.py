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
)

if TYPE_CHECKING:
    # For type checkers; at run time __getattr__ imports it when it is first asked for, since numpy
    # and the loader of the native core have no place in `sphere-edge --help`.
    from sphere_edge import resources
    from sphere_edge.runtime.audio import AudioManager
    from sphere_edge.runtime.image import ImageManager
    from sphere_edge.runtime.text import TextManager

__version__ = "0.1.0"

__all__ = [
    "AudioManager",
    "CancelledError",
    "FormatMismatchError",
    "ImageManager",
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
    "TimeoutError",
    "UnavailableError",
    "UnsupportedError",
    "__version__",
    "resources",
]


def __getattr__(name: str) -> Any:
    if name == "AudioManager":
        from sphere_edge.runtime.audio import AudioManager

        return AudioManager
    if name == "ImageManager":
        from sphere_edge.runtime.image import ImageManager

        return ImageManager
    if name == "resources":
        return importlib.import_module("sphere_edge.resources")
    if name == "TextManager":
        from sphere_edge.runtime.text import TextManager

        return TextManager
    message = f"module `{__name__}` has no attribute `{name}`"
    raise AttributeError(message)
