"""What the models read: a text in overlapping windows, or chats whose answers count."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.evaluation.predictor import Subject

# Logits of one window of one model; two are held at a time.
_WINDOW_BYTES = 256 * 2**20
_USUAL_WINDOW = 512
_FEWEST_TOKENS = 16


@dataclass(frozen=True)
class Window:
    """Tokens read together; predictions of tokens `first_counted`.. to the end count."""

    ids: tuple[int, ...]
    first_counted: int


class Message(BaseModel):
    """One turn of a chat."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str = Field(min_length=1, max_length=100)
    content: str


class Chat(BaseModel):
    """A chat that ends with the answer whose tokens count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: tuple[Message, ...] = Field(min_length=2)


def largest_window(one: Subject, other: Subject) -> int:
    """Tokens that both contexts and 256 MiB of logits have room for."""
    room = max(2, _WINDOW_BYTES // (4 * one.vocab_size))
    return min(one.context_tokens, other.context_tokens, room)


def of_text(ids: Sequence[int], window_tokens: int | None, largest: int) -> list[Window]:
    """Windows that overlap by half: no token but the first few lacks context, each counts once.

    `window_tokens` None: 512 tokens or `largest`. Raises InvalidArgumentError for a window
    out of range and for too short a text.
    """
    if window_tokens is not None and not 2 <= window_tokens <= largest:
        message = f"invalid value `{window_tokens}` for --window"
        raise InvalidArgumentError(message, hint=f"choose between 2 and {largest}")
    if len(ids) < _FEWEST_TOKENS:
        message = f"the text has only `{len(ids)}` tokens"
        raise InvalidArgumentError(message, hint=f"give at least {_FEWEST_TOKENS}, better 1,000")
    length = window_tokens or min(_USUAL_WINDOW, largest)
    windows: list[Window] = []
    counted = 1
    while counted < len(ids):
        end = min(len(ids), counted + (max(1, length // 2) if windows else length - 1))
        start = max(0, end - length)
        windows.append(Window(tuple(ids[start:end]), counted - start))
        counted = end
    return windows


def of_chats(subject: Subject, chats: Sequence[Chat], largest: int) -> list[Window]:
    """One window per chat, through the model's own template; the last message counts.

    Raises InvalidArgumentError for a chat that is longer than `largest`.
    """
    model = subject.model
    windows: list[Window] = []
    for number, chat in enumerate(chats, 1):
        messages: list[Mapping[str, str]] = [message.model_dump() for message in chat.messages]
        prompt = model.render_chat(messages[:-1])
        before = model.tokenize(prompt, add_special=False, parse_special=True)
        # The answer alone is text: what looks like a special token in it is not one.
        answer = model.tokenize(chat.messages[-1].content, add_special=False)
        if not before or not answer or len(before) + len(answer) > largest:
            message = f"chat {number} has `{len(before)}` + `{len(answer)}` tokens"
            raise InvalidArgumentError(message, hint=f"question and answer, at most {largest}")
        windows.append(Window((*before, *answer), len(before)))
    return windows


def parse_chats(lines: str) -> list[Chat]:
    """Chats from JSON lines, each `{"messages": [{"role": …, "content": …}, …]}`.

    Raises InvalidArgumentError naming the line.
    """
    chats = []
    for number, line in enumerate(lines.splitlines(), 1):
        if not line.strip():
            continue
        try:
            chats.append(Chat.model_validate(json.loads(line)))
        except (ValueError, RecursionError, ValidationError) as error:
            message = f"line {number} is not a chat"
            hint = 'each line is {"messages": [{"role": "user", "content": "…"}, …]}'
            raise InvalidArgumentError(message, hint=hint) from error
    if not chats:
        message = "there is no chat in the file"
        raise InvalidArgumentError(message, hint="give one JSON object a line")
    return chats
