"""Images of a chat: what people give for one becomes pixels, turned as people see it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError, UnsupportedError
from sphere_edge.runtime import as_seen

FORMATS = ("PNG", "JPEG", "WEBP")
# The most that the core takes, and the most bytes of a file.
MOST_PIXELS = 1 << 26
_LONGEST_SIDE = 1 << 14
MOST_BYTES = 1 << 27
# Converted at once: other threads of Python stand still meanwhile.
_BAND_PIXELS = 1 << 20
_DATA_URL = "data:"
_log = logging.getLogger("sphere_edge")
# Python's list of what to do with warnings is one for all threads.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class ChatImage:
    """Rows from the top, 3 bytes per pixel in the order RGB."""

    width: int
    height: int
    pixels: bytes


def taken_out(messages: Sequence[Any]) -> tuple[list[Any], list[ChatImage]]:
    """The messages as the core reads them, and their images in order.

    Raises InvalidArgumentError, NotFoundError, StorageError; UnsupportedError for a URL.
    """
    images: list[ChatImage] = []
    made = [_message(message, at, images) for at, message in enumerate(messages)]
    return made, images


def _message(message: Any, at: int, images: list[ChatImage]) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list | tuple):
        return message
    return {**message, "content": [_part(part, f"message `{at}`", images) for part in content]}


def _part(part: Any, where: str, images: list[ChatImage]) -> Any:
    if isinstance(part, Image.Image):
        part = {"type": "image", "image": part}
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "image":
        if set(part) != {"type", "image"}:
            message = f"a part of the type `image` in {where} has no `image`, or more than that"
            hint = "give an image, the bytes or the path of one"
            raise InvalidArgumentError(message, hint=hint)
        images.append(opened(part["image"], f"an image of {where}"))
        return {"type": "image"}
    if kind == "image_url":
        url = part.get("image_url")
        url = url.get("url") if isinstance(url, Mapping) else url
        images.append(opened(from_url(url, f"`image_url` of {where}"), f"an image of {where}"))
        return {"type": "image"}
    return part


def from_url(url: Any, name: str) -> bytes:
    """The bytes in a `data:` URL; nothing is fetched. Raises as `taken_out`."""
    if not isinstance(url, str) or not url.startswith(_DATA_URL):
        shown = f"`{url[:60]}`" if isinstance(url, str) else "no string"
        message = f"{name} is {shown}, and nothing is fetched from elsewhere"
        hint = "send the image itself: data:image/png;base64,…"
        raise UnsupportedError(message, hint=hint)
    head, comma, text = url.partition(",")
    if not comma or not head.endswith(";base64"):
        message = f"{name} is not base64: `{head[:60]}`"
        raise InvalidArgumentError(message, hint="data:image/png;base64,…")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"{name} is not sound base64"
        raise InvalidArgumentError(message, hint="data:image/png;base64,…") from error


def opened(given: Any, name: str) -> ChatImage:
    """Pixels of a PIL image, of a file's bytes, or of the file at a path."""
    if isinstance(given, Image.Image):
        try:
            return _pixels(given, name)
        except (OSError, ValueError) as error:
            # Only now it is read: its file is cut off or closed, or its mode has no way to RGB.
            message = f"{name} cannot be read: {error}"
            raise InvalidArgumentError(message) from error
    if isinstance(given, str | os.PathLike):
        given = _read(Path(given))
    if not isinstance(given, bytes | bytearray | memoryview):
        message = f"{name} is a `{type(given).__name__}`"
        raise InvalidArgumentError(message, hint="give an image, the bytes or the path of one")
    try:
        with _warnings_logged():
            image = Image.open(io.BytesIO(given), formats=FORMATS)
        with image:
            return _pixels(image, name)
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        # Of a cut-off file the rest would be grey.
        raise _unsound(name) from error


def size_of(content: bytes, name: str) -> tuple[int, int]:
    """Width and height of an image in a file's bytes, by its header only."""
    try:
        with _warnings_logged(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.width, image.height
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise _unsound(name) from error


@contextlib.contextmanager
def _warnings_logged() -> Iterator[None]:
    """What Pillow says of damaged EXIF data belongs into the log, not on the user's terminal.

    For milliseconds only: other threads wait.
    """
    with _one_at_a_time, warnings.catch_warnings(record=True) as caught:
        # The first of a kind only would be told, in whichever thread comes first.
        warnings.simplefilter("always")
        yield
    for one in caught:
        _log.info("%s", one.message)


def _unsound(name: str) -> InvalidArgumentError:
    message = f"{name} is not a sound PNG, JPEG or WebP file"
    return InvalidArgumentError(message, hint="save it again, or convert it")


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            message = f"there is no file `{path}`"
            raise NotFoundError(message)
        if path.stat().st_size > MOST_BYTES:
            message = f"`{path}` has more than `{MOST_BYTES}` bytes"
            raise InvalidArgumentError(message, hint="give a smaller image")
        return path.read_bytes()
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror}"
        raise StorageError(message) from error


def _pixels(image: Image.Image, name: str) -> ChatImage:
    width, height = image.size
    if width * height > MOST_PIXELS or max(width, height) > _LONGEST_SIDE or not width * height:
        message = f"{name} has {width}x{height} pixels"
        hint = f"at most {MOST_PIXELS}, and {_LONGEST_SIDE} on a side"
        raise InvalidArgumentError(message, hint=hint)
    image.load()
    with _warnings_logged():
        orientation = as_seen.orientation(image)
    turned = as_seen.turned(image, orientation)
    # Of 16 bits it depends on the greatest of all how they become 8.
    rows = turned.height if turned.mode == "I" else max(1, _BAND_PIXELS // turned.width)
    tops = range(0, turned.height, rows)
    bands = [(0, top, turned.width, min(top + rows, turned.height)) for top in tops]
    pixels = b"".join([as_seen.rgb(turned.crop(band)).tobytes() for band in bands])
    return ChatImage(*turned.size, pixels)
