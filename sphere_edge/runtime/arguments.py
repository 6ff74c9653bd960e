"""Checks of single arguments, which become what the C API takes; each raises InvalidArgumentError.

ctypes would cut numbers that are too large and end strings at their first NUL, without a word.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sphere_edge.bundle import trust
from sphere_edge.errors import InvalidArgumentError, StorageError

UINT32 = 0xFFFFFFFF
INT32 = 0x7FFFFFFF
MAX_THREADS = 512
_MOST_SHOWN = 200


def string(name: str, text: str) -> bytes:
    """UTF-8 for a C string, which ends at its first NUL."""
    if not isinstance(text, str):
        message = f"{name} is not a string: `{text!r}`"
        raise InvalidArgumentError(message)
    if "\0" in text:
        message = f"{name} holds a NUL character"
        raise InvalidArgumentError(message)
    return utf8(name, text)


def optional_string(name: str, text: str | None) -> bytes | None:
    """The same; None stays None, a NULL in C."""
    return None if text is None else string(name, text)


def utf8(name: str, text: str) -> bytes:
    """UTF-8 of `text`; half a surrogate pair has none."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        message = f"{name} holds an invalid character: `{text[error.start]!a}`"
        hint = "it is not UTF-8 text: convert it, for example with iconv"
        raise InvalidArgumentError(message, hint=hint) from error


def path(value: str | os.PathLike[str]) -> bytes:
    """A path for the C API, where it would end at its first NUL."""
    if not isinstance(value, str | os.PathLike):
        message = f"`{_shown(value)}` is not a path"
        raise InvalidArgumentError(message)
    if "\0" in (text := os.fsdecode(value)):
        message = f"the path `{_shown(text)}` holds a NUL character"
        raise InvalidArgumentError(message)
    return text.encode("utf-8", "surrogateescape")


def model_path(value: str | os.PathLike[str]) -> bytes:
    """A path that a model is read from: no pipe or device, which has no end and no length."""
    given = Path(value)
    try:
        is_neither = given.exists() and not (given.is_file() or given.is_dir())
    except OSError as error:
        # A name that is too long, a folder that may not be read.
        message = f"`{_shown(str(given))}` cannot be read: {error.strerror}"
        raise StorageError(message) from error
    if is_neither:
        message = f"`{given}` is neither a file nor a folder"
        raise InvalidArgumentError(message, hint="save the model to a file first")
    return path(value)


def trusted_keys(value: str | os.PathLike[str] | None) -> bytes | None:
    """The content of a file of trusted keys. Raises also what reading it raises."""
    if value is None:
        return None
    path(value)
    content = trust.content_of(Path(value))
    if b"\0" in content:
        message = f"`{value}` is not a file of trusted keys: it holds a NUL character"
        raise InvalidArgumentError(message)
    return content


def json_text(name: str, value: object) -> str:
    """JSON of `value`, ASCII only, so that every string in it survives."""
    try:
        text = json.dumps(value, allow_nan=False)
        if "\\ud" in text:
            # Half of a surrogate pair, as Python makes it of bytes that are no text.
            utf8(name, json.dumps(value, ensure_ascii=False))
        return text
    except RecursionError as error:
        message = f"{name} is nested too deeply"
        raise InvalidArgumentError(message) from error
    except (TypeError, ValueError) as error:
        message = f"{name} cannot be written as JSON: {error}"
        raise InvalidArgumentError(message) from error


def listed(name: str, values: object) -> list[Any]:
    """`values` as a list; a string and a mapping are none, though they can be iterated."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        kind = "string" if isinstance(values, str) else type(values).__name__
        message = f"{name} is not a list: `{_shown(values)}`"
        raise InvalidArgumentError(message, hint=f"put the {kind} into a list")
    return list(values)


def count(name: str, value: object, greatest: int, *, least: int = 0) -> int:
    """`value` if it is a whole number from `least` to `greatest`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= greatest:
        message = f"{name} is not a whole number from {least} to {greatest}: `{_shown(value)}`"
        raise InvalidArgumentError(message)
    return value


def number(name: str, value: object) -> float:
    """`value` if it is a finite number."""
    if not isinstance(value, bool) and isinstance(value, (int, float)):
        # Whole numbers have no limit; what is greater than every float raises.
        with suppress(OverflowError):
            if math.isfinite(value):
                return float(value)
    message = f"{name} is not a number: `{_shown(value)}`"
    raise InvalidArgumentError(message)


def milliseconds(name: str, seconds: float) -> int:
    """`seconds` in milliseconds; 0 stands for no timeout in C, so it is not allowed here."""
    if not 0 < number(name, seconds) <= UINT32 / 1000:
        message = f"{name} is not above 0 and up to {UINT32 // 1000}: `{seconds!r}`"
        raise InvalidArgumentError(message, hint="leave it out for no timeout")
    return math.ceil(seconds * 1000)


def _shown(value: object) -> str:
    """For a message: Python writes no whole number of more than 4,300 digits."""
    try:
        text = repr(value)
    except ValueError:
        return "a very long number"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
