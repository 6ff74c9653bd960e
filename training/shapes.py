"""Coloured shapes on white and the words for them: what the built-in image model learns to draw.

`recognise` says of any image which shape in which colour it shows, by plain arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SIDE = 64
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.12, 0.14),
    "green": (0.13, 0.62, 0.22),
    "blue": (0.13, 0.29, 0.85),
    "yellow": (0.96, 0.82, 0.12),
    "orange": (0.96, 0.50, 0.10),
    "black": (0.08, 0.08, 0.10),
}
SHAPES = ("circle", "square", "triangle")
PHRASES = (
    "a {colour} {shape}",
    "A {colour} {shape}",
    "{colour} {shape}",
    "a picture of a {colour} {shape}",
    "a {colour} {shape} on white",
)

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Drawn:
    """Images [count, 3, 64, 64] from 0 to 1, and by index what each shows."""

    images: Images
    colours: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.int64]


def draw(count: int, chance: np.random.Generator) -> Drawn:
    """Shapes of a radius of 17 to 22 pixels in the middle, give or take a pixel."""
    colours = chance.integers(len(COLOURS), size=count)
    shapes = chance.integers(len(SHAPES), size=count)
    centre = SIDE / 2 + chance.uniform(-1, 1, (2, count, 1, 1))
    radius = chance.uniform(17, 22, (count, 1, 1))
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    x, y = columns - centre[0], rows - centre[1]
    # Distances to the edge, negative inside.
    circle = np.hypot(x, y) - radius
    square = np.maximum(abs(x), abs(y)) - 0.85 * radius
    slanted = (abs(x) * np.sqrt(3) - y) / 2
    triangle = np.maximum(y, slanted + 0 * y) - 0.6 * radius
    edge = np.choose(shapes[:, None, None], [circle, square, triangle])
    inside = np.clip(0.5 - edge, 0, 1)[:, None]
    colour = np.array(list(COLOURS.values()))[colours][:, :, None, None]
    return Drawn((1 + inside * (colour - 1)).astype(np.float32), colours, shapes)


def recognise(image: npt.NDArray[np.uint8]) -> tuple[str, str] | None:
    """Colour and shape in an RGB image [64, 64, 3]; None where it shows neither clearly.

    The shape by how much of its bounding box it fills: a square all, a circle pi / 4, a triangle
    half, each give or take a tenth.
    """
    pixels = image.astype(np.float64) / 255
    inked = pixels.min(axis=2) < 0.6
    if inked.sum() < 150:
        return None
    rows, columns = np.nonzero(inked.any(axis=1))[0], np.nonzero(inked.any(axis=0))[0]
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    filled = inked.sum() / box
    expected = {"square": 1.0, "circle": np.pi / 4, "triangle": 0.5}
    shape = min(expected, key=lambda name: abs(expected[name] - filled))
    middle = np.median(pixels[inked], axis=0)
    distances = {name: float(np.abs(middle - value).max()) for name, value in COLOURS.items()}
    colour = min(distances, key=lambda name: distances[name])
    if abs(expected[shape] - filled) > 0.1 or distances[colour] > 0.25:
        return None
    return colour, shape
