"""JSON that has one meaning only: one object, no duplicate keys, only finite numbers."""

from __future__ import annotations

import json
import math
from typing import Any


def parse(content: bytes) -> dict[str, Any]:
    """The object in `content`. Raises ValueError with the reason."""
    try:
        document = json.loads(
            content, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
        if b"\\u" in content:
            # Half of an escaped surrogate pair is not a character: it cannot be written anywhere.
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error
    if not isinstance(document, dict):
        message = "no JSON object"
        raise ValueError(message)
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        message = "duplicate key"
        raise ValueError(message)
    return document


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        message = f"`{digits[:40]}` is out of range"
        raise ValueError(message)
    return number


def _no_constant(name: str) -> Any:
    message = f"`{name}` is not a number"
    raise ValueError(message)
