"""`sphere-edge inspect`: says what a model or bundle is, and which devices it fits."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from sphere_edge import console, packaging
from sphere_edge.bundle import archive
from sphere_edge.bundle.read import is_bundle, read_manifest
from sphere_edge.engines.options import check_context
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.formats.source import Kind
from sphere_edge.inspection import bundles, images, speech, text
from sphere_edge.inspection.description import Description


def inspect(
    model: str,
    *,
    context_tokens: int | None,
    format: str | None,
    revision: str | None,
    as_json: bool,
) -> None:
    """Prints a bundle's manifest, or a model's sizes and how it fits each profile."""
    check_context(context_tokens)
    described = _described(Path(model), model, context_tokens, format, revision)
    if as_json:
        console.write_json(described.as_json)
        return
    for number, table in enumerate(described.tables):
        if number:
            console.write("")
        console.write_table(table.columns, table.rows)


def _described(
    path: Path, model: str, context_tokens: int | None, format: str | None, revision: str | None
) -> Description:
    if is_bundle(path) or (path.suffix == archive.SUFFIX and path.is_file()):
        return bundles.describe(read_manifest(path))
    if format not in (None, "safetensors", "gguf"):
        message = f"invalid value `{format}` for --format"
        raise InvalidArgumentError(message, hint="choose one of: safetensors, gguf")
    source = packaging.find(
        model,
        wanted=cast("Kind | None", format),
        revision=revision,
        headers_only=True,
        progress=console.progress(),
    )
    if source.kind == "whisper":
        return speech.describe(source)
    if source.kind == "diffusion":
        return images.describe(source)
    return text.describe(source, context_tokens)
