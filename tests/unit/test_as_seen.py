"""Images to start from are taken as people see them: upright, and with all of their 16 bits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sphere_edge.runtime import as_seen, binding_image, chat_images, image_request
from sphere_edge.runtime.image_request import ImageRequest

_ORIENTATION = 0x112


def photo(orientation: int) -> Image.Image:
    """A red square in the upper left corner of a wide image, as a camera stores it."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:16, :16, 0] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[_ORIENTATION] = orientation
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif)
    return Image.open(io.BytesIO(out.getvalue()))


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [
        (1, (64, 32), (0, 0)),
        (3, (64, 32), (63, 31)),
        (6, (32, 64), (31, 0)),
        (8, (32, 64), (0, 63)),
    ],
)
def test_init_and_mask_are_turned_as_the_camera_was_held(
    orientation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    options = binding_image.ImageGenerateOptions()
    image = photo(orientation)
    image_request.fill(options, ImageRequest(init=image, mask=image))
    assert (options.init_width, options.init_height) == size
    assert (options.width, options.height) == size
    assert (options.mask_width, options.mask_height) == size
    assert as_seen.upright(image).getpixel(corner) == (255, 0, 0)


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bit_grey_is_not_taken_as_white(dtype: str) -> None:
    grey = np.full((8, 8), 20000, np.dtype(dtype))
    image = Image.frombytes("I;16B" if dtype == ">u2" else "I;16", (8, 8), grey.tobytes())
    for made in (as_seen.rgb(image).convert("L"), as_seen.grey(image)):
        assert made.getpixel((3, 3)) == 20000 // 257
    whole = Image.fromarray(grey.astype(np.int32))
    assert whole.mode == "I"
    assert as_seen.grey(whole).getpixel((3, 3)) == 20000 // 257


def test_what_is_transparent_is_white() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert as_seen.rgb(image).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("turns", [1, 2])
def test_an_image_is_turned_once_however_often_it_is_asked(turns: int) -> None:
    pixels = Image.new("RGB", (64, 32))
    exif = pixels.getexif()
    exif[_ORIENTATION] = 6
    xmp = b'<x:xmpmeta tiff:Orientation="6"/>'
    for name, metadata in (("PNG", {"exif": exif}), ("JPEG", {"exif": exif, "xmp": xmp})):
        out = io.BytesIO()
        pixels.save(out, name, **metadata)
        image: Image.Image = Image.open(out)
        for _ in range(turns):
            image = as_seen.upright(image)
        assert image.size == (32, 64)


@pytest.mark.parametrize("exif", [b"Exif\0\0damaged!", b"Exif\0\0II*\0", b"", b"Exif\0\0II"])
def test_an_image_whose_exif_data_are_damaged_is_upright(exif: bytes) -> None:
    image = Image.new("RGB", (64, 32))
    image.info["exif"] = exif
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    for one in (image, Image.open(out)):
        assert as_seen.upright(one).size == (64, 32)
        chat = chat_images.opened(out.getvalue(), "an image")
        assert (chat.width, chat.height) == (64, 32)
