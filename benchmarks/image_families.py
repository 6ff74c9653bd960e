"""Packages every family of image models, in true shape with random weights, and generates images.

    pip install diffusers && python benchmarks/image_families.py [FAMILY …] [--keep FOLDER]

Each model is written as it is published and packaged, and its image compared with sd-cli's byte for
byte; models for inpainting are given an image and a mask. Models with a UNet are
published in two ways, as diffusers' folder and as one file: both have to become the same tensors.
Needs 20 GB of disk for the largest. Exits with 1 if something differs.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import published_images, sd_cli
from benchmarks.published_images import files
from sphere_edge import ImageManager, console, errors, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.formats import diffusion
from sphere_edge.packaging import find, package

_PROMPT = "a red fox in the snow"
_SIDE = 64
_REQUEST = {"width": _SIDE, "height": _SIDE, "steps": 2, "seed": 5}


def main() -> int:
    """Runs the families that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "families", nargs="*", metavar="FAMILY", help=", ".join(published_images.FAMILIES)
    )
    parser.add_argument("--keep", type=Path, help="leave the models and bundles in this folder")
    given = parser.parse_args()
    program = sd_cli.program()
    failed = []
    for name in given.families or published_images.FAMILIES:
        with _folder(given.keep, name) as folder:
            try:
                is_fine = _check(name, program, folder)
            except errors.SphereEdgeError as error:
                console.write(f"{name}: {error}")
                is_fine = False
            if not is_fine:
                failed.append(name)
    console.write(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _check(name: str, program: Path, folder: Path) -> bool:
    family = published_images.FAMILIES[name]
    model = published_images.write(name, folder / "published")
    console.write(f"{name}: {published_images.parameters(name) / 1e9:.2f} billion parameters")
    bundle = _package(name, model, folder / "bundle", family.quantization)
    equal = _generate(name, bundle, program, folder)
    if family.pipeline is None:
        return equal
    shutil.rmtree(model)
    made = _shapes(bundle)
    # Its own names are those of the first publishers, in one file.
    files.write(folder / "model.safetensors", made)
    single = f"{name}, one file"
    other = _package(single, folder / "model.safetensors", folder / "two", family.quantization)
    again = _shapes(other)
    console.write(f"{name}: one file has {'the same' if made == again else 'OTHER'} tensors")
    return equal and made == again


def _shapes(bundle: Path) -> dict[str, tuple[int, ...]]:
    found = diffusion.tensors(bundle / "model.gguf")
    return {name: stored.shape for name, stored in found.items()}


def _package(what: str, source: Path, output: Path, quantization: str | None) -> Path:
    begin = time.monotonic()
    options = PackageOptions(quantization=quantization)
    with _peak() as peak:
        bundle = package(find(str(source)), profiles.host(), options, output).output
    size = (bundle / "model.gguf").stat().st_size
    console.write(
        f"{what}: {size / 2**30:.2f} GiB as {quantization or 'it is'} in "
        f"{time.monotonic() - begin:.0f} s, {peak[0] / 2**20:.0f} MiB more memory"
    )
    return bundle


def _request(name: str) -> dict[str, Any]:
    if not published_images.FAMILIES[name].inpaints:
        return dict(_REQUEST)
    mask = Image.new("L", (_SIDE, _SIDE))
    mask.paste(255, (0, 0, _SIDE // 2, _SIDE))
    init = Image.linear_gradient("L").resize((_SIDE, _SIDE)).convert("RGB")
    # Of two steps and less than all strength one would be left.
    return {**_REQUEST, "init": init, "mask": mask, "strength": 1.0}


def _generate(name: str, bundle: Path, program: Path, folder: Path) -> bool:
    request = _request(name)
    begin = time.monotonic()
    with _peak() as peak, ImageManager.open(bundle) as image:
        ours = image.generate(_PROMPT, **request)[0].image
    middle = time.monotonic()
    theirs = sd_cli.generate(program, bundle / "model.gguf", _PROMPT, request, image.info, folder)[
        0
    ]
    values = len(set(ours.tobytes()))
    equal = ours.tobytes() == theirs.tobytes()
    console.write(
        f"{name}: {image.info.family}, generated in {middle - begin:.0f} s, {values} values, "
        f"{peak[0] / 2**20:.0f} MiB more memory; sd-cli {'equal' if equal else 'DIFFERENT'}, "
        f"{time.monotonic() - middle:.0f} s"
    )
    return equal and values > 10


@contextlib.contextmanager
def _peak() -> Iterator[list[int]]:
    """By how many bytes this process grew at most meanwhile."""

    def resident(name: str) -> int:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024

    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, out = resident("VmRSS"), [0]
    yield out
    out[0] = resident("VmHWM") - before


@contextlib.contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory() as work:
            yield Path(work)
    else:
        (keep / name).mkdir(parents=True)
        yield keep / name


if __name__ == "__main__":
    sys.exit(main())
