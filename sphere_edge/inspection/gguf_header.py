"""What a GGUF says of itself: its purpose, the types of its weights, all metadata."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from sphere_edge.engines.llama import purpose
from sphere_edge.formats.gguf import ArrayLength, GgufFile
from sphere_edge.inspection.description import Table, facts

# Of a metadata value, in the table; the document has all of it.
_VALUE_WIDTH = 80


def tables(file: GgufFile) -> tuple[Table, Table]:
    """The summary, and the metadata."""
    kinds = Counter(tensor.dtype.lower() for tensor in file.tensors.values())
    rows = [
        *([("purpose", f"it {does}, not text")] if (does := purpose(file)) else []),
        *([("files", str(len(file.parts)))] if len(file.parts) > 1 else []),
        ("tensors", ", ".join(f"{count} as {kind}" for kind, count in kinds.most_common())),
    ]
    # repr: a hostile text must not reach the terminal as it is.
    metadata = [(repr(key)[1:-1], _cut(value)) for key, value in sorted(file.metadata.items())]
    return facts(rows), Table(("METADATA", "VALUE"), metadata)


def as_json(file: GgufFile) -> dict[str, Any]:
    """The same with all of each value."""
    return {
        "quantization": file.quantization,
        "generates_text": purpose(file) is None,
        "parts": len(file.parts),
        "tensors": dict(Counter(tensor.dtype.lower() for tensor in file.tensors.values())),
        "metadata": {key: _plain(value) for key, value in file.metadata.items()},
    }


def _cut(value: object) -> str:
    if isinstance(value, ArrayLength):
        return f"{value.length:,} values"
    shown = repr(value)
    return shown if len(shown) <= _VALUE_WIDTH else f"{shown[: _VALUE_WIDTH - 1]}…"


def _plain(value: Any) -> Any:
    """A metadata value for JSON, which knows neither infinity nor lists that were not kept."""
    if isinstance(value, ArrayLength):
        return {"length": value.length}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value
