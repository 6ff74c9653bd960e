"""Messages as clients send them, and as the chat template takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sphere_edge.server import chat_images
from sphere_edge.server import chat_types as types
from sphere_edge.server.settings import Limits


def messages_of(messages: Sequence[Any], limits: Limits) -> list[dict[str, Any]]:
    """The messages of a ChatBody, `developer` being `system` to every model. Raises HttpError.

    Contents are plain text, or parts where there are images.
    """
    made = [_message(message, f"messages[{at}].content") for at, message in enumerate(messages)]
    chat_images.check(made, "messages", limits)
    return made


def _message(message: Any, param: str) -> dict[str, Any]:
    content = content_of(message.content or "", param)
    if isinstance(message, types.UserMessage):
        return {"role": "user", "content": content}
    if isinstance(message, types.ToolMessage):
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}
    text = chat_images.text_only(content, message.role, param)
    if isinstance(message, types.SystemMessage):
        return {"role": "system", "content": text}
    reasoning = message.reasoning_content or message.reasoning
    calls = [call.model_dump(mode="json") for call in message.tool_calls or []]
    return {
        "role": "assistant",
        "content": text,
        **({"reasoning_content": reasoning} if reasoning else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def content_of(content: types.Content, param: str) -> str | list[chat_images.Part]:
    """The text of all parts, or parts of text and images. Raises HttpError."""
    if isinstance(content, str):
        return content
    parts: list[chat_images.Part] = []
    for at, part in enumerate(content):
        if isinstance(part, types.ImagePart):
            where = f"{param}[{at}].image_url.url"
            parts.append(chat_images.image(part.image_url.url, where))
        elif isinstance(part, types.RefusalPart):
            parts.append({"type": "text", "text": part.refusal})
        elif isinstance(part, types.TextPart):
            parts.append({"type": "text", "text": part.text})
    return chat_images.content(parts)
