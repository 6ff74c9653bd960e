"""Items and tools of a response's body, as the chat template takes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sphere_edge.server import chat_images
from sphere_edge.server import response_types as types
from sphere_edge.server.chat_types import RefusalPart
from sphere_edge.server.http_error import invalid
from sphere_edge.server.response_events import CUSTOM_INPUT
from sphere_edge.server.settings import Limits

# As in `tools` alone.
_MOST_TOOLS = 128

Message = dict[str, Any]


@dataclass(frozen=True)
class Tools:
    """Tools as Chat Completions have them; the names of those that take any text."""

    functions: list[dict[str, Any]]
    custom: frozenset[str]


def messages_of(items: Sequence[Any], instructions: str | None, limits: Limits) -> list[Message]:
    """Messages with roles system, user, assistant and tool. Raises HttpError.

    Reasoning and calls that follow each other are one assistant's message with what it said.
    """
    messages: list[Message] = []
    if instructions is not None:
        messages.append({"role": "system", "content": instructions})
    for at, item in enumerate(items):
        _add(messages, item, f"input[{at}]")
    chat_images.check(messages, "input", limits)
    return messages


def _add(messages: list[Message], item: Any, param: str) -> None:
    if isinstance(item, types.MessageItem):
        content = content_of(item.content, f"{param}.content")
        if item.role == "user":
            messages.append({"role": "user", "content": content})
            return
        text = chat_images.text_only(content, item.role, f"{param}.content")
        if item.role == "assistant":
            last = _assistant(messages, "content")
            last["content"] = text
        else:
            messages.append({"role": "system", "content": text})
    elif isinstance(item, types.ReasoningItem):
        content = content_of(item.content or item.summary, param)
        text = chat_images.text_only(content, "assistant", param)
        if text:
            _assistant(messages, "reasoning_content", "content", "tool_calls")[
                "reasoning_content"
            ] = text
    elif isinstance(item, types.FunctionCallItem):
        name = item.name if item.namespace is None else f"{item.namespace}.{item.name}"
        _add_call(messages, item.call_id, name, item.arguments)
    elif isinstance(item, types.CustomCallItem):
        _add_call(messages, item.call_id, item.name, json.dumps({CUSTOM_INPUT: item.input}))
    elif isinstance(item, types.AdditionalToolsItem):
        # The template shows tools at one place; `tools_of` has them.
        return
    elif isinstance(item, types.FunctionOutputItem | types.CustomOutputItem):
        content = content_of(item.output, f"{param}.output")
        messages.append({"role": "tool", "tool_call_id": item.call_id, "content": content})
    else:
        message = f"there is no stored item `{item.id}`"
        raise invalid(message, "input", "item_not_found")


def _assistant(messages: list[Message], *without: str) -> Message:
    """The assistant's message at the end, or a new one if it has one of the keys `without`."""
    last = messages[-1] if messages else None
    if last is None or last["role"] != "assistant" or any(last.get(key) for key in without):
        last = {"role": "assistant", "content": ""}
        messages.append(last)
    return last


def _add_call(messages: list[Message], call_id: str, name: str, arguments: str) -> None:
    function = {"name": name, "arguments": arguments}
    call = {"id": call_id, "type": "function", "function": function}
    _assistant(messages).setdefault("tool_calls", []).append(call)


def content_of(content: types.Content, param: str) -> str | list[chat_images.Part]:
    """The text of all parts, or parts of text and images. Raises HttpError."""
    if isinstance(content, str):
        return content
    parts: list[chat_images.Part] = []
    for at, part in enumerate(content):
        if isinstance(part, types.ImagePart):
            where = f"{param}[{at}].image_url"
            parts.append(chat_images.image(part.image_url, where))
        elif isinstance(part, RefusalPart):
            parts.append({"type": "text", "text": part.refusal})
        elif isinstance(part, types.TextPart):
            parts.append({"type": "text", "text": part.text})
    return chat_images.content(parts)


def tools_of(tools: Sequence[Any], items: Sequence[Any] = ()) -> Tools:
    """Functions, those inside a namespace as `namespace.name`, and custom tools as functions.

    `items`: of the conversation, some of which bring tools: of those of one name the last one
    holds. Raises HttpError.
    """
    functions: dict[str, dict[str, Any]] = {}
    custom: set[str] = set()
    brought = [item.tools for item in items if isinstance(item, types.AdditionalToolsItem)]
    for given in (tools, *brought):
        added = list(_named(given))
        if len({name for name, _ in added}) < len(added):
            message = "two tools have the same name"
            raise invalid(message, "tools")
        for name, tool in added:
            functions[name] = _function(name, tool)
            custom.discard(name)
            if isinstance(tool, types.CustomTool):
                custom.add(name)
    if len(functions) > _MOST_TOOLS:
        message = f"a model is given at most {_MOST_TOOLS} tools"
        raise invalid(message, "tools")
    return Tools(list(functions.values()), frozenset(custom))


def _named(tools: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Those that run at the client, with the names that the model sees."""
    for tool in tools:
        if isinstance(tool, types.NamespaceTool):
            for inner in tool.tools:
                yield f"{tool.name}.{inner.name}", inner
        elif not isinstance(tool, types.HostedTool):
            yield tool.name, tool


def _function(name: str, tool: Any) -> dict[str, Any]:
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    if isinstance(tool, types.CustomTool):
        text = {"type": "string"}
        parameters.update(properties={CUSTOM_INPUT: text}, required=[CUSTOM_INPUT])
    elif tool.parameters:
        parameters = tool.parameters
    function = {"name": name, "description": tool.description or "", "parameters": parameters}
    if getattr(tool, "strict", None):
        function["strict"] = True
    return {"type": "function", "function": function}


def tool_choice_of(choice: Any) -> str | dict[str, Any] | None:
    """The same as Chat Completions have it."""
    if choice is None or isinstance(choice, str):
        return choice
    if isinstance(choice, types.NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    allowed = [{"type": "function", "function": {"name": tool.name}} for tool in choice.tools]
    return {
        "type": "allowed_tools",
        "allowed_tools": {"mode": choice.mode, "tools": allowed},
    }
