"""TextDelta: a piece of an answer as it comes: text, reasoning, or a part of a tool call."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Literal

from sphere_edge.runtime import binding

DeltaKind = Literal["text", "reasoning", "tool_call_begin", "tool_call_arguments", "tool_call_end"]
# In the order of se_delta_kind.
DELTA_KINDS: tuple[DeltaKind, ...] = (
    "text",
    "reasoning",
    "tool_call_begin",
    "tool_call_arguments",
    "tool_call_end",
)


@dataclass(frozen=True)
class TokenLogprob:
    """The natural logarithm of a token's probability, as the model computed it: before
    temperature, penalties, bias and grammar.

    `bytes` may be a part of a character. `top_logprobs`: the likeliest tokens at its place.
    """  # noqa: D205  the first sentence needs more than a line

    token_id: int
    logprob: float
    bytes: bytes
    top_logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class TextDelta:
    """A piece. `text` has whole characters; the arguments of a tool call together are JSON.

    `tool_call_id` and `tool_name` are there where a tool call begins; `tool_index` counts the calls
    of an answer. `logprobs`, if they were asked for, are those of all tokens since the last delta.
    """

    kind: DeltaKind
    text: str = ""
    tool_index: int = 0
    tool_call_id: str = ""
    tool_name: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()


def copied(delta: binding.Delta) -> TextDelta | None:
    """What the engine's struct holds; None for a kind that only a newer core knows."""
    if not 0 <= delta.kind < len(DELTA_KINDS):
        return None
    return TextDelta(
        kind=DELTA_KINDS[delta.kind],
        text=ctypes.string_at(delta.text, delta.text_bytes).decode("utf-8", "replace"),
        tool_index=delta.tool_index,
        tool_call_id=(delta.tool_call_id or b"").decode("utf-8", "replace"),
        tool_name=(delta.tool_name or b"").decode("utf-8", "replace"),
        logprobs=tuple(_logprob(delta.logprobs[i]) for i in range(delta.logprob_count)),
    )


def _logprob(one: binding.TokenLogprob) -> TokenLogprob:
    return TokenLogprob(
        one.token_id,
        one.logprob,
        ctypes.string_at(one.bytes, one.byte_count),
        tuple(_logprob(one.top[i]) for i in range(one.top_count)),
    )
