"""Checks our names for diffusers' folders against diffusers' own classes; needs torch.

    pip install diffusers && python -m tests.integration.check_diffusers_names

Each model is made small by diffusers itself, put into a folder and converted. What comes out must
have the names of the single file, which sd-cli has painted with (benchmarks/image_families.py).
Exits with 1 if a name differs.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np

from benchmarks.published_images import flux, joint
from sphere_edge import console
from sphere_edge.formats import diffusion, gguf
from sphere_edge.runtime import image_conversion
from tests import diffusers_folders

_PAINTER, _VAE = "model.diffusion_model.", "first_stage_model."


@dataclasses.dataclass(frozen=True)
class _Case:
    """`make` gives the part in the folder `part`; `single`: names that it must come to."""

    family: str
    part: str
    make: Callable[[], Any]
    single: Callable[[], set[str]]


_CASES = (
    _Case(
        "flux",
        "transformer",
        lambda: diffusers.FluxTransformer2DModel(
            num_layers=1,
            num_single_layers=2,
            num_attention_heads=1,
            joint_attention_dim=32,
            pooled_projection_dim=16,
            guidance_embeds=True,
        ),
        lambda: set(flux.flux(guided=True)["flux1"]),
    ),
    _Case(
        "sd3",
        "transformer",
        lambda: diffusers.SD3Transformer2DModel(
            num_layers=24,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=16,
            pos_embed_max_size=8,
            sample_size=8,
        ),
        lambda: {
            name.removeprefix(_PAINTER) for name in joint.sd3()["sd3"] if name.startswith(_PAINTER)
        },
    ),
    _Case(
        "z-image",
        "transformer",
        lambda: diffusers.ZImageTransformer2DModel(
            dim=256, n_heads=2, n_kv_heads=2, cap_feat_dim=32
        ),
        lambda: set(joint.z_image()["z_image_turbo"]),
    ),
    _Case(
        "qwen-image",
        "vae",
        lambda: diffusers.AutoencoderKLQwenImage(base_dim=16),
        lambda: set(joint.qwen_image()["qwen_image_vae"]),
    ),
)


def main() -> int:
    """Converts each and compares."""
    different = 0
    for case in _CASES:
        found, expected = _converted(case), case.single()
        different += found != expected
        console.write(f"{case.family}: {'the same' if found == expected else 'OTHER'} names")
        for name in sorted(found ^ expected)[:10]:
            console.write(f"  only {'here' if name in found else 'in the single file'}: {name}")
    return 1 if different else 0


def _converted(case: _Case) -> set[str]:
    form = diffusers_folders.FORMS[case.family]()
    part = {
        name: np.zeros(tuple(value.shape), np.float16)
        for name, value in case.make().state_dict().items()
    }
    form = dataclasses.replace(form, folders={**form.folders, case.part: part})
    prefix = _VAE if case.part == "vae" else _PAINTER
    with tempfile.TemporaryDirectory() as work:
        folder, output = form.write(Path(work) / "folder"), Path(work) / "model.gguf"
        files = [(one.path, one.prefix) for one in diffusion.parts(folder)]
        image_conversion.merge(files, output, None, lambda _done, _total: True)
        names = gguf.read(output, needs_architecture=False).tensors
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


if __name__ == "__main__":
    sys.exit(main())
