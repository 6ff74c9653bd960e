"""How a call's request is put together: a request that the caller made, and changes by keyword."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

from sphere_edge.errors import InvalidArgumentError

Request = TypeVar("Request")

# Keywords of former releases, accepted for one release more.
_RENAMED = {"voice_detection": "vad", "voice_detector": "vad_model"}


def requested(defaults: Request, request: Request | None, changes: Mapping[str, Any]) -> Request:
    """`request`, or `defaults` without one, with `changes`; InvalidArgumentError: no such field."""
    assert dataclasses.is_dataclass(defaults)
    names = {field.name for field in dataclasses.fields(defaults)}
    changes = current_names(changes)
    unknown = changes.keys() - names
    if unknown:
        message = f"no such option: `{min(unknown)}`"
        raise InvalidArgumentError(message, hint=f"one of: {', '.join(sorted(names))}")
    return dataclasses.replace(request or defaults, **changes)  # type: ignore[type-var]


def current_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` by their names of today; an old one warns."""
    current = {}
    for name, value in options.items():
        new = _RENAMED.get(name, name)
        if new != name:
            warn_renamed(name, new)
        current[new] = value
    return current


def warn_renamed(old: str, new: str, *, stack: int = 4) -> None:
    """Warns a caller of ours, `stack` frames up, that `old` goes with the next release."""
    message = f"`{old}` is now `{new}`; the old name goes with the next release"
    warnings.warn(message, DeprecationWarning, stacklevel=stack)
