"""TextRequest: how a text is generated, and the one function that puts it into the C struct."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.runtime import arguments, binding

if TYPE_CHECKING:
    # At run time it is imported for chats with images only: it takes a library along.
    from sphere_edge.runtime.chat_images import ChatImage

_MOST_TOP_LOGPROBS = 20
_MOST_DRAFT_TOKENS = 31
DraftSource = Literal["off", "prompt_lookup", "model"]
# In the order of se_draft.
_DRAFT_SOURCES: tuple[DraftSource, ...] = ("off", "prompt_lookup", "model")
# Whole numbers and the greatest that the struct holds; the greatest seed stands for a random one.
_COUNTS = {
    "max_tokens": arguments.UINT32,
    "top_k": arguments.INT32,
    "repeat_last_n": arguments.INT32,
    "dry_allowed_length": arguments.INT32,
    "dry_last_n": arguments.INT32,
    "top_logprobs": _MOST_TOP_LOGPROBS,
    "draft_tokens": _MOST_DRAFT_TOKENS,
    "seed": binding.SEED_RANDOM - 1,
}
_NUMBERS = (
    *("temperature", "top_p", "min_p", "xtc_probability", "xtc_threshold"),
    *("repeat_penalty", "presence_penalty", "frequency_penalty", "dry_multiplier", "dry_base"),
)


@dataclass(frozen=True)
class TextRequest:
    """How tokens are chosen and when to stop; None: the model's own default.

    `max_tokens` 0: until the model stops or the context is full. `temperature` 0: always the
    likeliest token. `top_k` 0, `top_p` 1, `min_p` 0, `xtc_probability` 0, `repeat_penalty` 1,
    `presence_penalty` 0, `frequency_penalty` 0 and `dry_multiplier` 0: off; they are llama.cpp's
    samplers. The three penalties look back at `repeat_last_n` tokens, DRY at `dry_last_n` (0: all).
    `logit_bias` is added to the logits of these tokens; minus infinity forbids one. `seed`: the
    same one gives the same text. The text ends before the first string of `stop` or the first of
    `stop_token_ids`, and follows `grammar` (GBNF) or `json_schema`. `ignore_end_of_text`: go on to
    max_tokens, for benchmarks. `logprobs`: deltas have log probabilities, with the `top_logprobs`
    (up to 20) likeliest tokens at each place. `sequence_key`: the name of a conversation, which
    keeps its KV cache among those of `sequences`.

    `draft`: speculative decoding, which changes when a text comes and not what it is. Drafts repeat
    the prompt and the answer so far (`prompt_lookup`, for answers that quote or edit them;
    `prediction` is more text that they may repeat), or come from the draft model that was opened
    (`model`, then the default); `off`: there are none. `draft_tokens`: how many at once at most, up
    to 31; 0, the default: only as long as they save time, by the clock.

    `chat_template_kwargs`: variables of the chat template, for `chat` only; the model card
    lists them, such as `{"enable_thinking": False}` for Qwen3.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_last_n: int | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_last_n: int | None = None
    dry_sequence_breakers: Sequence[str] | None = None
    logit_bias: Mapping[int, float] | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    grammar: str | None = None
    json_schema: str | Mapping[str, Any] | None = None
    stop_token_ids: Sequence[int] = ()
    ignore_end_of_text: bool = False
    logprobs: bool = False
    top_logprobs: int | None = None
    sequence_key: str | None = None
    draft: DraftSource | None = None
    draft_tokens: int | None = None
    prediction: str | None = None
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
    presence_penalty: float | None
    frequency_penalty: float | None
    repeat_last_n: int | None
    xtc_probability: float | None
    xtc_threshold: float | None
    dry_multiplier: float | None
    dry_base: float | None
    dry_allowed_length: int | None
    dry_last_n: int | None
    dry_sequence_breakers: Sequence[str] | None
    logit_bias: Mapping[int, float] | None
    seed: int | None
    stop: Sequence[str]
    grammar: str | None
    json_schema: str | Mapping[str, Any] | None
    stop_token_ids: Sequence[int]
    ignore_end_of_text: bool
    logprobs: bool
    top_logprobs: int | None
    sequence_key: str | None
    draft: DraftSource | None
    draft_tokens: int | None
    prediction: str | None
    timeout_s: float | None
    chat_template_kwargs: Mapping[str, Any] | None


