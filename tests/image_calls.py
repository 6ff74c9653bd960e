"""What tests of the image engine share: small requests, bundles of random models, raw pixels."""

from __future__ import annotations

from pathlib import Path

from sphere_edge import ImageManager, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.packaging import find, package

SIDE = 64
SMALL = {"width": SIDE, "height": SIDE, "steps": 2}


def packaged(model: Path, output: Path, quantization: str | None = None) -> Path:
    """The bundle of `model` for this machine, written to `output`."""
    options = PackageOptions(quantization=quantization)
    return package(find(str(model)), profiles.host(), options, output).output


def pixels(manager: ImageManager, prompt: str = "a fox", **options: object) -> bytes:
    """Of one small image; seed 5 unless given otherwise."""
    options = {**SMALL, "seed": 5, **options}
    return manager.generate(prompt, **options)[0].image.tobytes()
