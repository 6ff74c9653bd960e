"""The one place that talks to TextManager: a chat or a text to continue, as typed deltas."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sphere_edge.errors import (
    CancelledError,
    InvalidArgumentError,
    SphereEdgeError,
    UnsupportedError,
)
from sphere_edge.runtime.chat_options import ChatOptions
from sphere_edge.runtime.generation import Generation, Result
from sphere_edge.runtime.text import TextInfo, TextManager
from sphere_edge.runtime.text_delta import TextDelta
from sphere_edge.runtime.text_request import TextRequest
from sphere_edge.server import http_error
from sphere_edge.server.http_error import invalid

# What a response may need where nobody says how long it may be.
_ANSWER_TOKENS = 512
# Twice as many as the longest tokens have, which are runs of blanks.
_CHARACTERS_OF_A_TOKEN = 256


@dataclass(frozen=True)
class Chat:
    """Messages to answer, as the chat template takes them."""

    messages: list[dict[str, Any]]
    request: TextRequest = field(default_factory=TextRequest)
    options: ChatOptions = ChatOptions()
    # Whether the oldest turns are left out where the context cannot hold them all.
    shortened: bool = False
    # How its client calls the schema of the answer.
    schema_param: str = "response_format"
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
        """Raises HttpError and what TextManager raises."""
        try:
            return self._run(emit)
        except (InvalidArgumentError, UnsupportedError) as error:
            raise http_error.of(error, _param_of(error, self._call)) from error

    def _run(self, emit: Callable[[TextDelta], None]) -> Result:
        call = self._call
        _check_ids(self._text, call)
        if isinstance(call, Chat):
            if call.resume is not None:
                call.resume(self._text)
            messages = call.messages
            if call.shortened:
                messages = shortened(self._text, call, lambda: self._cancelled)
            check_size(messages, self._text.info.context_tokens)
            generation = self._text.chat(messages, call.request, options=call.options)
        else:
            check_size(call.prompt, self._text.info.context_tokens)
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
        """Raises HttpError and what TextManager raises."""
        check_size(self._call.messages, self._text.info.context_tokens)
        return _prompt_tokens(self._text, self._call, self._call.messages)

    def cancel(self) -> None:
        """It takes milliseconds."""


def _check_ids(text: TextManager, call: Chat | Continuation) -> None:
    """Refuses token ids that the model has not."""
    given: dict[str, Iterable[int]] = {"logit_bias": call.request.logit_bias or ()}
    if isinstance(call, Continuation) and not isinstance(call.prompt, str):
        given["prompt"] = call.prompt
    for param, ids in given.items():
        for token in ids:
            if not 0 <= token < text.info.vocab_size:
                message = f"token id `{token}` is none of the `{text.info.vocab_size}` of the model"
                raise invalid(message, param)


def _param_of(error: SphereEdgeError, call: Chat | Continuation) -> str | None:
    """The field of which the engine says what is wrong with it."""
    if call.request.grammar is not None and "grammar" in error.message:
        return "grammar"
    if not isinstance(call, Chat):
        return None
    if "JSON schema" in error.message and call.options.response_format is not None:
        return call.schema_param
    is_tool = "JSON schema" in error.message or "tool" in error.message
    return "tools" if is_tool and call.options.tools else None


def check_size(texts: Any, context_tokens: int, param: str | None = None) -> None:
    """Refuses what is longer than the context can be. Raises HttpError naming `param`.

    Dividing megabytes into tokens takes seconds, in which the engine cannot be stopped.
    """
    if (characters := _characters(texts)) > context_tokens * _CHARACTERS_OF_A_TOKEN:
        message = f"`{characters}` characters are more than `{context_tokens}` tokens can be"
        raise invalid(message, param, "context_length_exceeded")


def _characters(texts: Any) -> int:
    """Of all strings inside."""
    if isinstance(texts, str):
        return len(texts)
    if isinstance(texts, dict):
        texts = texts.values()
    elif not isinstance(texts, list):
        return 0
    return sum(map(_characters, texts))


def shortened(
    text: TextManager, call: Chat, is_cancelled: Callable[[], bool]
) -> list[dict[str, Any]]:
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

    def fits(begin: int) -> bool:
        if is_cancelled():
            message = "the call was cancelled"
            raise CancelledError(message)
        messages = kept(begin)
        if _characters(messages) > room * _CHARACTERS_OF_A_TOKEN:
            return False
        return _prompt_tokens(text, call, messages) <= room

    return kept(begins[bisect.bisect_left(begins[:-1], True, key=fits)])


def _prompt_tokens(text: TextManager, call: Chat, messages: list[dict[str, Any]]) -> int:
    """How many tokens `messages` are as a prompt; the model must have nothing else to do."""
    variables = call.request.chat_template_kwargs
    return text.count_chat(messages, options=call.options, chat_template_kwargs=variables)
