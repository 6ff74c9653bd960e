"""The rest of the tool with image models: the runner, deploy, bench and inspect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from sphere_edge import ImageManager, __main__
from sphere_edge.bench import images
from sphere_edge.bench.target import ModelOnDevice
from sphere_edge.bundle.read import Bundle
from sphere_edge.devices.open import opened
from sphere_edge.engines import diffusion_fit
from sphere_edge.run import ProgramFailedError, run
from tests import runtimes

SIDE = 64


def test_the_runner_generates_what_python_does(image_bundle: Path, tmp_path: Path) -> None:
    with ImageManager.open(image_bundle) as image:
        generated = image.generate("a fox", width=SIDE, height=SIDE, steps=2, seed=5)[0]
        expected = generated.image.tobytes()
    runner = runtimes.here().runner
    file = tmp_path / "fox.png"
    words = [runner, "generate-image", image_bundle, "a fox", "--output", file, "--json"]
    size = ["--width", "64", "--height", "64", "--steps", "2", "--seed", "5"]
    output = json.loads(run([*words, *size], timeout_s=300).stdout)
    with Image.open(output["images"][0]["path"]) as read:
        assert read.tobytes() == expected
        assert json.loads(read.info["parameters"]) == {"prompt": "a fox", "seed": 5}
    assert (output["steps"], output["backend"]) == (2, "cpu")
    assert output["peak_rss_bytes"] > output["weights_bytes"] > 0
    with pytest.raises(ProgramFailedError) as caught:
        run([*words, "--steps", "0"], timeout_s=300)
    assert json.loads(caught.value.completed.stdout)["error"]["code"] == 10


def test_bench_measures_images(image_bundle: Path) -> None:
    with opened("local") as device:
        plan = images.ImagePlan(repeat=2, width=SIDE, height=SIDE, steps=2)
        output = images.measure(ModelOnDevice(device, image_bundle), plan).as_json()
    assert output["family"] == "ernie-image"
    assert (output["steps"], len(output["samples"])) == (2, 2)
    assert 0 < output["seconds_per_step"] < output["total_seconds"]
    assert output["peak_rss_bytes"] < 2 * output["predicted"]["peak_bytes"]


def test_a_bundle_is_deployed_here_and_its_speed_is_reported(
    image_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        __main__.main(
            ["deploy", str(image_bundle), "--device", "local", "--store", str(tmp_path / "store")]
        )
        == 0
    )
    page = tmp_path / "bench.html"
    size = ["--image-size", f"{SIDE}x{SIDE}", "--steps", "1", "--repeat", "1"]
    assert __main__.main(["bench", str(image_bundle), *size, "--report", str(page)]) == 0
    assert "seconds per step" in capsys.readouterr().out
    assert "of predicted" in page.read_text()


def test_inspect_foretells_the_memory_that_packaging_finds(
    image_model: Path, image_bundle: Path
) -> None:
    foretold = diffusion_fit.sizes(image_model)
    found = Bundle.open(image_bundle).manifest
    assert found.image is not None
    assert foretold.side == found.image.width
    assert foretold.memory(diffusion_fit.AS_IT_IS).workspace_bytes == found.memory.workspace_bytes
    weights = foretold.weights_bytes[diffusion_fit.AS_IT_IS]
    assert weights == pytest.approx(found.memory.weights_bytes, rel=0.01)
