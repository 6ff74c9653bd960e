"""Messages as clients send them, and as the chat template takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sphere_edge.server import chat_types as types


def messages_of(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """The messages of a ChatBody with plain text, `developer` being `system` to every model."""
    return [_message(message) for message in messages]


def _message(message: Any) -> dict[str, Any]:
    if isinstance(message, types.SystemMessage):
        return {"role": "system", "content": text_of(message.content)}
    if isinstance(message, types.UserMessage):
        return {"role": "user", "content": text_of(message.content)}
    text = text_of(message.content or "")
    if isinstance(message, types.ToolMessage):
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": text}
    reasoning = message.reasoning_content or message.reasoning
    calls = [call.model_dump(mode="json") for call in message.tool_calls or []]
    return {
        "role": "assistant",
        "content": text,
        **({"reasoning_content": reasoning} if reasoning else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def text_of(content: types.Content) -> str:
    """The text of all parts."""
    if isinstance(content, str):
        return content
    return "\n".join(
        part.refusal if isinstance(part, types.RefusalPart) else part.text
        for part in content
        if not isinstance(part, types.OtherPart)
    )
