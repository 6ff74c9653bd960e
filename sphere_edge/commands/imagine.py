"""`sphere-edge imagine`: paints pictures from words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from sphere_edge import console, packaged_once
from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError


@dataclass(frozen=True)
class Wish:
    """Options that ImageManager.generate takes as they come from the command line."""

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
    strength: float | None = None
    vae_tiling: bool = False


def imagine(
    prompt: str,
    bundle: Path,
    wish: Wish,
    *,
    output: Path,
    init: Path | None,
    mask: Path | None,
    loras: list[str],
    threads: int,
    as_json: bool,
) -> None:
    """Writes PNG files; their paths go to stdout, or with `as_json` all about them as JSON."""
    if output.suffix.lower() != ".png":
        message = f"`{output}` does not end in .png"
        raise InvalidArgumentError(message, hint="pictures are written as PNG files")
    if not output.parent.is_dir():
        message = f"there is no folder `{output.parent}`"
        raise StorageError(message)
    first, masked = _picture(init), _picture(mask)

    from sphere_edge.runtime.image import ImageManager
    from sphere_edge.runtime.image_generation import ImageProgress
    from sphere_edge.runtime.image_request import Lora

    wanted = [Lora(*_lora(text)) for text in loras]
    batch = wish.batch
    path = packaged_once.opened(bundle, console.progress())
    with ImageManager.open(path, threads=threads) as image:
        total = (wish.steps or image.info.steps) * batch
        with console.progress().step("painting", total) as step:
            done = 0

            def on_progress(at: ImageProgress) -> None:
                nonlocal done
                reached = at.image * (total // batch) + at.step
                step.advance(max(0, min(reached, total) - done))
                done = max(done, reached)

            pictures = image.generate(
                prompt,
                **asdict(wish),
                init=first,
                mask=masked,
                loras=wanted,
                on_progress=on_progress,
            )
        opened = image.info
    paths = [_numbered(output, index, batch) for index in range(batch)]
    for picture, place in zip(pictures, paths, strict=True):
        picture.save(place)
    result = pictures[0].result
    if as_json:
        console.write_json(
            {
                "images": [
                    {"path": str(place), **picture.parameters}
                    for picture, place in zip(pictures, paths, strict=True)
                ],
                "family": opened.family,
                "backend": opened.backend,
                "load_seconds": opened.load_seconds,
                "total_seconds": result.total_seconds,
                "step_seconds": result.step_seconds,
            }
        )
        return
    for place in paths:
        console.write(str(place))
    console.say(
        f"{batch} of {pictures[0].image.width}x{pictures[0].image.height} "
        f"in {result.total_seconds:.1f} s, {result.step_seconds:.2f} s a step, "
        f"seed {result.seed}"
    )


def _numbered(output: Path, index: int, batch: int) -> Path:
    return output if batch == 1 else output.with_stem(f"{output.stem}-{index + 1}")


def _lora(text: str) -> tuple[Path, float]:
    """`FILE` or `FILE:STRENGTH`."""
    name, colon, number = text.rpartition(":")
    try:
        path, strength = (Path(name), float(number)) if colon else (Path(text), 1.0)
    except ValueError:
        path, strength = Path(text), 1.0
    if not path.is_file():
        message = f"there is no file `{path}`"
        raise NotFoundError(message, hint="--lora takes FILE or FILE:STRENGTH")
    return path, strength


def _picture(path: Path | None) -> Image.Image | None:
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
        message = f"`{path}` is no picture that can be read"
        raise InvalidArgumentError(message) from error
