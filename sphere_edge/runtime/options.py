"""What callers ask of a generation, checked and put into the C API's struct."""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from sphere_edge import errors
from sphere_edge.runtime import binding

_UINT32 = 0xFFFFFFFF
_INT32 = 0x7FFFFFFF
# Whole numbers and the greatest that the struct holds; the greatest seed stands for a random one.
_COUNTS = {"max_tokens": _UINT32, "top_k": _INT32, "seed": binding.SEED_RANDOM - 1}
_NUMBERS = ("temperature", "top_p", "min_p", "repeat_penalty")


class Sampling(TypedDict, total=False):
    """How tokens are chosen and when to stop; what is left out or None is as the model says.

    `max_tokens` 0: until the model stops or the context is full. `temperature` 0: always the
    likeliest token. `top_k` 0, `top_p` 1, `min_p` 0 and `repeat_penalty` 1: off. `seed`: the same
    one gives the same answer. The answer ends before the first string of `stop`, and follows
    `grammar` (GBNF) or `json_schema`. `ignore_end_of_text`: go on to max_tokens, for benchmarks.
    """

    max_tokens: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repeat_penalty: float | None
    seed: int | None
    stop: Sequence[str]
    grammar: str | None
    json_schema: str | Mapping[str, Any] | None
    ignore_end_of_text: bool
    timeout_s: float | None


def fill(options: binding.GenerateOptions, sampling: Sampling) -> list[object]:
    """Writes what `sampling` asks for over the defaults in `options`.

    Returns what must be kept alive as long as `options` is used. Raises InvalidArgumentError;
    ranges of the sampling figures are checked by the core itself.
    """
    unknown = sampling.keys() - Sampling.__annotations__.keys()
    if unknown:
        message = f"no such sampling option: `{min(unknown)}`"
        raise errors.InvalidArgumentError(message)
    given: dict[str, Any] = {name: value for name, value in sampling.items() if value is not None}
    options.size = ctypes.sizeof(options)
    for name, greatest in _COUNTS.items():
        if name in given:
            setattr(options, name, count(name, given[name], greatest))
    for name in _NUMBERS:
        if name in given:
            setattr(options, name, _number(name, given[name]))
    if "timeout_s" in given:
        options.timeout_ms = _milliseconds(given["timeout_s"])
    options.ignore_end_of_text = bool(given.get("ignore_end_of_text"))
    stop = given.get("stop", ())
    if isinstance(stop, str):
        message = f"stop is a list of strings, not the string `{stop}`"
        raise errors.InvalidArgumentError(message, hint="put it into a list")
    stops = [string("a stop string", one) for one in stop]
    array = (ctypes.c_char_p * len(stops))(*stops)
    options.stop = ctypes.cast(array, ctypes.POINTER(ctypes.c_char_p))
    options.stop_count = len(stops)
    if "grammar" in given:
        options.grammar = string("grammar", given["grammar"])
    if (schema := given.get("json_schema")) is not None:
        text = schema if isinstance(schema, str) else to_json("json_schema", schema)
        options.json_schema = string("json_schema", text)
    return [stops, array]


def string(name: str, text: str) -> bytes:
    """UTF-8 for a C string, which ends at its first NUL."""
    if not isinstance(text, str):
        message = f"{name} is not a string: `{text!r}`"
        raise errors.InvalidArgumentError(message)
    if "\0" in text:
        message = f"{name} holds a NUL character"
        raise errors.InvalidArgumentError(message)
    return utf8(name, text)


def utf8(name: str, text: str) -> bytes:
    """UTF-8 of `text`; InvalidArgumentError for half a surrogate pair, which has none."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        message = f"{name} holds a character that is no character: `{text[error.start]!a}`"
        raise errors.InvalidArgumentError(message) from error


def to_json(name: str, value: object) -> str:
    """JSON of `value`, ASCII only, so that every string in it survives."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"{name} cannot be written as JSON: {error}"
        raise errors.InvalidArgumentError(message) from error


def count(name: str, value: Any, greatest: int) -> int:
    """`value` if it is a whole number from 0 to `greatest`: ctypes would cut it silently."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= greatest:
        message = f"{name} is not a whole number from 0 to {greatest}: `{value!r}`"
        raise errors.InvalidArgumentError(message)
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        message = f"{name} is not a number: `{value!r}`"
        raise errors.InvalidArgumentError(message)
    return float(value)


def _milliseconds(seconds: float) -> int:
    if not (_number("timeout_s", seconds) > 0 and seconds * 1000 <= _UINT32):
        message = f"timeout_s is out of range: `{seconds!r}`"
        raise errors.InvalidArgumentError(message, hint="leave it out for no timeout")
    return math.ceil(seconds * 1000)
