"""Forms and images that clients send, however odd, are refused with a 4xx."""

from __future__ import annotations

import asyncio
import struct
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from sphere_edge.server import form, images
from sphere_edge.server.http_error import HttpError
from sphere_edge.server.image_types import ImageBody
from sphere_edge.server.settings import Settings


def refusal(*names: str) -> HttpError:
    """What a form with these fields is refused with."""
    head = 'content-disposition: form-data; name="{}"'
    parts = [f"--b\r\n{head.format(name)}\r\n\r\nvalue\r\n" for name in names]
    content = "".join([*parts, "--b--\r\n"]).encode()

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    scope = {
        "type": "http",
        "headers": [(b"content-type", b"multipart/form-data; boundary=b")],
        "app": SimpleNamespace(state=SimpleNamespace(settings=Settings())),
    }
    with pytest.raises(HttpError) as caught:
        asyncio.run(form.read(Request(scope, receive), ImageBody, {"image"}))
    return caught.value


@pytest.mark.parametrize("names", [("model", "model"), ("model", "model[]"), ("model[]", "model")])
def test_a_field_that_comes_again_under_another_name_is_refused(names: tuple[str, str]) -> None:
    error = refusal(*names)
    assert (error.http, error.param) == (400, "model")
    assert "twice" in error.message


def png(width: int, height: int) -> bytes:
    """Its header, and no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("side", "http"), [(100_000, 413), (3_000, 413), (10, 400)])
def test_an_image_is_refused_by_what_its_header_says(side: int, http: int) -> None:
    with pytest.raises(HttpError) as caught:
        images._opened(png(side, side), "image", 2048 * 2048)
    assert (caught.value.http, caught.value.param) == (http, "image")
