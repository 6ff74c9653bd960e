"""`sphere-edge imagine`: paints pictures from words."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from sphere_edge import console, profiles
from sphere_edge.bundle.read import runnable
from sphere_edge.errors import InvalidArgumentError, NotFoundError, StorageError


def imagine(
    prompt: str,
    bundle: Path,
    *,
    output: Path,
    negative_prompt: str,
    width: int | None,
    height: int | None,
    steps: int | None,
    sampler: str | None,
    schedule: str | None,
    cfg_scale: float | None,
    guidance: float | None,
    seed: int | None,
    batch: int,
    init: Path | None,
    strength: float | None,
    mask: Path | None,
    loras: list[str],
    vae_tiling: bool,
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

    from sphere_edge.runtime.image import ImageManager, Lora, PaintingProgress

    wanted = [Lora(*_lora(text)) for text in loras]
    path = runnable(bundle, profiles.host(), console.progress())
    with ImageManager.open(path, threads=threads) as image:
        total = (steps or image.info.steps) * batch
        with console.progress().step("painting", total) as step:
            done = 0

            def on_progress(told: PaintingProgress) -> None:
                nonlocal done
                reached = told.picture * (total // batch) + told.step
                step.advance(max(0, min(reached, total) - done))
                done = max(done, reached)

            pictures = image.generate(
                prompt,
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
                init=first,
                strength=strength,
                mask=masked,
                loras=wanted,
                vae_tiling=vae_tiling,
                on_progress=on_progress,
            )
        family, load_seconds = image.info.family, image.info.load_seconds
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
                "family": family,
                "load_seconds": load_seconds,
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
