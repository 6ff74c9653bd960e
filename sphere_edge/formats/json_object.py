"""JSON objects from untrusted files: bounded, no duplicate keys, no surprises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sphere_edge.errors import ModelCorruptError, NotFoundError, StorageError

# tokenizer.json of a 256k-token vocabulary is about 35 MB; nothing honest is larger than this.
LIMIT_BYTES = 256 * 1024 * 1024


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The `object_pairs_hook` for JSON without duplicate keys; raises ValueError."""
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                message = f"duplicate key `{key[:80]}`"
                raise ValueError(message)
            seen.add(key)
    return value


def parse(text: bytes, name: str) -> dict[str, Any]:
    """The JSON object in `text`; `name` is what errors call it. Raises ModelCorruptError."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=without_duplicates)
        if b"\\u" in text:
            # An escaped half of a surrogate pair is not a character: it cannot be written anywhere.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        message = f"`{name}` is not valid JSON: {reason}"
        raise ModelCorruptError(message) from error
    if not isinstance(value, dict):
        message = f"`{name}` holds a JSON {type(value).__name__}, not an object"
        raise ModelCorruptError(message)
    return value


def read(path: Path, limit_bytes: int = LIMIT_BYTES) -> dict[str, Any]:
    """The JSON object in the file at `path`.

    Raises NotFoundError if there is none, ModelCorruptError if it is too large or not a JSON
    object, StorageError if it cannot be read.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        # Opening a pipe would wait for someone to write.
        message = f"`{path}` is not a file"
        raise ModelCorruptError(message)
    try:
        with path.open("rb") as file:
            text = file.read(limit_bytes + 1)
    except FileNotFoundError as error:
        message = f"there is no `{path.name}` in `{path.parent}`"
        raise NotFoundError(message) from error
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror}"
        raise StorageError(message) from error
    if len(text) > limit_bytes:
        message = f"`{path.name}` is larger than {limit_bytes} bytes"
        raise ModelCorruptError(message)
    return parse(text, path.name)
