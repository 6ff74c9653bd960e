"""An image as people see it: upright, 16 bits as 8, on white where it is transparent."""

from __future__ import annotations

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


def upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF data say: ImageOps writes them anew, and fails where something else in
    them is damaged.
    """  # noqa: D205  the first sentence needs more than a line
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


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


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Pillow would cut values of 16 bits off at 255."""
    if image.mode.startswith("I;16"):
        high = image.tobytes()[1 if image.mode != "I;16B" else 0 :: 2]
        return Image.frombytes("L", image.size, high)
    if image.mode == "I":
        # So older versions of Pillow open PNGs of 16 bits.
        greatest = image.getextrema()[1]
        is_wide = isinstance(greatest, int) and greatest > 255
        return (image.point(lambda value: value * (1 / 256)) if is_wide else image).convert("L")
    return image
