"""`sphere-edge generate-image`: generates images from a prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from sphere_edge import console
from sphere_edge.console import Step
from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError
from sphere_edge.packaging.opening import Opening, open_image
from sphere_edge.runtime.image import ImageInfo
from sphere_edge.runtime.image_generation import GeneratedImage, ImageProgress
from sphere_edge.runtime.image_request import ImageRequest, Lora


@dataclasses.dataclass(frozen=True)
class Files:
    """The files of a call: what is written, an image and a mask to start from, LoRAs."""

    output: Path
    init: Path | None = None
    mask: Path | None = None
    loras: tuple[str, ...] = ()


def generate_image(
    opening: Opening, prompt: str, request: ImageRequest, files: Files
) -> tuple[ImageInfo, dict[Path, GeneratedImage]]:
    """Writes PNG files; the model, and the images by their paths."""
    if files.output.suffix.lower() != ".png":
        message = f"`{files.output}` does not end in .png"
        raise InvalidArgumentError(message, hint="images are written as PNG files")
    if not files.output.parent.is_dir():
        message = f"there is no folder `{files.output.parent}`"
        raise StorageError(message)
    request = dataclasses.replace(
        request,
        init=_read(files.init),
        mask=_read(files.mask),
        loras=[_lora(text) for text in files.loras],
    )
    with open_image(opening, console.progress()) as manager:
        total = (request.steps or manager.info.steps) * request.batch
        with console.progress().step("generating", total) as step:
            images = manager.generate(
                prompt, request, on_progress=_reporter(step, total, request.batch)
            )
        info = manager.info
    paths = [_numbered(files.output, index, request.batch) for index in range(request.batch)]
    for image, target in zip(images, paths, strict=True):
        image.save(target)
    return info, dict(zip(paths, images, strict=True))


def show(info: ImageInfo, images: dict[Path, GeneratedImage], *, as_json: bool) -> None:
    """The paths on stdout, or with `as_json` all about the images."""
    first = next(iter(images.values()))
    result = first.result
    if as_json:
        console.write_json(
            {
                "images": [{"path": str(at), **one.parameters} for at, one in images.items()],
                "family": info.family,
                "backend": info.backend,
                "load_seconds": info.load_seconds,
                "total_seconds": result.total_seconds,
                "step_seconds": result.step_seconds,
            }
        )
        return
    for path in images:
        console.write(str(path))
    console.say(
        f"{len(images)} of {first.image.width}x{first.image.height} "
        f"in {result.total_seconds:.1f} s, {result.step_seconds:.2f} s per step, "
        f"seed {result.seed}"
    )


def _reporter(step: Step, total: int, batch: int) -> Callable[[ImageProgress], None]:
    """Advances `step`; some families take fewer steps per image than requested."""
    done = 0

    def on_progress(at: ImageProgress) -> None:
        nonlocal done
        reached = at.image * (total // batch) + at.step
        step.advance(max(0, min(reached, total) - done))
        done = max(done, reached)

    return on_progress


def _numbered(output: Path, index: int, batch: int) -> Path:
    return output if batch == 1 else output.with_stem(f"{output.stem}-{index + 1}")


def _lora(text: str) -> Lora:
    """`FILE` or `FILE:STRENGTH`."""
    name, colon, number = text.rpartition(":")
    try:
        lora = Lora(Path(name), float(number)) if colon else Lora(Path(text))
    except ValueError:
        lora = Lora(Path(text))
    if not lora.path.is_file():
        message = f"there is no file `{lora.path}`"
        raise NotFoundError(message, hint="--lora takes FILE or FILE:STRENGTH")
    return lora


def _read(path: Path | None) -> Image.Image | None:
    if path is None:
        return None

    try:
        with Image.open(path) as image:
            image.load()
            copy: Image.Image = image.copy()
            return copy
    except FileNotFoundError as error:
        message = f"there is no file `{path}`"
        raise NotFoundError(message) from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        message = f"`{path}` is not an image that can be read"
        raise InvalidArgumentError(message) from error
