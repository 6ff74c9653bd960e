"""The built-in image model draws what the prompt names, through the whole tool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sphere_edge import ImageManager, __main__, packaging
from sphere_edge.bundle.read import Bundle
from tests import made_bundles
from training import shapes


@pytest.fixture(scope="module")
def bundle() -> Path:
    return made_bundles.made(packaging.TINY_IMAGE).folder


@pytest.fixture(scope="module")
def image(bundle: Path) -> ImageManager:
    return ImageManager.open(bundle, threads=1)


def test_its_own_size_and_steps_are_in_the_bundle(bundle: Path, image: ImageManager) -> None:
    advised = Bundle.open(bundle).manifest.image
    assert advised is not None
    assert (advised.width, advised.height) == (shapes.SIDE, shapes.SIDE)
    assert (image.info.width, image.info.steps) == (shapes.SIDE, advised.steps)


@pytest.mark.parametrize(
    ("colour", "shape"),
    [("red", "circle"), ("blue", "square"), ("green", "triangle"), ("yellow", "circle")],
)
def test_words_become_shapes(image: ImageManager, colour: str, shape: str) -> None:
    found = [
        shapes.recognise(np.asarray(image.generate(f"a {colour} {shape}", seed=seed)[0].image))
        for seed in (1, 2, 3)
    ]
    assert found.count((colour, shape)) >= 2, found


def test_its_name_is_enough_to_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["generate-image", "a red circle", "tiny-image", "-o", "circle.png", "--seed", "1"]
    assert __main__.main(words) == 0
    assert capsys.readouterr().out == "circle.png\n"
    with Image.open("circle.png") as written:
        assert shapes.recognise(np.asarray(written)) == ("red", "circle")
    assert [path.name for path in tmp_path.iterdir()] == ["circle.png"]


def test_an_unknown_word_still_ends_with_an_image(image: ImageManager) -> None:
    generated = image.generate("a castle in the fog", seed=1)[0].image
    assert generated.size == (shapes.SIDE, shapes.SIDE)


def test_a_prompt_may_have_any_characters(image: ImageManager) -> None:
    # Of all planes: a table of 384 characters was asked about them, far behind its end.
    prompt = "".join(chr(code) for code in range(0x2600, 0x110000, 0x400) if code >> 11 != 0x1B)
    assert len(prompt) > 1000
    images = [image.generate(prompt[:at], seed=1, steps=1) for at in (2000, 2000)]
    assert np.array_equal(*(np.asarray(one[0].image) for one in images))
