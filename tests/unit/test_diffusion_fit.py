"""How much memory image models take by their headers, and in which format they fit a device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sphere_edge import profiles
from sphere_edge.engines.diffusion_fit import AS_IT_IS, Sizes, sizes

GIB = 2**30
_VAE = "first_stage_model.decoder.up.0.block.0.conv1.weight"


def put(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    save_file({name: np.zeros(shape, np.float16) for name, shape in shapes.items()}, path)
    return path


def test_a_quantized_model_has_smaller_matrices_and_the_same_vae(tmp_path: Path) -> None:
    model = put(
        tmp_path / "model.safetensors",
        {
            "model.diffusion_model.double_blocks.0.img_attn.qkv.weight": (256, 64),
            "model.diffusion_model.img_in.weight": (256, 64),
            "first_stage_model.decoder.mid.attn_1.q.weight": (64, 64),
            _VAE: (32, 32, 3, 3),
        },
    )
    found = sizes(model)
    vae = 2 * (64 * 64 + 32 * 32 * 9)
    assert found.weights_bytes[AS_IT_IS] == 2 * 2 * 256 * 64 + vae
    assert found.weights_bytes["q8_0"] == 2 * 256 * 64 * 34 // 32 + vae
    assert (found.patch, found.width, found.heads, found.vae_width) == (16, 256, 2, 32)


@pytest.mark.parametrize(
    ("listens", "expected"),
    # The text encoder's width: pixels a token of the widest attention has, heads, width, side.
    [(768, (8, 8, 320, 512)), (1024, (8, 5, 320, 768)), (2048, (16, 10, 640, 1024))],
)
def test_unets_are_told_apart_by_what_they_listen_to(
    tmp_path: Path, listens: int, expected: tuple[int, ...]
) -> None:
    attention = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    model = put(
        tmp_path / "model.safetensors",
        {
            "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
            f"model.diffusion_model.{attention}": (320, listens),
            _VAE: (128, 128, 3, 3),
        },
    )
    found = sizes(model)
    assert (found.patch, found.heads, found.width, found.side) == expected


def test_a_picture_takes_weights_and_the_larger_of_vae_and_attention() -> None:
    memory = Sizes({AS_IT_IS: GIB}, 128, 8, 8, 320, 512).memory(AS_IT_IS)
    # SD 1 at 512x512: 4096 tokens, of which 8 heads compare each with each in float32.
    assert memory.workspace_bytes == max(512 * 512 * 128 * 26, 4096**2 * 8 * 4 + 4096 * 320 * 96)
    assert memory.peak_bytes > memory.weights_bytes + memory.workspace_bytes


def test_the_best_format_that_fits_is_proposed() -> None:
    usable = profiles.load("raspberry-pi-5").memory.usable_bytes
    profile = profiles.load("raspberry-pi-5")

    def proposed(weights_bytes: float) -> str | None:
        weights = {AS_IT_IS: weights_bytes, "q8_0": weights_bytes / 2, "q4_K": weights_bytes / 4}
        return Sizes({n: int(b) for n, b in weights.items()}, 32, 16, 1, 64, 512).fits(profile)

    assert proposed(usable / 2) == AS_IT_IS
    assert proposed(usable * 1.5) == "q8_0"
    assert proposed(usable * 3) == "q4_K"
    assert proposed(usable * 9) is None
