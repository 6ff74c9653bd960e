"""From a model's name to a bundle: find it, see that it fits, build it, try it, seal it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sphere_edge.packaging.built_in_models import TINY, TINY_IMAGE, TINY_WHISPER

if TYPE_CHECKING:
    # At run time __getattr__ imports them: a bundle is opened without what makes one.
    from sphere_edge.packaging.finding import built_in, find
    from sphere_edge.packaging.pipeline import Packaged, package

__all__ = [
    "TINY",
    "TINY_IMAGE",
    "TINY_WHISPER",
    "Packaged",
    "built_in",
    "find",
    "package",
]

_MODULES = {
    "Packaged": "pipeline",
    "built_in": "finding",
    "find": "finding",
    "package": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    message = f"module `{__name__}` has no attribute `{name}`"
    raise AttributeError(message)
