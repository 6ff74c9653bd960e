"""Items and tools of a response's body, as the chat template takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sphere_edge.server import response_types as types
from sphere_edge.server.chat_types import RefusalPart
from sphere_edge.server.http_error import invalid
from sphere_edge.server.response_events import CUSTOM_INPUT

Message = dict[str, Any]


@dataclass(frozen=True)
class Tools:
    """Tools as Chat Completions have them; the names of those that take any text."""

    functions: list[dict[str, Any]]
    custom: frozenset[str]


def messages_of(items: Sequence[Any], instructions: str | None) -> list[Message]:
    """Messages with roles system, user, assistant and tool. Raises HttpError.

    Reasoning and calls that follow each other are one assistant's message with what it said.
    """
    messages: list[Message] = []
    if instructions is not None:
        messages.append({"role": "system", "content": instructions})
    for item in items:
        _add(messages, item)
    return messages


def _add(messages: list[Message], item: Any) -> None:
    if isinstance(item, types.MessageItem):
        text = text_of(item.content)
        if item.role == "assistant":
            last = _assistant(messages, "content")
            last["content"] = text
        else:
            role = "system" if item.role == "developer" else item.role
            messages.append({"role": role, "content": text})
    elif isinstance(item, types.ReasoningItem):
        text = text_of(item.content or item.summary)
        if text:
            _assistant(messages, "reasoning_content", "content", "tool_calls")[
                "reasoning_content"
            ] = text
    elif isinstance(item, types.FunctionCallItem):
        name = item.name if item.namespace is None else f"{item.namespace}.{item.name}"
        _add_call(messages, item.call_id, name, item.arguments)
    elif isinstance(item, types.CustomCallItem):
        _add_call(messages, item.call_id, item.name, json.dumps({CUSTOM_INPUT: item.input}))
    elif isinstance(item, types.FunctionOutputItem | types.CustomOutputItem):
        text = text_of(item.output)
        messages.append({"role": "tool", "tool_call_id": item.call_id, "content": text})
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


def text_of(content: types.Content) -> str:
    """The text of all parts."""
    if isinstance(content, str):
        return content
    return "\n".join(
        part.refusal if isinstance(part, RefusalPart) else part.text
        for part in content
        if not isinstance(part, types.OtherPart)
    )


def tools_of(tools: Sequence[Any]) -> Tools:
    """Functions, those inside a namespace as `namespace.name`, and custom tools as functions."""
    functions: list[dict[str, Any]] = []
    custom: set[str] = set()

    def add(tool: Any, prefix: str) -> None:
        name = prefix + tool.name
        if isinstance(tool, types.CustomTool):
            custom.add(name)
            text = {"type": "string"}
            parameters = {
                "type": "object",
                "properties": {CUSTOM_INPUT: text},
                "required": [CUSTOM_INPUT],
            }
        else:
            parameters = tool.parameters or {"type": "object", "properties": {}}
        function = {"name": name, "description": tool.description or "", "parameters": parameters}
        functions.append({"type": "function", "function": function})

    for tool in tools:
        if isinstance(tool, types.HostedTool):
            continue
        if isinstance(tool, types.NamespaceTool):
            for inner in tool.tools:
                add(inner, f"{tool.name}.")
        else:
            add(tool, "")
    return Tools(functions, frozenset(custom))


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
