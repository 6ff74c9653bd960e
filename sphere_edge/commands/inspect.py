"""`sphere-edge inspect`: says what a model or bundle is, and which devices it fits."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from sphere_edge import console
from sphere_edge.errors import InvalidArgumentError
from sphere_edge.formats.wanted import Kind
from sphere_edge.inspection.inspect import InspectionRequest, describe


def inspect(request: InspectionRequest, format: str | None, *, as_json: bool) -> None:
    """Prints a bundle's manifest, or a model's sizes and how it fits each profile."""
    if format not in (None, "safetensors", "gguf"):
        message = f"invalid value `{format}` for --format"
        raise InvalidArgumentError(message, hint="choose one of: safetensors, gguf")
    request = replace(request, format=cast("Kind | None", format))
    described = describe(request, console.progress())
    if as_json:
        console.write_json(described.as_json)
        return
    for number, table in enumerate(described.tables):
        if number:
            console.write("")
        console.write_table(table.columns, table.rows)
