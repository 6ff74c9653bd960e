"""A text while it is being generated: deltas as they come, and the figures at the end."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from sphere_edge.errors import SphereEdgeError, Status
from sphere_edge.runtime import binding
from sphere_edge.runtime.engine_task import EngineTask
from sphere_edge.runtime.output_stream import EngineOutput
from sphere_edge.runtime.text_delta import TextDelta, copied

FinishReason = Literal["stop", "length", "cancelled", "tool_calls"]
# Runs the engine with a delta function and the struct for its figures; returns its failure.
Call = Callable[[Any, binding.Result], SphereEdgeError | None]
# In the order of se_finish_reason.
_FINISH_REASONS: tuple[FinishReason, ...] = ("stop", "length", "cancelled", "tool_calls")


@dataclass(frozen=True)
class Result:
    """How a generation went. `finish_reason`: `stop` (the model or a stop string ended it),
    `length` (max_tokens, or the context is full), `tool_calls` or `cancelled`.

    `stop_index`: which one of `stop` ended it, None for none of them. `cached_tokens` of the
    `prompt_tokens` had been computed by an earlier call and were not again; `reasoning_tokens` of
    the `completion_tokens` are reasoning. `seed` repeats the text. `first_token_seconds` runs from
    the call to the first token. `backend` computed it. The model checked `draft_tokens` drafted
    tokens (speculative decoding), of which `accepted_tokens` became text.
    """  # noqa: D205  the first sentence needs the list that follows it

    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    stop_index: int | None
    seed: int
    prefill_seconds: float
    first_token_seconds: float
    decode_seconds: float
    backend: str
    draft_tokens: int
    accepted_tokens: int


class Generation(EngineOutput[TextDelta, Result], Iterator[str]):
    """Generated text: iterate for its pieces (whole characters), or over `deltas()` for everything
    (reasoning, tool calls, log probabilities); then read `result`.

    The rest is as with every EngineOutput; after a cancel `result` says `cancelled`.
    """  # noqa: D205  the first sentence needs more than a line

    def __init__(self, call: Call, cancel: Callable[[], None]) -> None:
        """Made by TextManager, from the engine's call and the function that cancels it."""
        super().__init__(lambda task: _run(call, task), cancel)

    def __next__(self) -> str:
        while True:
            delta = self._next()
            if delta.kind == "text" and delta.text:
                return delta.text

    def deltas(self) -> Iterator[TextDelta]:
        """All that comes from now on; what was read by either iterator is not read again."""
        with suppress(StopIteration):
            while True:
                yield self._next()

    def text(self) -> str:
        """Waits for the end; the whole text, with what was read before."""
        for _ in self.deltas():
            pass
        return "".join(delta.text for delta in self._items if delta.kind == "text")

    def message(self) -> dict[str, Any]:
        """Waits for the end; the whole answer as OpenAI's assistant message.

        `content` (None if there is none), and if there are any `reasoning_content` and
        `tool_calls`. It can be appended to the messages of the next call.
        """
        content = self.text()
        reasoning = "".join(delta.text for delta in self._items if delta.kind == "reasoning")
        calls: list[dict[str, Any]] = []
        for delta in self._items:
            if delta.kind == "tool_call_begin":
                function = {"name": delta.tool_name, "arguments": ""}
                calls.append({"id": delta.tool_call_id, "type": "function", "function": function})
            elif delta.kind == "tool_call_arguments":
                calls[delta.tool_index]["function"]["arguments"] += delta.text
        return {
            "role": "assistant",
            "content": content if content or not calls else None,
            **({"reasoning_content": reasoning} if reasoning else {}),
            **({"tool_calls": calls} if calls else {}),
        }


def _run(call: Call, task: EngineTask[TextDelta, Result]) -> SphereEdgeError | None:
    def on_delta(delta: Any, _: int | None) -> bool:
        copy = copied(delta.contents)
        return copy is None or task.put(copy)

    filled = binding.Result(size=ctypes.sizeof(binding.Result))
    failure = call(binding.DeltaFunction(on_delta), filled)
    if failure is None or failure.code in (Status.CANCELLED, Status.TIMEOUT):
        task.result = _result(filled)
    return failure


def _result(filled: binding.Result) -> Result:
    return Result(
        finish_reason=_FINISH_REASONS[filled.finish_reason],
        prompt_tokens=filled.prompt_tokens,
        cached_tokens=filled.cached_tokens,
        completion_tokens=filled.completion_tokens,
        reasoning_tokens=filled.reasoning_tokens,
        stop_index=None if filled.stop_index < 0 else filled.stop_index,
        seed=filled.seed,
        prefill_seconds=filled.prefill_seconds,
        first_token_seconds=filled.first_token_seconds,
        decode_seconds=filled.decode_seconds,
        backend=filled.backend.decode(),
        draft_tokens=filled.draft_tokens,
        accepted_tokens=filled.accepted_tokens,
    )
