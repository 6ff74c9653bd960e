"""The parts of image models, found by the names and shapes of their tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sphere_edge.errors import ModelCorruptError, NotFoundError, UnsupportedError
from sphere_edge.formats import diffusion

FLUX = ("double_blocks.0.img_attn.qkv.weight", (4, 4))
CLIP_L = ("text_model.embeddings.token_embedding.weight", (8, 768))
T5 = ("encoder.block.0.layer.0.SelfAttention.q.weight", (4, 4))
LLM = ("model.embed_tokens.weight", (8, 4))
VAE = ("decoder.conv_in.weight", (4, 4))


def put(path: Path, *tensors: tuple[str, tuple[int, ...]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.zeros(shape, np.float16) for name, shape in tensors}, path)
    return path


def found(path: Path) -> dict[str, str]:
    return {part.kind: part.prefix for part in diffusion.parts(path)}


def test_a_whole_checkpoint_is_taken_as_it_is(tmp_path: Path) -> None:
    names = ("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.w")
    path = put(tmp_path / "cats.safetensors", *((name, (2, 2)) for name in names))
    assert found(path) == {"checkpoint": ""}
    assert diffusion.is_model(path)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_found(tmp_path: Path, wrong: float) -> None:
    """A mask may hold them, and a schedule: no weights are in either."""
    sound = np.zeros((4, 4), np.float16)
    odd = np.full((4, 4), wrong, np.float16)
    beside = {"alphas_cumprod": odd, "cond_stage_model.model.attn_mask": odd}
    save_file({FLUX[0]: sound, **beside}, tmp_path / "a.safetensors")
    assert sum(diffusion.check_finite(tmp_path / "a.safetensors")) == sound.nbytes
    save_file({FLUX[0]: odd}, tmp_path / "b.safetensors")
    with pytest.raises(ModelCorruptError, match="holds NaN or infinity"):
        list(diffusion.check_finite(tmp_path / "b.safetensors"))


def test_parts_side_by_side_get_the_engines_prefixes(tmp_path: Path) -> None:
    # Names say nothing: these lie.
    put(tmp_path / "a_vae.safetensors", FLUX)
    put(tmp_path / "b_clip.safetensors", T5)
    put(tmp_path / "c_t5.safetensors", CLIP_L)
    put(tmp_path / "d_flux.safetensors", VAE)
    assert found(tmp_path) == {
        "diffusion_model": "model.diffusion_model.",
        "clip_l": "text_encoders.clip_l.transformer.",
        "t5xxl": "text_encoders.t5xxl.transformer.",
        "vae": "vae.",
    }


@pytest.mark.parametrize(
    ("parts", "lacking"),
    [
        ((FLUX, T5), "vae"),
        ((FLUX, VAE), "text encoder"),
        ((VAE, LLM), "diffusion_model"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, parts: tuple[tuple[str, tuple[int, ...]], ...], lacking: str
) -> None:
    for index, part in enumerate(parts):
        put(tmp_path / f"{index}.safetensors", part)
    with pytest.raises(ModelCorruptError, match=f"lacks a part of an image model: {lacking}"):
        diffusion.parts(tmp_path)


def test_two_of_a_kind_are_refused_and_shards_are_not(tmp_path: Path) -> None:
    for name in ("one", "two"):
        put(tmp_path / f"{name}.safetensors", FLUX)
    put(tmp_path / "vae.safetensors", VAE)
    put(tmp_path / "llm.safetensors", LLM)
    with pytest.raises(ModelCorruptError, match="several parts of the kind diffusion_model"):
        diffusion.parts(tmp_path)
    for number, name in enumerate(("one", "two"), 1):
        (tmp_path / f"{name}.safetensors").rename(
            tmp_path / f"flux-0000{number}-of-00002.safetensors"
        )
    assert len(diffusion.parts(tmp_path)) == 4


def test_what_is_no_part_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "flux.safetensors", FLUX)
    put(tmp_path / "lora.safetensors", ("something.else", (2, 2)))
    with pytest.raises(UnsupportedError, match=r"`lora\.safetensors` is not a known part"):
        diffusion.parts(tmp_path)
    with pytest.raises(NotFoundError):
        diffusion.parts(tmp_path / "none")


def test_a_text_model_is_none(tmp_path: Path) -> None:
    assert not diffusion.is_model(put(tmp_path / "model.safetensors", LLM))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff" * 20)
    assert not diffusion.is_model(broken)
