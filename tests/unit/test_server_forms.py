"""Forms and images that clients send, however odd, are refused with a 4xx."""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from starlette.requests import Request

from sphere_edge.runtime import binding_image, image_request
from sphere_edge.runtime.image_request import ImageRequest
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


def file_of(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def edited(**files: bytes) -> tuple[Image.Image, Image.Image | None]:
    """The image and the mask that the engine gets."""
    fields = ImageBody(model="model", prompt="prompt")
    return images.decoded(form.Form(fields, files), most_pixels=10_000)


def half_open(mode: str) -> Image.Image:
    """Opaque on the left, transparent on the right."""
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 255))
    image.paste((0, 0, 0, 0), (4, 0, 8, 8))
    return image if mode == "RGBA" else image.convert(mode)


def test_a_photo_to_edit_is_turned_once() -> None:
    image = Image.new("RGB", (64, 32))
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = 6
    photo = file_of(image, exif=exif)
    init, mask = edited(image=photo, mask=photo)
    options = binding_image.ImageGenerateOptions()
    image_request.fill(options, ImageRequest(init=init, mask=mask))
    assert (options.init_width, options.init_height) == (32, 64)
    assert (options.mask_width, options.mask_height) == (32, 64)


def test_a_grey_mask_of_16_bits_keeps_its_values() -> None:
    grey = np.full((8, 8), 20000, np.uint16)
    grey[:4] = 0
    _, mask = edited(image=file_of(Image.new("RGB", (8, 8))), mask=file_of(Image.fromarray(grey)))
    assert mask is not None
    assert (mask.getpixel((0, 0)), mask.getpixel((0, 7))) == (0, 77)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_changed(mode: str) -> None:
    transparent = file_of(half_open(mode))
    for files in ({"image": transparent}, {"image": transparent, "mask": transparent}):
        _, mask = edited(**files)
        assert mask is not None
        assert (mask.getpixel((0, 0)), mask.getpixel((7, 0))) == (0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_an_image_that_is_opaque_is_no_mask(mode: str) -> None:
    image = Image.new("RGB", (8, 8), "white")
    assert edited(image=file_of(image.convert(mode)))[1] is None
    _, mask = edited(image=file_of(image), mask=file_of(image.convert(mode)))
    assert mask is not None
    assert mask.getextrema() == (255, 255)
