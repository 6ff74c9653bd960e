"""Images to start from are taken as people see them: upright, and with all of their 16 bits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sphere_edge.runtime import as_seen, binding_image, image_request
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
        assert made.getpixel((3, 3)) == pytest.approx(20000 / 257, abs=1)
    whole = Image.fromarray(grey.astype(np.int32))
    assert whole.mode == "I"
    assert as_seen.grey(whole).getpixel((3, 3)) == pytest.approx(20000 / 257, abs=1)


def test_what_is_transparent_is_white() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert as_seen.rgb(image).getpixel((0, 0)) == (255, 255, 255)
