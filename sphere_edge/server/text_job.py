"""The one place that talks to TextManager: a chat or a text to continue, as typed deltas."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sphere_edge.runtime.generation import Generation, Result
from sphere_edge.runtime.text import TextManager
from sphere_edge.runtime.text_delta import TextDelta
from sphere_edge.runtime.text_request import TextRequest
from sphere_edge.server import http_error

# What a response may need where nobody says how long it may be.
_ANSWER_TOKENS = 512


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
    # Whether the oldest turns are left out where the context cannot hold them all.
    shortened: bool = False


@dataclass(frozen=True)
class Continuation:
    """A text, or token ids, to continue without the chat template."""

    prompt: str | Sequence[int]
    request: TextRequest = field(default_factory=TextRequest)


class TextJob:
    """One generation, a Job of TextDeltas whose result is the manager's."""

    def __init__(self, text: TextManager, call: Chat | Continuation) -> None:
        self._text = text
        self._call = call
        self._generation: Generation | None = None
        self._cancelled = False

    def run(self, emit: Callable[[TextDelta], None]) -> Result:
        """Raises what TextManager raises."""
        call = self._call
        if isinstance(call, Chat):
            _refuse_what_is_not_parsed(call)
            request = replace(call.request, json_schema=call.schema)
            messages = shortened(self._text, call) if call.shortened else call.messages
            generation = self._text.chat(messages, request)
        else:
            generation = self._text.generate(call.prompt, call.request)
        self._generation = generation
        with generation:
            if self._cancelled:
                generation.cancel()
            for delta in generation.deltas():
                emit(delta)
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


class CountJob:
    """How many tokens a chat is as a prompt, a Job without items."""

    def __init__(self, text: TextManager, call: Chat) -> None:
        self._text = text
        self._call = call

    def run(self, emit: Callable[[TextDelta], None]) -> int:
        """Raises what TextManager raises."""
        _refuse_what_is_not_parsed(self._call)
        return _prompt_tokens(self._text, self._call.messages)

    def cancel(self) -> None:
        """It takes milliseconds."""


def shortened(text: TextManager, call: Chat) -> list[dict[str, Any]]:
    """The messages without the oldest turns, as few as leave room for an answer.

    Instructions at the beginning stay, and the last turn: a turn is a user's message and all that
    follows it.
    """
    context = text.info.context_tokens
    room = context - min(call.request.max_tokens or _ANSWER_TOKENS, context // 4)
    roles = [message["role"] for message in call.messages]
    first = next((at for at, role in enumerate(roles) if role != "system"), len(roles))
    # Where what is kept may begin.
    begins = [first, *(at for at, role in enumerate(roles) if role == "user" and at > first)]

    def kept(begin: int) -> list[dict[str, Any]]:
        return call.messages[:first] + call.messages[begin:]

    fitting = bisect.bisect_left(
        begins[:-1], True, key=lambda begin: _prompt_tokens(text, kept(begin)) <= room
    )
    return kept(begins[fitting])


def _prompt_tokens(text: TextManager, messages: list[dict[str, Any]]) -> int:
    """How many tokens `messages` are as a prompt; the model must have nothing else to do."""
    prompt = text.render_chat(messages)
    return len(text.tokenize(prompt, parse_special=True))
