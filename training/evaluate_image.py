"""Says how often the built-in image model generates what the prompt says.

    python -m training.evaluate_image BUNDLE

Every colour and shape with seeds that nothing was chosen by; what the images show is decided by
`training.shapes.recognise`, which no network is part of.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from sphere_edge import ImageManager, console
from training import shapes

_FIRST_SEED = 1000


def main() -> None:
    """Prints what failed and the share of images that are right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--cfg-scale", type=float)
    parser.add_argument("--sheet", type=Path, help="write all images side by side")
    given = parser.parse_args()
    right, rows = 0, []
    # One thread: so small a model has nothing to share out.
    with ImageManager.open(given.bundle, threads=1) as image:
        for colour in shapes.COLOURS:
            row = []
            for shape in shapes.SHAPES:
                for seed in range(_FIRST_SEED, _FIRST_SEED + given.seeds):
                    generated = image.generate(
                        f"a {colour} {shape}",
                        seed=seed,
                        steps=given.steps,
                        cfg_scale=given.cfg_scale,
                    )[0]
                    pixels = np.asarray(generated.image)
                    found = shapes.recognise(pixels)
                    right += found == (colour, shape)
                    if found != (colour, shape):
                        console.say(f"a {colour} {shape}, seed {seed}: {found}")
                    row.append(pixels)
            rows.append(np.hstack(row))
    if given.sheet is not None:
        Image.fromarray(np.vstack(rows)).save(given.sheet)
    total = len(shapes.COLOURS) * len(shapes.SHAPES) * given.seeds
    console.write(f"{right} of {total} right, {right / total:.1%}")


if __name__ == "__main__":
    main()
