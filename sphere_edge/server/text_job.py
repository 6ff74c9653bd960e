"""The one place that talks to TextManager: a chat or a text to continue, as typed deltas."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sphere_edge.runtime.chat_options import ChatOptions
from sphere_edge.runtime.generation import Generation, Result
from sphere_edge.runtime.text import TextInfo, TextManager
from sphere_edge.runtime.text_delta import TextDelta
from sphere_edge.runtime.text_request import TextRequest

# What a response may need where nobody says how long it may be.
_ANSWER_TOKENS = 512


@dataclass(frozen=True)
class Chat:
    """Messages to answer, as the chat template takes them."""

    messages: list[dict[str, Any]]
    request: TextRequest = field(default_factory=TextRequest)
    options: ChatOptions = ChatOptions()
    # Whether the oldest turns are left out where the context cannot hold them all.
    shortened: bool = False
    # Called before it, with nothing else at work on its sequence.
    resume: Callable[[TextManager], None] | None = None


@dataclass(frozen=True)
class Continuation:
    """A text, or token ids, to continue without the chat template."""

    prompt: str | Sequence[int]
    request: TextRequest = field(default_factory=TextRequest)


def with_drafts(
    call: Chat | Continuation, info: TextInfo, *, prompt_lookup: bool
) -> Chat | Continuation:
    """`call` with drafts where it has a prediction or the server looks for them, if `info` can.

    They change no text: a model that cannot check them answers without.
    """
    request = call.request
    if not info.speculates:
        return replace(call, request=replace(request, prediction=None))
    if request.prediction is not None or (prompt_lookup and not info.draft_model_bytes):
        return replace(call, request=replace(request, draft="prompt_lookup"))
    return call


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
            if call.resume is not None:
                call.resume(self._text)
            messages = shortened(self._text, call) if call.shortened else call.messages
            generation = self._text.chat(messages, call.request, options=call.options)
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


class CountJob:
    """How many tokens a chat is as a prompt, a Job without items."""

    def __init__(self, text: TextManager, call: Chat) -> None:
        self._text = text
        self._call = call

    def run(self, emit: Callable[[TextDelta], None]) -> int:
        """Raises what TextManager raises."""
        return _prompt_tokens(self._text, self._call, self._call.messages)

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
        begins[:-1], True, key=lambda begin: _prompt_tokens(text, call, kept(begin)) <= room
    )
    return kept(begins[fitting])


def _prompt_tokens(text: TextManager, call: Chat, messages: list[dict[str, Any]]) -> int:
    """How many tokens `messages` are as a prompt; the model must have nothing else to do."""
    variables = call.request.chat_template_kwargs
    return text.count_chat(messages, options=call.options, chat_template_kwargs=variables)
