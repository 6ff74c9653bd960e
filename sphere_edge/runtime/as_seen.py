"""An image as people see it: upright, 16 bits as 8, on white where it is transparent."""

from __future__ import annotations

import struct

from PIL import ExifTags, Image

# Of EXIF's orientations; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# Where Pillow finds an orientation: EXIF data, and XMP where they say nothing.
_METADATA = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")


def upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF data say, once: the result says nothing of it any more.

    ImageOps writes the data anew, and fails where something else in them is damaged.
    """
    return turned(image, orientation(image))


def orientation(image: Image.Image) -> int:
    """EXIF's number, 1 to 8; 1, upright, also where the data are damaged."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, struct.error, OSError, TypeError, ValueError):
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """As `orientation` says."""
    if orientation not in _TURNS:
        return image
    upright = image.transpose(_TURNS[orientation])
    # Pillow copies them.
    for name in _METADATA:
        upright.info.pop(name, None)
    return upright


def rgb(image: Image.Image) -> Image.Image:
    """In the mode RGB, on white where it is transparent."""
    image = _of_8_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def grey(image: Image.Image) -> Image.Image:
    """In the mode L, whatever its transparency."""
    return _of_8_bits(image).convert("L")


def alpha(image: Image.Image) -> Image.Image | None:
    """How opaque it is, in the mode L; None if it has no transparency, of whatever kind."""
    image = _of_8_bits(image)
    return image.convert("RGBA").getchannel("A") if image.has_transparency_data else None


# A value of 8 bits becomes 257 times that in 16, so that white is white in both.
_OF_16_BITS = [value // 257 for value in range(1 << 16)]


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Pillow would cut values of 16 bits off at 255."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point(_OF_16_BITS, "L")
    if image.mode == "I":
        # So older versions of Pillow open PNGs of 16 bits.
        greatest = image.getextrema()[1]
        is_wide = isinstance(greatest, int) and greatest > 255
        return image.point(_OF_16_BITS, "L") if is_wide else image.convert("L")
    return image
