"""FLUX.2, FLUX.2 klein and Ovis-Image with random weights: packaged, told apart, used."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphere_edge import ImageManager
from tests import random_flux
from tests.image_calls import packaged, pixels


@pytest.mark.parametrize("family", random_flux.FAMILIES)
def test_kin_of_flux_generate_the_same_image_twice(family: str, tmp_path: Path) -> None:
    model = random_flux.write(tmp_path / f"{family}.safetensors", family)
    with ImageManager.open(packaged(model, tmp_path / "bundle"), threads=1) as image:
        assert image.info.family == family
        first = pixels(image, steps=1)
        assert len(set(first)) > 10
        assert pixels(image, steps=1) == first
