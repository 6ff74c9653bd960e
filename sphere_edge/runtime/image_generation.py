"""One call of the image engine: progress and images as they come, images as Pillow's."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sphere_edge.errors import CancelledError, InvalidArgumentError, SphereEdgeError
from sphere_edge.files import atomic_write
from sphere_edge.runtime import arguments, binding_image, image_request
from sphere_edge.runtime.binding import C
from sphere_edge.runtime.engine_task import EngineTask
from sphere_edge.runtime.handle import Handle
from sphere_edge.runtime.image_request import ImageRequest
from sphere_edge.runtime.output_stream import OutputStream


@dataclass(frozen=True)
class ImageProgress:
    """After a step: image `image` of `images` (from 0) has `step` of its `steps`."""

    image: int
    images: int
    step: int
    steps: int
    preview: Image.Image | None


@dataclass(frozen=True)
class ImageResult:
    """How a call went; seconds per step are a mean, the first counted from the call on."""

    seed: int
    steps: int
    total_seconds: float
    step_seconds: float
    first_step_seconds: float


@dataclass(frozen=True)
class GeneratedImage:
    """An image with all that it was generated from; with its `seed` it can be generated again."""

    image: Image.Image
    seed: int
    parameters: dict[str, Any]
    result: ImageResult

    def png(self) -> bytes:
        """The image as PNG, its parameters in it as JSON under `parameters`."""
        out = BytesIO()
        self.image.save(out, "PNG", pnginfo=self._metadata())
        return out.getvalue()

    def save(self, path: str | Path) -> None:
        """Writes `png()`, or another format by the suffix. Raises StorageError."""
        target = Path(path)
        with atomic_write(target) as beside:
            if target.suffix.lower() == ".png":
                beside.write_bytes(self.png())
                return
            try:
                self.image.save(beside)
            except ValueError as error:
                message = f"not the suffix of an image format: `{target.suffix}`"
                raise InvalidArgumentError(message, hint="use .png") from error

    def _metadata(self) -> PngInfo:
        info = PngInfo()
        info.add_text("Software", "sphere-edge")
        info.add_itxt("parameters", json.dumps(self.parameters, ensure_ascii=False))
        return info


@dataclass(frozen=True)
class _Finished:
    image: Image.Image
    seed: int


class ImageGeneration(OutputStream[ImageProgress | _Finished, ImageResult]):
    """A call that is running."""

    def __init__(self, handle: Handle, prompt: str, request: ImageRequest) -> None:
        """Made by ImageManager. Raises InvalidArgumentError."""
        self._request = request
        self._prompt = prompt
        self._options = binding_image.ImageGenerateOptions()
        size = ctypes.sizeof(self._options)
        handle.call(C.se_image_default_options, ctypes.byref(self._options), size)
        image_request.fill(self._options, request)
        encoded, options = arguments.string("the prompt", prompt), self._options
        super().__init__(lambda task: _run(handle, encoded, options, task), handle.cancel)

    def images(
        self, model: str, on_progress: Callable[[ImageProgress], object] | None
    ) -> list[GeneratedImage]:
        """Waits for the end; the images. Raises what ended it, and what `on_progress` raises."""
        finished: list[_Finished] = []
        with self:
            for item in self:
                if isinstance(item, _Finished):
                    finished.append(item)
                elif on_progress is not None:
                    on_progress(item)
                # Previews are large, and nobody asks for them again.
                self._items.clear()
        result = self.task.result
        if result is None:
            message = "the call was cancelled"
            raise CancelledError(message)
        return [
            GeneratedImage(one.image, one.seed, self._parameters(model, one.seed), result)
            for one in finished
        ]

    def _parameters(self, model: str, seed: int) -> dict[str, Any]:
        # What does not shape the image, or is an image itself, is left out.
        names = ("negative_prompt", "sampler", "schedule", "strength", "vae_tiling")
        given = {name: getattr(self._request, name) for name in names}
        loras = [{"path": str(one.path), "strength": one.strength} for one in self._request.loras]
        options = self._options
        return {
            "model": model,
            "prompt": self._prompt,
            **{name: value for name, value in given.items() if value},
            **({"loras": loras} if loras else {}),
            "width": options.width,
            "height": options.height,
            "steps": options.steps,
            "cfg_scale": round(options.cfg_scale, 6),
            "guidance": round(options.guidance, 6),
            "seed": seed,
            "batch": 1,
        }


def _run(
    handle: Handle,
    prompt: bytes,
    options: binding_image.ImageGenerateOptions,
    task: EngineTask[ImageProgress | _Finished, ImageResult],
) -> SphereEdgeError | None:
    def on_image(pointer: Any, _: object) -> bool:
        return task.put(_Finished(_image(pointer.contents), pointer.contents.seed))

    def on_progress(pointer: Any, _: object) -> bool:
        at = pointer.contents
        preview = _image(at.preview.contents) if at.preview else None
        return task.put(ImageProgress(at.image, at.images, at.step, at.steps, preview))

    options.on_progress = binding_image.ImageProgressFunction(on_progress)
    filled = binding_image.ImageResult(size=ctypes.sizeof(binding_image.ImageResult))
    failure = handle.status(
        *(C.se_image_generate, prompt, ctypes.byref(options)),
        *(binding_image.BitmapFunction(on_image), None, ctypes.byref(filled)),
    )
    if failure is None:
        task.result = ImageResult(
            seed=filled.seed,
            steps=filled.steps,
            total_seconds=filled.total_seconds,
            step_seconds=filled.step_seconds,
            first_step_seconds=filled.first_step_seconds,
        )
    return failure


def _image(pixels: binding_image.ImageBitmap) -> Image.Image:
    count = pixels.width * pixels.height * pixels.channels
    mode = "RGB" if pixels.channels == 3 else "L"
    size = (pixels.width, pixels.height)
    return Image.frombytes(mode, size, ctypes.string_at(pixels.pixels, count))
