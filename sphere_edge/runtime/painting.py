"""One call of the image engine: what is asked as the C struct, pictures as Pillow's images."""

from __future__ import annotations

import ctypes
import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sphere_edge import errors
from sphere_edge.files import atomic_write
from sphere_edge.runtime import binding_image, library, options
from sphere_edge.runtime.binding import SEED_RANDOM
from sphere_edge.runtime.handle import Handle
from sphere_edge.runtime.interruptible import interruptible

_UINT32 = 0xFFFFFFFF
_GREATEST_SEED = 0x7FFFFFFF
# The functions that the core calls; None would be another type than ctypes asks for.
_NO_PROGRESS = binding_image.ImageProgressFunction()


@dataclass(frozen=True)
class Lora:
    """A small change of a model, a safetensors or GGUF file, and how much of it."""

    path: Path
    strength: float = 1.0


@dataclass(frozen=True)
class PaintingProgress:
    """After a step: picture `picture` of `pictures` (from 0) has `step` of its `steps`."""

    picture: int
    pictures: int
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
    """A picture with all that it was painted from; `seed` alone paints it again."""

    image: Image.Image
    seed: int
    parameters: dict[str, Any]
    result: ImageResult

    def png(self) -> bytes:
        """The picture as PNG, its parameters in it as JSON under `parameters`."""
        out = BytesIO()
        self.image.save(out, "PNG", pnginfo=self._metadata())
        return out.getvalue()

    def save(self, path: str | Path) -> None:
        """Writes `png()`, or another format by the ending. Raises StorageError."""
        place = Path(path)
        with atomic_write(place) as partial:
            if place.suffix.lower() == ".png":
                partial.write_bytes(self.png())
                return
            try:
                self.image.save(partial)
            except ValueError as error:
                message = f"no picture format has the ending `{place.suffix}`"
                raise errors.InvalidArgumentError(message, hint="take .png") from error

    def _metadata(self) -> PngInfo:
        info = PngInfo()
        info.add_text("Software", "sphere-edge")
        info.add_itxt("parameters", json.dumps(self.parameters, ensure_ascii=False))
        return info


@dataclass(frozen=True)
class Asked:
    """What the caller wants, None: the model's own; the core checks the ranges."""

    prompt: str
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
    loras: tuple[Lora, ...] = field(default=())
    vae_tiling: bool = False
    preview: bool = False
    timeout_s: float | None = None


