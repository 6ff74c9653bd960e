"""TextRequest: how a text is generated, and the one function that puts it into the C struct."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.runtime import arguments, binding

# Whole numbers and the greatest that the struct holds; the greatest seed stands for a random one.
_COUNTS = {
    "max_tokens": arguments.UINT32,
    "top_k": arguments.INT32,
    "seed": binding.SEED_RANDOM - 1,
}
_NUMBERS = ("temperature", "top_p", "min_p", "repeat_penalty")


@dataclass(frozen=True)
class TextRequest:
    """How tokens are chosen and when to stop; None: the model's own default.

    `max_tokens` 0: until the model stops or the context is full. `temperature` 0: always the
    likeliest token. `top_k` 0, `top_p` 1, `min_p` 0 and `repeat_penalty` 1: off. `seed`: the same
    one gives the same text. The text ends before the first string of `stop`, and follows `grammar`
    (GBNF) or `json_schema`. `ignore_end_of_text`: go on to max_tokens, for benchmarks.

    `chat_template_kwargs`: variables of the chat template, for `chat` only; the model card
    lists them, such as `{"enable_thinking": False}` for Qwen3.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    grammar: str | None = None
    json_schema: str | Mapping[str, Any] | None = None
    ignore_end_of_text: bool = False
    timeout_s: float | None = None
    chat_template_kwargs: Mapping[str, Any] | None = None


class TextOptions(TypedDict, total=False):
    """The fields of TextRequest as keywords."""

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
    chat_template_kwargs: Mapping[str, Any] | None


def fill(options: binding.GenerateOptions, request: TextRequest) -> list[object]:
    """Writes what `request` names over the defaults in `options`.

    Returns what must be kept alive as long as `options` is used. Raises InvalidArgumentError;
    ranges of the sampling figures are checked by the core itself.
    """
    options.size = ctypes.sizeof(options)
    for name, greatest in _COUNTS.items():
        if (value := getattr(request, name)) is not None:
            setattr(options, name, arguments.count(name, value, greatest))
    for name in _NUMBERS:
        if (value := getattr(request, name)) is not None:
            setattr(options, name, arguments.number(name, value))
    if request.timeout_s is not None:
        options.timeout_ms = arguments.milliseconds("timeout_s", request.timeout_s)
    options.ignore_end_of_text = bool(request.ignore_end_of_text)
    if isinstance(request.stop, str):
        message = f"stop is a list of strings, not the string `{request.stop}`"
        raise InvalidArgumentError(message, hint="put it into a list")
    stops = [arguments.string("a stop string", one) for one in request.stop or ()]
    array = (ctypes.c_char_p * len(stops))(*stops)
    options.stop = ctypes.cast(array, ctypes.POINTER(ctypes.c_char_p))
    options.stop_count = len(stops)
    options.grammar = arguments.optional_string("grammar", request.grammar)
    schema = request.json_schema
    if schema is not None and not isinstance(schema, str):
        schema = arguments.json_text("json_schema", schema)
    options.json_schema = arguments.optional_string("json_schema", schema)
    return [stops, array]
