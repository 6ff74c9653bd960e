"""A text while it is being generated: pieces as they come, and the figures at the end."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sphere_edge.errors import SphereEdgeError, Status
from sphere_edge.runtime import binding
from sphere_edge.runtime.engine_task import EngineTask
from sphere_edge.runtime.output_stream import OutputStream

FinishReason = Literal["stop", "length", "cancelled"]
# Runs the engine with a piece function and the struct for its figures; returns its failure.
Call = Callable[[Any, binding.Result], SphereEdgeError | None]
# In the order of se_finish_reason.
_FINISH_REASONS: tuple[FinishReason, ...] = ("stop", "length", "cancelled")


@dataclass(frozen=True)
class Result:
    """How a generation went. `finish_reason`: `stop` (the model or a stop string ended it),
    `length` (max_tokens, or the context is full) or `cancelled`.

    `cached_tokens` of the `prompt_tokens` had been computed by the call before and were not again.
    `seed` repeats the text. `first_token_seconds` runs from the call to the first token.
    """  # noqa: D205  the first sentence needs the list that follows it

    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seed: int
    prefill_seconds: float
    first_token_seconds: float
    decode_seconds: float


class Generation(OutputStream[str, Result]):
    """Generated text: iterate for its pieces (whole characters), then read `result`.

    The rest is as with every OutputStream; after a cancel `result` says `cancelled`.
    """

    def __init__(self, call: Call, cancel: Callable[[], None]) -> None:
        """Made by TextManager, from the engine's call and the function that cancels it."""
        super().__init__(lambda task: _run(call, task), cancel)

    def text(self) -> str:
        """Waits for the end; the whole text, with what was read before."""
        for _ in self:
            pass
        return "".join(self._items)


def _run(call: Call, task: EngineTask[str, Result]) -> SphereEdgeError | None:
    def on_piece(address: int, size: int, _: int | None) -> bool:
        return task.put(ctypes.string_at(address, size).decode("utf-8", "replace"))

    filled = binding.Result(size=ctypes.sizeof(binding.Result))
    failure = call(binding.PieceFunction(on_piece), filled)
    if failure is None or failure.code in (Status.CANCELLED, Status.TIMEOUT):
        task.result = _result(filled)
    return failure


def _result(filled: binding.Result) -> Result:
    return Result(
        finish_reason=_FINISH_REASONS[filled.finish_reason],
        prompt_tokens=filled.prompt_tokens,
        cached_tokens=filled.cached_tokens,
        completion_tokens=filled.completion_tokens,
        seed=filled.seed,
        prefill_seconds=filled.prefill_seconds,
        first_token_seconds=filled.first_token_seconds,
        decode_seconds=filled.decode_seconds,
    )
