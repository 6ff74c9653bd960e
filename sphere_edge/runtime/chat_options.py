"""ChatOptions: what a chat may answer (tools, schema, reasoning), and its JSON for the core."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sphere_edge.runtime import arguments
from sphere_edge.runtime.text_request import TextOptions

if TYPE_CHECKING:
    # At run time it is imported for chats with images only: it takes a library along.
    from sphere_edge.runtime.chat_images import ChatImage

Message = Mapping[str, Any]


@dataclass(frozen=True)
class ChatOptions:
    """Everything as in OpenAI's chat completions, unless it says so.

    `tools`: `{"type": "function", "function": {"name", "description", "parameters"}}` each.
    `tool_choice`: `auto`, `none`, `required`, `{"type": "function", "function": {"name": …}}` or
    `{"type": "allowed_tools", "allowed_tools": {"mode": …, "tools": […]}}`. `response_format`:
    `{"type": "json_schema", "json_schema": {"schema": …}}` or `{"type": "json_object"}`.

    Not OpenAI's: `reasoning` True, False or the most tokens of it; None: as the model's template
    has it. `continue_final_message`: the answer goes on with the last message, the assistant's.
    """

    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: Mapping[str, Any] | None = None
    reasoning: bool | int | None = None
    continue_final_message: bool | str = False


class ChatKeywords(TextOptions, total=False):
    """The fields of TextRequest and ChatOptions as keywords."""

    tools: Sequence[Mapping[str, Any]]
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: Mapping[str, Any] | None
    reasoning: bool | int | None
    continue_final_message: bool | str


def split(changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords of ChatOptions, and the others."""
    names = {field.name for field in dataclasses.fields(ChatOptions)}
    ours = {name: value for name, value in changes.items() if name in names}
    return ours, {name: value for name, value in changes.items() if name not in names}


def conversation(
    messages: Sequence[Message], options: ChatOptions, variables: Mapping[str, Any] | None
) -> tuple[bytes, list[ChatImage]]:
    """The JSON of se_text_chat and its images.

    Raises InvalidArgumentError where it is not JSON, and what reading images raises.
    """
    images: list[ChatImage] = []
    if any(_has_images(message) for message in messages):
        from sphere_edge.runtime.chat_images import taken_out

        messages, images = taken_out(messages)
    listed = [dict(message) if isinstance(message, Mapping) else message for message in messages]
    whole: dict[str, Any] = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if getattr(options, field.name) not in (None, (), [])
    }
    if not options.continue_final_message:
        whole.pop("continue_final_message")
    if options.tools:
        whole["tools"] = arguments.listed("tools", options.tools)
    if variables is not None:
        whole["chat_template_kwargs"] = variables
    document = {"messages": listed, **whole} if whole else listed
    return arguments.json_text("the message list", document).encode(), images


def _has_images(message: Message) -> bool:
    content = message.get("content") if isinstance(message, Mapping) else None
    return isinstance(content, list | tuple) and any(
        not isinstance(part, Mapping) or part.get("type") in ("image", "image_url")
        for part in content
    )
