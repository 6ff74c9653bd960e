"""Compares our images with those of stable-diffusion.cpp's own program, byte for byte.

    python benchmarks/image_equal.py [--bundle FOLDER] [--steps 4] [--width 64] [--height 64]

With a bundle, two seeds of it. Without, models with random weights are made, one of them quantized,
and each kind of request is compared: sizes, steps, samplers, schedules, negative prompts, batches,
initial images, masks, LoRAs, tiling. Exits with 1 if a byte differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import sd_cli
from sphere_edge import ImageManager, console, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.packaging import find, package
from sphere_edge.runtime.image_request import Lora
from tests import random_diffusion

_PROMPT = "a red fox in the snow"


@dataclass(frozen=True)
class Case:
    """A request: what ImageManager.generate is given; `quantized` names the model."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    quantized: bool = False


def main() -> int:
    """Generates each case with both and compares all bytes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--height", type=int, default=64)
    given = parser.parse_args()
    program = sd_cli.program()
    size = {"width": given.width, "height": given.height, "steps": given.steps}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        if given.bundle is not None:
            bundles = {False: given.bundle}
            cases = [Case(f"seed {seed}", {"seed": seed}) for seed in (5, 42)]
        else:
            bundles, cases = _bundles(folder), _cases(folder, size)
        different = 0
        for quantized, bundle in bundles.items():
            with ImageManager.open(bundle) as image:
                for case in cases:
                    if case.quantized == quantized:
                        case = replace(case, options={"seed": 5, **size, **case.options})
                        different += not _is_equal(program, bundle, image, case, folder)
    console.write(f"{different} different")
    return 1 if different else 0


def _is_equal(program: Path, bundle: Path, image: ImageManager, case: Case, folder: Path) -> bool:
    begin = time.monotonic()
    ours = [generated.image.tobytes() for generated in image.generate(_PROMPT, **case.options)]
    middle = time.monotonic()
    model = bundle / "model.gguf"
    generated = sd_cli.generate(program, model, _PROMPT, case.options, image.info, folder)
    theirs = [one.tobytes() for one in generated]
    same = ours == theirs
    console.write(
        f"{case.name}: {'equal' if same else 'DIFFERENT'}, ours {middle - begin:.2f} s, "
        f"theirs {time.monotonic() - middle:.2f} s with loading"
    )
    if not same and len(ours) == len(theirs):
        for mine, other in zip(ours, theirs, strict=True):
            pixels = [np.frombuffer(one, np.uint8).astype(int) for one in (mine, other)]
            gap = abs(pixels[0] - pixels[1])
            console.write(f"  at most {gap.max()} of 255 apart, {np.mean(gap > 0):.1%} of bytes")
    return same


def _bundles(folder: Path) -> dict[bool, Path]:
    """By whether they are quantized."""
    model = random_diffusion.write(folder / "random.safetensors", with_encoder=True)
    return {
        is_quantized: package(
            find(str(model)),
            profiles.host(),
            PackageOptions(quantization="q8_0" if is_quantized else None),
            folder / f"random.{is_quantized}",
        ).output
        for is_quantized in (False, True)
    }


def _cases(folder: Path, size: dict[str, int]) -> list[Case]:
    sides = size["width"], size["height"]
    init = Image.linear_gradient("L").resize(sides).convert("RGB")
    mask = Image.new("L", sides)
    mask.paste(255, (0, 0, sides[0] // 2, sides[1]))
    lora = Lora(_lora(folder / "style.safetensors"), 0.8)
    started = {"init": init, "strength": 0.6}
    return [
        Case("seed 5"),
        Case("seed 42", {"seed": 42}),
        Case("96x48, 2 steps", {"width": 96, "height": 48, "steps": 2}),
        Case("one step", {"steps": 1}),
        *(
            Case(f"{sampler}, {schedule}", {"sampler": sampler, "schedule": schedule})
            for sampler, schedule in (
                *(("euler_a", "karras"), ("heun", "simple"), ("dpm2", "discrete")),
                *(("dpm++2s_a", "exponential"), ("dpm++2m", "sgm_uniform")),
                *(("dpm++2mv2", "smoothstep"), ("ipndm", "gits"), ("ipndm_v", "kl_optimal")),
                *(("lcm", "lcm"), ("ddim_trailing", "simple"), ("tcd", "simple")),
                *(("res_multistep", "bong_tangent"), ("res_2s", "simple"), ("er_sde", "simple")),
            )
        ),
        Case("negative prompt, cfg 6", {"negative_prompt": "grey, blurred", "cfg_scale": 6.0}),
        Case("no cfg", {"cfg_scale": 1.0}),
        Case("batch of three", {"batch": 3}),
        Case("an initial image", started),
        Case("a mask", {**started, "mask": mask}),
        Case("a LoRA", {"loras": [lora]}),
        Case("tiles", {"vae_tiling": True, "width": 320, "height": 320, "steps": 1}),
        Case("q8_0", quantized=True),
        Case("q8_0, a LoRA", {"loras": [lora]}, quantized=True),
    ]


def _lora(path: Path) -> Path:
    random = np.random.default_rng(1)
    name = "diffusion_model.layers.0.self_attention.to_q"
    weights = {
        f"{name}.lora_A.weight": random.standard_normal((4, 128), np.float32),
        f"{name}.lora_B.weight": random.standard_normal((128, 4), np.float32),
    }
    save_file(weights, path)
    return path


if __name__ == "__main__":
    sys.exit(main())