class Painting:
    """A call under way; `cancel` may come from any thread at any time."""

    def __init__(
        self,
        handle: Handle,
        asked: Asked,
        on_progress: Callable[[PaintingProgress], object] | None,
        model: str,
    ) -> None:
        self._handle = handle
        self._asked = asked
        self._on_progress = on_progress
        self._model = model
        self._cancelled = threading.Event()
        self._pictures: list[tuple[Image.Image, int]] = []
        self._raised: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_this_thread(self) -> bool:
        """Whether the engine works on the thread that asks: inside a progress function."""
        return self._thread is threading.current_thread()

    def cancel(self) -> None:
        """The call raises CancelledError soon."""
        self._cancelled.set()
        self._handle.cancel()

    def run(self) -> list[GeneratedImage]:
        """Paints, so that Ctrl-C is heard; raises what went wrong."""
        given = self._options()
        result = binding_image.ImageResult(size=ctypes.sizeof(binding_image.ImageResult))
        prompt = options.string("the prompt", self._asked.prompt)
        take = binding_image.PictureFunction(self._take)

        def call() -> None:
            self._thread = threading.current_thread()
            self._handle.call(
                *("se_image_generate", prompt, ctypes.byref(given)),
                *(take, None, ctypes.byref(result)),
            )

        try:
            interruptible(call, cancel=self.cancel)
        except errors.SphereEdgeError:
            if self._raised is not None:
                raise self._raised from None
            raise
        finally:
            self._thread = None
        account = ImageResult(
            seed=result.seed,
            steps=result.steps,
            total_seconds=result.total_seconds,
            step_seconds=result.step_seconds,
            first_step_seconds=result.first_step_seconds,
        )
        return [
            GeneratedImage(image, seed, self._parameters(given, seed), account)
            for image, seed in self._pictures
        ]

    def _options(self) -> binding_image.ImageGenerateOptions:
        asked = self._asked
        given = binding_image.ImageGenerateOptions()
        self._handle.call("se_image_default_options", ctypes.byref(given))
        given.size = ctypes.sizeof(given)
        given.negative_prompt = options.string("the negative prompt", asked.negative_prompt)
        for name in ("width", "height", "steps", "batch"):
            if (value := getattr(asked, name)) is not None:
                setattr(given, name, options.count(name, value, _UINT32))
        for name in ("cfg_scale", "guidance", "strength"):
            if (value := getattr(asked, name)) is not None:
                setattr(given, name, _number(name, value))
        if asked.strength is not None and asked.init is None:
            message = "a strength needs a picture to start from"
            raise errors.InvalidArgumentError(message, hint="it says how much of that is changed")
        for name in ("sampler", "schedule"):
            if (value := getattr(asked, name)) is not None:
                setattr(given, name, options.string(name, value))
        given.seed = SEED_RANDOM
        if asked.seed is not None:
            given.seed = options.count("seed", asked.seed, _GREATEST_SEED)
        if asked.init is not None:
            given.init = asked.init.convert("RGB").tobytes()
            given.init_width, given.init_height = asked.init.size
        if asked.mask is not None:
            given.mask = asked.mask.convert("L").tobytes()
            given.mask_width, given.mask_height = asked.mask.size
        given.loras = (binding_image.ImageLora * len(asked.loras))(
            *(
                binding_image.ImageLora(
                    library.encoded(Path(lora.path)), _number("a LoRA's strength", lora.strength)
                )
                for lora in asked.loras
            )
        )
        given.lora_count = len(asked.loras)
        given.vae_tiling = bool(asked.vae_tiling)
        given.preview = bool(asked.preview)
        if asked.timeout_s is not None:
            given.timeout_ms = _milliseconds(asked.timeout_s)
        given.on_progress = (
            _NO_PROGRESS
            if self._on_progress is None
            else binding_image.ImageProgressFunction(self._report)
        )
        return given

    def _take(self, picture: Any, _: object) -> bool:
        try:
            shown = picture.contents
            self._pictures.append((_image(shown), shown.seed))
        except BaseException as error:
            self._raised = error
            return False
        return not self._cancelled.is_set()

    def _report(self, progress: Any, _: object) -> bool:
        if self._on_progress is None or self._cancelled.is_set():
            return not self._cancelled.is_set()
        try:
            told = progress.contents
            preview = _image(told.preview.contents) if told.preview else None
            self._on_progress(
                PaintingProgress(told.picture, told.pictures, told.step, told.steps, preview)
            )
        except BaseException as error:
            self._raised = error
            return False
        return not self._cancelled.is_set()

    def _parameters(self, given: binding_image.ImageGenerateOptions, seed: int) -> dict[str, Any]:
        # What says nothing about the picture, or is one itself, is left out.
        told = ("prompt", "negative_prompt", "sampler", "schedule", "strength", "vae_tiling")
        said = {name: getattr(self._asked, name) for name in told}
        loras = [{"path": str(one.path), "strength": one.strength} for one in self._asked.loras]
        return {
            "model": self._model,
            **{name: value for name, value in said.items() if value},
            **({"loras": loras} if loras else {}),
            "width": given.width,
            "height": given.height,
            "steps": given.steps,
            "cfg_scale": round(given.cfg_scale, 6),
            "guidance": round(given.guidance, 6),
            "seed": seed,
            "batch": 1,
        }


def _image(picture: binding_image.ImagePicture) -> Image.Image:
    count = picture.width * picture.height * picture.channels
    pixels = ctypes.string_at(picture.pixels, count)
    mode = "RGB" if picture.channels == 3 else "L"
    return Image.frombytes(mode, (picture.width, picture.height), pixels)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        message = f"{name} is not a number: `{value!r}`"
        raise errors.InvalidArgumentError(message)
    return float(value)


def _milliseconds(seconds: Any) -> int:
    number = _number("timeout_s", seconds)
    if not 0 < number <= _UINT32 / 1000:
        message = f"timeout_s is not above 0 and up to {_UINT32 // 1000}: `{seconds!r}`"
        raise errors.InvalidArgumentError(message)
    return max(1, round(number * 1000))
