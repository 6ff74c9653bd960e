"""Merges the files of an image model into one GGUF file, by the native core."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from sphere_edge.runtime import arguments, binding_image, library
from sphere_edge.runtime.binding import C


def merge(
    parts: Sequence[tuple[Path, str]],
    output: Path,
    type: str | None,
    on_progress: Callable[[int, int], bool],
) -> dict[str, object]:
    """Merges the files of a model, with the prefixes of their tensors, into one GGUF file.

    `type`: of the matrices of diffusion model and text encoders, as "q8_0"; None: as they are.
    `on_progress` gets bytes done and in all; False stops. Returns the JSON of `se_image_convert`.
    Raises ModelCorruptError, UnsupportedError, StorageError, CancelledError; InvalidArgumentError
    where `output` is one of the files.
    """
    named = [(arguments.model_path(path), prefix.encode()) for path, prefix in parts]
    array = (binding_image.ImagePart * len(parts))(
        *(binding_image.ImagePart(path, prefix) for path, prefix in named)
    )

    def report(done: int, total: int, _: object) -> bool:
        return on_progress(done, total)

    merged: dict[str, object] = json.loads(
        library.load(engine="diffusion").string(
            *(C.se_image_convert, array, len(parts), arguments.optional_string("the type", type)),
            *(arguments.path(output), binding_image.ConvertFunction(report), None),
        )
    )
    return merged
