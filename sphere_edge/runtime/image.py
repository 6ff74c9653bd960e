"""ImageManager: pictures from words by diffusion models, from a bundle, in this process.

with ImageManager.open("dist/sd-turbo.host") as image:
    image.generate("a red fox in the snow", seed=7)[0].save("fox.png")
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from sphere_edge import errors
from sphere_edge.runtime import binding_image, library, options
from sphere_edge.runtime.handle import Handle
from sphere_edge.runtime.painting import (
    Asked,
    GeneratedImage,
    ImageResult,
    Lora,
    Painting,
    PaintingProgress,
)

__all__ = [
    "GeneratedImage",
    "ImageInfo",
    "ImageManager",
    "ImageResult",
    "Lora",
    "Painting",
    "PaintingProgress",
]

_GREATEST_THREADS = 512


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """What was opened; sizes, steps and scales are the model's own, used unless others are given.

    `reads_pictures`: it can start from a picture; `inpaints`: it wants one and a mask.
    """

    name: str
    engine: str
    backend: str
    family: str
    quantization: str
    parameters: int
    width: int
    height: int
    steps: int
    cfg_scale: float
    guidance: float
    size_multiple: int
    reads_pictures: bool
    inpaints: bool
    threads: int
    weights_bytes: int
    load_seconds: float


class ImageManager:
    """An image model that is open.

    It may be used from any thread, by one call at a time: a second `generate` waits until the first
    has ended. Pictures of several managers are painted one after the other. Every failure is a
    SphereEdgeError with `.code` and `.hint`.
    """

    def __init__(self, handle: Handle, name: str) -> None:
        """Made by `open`."""
        self._handle = handle
        self._turn = threading.Lock()
        self._painting: Painting | None = None
        told = json.loads(handle.string("se_image_info"))
        names = {field.name for field in dataclasses.fields(ImageInfo)} - {"name"}
        self.info = ImageInfo(name=name, **{key: told[key] for key in names})

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, threads: int = 0) -> ImageManager:
        """Opens a bundle folder of the task image.

        `threads` 0: as many as there are performance cores. The first time, the runtime is built
        with images (some minutes). Raises NotFoundError, ModelCorruptError, FormatMismatchError (no
        image model, another runtime), OutOfMemoryError.
        """
        place = Path(path)
        asked = binding_image.ImageOpenOptions(
            size=ctypes.sizeof(binding_image.ImageOpenOptions),
            threads=options.count("threads", threads, _GREATEST_THREADS),
        )
        arguments = (library.encoded(place), ctypes.byref(asked))
        core = library.load(task="image")
        return cls(Handle(core, "se_image_open", *arguments), place.absolute().name)

    def generate(
        self,
        prompt: str,
        *,
        negative_prompt: str = "",
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        sampler: str | None = None,
        schedule: str | None = None,
        cfg_scale: float | None = None,
        guidance: float | None = None,
        seed: int | None = None,
        batch: int = 1,
        init: Image.Image | None = None,
        strength: float | None = None,
        mask: Image.Image | None = None,
        loras: Sequence[Lora] = (),
        vae_tiling: bool = False,
        preview: bool = False,
        timeout_s: float | None = None,
        on_progress: Callable[[PaintingProgress], object] | None = None,
    ) -> list[GeneratedImage]:
        """Paints `prompt` and returns the pictures; the same seed gives the same ones.

        `init`: a picture to start from, of which `strength` (0 to 1, default 0.75) is painted over;
        only where `mask` is white, if there is one. Both must have the size that is asked for
        (default: that of `init`). `on_progress` is called after each step, with a small preview if
        `preview` is asked for and the family has one; what it raises ends the call.

        Raises InvalidArgumentError, OutOfMemoryError (before the memory is taken), UnsupportedError
        (`init` for a model that reads no pictures), errors.TimeoutError, CancelledError.
        """
        if init is not None:
            width, height = width or init.width, height or init.height
        asked = Asked(
            prompt=prompt,
            negative_prompt=negative_prompt,
            width=width,
            height=height,
            steps=steps,
            sampler=sampler,
            schedule=schedule,
            cfg_scale=cfg_scale,
            guidance=guidance,
            seed=seed,
            batch=batch,
            init=init,
            strength=strength,
            mask=mask,
            loras=tuple(loras),
            vae_tiling=vae_tiling,
            preview=preview,
            timeout_s=timeout_s,
        )
        under_way = self._painting
        if under_way is not None and under_way.is_this_thread:
            message = "the model is painting the picture whose progress this is"
            raise errors.InvalidArgumentError(message, hint="wait for its end")
        painting = Painting(self._handle, asked, on_progress, self.info.name)
        with self._turn:
            self._painting = painting
            try:
                return painting.run()
            finally:
                self._painting = None

    def cancel(self) -> None:
        """Makes the running `generate` raise CancelledError soon; from any thread."""
        painting = self._painting
        if painting is not None:
            painting.cancel()

    def close(self) -> None:
        """Ends the picture under way and frees the model. Closing twice is fine."""
        self.cancel()
        with self._turn:
            self._handle.close()

    def __enter__(self) -> ImageManager:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def convert(
    parts: Sequence[tuple[Path, str]],
    output: Path,
    type: str | None,
    on_progress: Callable[[int, int], bool],
) -> dict[str, object]:
    """Merges the files of a model, with the prefixes of their tensors, into one GGUF file.

    `type`: of the matrices of diffusion model and text encoders, as "q8_0"; None: as they are.
    `on_progress` gets bytes done and in all; False stops. Returns what `se_image_convert` tells.
    Raises ModelCorruptError, UnsupportedError, StorageError, CancelledError.
    """
    array = (binding_image.ImagePart * len(parts))(
        *(binding_image.ImagePart(library.encoded(path), prefix.encode()) for path, prefix in parts)
    )

    def hear(done: int, total: int, _: object) -> bool:
        return on_progress(done, total)

    core = library.load(task="image")
    told: dict[str, object] = json.loads(
        core.string(
            "se_image_convert",
            array,
            len(parts),
            None if type is None else options.string("the type", type),
            library.encoded(output),
            binding_image.ConvertFunction(hear),
            None,
        )
    )
    return told