def fill(options: binding.GenerateOptions, request: TextRequest) -> list[object]:
    """Writes what `request` names over the defaults in `options`.

    Returns what must be kept alive as long as `options` is used. Raises InvalidArgumentError;
    ranges of the sampling figures are checked by the core itself.
    """
    for name, greatest in _COUNTS.items():
        if (value := getattr(request, name)) is not None:
            setattr(options, name, arguments.count(name, value, greatest))
    for name in _NUMBERS:
        if (value := getattr(request, name)) is not None:
            setattr(options, name, arguments.number(name, value))
    if request.draft is not None:
        options.draft = _draft_source(request.draft)
    if request.timeout_s is not None:
        options.timeout_ms = arguments.milliseconds("timeout_s", request.timeout_s)
    options.ignore_end_of_text = bool(request.ignore_end_of_text)
    options.logprobs = bool(request.logprobs) or bool(request.top_logprobs)
    stops, stop_pointers = _strings("stop", "a stop string", request.stop or ())
    options.stop, options.stop_count = _pointer(stop_pointers), len(stops)
    listed_ids = arguments.listed("stop_token_ids", request.stop_token_ids or ())
    ids = [arguments.count("a stop token", id, arguments.INT32) for id in listed_ids]
    stop_ids = (ctypes.c_int32 * len(ids))(*ids)
    options.stop_token_ids = ctypes.cast(stop_ids, ctypes.POINTER(ctypes.c_int32))
    options.stop_token_count = len(ids)
    kept = [stops, stop_pointers, stop_ids]
    if request.dry_sequence_breakers is not None:
        breakers = _strings(
            "dry_sequence_breakers", "a DRY sequence breaker", request.dry_sequence_breakers
        )
        options.dry_sequence_breakers = _pointer(breakers[1])
        options.dry_sequence_breaker_count = len(breakers[0])
        kept.append(breakers)
    bias = _logit_bias(request.logit_bias or {})
    options.logit_bias = ctypes.cast(bias, ctypes.POINTER(binding.LogitBias))
    options.logit_bias_count = len(bias)
    options.sequence_key = arguments.optional_string("sequence_key", request.sequence_key)
    options.prediction = arguments.optional_string("prediction", request.prediction)
    options.grammar = arguments.optional_string("grammar", request.grammar)
    schema = request.json_schema
    if schema is not None and not isinstance(schema, str):
        schema = arguments.json_text("json_schema", schema)
    options.json_schema = arguments.optional_string("json_schema", schema)
    return [*kept, bias]


def _draft_source(draft: str) -> int:
    if draft not in _DRAFT_SOURCES:
        message = f"no such draft: `{draft}`"
        raise InvalidArgumentError(message, hint=f"one of: {', '.join(_DRAFT_SOURCES)}")
    return _DRAFT_SOURCES.index(draft)


def fill_images(options: binding.GenerateOptions, images: Sequence[ChatImage]) -> list[object]:
    """The same for the images of a chat."""
    pointer = ctypes.POINTER(ctypes.c_uint8)
    array = (binding.ChatImage * len(images))(
        *(
            binding.ChatImage(
                ctypes.cast(ctypes.c_char_p(one.pixels), pointer), one.width, one.height
            )
            for one in images
        )
    )
    options.images = ctypes.cast(array, ctypes.POINTER(binding.ChatImage))
    options.image_count = len(images)
    return [array, images]


def _strings(name: str, item: str, strings: Sequence[str]) -> tuple[list[bytes], Any]:
    """The strings as UTF-8, and a C array of pointers to them, which is never NULL."""
    encoded = [arguments.string(item, one) for one in arguments.listed(name, strings)]
    return encoded, (ctypes.c_char_p * (len(encoded) + 1))(*encoded)


def _pointer(array: Any) -> Any:
    return ctypes.cast(array, ctypes.POINTER(ctypes.c_char_p))


def _logit_bias(biases: Mapping[int, float]) -> Any:
    if not isinstance(biases, Mapping):
        message = f"logit_bias is not a mapping from token ids to numbers: `{biases!r}`"
        raise InvalidArgumentError(message)
    return (binding.LogitBias * len(biases))(
        *(
            binding.LogitBias(
                arguments.count("a token id of logit_bias", token, arguments.INT32),
                bias if bias == -math.inf else arguments.number("a bias of logit_bias", bias),
            )
            for token, bias in biases.items()
        )
    )
