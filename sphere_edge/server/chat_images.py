"""Images that clients send inside of messages: `data:` URLs only, nothing is fetched.

Here only their headers are read. They are decoded when it is their request's turn, or the images
of all that wait would be in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sphere_edge.errors import SphereEdgeError, UnsupportedError
from sphere_edge.server.http_error import HttpError, invalid, unsupported
from sphere_edge.server.settings import Limits

Part = dict[str, Any]


def image(url: str, param: str) -> Part:
    """The part of a message with the image in `url`. Raises HttpError naming `param`."""
    try:
        from sphere_edge.runtime.chat_images import from_url, size_of
    except ImportError as error:
        message = "this server has no decoder for images"
        raise unsupported(message, param) from error
    try:
        content = from_url(url, f"`{param}`")
        size_of(content, f"`{param}`")
    except UnsupportedError as error:
        message = f"{error.message} ({error.hint})"
        raise unsupported(message, param) from error
    except SphereEdgeError as error:
        raise HttpError(400, error.message, code="invalid_image", param=param) from error
    return {"type": "image", "image": content}


def content(parts: Sequence[Part]) -> str | list[Part]:
    """`parts`, or as one text, each a line, where there is no image among them."""
    if any(part["type"] == "image" for part in parts):
        return list(parts)
    return "\n".join(part["text"] for part in parts)


def check(messages: Sequence[dict[str, Any]], param: str, limits: Limits) -> None:
    """HttpError for more or larger images than one request may have."""
    contents = [one["content"] for one in messages if isinstance(one.get("content"), list)]
    found = [part["image"] for parts in contents for part in parts if part["type"] == "image"]
    if len(found) > limits.chat_images:
        message = f"`{len(found)}` images are more than `{limits.chat_images}`"
        raise invalid(message, param, "too_many_images")
    if not found:
        return
    from sphere_edge.runtime.chat_images import size_of

    sizes = [size_of(one, param) for one in found]
    pixels = sum(width * height for width, height in sizes)
    if pixels > limits.chat_image_pixels:
        message = f"the images have `{pixels}` pixels, more than `{limits.chat_image_pixels}`"
        raise HttpError(413, message, code="image_too_large", param=param)


def text_only(content: str | list[Part], role: str, param: str) -> str:
    """`content` without images. Raises HttpError where it has some."""
    if isinstance(content, str):
        return content
    message = f"a message of the role `{role}` has an image (users and tools may send some)"
    raise invalid(message, param)
