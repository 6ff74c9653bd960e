"""A device profile as a TOML file, the way people write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sphere_edge.profiles.profile import DeviceProfile

_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def render(profile: DeviceProfile) -> str:
    """The file's text; reading it gives `profile` again."""
    fields = profile.model_dump(mode="json", exclude_none=True)
    return "\n".join(_lines(fields, ())) + "\n"


def _lines(fields: dict[str, Any], table: tuple[str, ...]) -> Iterator[str]:
    """The lines of one table, those of the tables inside it last; empty ones have none."""
    inner = {key: value for key, value in fields.items() if isinstance(value, dict)}
    for key, value in fields.items():
        if key not in inner and value != []:
            yield f"{_key(key)} = {_shown(key, value)}"
    for name, content in inner.items():
        if content:
            yield ""
            yield f"[{'.'.join((*table, name))}]"
            yield from _lines(content, (*table, name))


def _key(key: str) -> str:
    return json.dumps(key) if "." in key else key


def _shown(key: str, value: Any) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        for unit, size in _UNITS:
            if value % size == 0:
                return f'"{value // size} {unit}"'
    return _value(value)


def _value(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's too.
    return json.dumps(value, ensure_ascii=False)
