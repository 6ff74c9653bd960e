"""stable-diffusion.cpp's own program: builds it as the native core is built, and runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from sphere_edge import console
from sphere_edge.runtime.image import ImageInfo
from sphere_edge.toolchain import sources, targets
from sphere_edge.toolchain.project import Project, build_project


def program() -> Path:
    """sd-cli, compiled as the native core is: same sources, compiler and CPU level."""
    names = ("llama_cpp", "stable_diffusion_cpp")
    project = Project(
        name="sd-cli",
        folder=Path(__file__).parent,
        folders={
            f"SE_{name.upper()}_DIR": sources.fetch(name, console.progress()) for name in names
        },
        pins={name: sources.SOURCES[name].key for name in names},
        leave_out=("__init__.py", "__pycache__"),
    )
    return build_project(project, targets.host(), console.progress()) / "bin" / "sd-cli"


def generate(
    program: Path,
    model: Path,
    prompt: str,
    request: dict[str, Any],
    info: ImageInfo,
    folder: Path,
) -> list[Image.Image]:
    """Its images for `request`, options of ImageManager.generate; ends this program if it fails."""
    batch = request.get("batch", 1)
    output = folder / "theirs.png"
    for lora in request.get("loras", ()):
        prompt += f"<lora:{lora.path.stem}:{lora.strength}>"
    values: dict[str, Any] = {
        "-m": model,
        "-p": prompt,
        "-n": request.get("negative_prompt", ""),
        "-W": request["width"],
        "-H": request["height"],
        "--steps": request["steps"],
        "-s": request["seed"],
        "-b": batch,
        "-t": info.threads,
        "--cfg-scale": request.get("cfg_scale", info.cfg_scale),
        "--guidance": request.get("guidance", info.guidance),
        "--sampling-method": request.get("sampler"),
        "--scheduler": request.get("schedule"),
        "--strength": request.get("strength"),
        # As we do: added to what a layer gives, so that the weights stay as they are.
        "--lora-apply-mode": "at_runtime",
        "--lora-model-dir": folder,
        "-o": folder / "theirs-%d.png" if batch > 1 else output,
    }
    for name in ("init", "mask"):
        if request.get(name) is not None:
            path = folder / f"{name}.png"
            request[name].save(path)
            values["--init-img" if name == "init" else "--mask"] = path
    words = [str(program)]
    for flag, value in values.items():
        words += [] if value is None else [flag, str(value)]
    if request.get("vae_tiling"):
        words.append("--vae-tiling")
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    paths = [folder / f"theirs-{i}.png" for i in range(batch)] if batch > 1 else [output]
    if done.returncode != 0 or not all(path.exists() for path in paths):
        sys.exit(f"sd-cli failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(image.convert("RGB"))
        path.unlink()
    return images
