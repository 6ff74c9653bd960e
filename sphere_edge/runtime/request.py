"""How a call's request is put together: a request that the caller made, and changes by keyword."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

from sphere_edge.errors import InvalidArgumentError

Request = TypeVar("Request")

# Keywords of the former release, accepted for one release more.
_RENAMED = {"voice_detection": "vad", "voice_detector": "vad_model"}


def requested(defaults: Request, request: Request | None, changes: Mapping[str, Any]) -> Request:
    """`request`, or `defaults` without one, with `changes`; InvalidArgumentError: no such field."""
    assert dataclasses.is_dataclass(defaults)
    names = {field.name for field in dataclasses.fields(defaults)}
    current = {}
    for name, value in changes.items():
        new = _RENAMED.get(name, name)
        if new != name:
            warn_renamed(name, new)
        if new not in names:
            message = f"no such option: `{name}`"
            raise InvalidArgumentError(message, hint=f"one of: {', '.join(sorted(names))}")
        current[new] = value
    return dataclasses.replace(request or defaults, **current)  # type: ignore[type-var]


def warn_renamed(old: str, new: str, *, stack: int = 4) -> None:
    """Warns a caller of ours, `stack` frames up, that `old` goes with the next release."""
    message = f"`{old}` is now `{new}`; the old name will be removed in the next release"
    warnings.warn(message, DeprecationWarning, stacklevel=stack)
