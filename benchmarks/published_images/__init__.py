"""Every family of image models as it is published, with random weights.

Widths are the published models'; where stable-diffusion.cpp takes the number of layers from the
file, there are few, and where it takes the widths from there, too, the model is tiny.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.published_images import files, flux, joint, unets
from benchmarks.published_images.shapes import Shapes
from tests import random_flux


@dataclass(frozen=True)
class Family:
    """`parts`: files without their endings and the tensors in each; None: a tiny whole checkpoint.

    `is_quantized`: published as GGUF in q4_0, else as safetensors in float16, which packaging turns
    into `quantization`, if any. `pipeline`: they lie in a folder of diffusers, of this class.
    `inpaints`: it needs an image and a mask.
    """

    parts: Callable[[], dict[str, Shapes]] | None = None
    quantization: str | None = None
    is_quantized: bool = False
    pipeline: str | None = None
    inpaints: bool = False


FAMILIES: Mapping[str, Family] = {
    **{name: Family() for name in random_flux.FAMILIES},
    "sd1": Family(unets.sd1, "q8_0", pipeline="StableDiffusionPipeline"),
    "sd1-inpaint": Family(
        lambda: unets.sd1(9), "q8_0", pipeline="StableDiffusionInpaintPipeline", inpaints=True
    ),
    "qwen-image": Family(joint.qwen_image, is_quantized=True),
    "flux-schnell": Family(lambda: flux.flux(guided=False), is_quantized=True),
    "z-image": Family(joint.z_image, is_quantized=True),
    "chroma": Family(flux.chroma, is_quantized=True),
    "sd3": Family(joint.sd3),
    "sdxl": Family(unets.sdxl, pipeline="StableDiffusionXLPipeline"),
    "sdxl-inpaint": Family(
        lambda: unets.sdxl(9), pipeline="StableDiffusionXLInpaintPipeline", inpaints=True
    ),
    "flux-dev": Family(lambda: flux.flux(guided=True), is_quantized=True),
    "flux-fill": Family(
        lambda: flux.flux(guided=True, channels=384), is_quantized=True, inpaints=True
    ),
    "sd2": Family(unets.sd2, "q4_0", pipeline="StableDiffusionPipeline"),
    "sd2-inpaint": Family(
        lambda: unets.sd2(9), "q4_0", pipeline="StableDiffusionInpaintPipeline", inpaints=True
    ),
}


def write(name: str, folder: Path) -> Path:
    """The model `name` as it is published, in `folder`; the path to package."""
    family = FAMILIES[name]
    folder.mkdir(parents=True)
    if family.parts is None:
        return random_flux.write(folder / "model.safetensors", name)
    for part, shapes in family.parts().items():
        # GGUF has four axes, and the VAE that was made for video five.
        is_quantized = family.is_quantized and max(map(len, shapes.values())) <= 4
        path = folder / f"{part}.{'gguf' if is_quantized else 'safetensors'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        (files.write_quantized if is_quantized else files.write)(path, shapes)
    if family.pipeline is not None:
        _write_configs(folder, family.pipeline)
    return folder


def parameters(name: str) -> int:
    """How many the model `name` has; 0: few."""
    make = FAMILIES[name].parts
    shapes = [] if make is None else list(make().values())
    return sum(math.prod(shape) for part in shapes for shape in part.values())


def _write_configs(folder: Path, pipeline: str) -> None:
    there = [name for name in unets.CLASSES if (folder / name).is_dir()]
    for name in there:
        (folder / name / "config.json").write_text(json.dumps(unets.CONFIGS[name]))
    index = {"_class_name": pipeline, **{name: unets.CLASSES[name] for name in there}}
    (folder / "model_index.json").write_text(json.dumps(index))
