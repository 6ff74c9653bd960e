"""What a name means: one of the built-in models, a file, a folder or a model on the hub."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sphere_edge.console import SILENT, Progress
from sphere_edge.errors import NotFoundError
from sphere_edge.formats.hub import Hub
from sphere_edge.formats.source import ModelSource, open_source
from sphere_edge.formats.wanted import ANY, Wanted
from sphere_edge.packaging.built_in_models import path_of


def find(
    reference: str,
    wanted: Wanted = ANY,
    *,
    headers_only: bool = False,
    progress: Progress = SILENT,
) -> ModelSource:
    """The model that `reference` means.

    `tiny`, `tiny-whisper` and `tiny-image` are the built-in ones unless a file has that name.
    `headers_only`: of weights on the hub only the headers, which say what the model is.
    """
    path = path_of(reference)
    if path is not None and not Path(reference).exists():
        found = open_source(str(path), wanted)
        return dataclasses.replace(found, name=reference)
    return open_source(reference, wanted, Hub(headers_only=headers_only, progress=progress))


def built_in(name: str) -> ModelSource:
    """The built-in model `name`, also where a file of the user has that name."""
    path = path_of(name)
    if path is None:
        message = f"no built-in model is named `{name}`"
        raise NotFoundError(message)
    return dataclasses.replace(open_source(str(path)), name=name)
