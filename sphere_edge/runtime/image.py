"""ImageManager: images from prompts by diffusion models, from a bundle, in this process.

with ImageManager.open("dist/sd-turbo.host") as image:
    image.generate("a red fox in the snow", seed=7)[0].save("fox.png")
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from typing_extensions import Unpack

from sphere_edge.runtime import arguments, binding_image, library
from sphere_edge.runtime.handle import IMAGE, Handle
from sphere_edge.runtime.image_generation import GeneratedImage, ImageGeneration, ImageProgress
from sphere_edge.runtime.image_request import ImageOptions, ImageRequest
from sphere_edge.runtime.manager import Manager, model_name
from sphere_edge.runtime.request import requested, warn_renamed


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """What was opened; sizes, steps and scales are the model's own, used unless others are given.

    `reads_images`: it can start from an initial image; `inpaints`: it needs one and a mask.
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
    reads_images: bool
    inpaints: bool
    threads: int
    weights_bytes: int
    load_seconds: float

    @property
    def reads_pictures(self) -> bool:
        """`reads_images` by its former name."""
        warn_renamed("reads_pictures", "reads_images", stack=3)
        return self.reads_images


class ImageManager(Manager):
    """An image model that is open.

    It may be used from any thread, by one call at a time: a second `generate` waits until the first
    has ended. Images of several managers are generated one after the other. Every failure is a
    SphereEdgeError with `.code` and `.hint`.
    """

    def __init__(self, handle: Handle, name: str) -> None:
        """Made by `open`."""
        super().__init__(handle)
        self.info = handle.info(ImageInfo, name)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int = 0,
        trusted_keys: str | os.PathLike[str] | None = None,
    ) -> ImageManager:
        """Opens a bundle folder of the task image.

        `threads` 0: as many as there are performance cores. `trusted_keys`: a file of public keys,
        one of which must have signed the bundle. The first time, the runtime is built with images
        (some minutes). Raises NotFoundError, ModelCorruptError, FormatMismatchError (not an image
        model, another runtime), OutOfMemoryError, UntrustedError.
        """
        model = Path(path)
        options = binding_image.ImageOpenOptions(
            size=ctypes.sizeof(binding_image.ImageOpenOptions),
            threads=arguments.count("threads", threads, arguments.MAX_THREADS),
            trusted_keys=arguments.trusted_keys(trusted_keys),
        )
        core = library.load(engine="diffusion")
        handle = Handle(core, IMAGE, arguments.model_path(model), ctypes.byref(options))
        return cls(handle, model_name(model))

    def generate(
        self,
        prompt: str,
        request: ImageRequest | None = None,
        *,
        on_progress: Callable[[ImageProgress], object] | None = None,
        **changes: Unpack[ImageOptions],
    ) -> list[GeneratedImage]:
        """Generates images of `prompt`; the same seed gives the same ones.

        How: an ImageRequest, or its fields as keywords. `on_progress` is called after each step, on
        this thread; what it raises ends the call.

        Raises InvalidArgumentError, OutOfMemoryError (before the memory is taken), UnsupportedError
        (`init` for a model that takes no image), errors.TimeoutError, CancelledError.
        """
        request = requested(ImageRequest(), request, changes)
        with self._exclusive():
            generation = ImageGeneration(self._handle, prompt, request)
            self._began(generation.task)
            return generation.images(self.info.name, on_progress)
