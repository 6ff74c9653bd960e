"""The one place that talks to TextManager: a chat or a text to continue, as typed deltas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sphere_edge.runtime.generation import Generation, Result
from sphere_edge.runtime.text import TextManager
from sphere_edge.runtime.text_request import TextRequest
from sphere_edge.server import http_error

DeltaKind = Literal["text", "reasoning", "tool_call_begin", "tool_call_arguments", "tool_call_end"]


@dataclass(frozen=True)
class Delta:
    """A piece of the answer; `tool_index` counts the tool calls of one answer from 0."""

    kind: DeltaKind
    text: str = ""
    tool_index: int = 0
    tool_call_id: str = ""
    tool_name: str = ""


@dataclass(frozen=True)
class Chat:
    """Messages to answer, as the chat template takes them."""

    messages: list[dict[str, Any]]
    request: TextRequest = field(default_factory=TextRequest)
    # As Chat Completions have them.
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    # JSON that follows a schema instead of any text.
    schema: dict[str, Any] | None = None
    # None: as the template has it; False: none; a number: at most that many tokens.
    reasoning: bool | int | None = None


@dataclass(frozen=True)
class Continuation:
    """A text, or token ids, to continue without the chat template."""

    prompt: str | Sequence[int]
    request: TextRequest = field(default_factory=TextRequest)


class TextJob:
    """One generation, a Job of Deltas whose result is the manager's."""

    def __init__(self, text: TextManager, call: Chat | Continuation) -> None:
        self._text = text
        self._call = call
        self._generation: Generation | None = None
        self._cancelled = False

    def run(self, emit: Callable[[Delta], None]) -> Result:
        """Raises what TextManager raises."""
        call = self._call
        if isinstance(call, Chat):
            _refuse_what_is_not_parsed(call)
            request = replace(call.request, json_schema=call.schema)
            generation = self._text.chat(call.messages, request)
        else:
            generation = self._text.generate(call.prompt, call.request)
        self._generation = generation
        with generation:
            if self._cancelled:
                generation.cancel()
            for piece in generation:
                emit(Delta("text", piece))
        return generation.result

    def cancel(self) -> None:
        """From any thread."""
        self._cancelled = True
        if self._generation is not None:
            self._generation.cancel()


def _refuse_what_is_not_parsed(call: Chat) -> None:
    if call.tools:
        message = "tool calls are not done yet"
        raise http_error.unsupported(message, "tools")
    if call.reasoning is not None:
        message = "reasoning is not controlled yet"
        raise http_error.unsupported(message, "reasoning_effort")


def prompt_tokens(text: TextManager, messages: list[dict[str, Any]]) -> int:
    """How many tokens `messages` are as a prompt; the model must have nothing else to do."""
    prompt = text.render_chat(messages)
    return len(text.tokenize(prompt, parse_special=True))
