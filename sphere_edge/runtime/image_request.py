"""ImageRequest: how images are generated, and the one function that puts it into the C struct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from PIL import Image

from sphere_edge.errors import InvalidArgumentError
from sphere_edge.runtime import arguments, as_seen, binding_image
from sphere_edge.runtime.binding import SEED_RANDOM

_GREATEST_SEED = 0x7FFFFFFF


@dataclass(frozen=True)
class Lora:
    """A small change of a model, a safetensors or GGUF file, and how strongly it is applied."""

    path: Path
    strength: float = 1.0


@dataclass(frozen=True)
class ImageRequest:
    """How images are generated; None: the model's own default. The core checks the ranges.

    `init`: an image to start from, of which `strength` (0 to 1, default 0.75) is changed; only
    where `mask` is white, if there is one. Both are turned as their EXIF data say, and must have
    the size that is asked for (default: that of `init`). `preview`: small previews come with the
    progress if the family has them. `seed`: the same one gives the same image; of a batch, the next
    image has the next one.
    """

    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    sampler: str | None = None
    schedule: str | None = None
    cfg_scale: float | None = None
    guidance: float | None = None
    seed: int | None = None
    batch: int = 1
    init: Image.Image | None = None
    strength: float | None = None
    mask: Image.Image | None = None
    loras: Sequence[Lora] = ()
    vae_tiling: bool = False
    preview: bool = False
    timeout_s: float | None = None


class ImageOptions(TypedDict, total=False):
    """The fields of ImageRequest as keywords."""

    negative_prompt: str
    width: int | None
    height: int | None
    steps: int | None
    sampler: str | None
    schedule: str | None
    cfg_scale: float | None
    guidance: float | None
    seed: int | None
    batch: int
    init: Image.Image | None
    strength: float | None
    mask: Image.Image | None
    loras: Sequence[Lora]
    vae_tiling: bool
    preview: bool
    timeout_s: float | None


def fill(options: binding_image.ImageGenerateOptions, request: ImageRequest) -> None:
    """Writes what `request` names over the defaults in `options`. Raises InvalidArgumentError."""
    options.negative_prompt = arguments.string("the negative prompt", request.negative_prompt)
    if request.init is not None:
        init = as_seen.upright(request.init)
        options.init = as_seen.rgb(init).tobytes()
        options.init_width, options.init_height = init.size
        options.width, options.height = init.size
    for name in ("width", "height", "steps", "batch"):
        if (value := getattr(request, name)) is not None:
            setattr(options, name, arguments.count(name, value, arguments.UINT32))
    for name in ("cfg_scale", "guidance", "strength"):
        if (value := getattr(request, name)) is not None:
            setattr(options, name, arguments.number(name, value))
    if request.strength is not None and request.init is None:
        message = "a strength needs an image to start from"
        raise InvalidArgumentError(message, hint="it says how much of that image is changed")
    for name in ("sampler", "schedule"):
        if (value := getattr(request, name)) is not None:
            setattr(options, name, arguments.string(name, value))
    options.seed = SEED_RANDOM
    if request.seed is not None:
        options.seed = arguments.count("seed", request.seed, _GREATEST_SEED)
    if request.mask is not None:
        mask = as_seen.upright(request.mask)
        options.mask = as_seen.grey(mask).tobytes()
        options.mask_width, options.mask_height = mask.size
    for lora in request.loras:
        # Reading checkpoints takes packages that a server on a board does not have.
        from sphere_edge.formats import image_lora

        image_lora.check(Path(lora.path))
    options.loras = (binding_image.ImageLora * len(request.loras))(
        *(
            binding_image.ImageLora(
                arguments.model_path(lora.path),
                arguments.number("a LoRA's strength", lora.strength),
            )
            for lora in request.loras
        )
    )
    options.lora_count = len(request.loras)
    options.vae_tiling = bool(request.vae_tiling)
    options.preview = bool(request.preview)
    if request.timeout_s is not None:
        options.timeout_ms = arguments.milliseconds("timeout_s", request.timeout_s)
