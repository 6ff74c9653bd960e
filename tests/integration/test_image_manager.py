"""ImageManager on the real engine with random weights: it generates noise, but always the same."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from safetensors.numpy import save_file

from sphere_edge import ImageManager, errors
from sphere_edge.runtime.image_generation import ImageProgress
from sphere_edge.runtime.image_request import Lora
from tests import random_diffusion, runtimes
from tests.image_calls import SIDE, SMALL, packaged, pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("image")


@pytest.fixture(scope="module")
def bundle(image_bundle: Path) -> Path:
    return image_bundle


@pytest.fixture(scope="module")
def image(bundle: Path) -> ImageManager:
    # All engines in one library: what they share must be guarded.
    runtimes.here()
    # One thread: others of the test run hold the cores, and two would wait for each other.
    return ImageManager.open(bundle, threads=1)


@pytest.fixture(scope="module")
def reader(folder: Path) -> ImageManager:
    """A model whose VAE has an encoder, too."""
    model = random_diffusion.write(folder / "reader.safetensors", with_encoder=True)
    return ImageManager.open(packaged(model, folder / "reader.host", "q8_0"), threads=1)


def test_the_same_seed_gives_the_same_image_whatever_came_before(image: ImageManager) -> None:
    first = pixels(image)
    assert len(set(first)) > 10
    assert pixels(image, "two trees", seed=6) != first
    assert pixels(image, negative_prompt="grey") != first
    assert pixels(image) == first


def test_a_batch_is_its_seeds_one_by_one(image: ImageManager) -> None:
    batch = image.generate("a fox", **SMALL, seed=5, batch=2)
    assert [generated.seed for generated in batch] == [5, 6]
    assert [generated.image.tobytes() for generated in batch] == [
        pixels(image),
        pixels(image, seed=6),
    ]


def test_a_fresh_seed_is_reported_and_gives_the_same_image_again(image: ImageManager) -> None:
    generated = image.generate("a fox", **SMALL)[0]
    assert pixels(image, seed=generated.seed) == generated.image.tobytes()


def test_a_png_says_what_it_was_generated_from(
    image: ImageManager, bundle: Path, tmp_path: Path
) -> None:
    generated = image.generate("Ein Fuchs im Schnee ❄", **SMALL, seed=7, sampler="heun")[0]
    generated.save(tmp_path / "fox.png")
    with Image.open(tmp_path / "fox.png") as read:
        assert read.tobytes() == generated.image.tobytes()
        parameters = json.loads(read.info["parameters"])
    assert parameters["prompt"] == "Ein Fuchs im Schnee ❄"
    assert (parameters["seed"], parameters["steps"], parameters["sampler"]) == (7, 2, "heun")
    assert (parameters["width"], parameters["height"]) == (SIDE, SIDE)
    assert parameters["model"] == bundle.name


def test_steps_are_reported_and_what_the_receiver_raises_ends_the_call(
    image: ImageManager,
) -> None:
    seen: list[ImageProgress] = []
    image.generate("a fox", **SMALL, batch=2, on_progress=seen.append)
    assert [(at.image, at.step, at.steps) for at in seen] == [
        *((0, 1, 2), (0, 2, 2), (1, 1, 2), (1, 2, 2))
    ]

    def refuse(_: ImageProgress) -> None:
        raise KeyError("enough")  # noqa: EM101  the test's own

    with pytest.raises(KeyError, match="enough"):
        image.generate("a fox", **SMALL, on_progress=refuse)


def test_a_image_cannot_be_asked_for_while_one_is_reported(image: ImageManager) -> None:
    def again(_: ImageProgress) -> None:
        pixels(image)

    with pytest.raises(errors.InvalidArgumentError, match="busy with another call"):
        image.generate("a fox", **SMALL, on_progress=again)


def test_previews_come_with_the_steps(image: ImageManager) -> None:
    seen: list[ImageProgress] = []
    first = pixels(image)
    assert pixels(image, preview=True, on_progress=seen.append) == first
    assert all(at.preview is not None and at.preview.mode == "RGB" for at in seen)


@pytest.mark.parametrize(
    ("sampler", "schedule"),
    [("euler", "discrete"), ("euler_a", "karras"), ("dpm++2m", "simple"), ("lcm", "gits")],
)
def test_samplers_and_schedules_end_with_a_image(
    image: ImageManager, sampler: str, schedule: str
) -> None:
    assert len(set(pixels(image, sampler=sampler, schedule=schedule))) > 10


def test_tiles_give_nearly_the_same_image(image: ImageManager) -> None:
    whole = np.frombuffer(pixels(image), np.uint8).astype(int)
    tiled = np.frombuffer(pixels(image, vae_tiling=True), np.uint8).astype(int)
    assert np.abs(whole - tiled).mean() < 8


def test_cancelling_ends_an_image_at_its_step_and_the_next_is_whole(image: ImageManager) -> None:
    first = pixels(image)
    begun = threading.Event()
    steps: list[ImageProgress] = []

    def report(at: ImageProgress) -> None:
        steps.append(at)
        begun.set()

    def generate() -> None:
        with pytest.raises(errors.CancelledError):
            image.generate("a fox", width=512, height=512, steps=500, on_progress=report)

    thread = threading.Thread(target=generate)
    thread.start()
    begun.wait()
    done = len(steps)
    image.cancel()
    thread.join()
    # One may have ended while we asked. How soon it stops inside a step is measured in benchmarks.
    assert len(steps) <= done + 1
    assert pixels(image) == first


def test_ctrl_c_ends_an_image_soon_and_the_next_is_whole(image: ImageManager) -> None:
    first = pixels(image)
    interrupt = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT])

    def begun(at: ImageProgress) -> None:
        if at.step == 1:
            interrupt.start()

    with pytest.raises(KeyboardInterrupt):
        image.generate("a fox", width=512, height=512, steps=500, on_progress=begun)
    assert pixels(image) == first


def test_a_model_may_be_closed_while_an_image_is_reported(bundle: Path) -> None:
    manager = ImageManager.open(bundle, threads=1)
    with pytest.raises(errors.CancelledError):
        manager.generate("a fox", **SMALL, on_progress=lambda _: manager.close())
    with pytest.raises(errors.InvalidArgumentError, match="has been closed"):
        pixels(manager)


def test_time_runs_out(image: ImageManager) -> None:
    with pytest.raises(errors.TimeoutError):
        image.generate("a fox", width=512, height=512, steps=500, timeout_s=0.05)
    assert pixels(image)


def test_more_memory_than_there_is_is_refused_before_it_is_taken(image: ImageManager) -> None:
    before, steps = resident_bytes(), list[ImageProgress]()
    with pytest.raises(errors.OutOfMemoryError, match="are free") as caught:
        image.generate("a fox", width=4096, height=4096, steps=2, on_progress=steps.append)
    assert "vae_tiling" in str(caught.value.hint)
    assert steps == []
    assert resident_bytes() - before < 2**28


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_memory_does_not_grow_with_the_images(image: ImageManager) -> None:
    def stop(at: ImageProgress) -> None:
        raise KeyError(at.step)

    def generate() -> None:
        pixels(image)
        with pytest.raises(KeyError):
            image.generate("a fox", **SMALL, on_progress=stop)

    for _ in range(2):
        generate()
    before = resident_bytes()
    for _ in range(6):
        generate()
    # One image's working memory would be seven megabytes.
    assert resident_bytes() - before < 10 * 2**20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "the number of steps is not from 1 to 500: `0`"),
        ({"width": 0}, "the width is not from 16 to 4096: `0`"),
        ({"width": 2**31}, "the width is not from 16 to 4096"),
        ({"height": 72}, "the height is not a multiple of 16: `72`"),
        ({"batch": 0}, "the number of images is not from 1 to 64: `0`"),
        ({"cfg_scale": float("nan")}, "cfg_scale is not a number"),
        ({"cfg_scale": -1.0}, "the cfg scale is not from 0 to 100"),
        ({"guidance": 1e9}, "the guidance is not from 0 to 100"),
        ({"guidance": 3.0}, "the model does not support distilled guidance"),
        ({"strength": 0.5}, "a strength needs an image to start from"),
        ({"sampler": "magic"}, "no such sampler: `magic`"),
        ({"schedule": "magic"}, "no such schedule: `magic`"),
        ({"schedule": "gits", "steps": 1}, "the schedule `gits` needs two steps or more"),
        ({"schedule": "ays"}, "is for the families sd1 and sdxl, not for `ernie-image`"),
        ({"prompt": "x" * 100_000}, "the prompt has `100000` bytes, more than 8192"),
        ({"prompt": "a\0b"}, "holds a NUL character"),
        ({"prompt": "\ud800"}, "holds an invalid character"),
        ({"negative_prompt": "x" * 100_000}, "the negative prompt has `100000` bytes"),
        ({"negative_prompt": "grey", "cfg_scale": 1}, "a negative prompt needs a cfg scale other"),
        ({"seed": -1}, "seed is not a whole number"),
        ({"timeout_s": 0}, "timeout_s is not above 0"),
        ({"mask": Image.new("L", (SIDE, SIDE))}, "a mask needs an initial image"),
        ({"loras": [Lora(Path("none"), float("inf"))]}, "strength is not a number"),
    ],
)
def test_invalid_requests_are_refused(
    image: ImageManager, options: dict[str, object], message: str
) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=message.replace("`", ".")):
        image.generate(**{"prompt": "a fox", **SMALL, **options})


def test_a_model_that_reads_no_images_says_so(image: ImageManager) -> None:
    assert not image.info.reads_images
    with pytest.raises(errors.UnsupportedError, match="it has no encoder"):
        image.generate("a fox", steps=2, init=Image.new("RGB", (SIDE, SIDE)))


def test_an_image_can_be_started_from_and_masked(reader: ImageManager) -> None:
    init = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (0, 0, SIDE // 2, SIDE))
    # Of two steps, half would be both: the engine keeps one more than that share.
    half = {"steps": 4, "strength": 0.5, "init": init}
    plain = pixels(reader, steps=4)
    started = pixels(reader, **half)
    masked = pixels(reader, **half, mask=mask)
    assert len({plain, started, masked}) == 3
    assert pixels(reader, **half, mask=mask) == masked
    with pytest.raises(errors.InvalidArgumentError, match="the mask has 32x64 pixels"):
        pixels(reader, init=init, mask=mask.resize((32, 64)))
    with pytest.raises(errors.InvalidArgumentError, match="the initial image has 64x64 pixels"):
        pixels(reader, init=init, width=128)


LAYER = "diffusion_model.layers.0.self_attention.to_q"


def lora_for(layer: str, width: int) -> dict[str, npt.NDArray[np.float32]]:
    random = np.random.default_rng(1)
    return {
        f"{layer}.lora_A.weight": random.standard_normal((4, width), np.float32),
        f"{layer}.lora_B.weight": random.standard_normal((width, 4), np.float32),
    }


def test_a_lora_changes_the_image_and_is_gone_afterwards(
    image: ImageManager, tmp_path: Path
) -> None:
    lora = lora_for(LAYER, 128)
    save_file(lora, tmp_path / "style.safetensors")
    first = pixels(image)
    assert pixels(image, loras=[Lora(tmp_path / "style.safetensors")]) != first
    assert pixels(image) == first
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "style.safetensors").read_bytes()[:-9])
    with pytest.raises(errors.ModelCorruptError):
        pixels(image, loras=[Lora(tmp_path / "cut.safetensors")])
    with pytest.raises(errors.NotFoundError):
        pixels(image, loras=[Lora(tmp_path / "none.safetensors")])


def test_a_lora_that_would_be_used_in_part_or_is_damaged_is_refused(
    image: ImageManager, tmp_path: Path
) -> None:
    lora = lora_for(LAYER, 128)
    scale = np.ones((128, 1), np.float32)
    save_file({**lora, f"{LAYER}.dora_scale": scale}, tmp_path / "dora.safetensors")
    with pytest.raises(errors.UnsupportedError, match="changes weights by DoRA"):
        pixels(image, loras=[Lora(tmp_path / "dora.safetensors")])
    save_file({**lora, **lora_for(LAYER.replace("0", "9"), 128)}, tmp_path / "some.safetensors")
    with pytest.raises(errors.FormatMismatchError, match="`2` of its `4` tensors belong to none"):
        pixels(image, loras=[Lora(tmp_path / "some.safetensors")])
    next(iter(lora.values()))[0, 0] = np.nan
    save_file(lora, tmp_path / "nan.safetensors")
    with pytest.raises(errors.ModelCorruptError, match="holds NaN or infinity"):
        pixels(image, loras=[Lora(tmp_path / "nan.safetensors")])
    (tmp_path / "page.safetensors").write_bytes(b"<html>log in first</html>")
    with pytest.raises(errors.ModelCorruptError, match="is a web page"):
        pixels(image, loras=[Lora(tmp_path / "page.safetensors")])


def test_a_lora_for_another_model_is_refused_before_a_step(
    image: ImageManager, tmp_path: Path
) -> None:
    elsewhere = "diffusion_model.double_blocks.0.img_attn.proj"
    lora = lora_for(elsewhere, 128)
    save_file(lora, tmp_path / "flux.safetensors")
    with pytest.raises(errors.FormatMismatchError, match="not for the family `ernie-image`: none"):
        pixels(image, loras=[Lora(tmp_path / "flux.safetensors")])
    save_file(lora_for(LAYER, 64), tmp_path / "wide.safetensors")
    with pytest.raises(errors.FormatMismatchError, match="lora_down` has another width"):
        pixels(image, loras=[Lora(tmp_path / "wide.safetensors")])
    assert pixels(image)


def test_three_managers_at_once_do_what_they_do_alone(bundle: Path, folder: Path) -> None:
    # In a process of its own: this one may have loaded a library without images before.
    runtimes.here()
    script = Path(__file__).with_name("three_managers.py")
    run = subprocess.run(
        [sys.executable, script, bundle, folder], capture_output=True, text=True, timeout=3600
    )
    assert run.returncode == 0, run.stderr
