"""Compares our pictures with those of stable-diffusion.cpp's own program, byte for byte.

    python benchmarks/image_equal.py [--bundle FOLDER] [--steps 4] [--width 64] [--height 64]

Without a bundle one with random weights is made. Builds the program from the pinned sources on
llama.cpp's ggml, as the native core is. Exits with 1 if a byte differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from sphere_edge import ImageManager, console, profiles
from sphere_edge.engines.options import PackageOptions
from sphere_edge.packaging import find, package
from sphere_edge.toolchain import native, sources, targets
from tests import random_diffusion

_PROMPT = "a red fox in the snow"
_SEEDS = (5, 42)


def main() -> int:
    """Paints each seed with both and compares all bytes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--height", type=int, default=64)
    options = parser.parse_args()
    program = _program()
    equal = True
    with tempfile.TemporaryDirectory() as work:
        bundle = options.bundle or _bundle(Path(work))
        with ImageManager.open(bundle) as image:
            for seed in _SEEDS:
                begin = time.monotonic()
                ours = image.generate(
                    _PROMPT,
                    width=options.width,
                    height=options.height,
                    steps=options.steps,
                    seed=seed,
                )[0]
                seconds = time.monotonic() - begin
                theirs = Path(work) / f"{seed}.png"
                begin = time.monotonic()
                _paint(program, bundle, theirs, options, image, seed)
                same = Image.open(theirs).tobytes() == ours.image.tobytes()
                equal = equal and same
                console.write(
                    f"seed {seed}: {'equal' if same else 'DIFFERENT'}, ours {seconds:.2f} s, "
                    f"theirs {time.monotonic() - begin:.2f} s with loading"
                )
    return 0 if equal else 1


def _bundle(work: Path) -> Path:
    model = random_diffusion.write(work / "random.safetensors")
    options = PackageOptions()
    return package(find(str(model)), profiles.host(), options, work / "random.host").output


def _program() -> Path:
    """sd-cli, compiled as the native core is: same sources, compiler and CPU level."""
    names = ("llama_cpp", "stable_diffusion_cpp")
    project = native.Project(
        name="sd-cli",
        folder=Path(__file__).parent / "sd_cli",
        folders={
            f"SE_{name.upper()}_DIR": sources.fetch(name, console.progress()) for name in names
        },
        pins={name: sources.SOURCES[name].key for name in names},
    )
    return native.build_project(project, targets.host(), console.progress()) / "bin" / "sd-cli"


def _paint(
    program: Path,
    bundle: Path,
    output: Path,
    options: argparse.Namespace,
    image: ImageManager,
    seed: int,
) -> None:
    words = [program, "-m", bundle / "model.gguf", "-p", _PROMPT, "-o", output]
    numbers = {
        "-W": options.width,
        "-H": options.height,
        "--steps": options.steps,
        "-s": seed,
        "-t": image.info.threads,
        "--cfg-scale": image.info.cfg_scale,
        "--guidance": image.info.guidance,
    }
    for flag, number in numbers.items():
        words += [flag, str(number)]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not output.exists():
        sys.exit(f"sd-cli failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
