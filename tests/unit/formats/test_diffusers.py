"""Folders of diffusers: which parts they hold, and what of them is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sphere_edge.errors import ModelCorruptError, NotFoundError, UnsupportedError
from sphere_edge.formats import diffusers, diffusion
from tests import diffusers_folders


def sdxl(folder: Path) -> Path:
    """A folder as SDXL's, with files that hold nothing."""
    classes = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
    }
    index = {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True}
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({**index, **classes}))
    configs: dict[str, dict[str, Any]] = {
        "unet": {"_class_name": "UNet2DConditionModel", "cross_attention_dim": 2048},
        "vae": {"_class_name": "AutoencoderKL", "scaling_factor": 0.13025},
        "text_encoder": {"model_type": "clip_text_model"},
        "text_encoder_2": {"model_type": "clip_text_model"},
    }
    for name, config in configs.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
    width = {"text_encoder": 768, "text_encoder_2": 1280}
    for name in configs:
        is_text = name.startswith("text")
        tensor = "text_model.embeddings.token_embedding.weight" if is_text else "conv_in.weight"
        file = "model.safetensors" if is_text else "diffusion_pytorch_model.safetensors"
        save_file({tensor: np.zeros((2, width.get(name, 4)), np.float16)}, folder / name / file)
    (folder / "scheduler").mkdir()
    said = {"beta_start": 0.00085, "beta_end": 0.012, "prediction_type": "epsilon"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(said))
    return folder


def change(path: Path, **values: object) -> None:
    """Of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_parts_are_found_by_the_index_with_the_engines_prefixes(tmp_path: Path) -> None:
    folder = sdxl(tmp_path / "xl")
    weights = {"conv_in.weight": np.zeros((2, 2), np.float16)}
    save_file(weights, folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    save_file(weights, folder / "whole-model-again.safetensors")
    found = diffusion.parts(folder)
    assert {part.kind: part.prefix for part in found} == {
        "diffusion_model": "unet.",
        "clip_l": "cond_stage_model.transformer.",
        "clip_g": "cond_stage_model.1.transformer.",
        "vae": "vae.",
    }
    assert len(found) == 4
    assert found[0].path.name == "diffusion_pytorch_model.safetensors"


def test_half_precision_is_taken_where_there_is_nothing_else(tmp_path: Path) -> None:
    folder = sdxl(tmp_path / "xl")
    unet = folder / "unet" / "diffusion_pytorch_model.safetensors"
    unet.rename(unet.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert diffusers.parts(folder)[0].path.name == "diffusion_pytorch_model.fp16.safetensors"


def test_all_shards_are_parts_and_a_missing_one_is_named(tmp_path: Path) -> None:
    folder = diffusers_folders.flux().write(tmp_path / "flux", shards=("transformer",))
    kinds = [part.kind for part in diffusers.parts(folder)]
    assert kinds == ["diffusion_model"] * 2 + ["clip_l", "t5xxl", "vae"]
    (folder / "transformer" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    with pytest.raises(NotFoundError, match="`diffusion_pytorch_model-00002-of-00002"):
        diffusers.parts(folder)


def test_text_encoders_are_told_apart_by_class_and_width(tmp_path: Path) -> None:
    folder = diffusers_folders.sd3().write(tmp_path / "sd3")
    found = {part.kind: part.path.parent.name for part in diffusers.parts(folder)}
    assert found == {
        "diffusion_model": "transformer",
        "clip_l": "text_encoder",
        "clip_g": "text_encoder_2",
        "t5xxl": "text_encoder_3",
        "vae": "vae",
    }


def test_a_schedule_shifted_otherwise_than_the_engines_is_told(tmp_path: Path) -> None:
    z_image = diffusers_folders.z_image().write(tmp_path / "z")
    assert diffusers.flow_shift(z_image) == 6.0
    # The engine's own, one that follows the picture's size, and FLUX, which has another kind.
    assert diffusers.flow_shift(diffusers_folders.sd3().write(tmp_path / "sd3")) is None
    assert diffusers.flow_shift(diffusers_folders.qwen_image().write(tmp_path / "q")) is None
    assert diffusers.flow_shift(diffusers_folders.flux().write(tmp_path / "f")) is None
    change(z_image / "scheduler" / "scheduler_config.json", shift=-1)
    with pytest.raises(ModelCorruptError, match="`shift` in scheduler_config.json is `-1`"):
        diffusers.parts(z_image)


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        ("model_index.json", {"_class_name": "LTXPipeline"}, "is a `LTXPipeline`, which is not"),
        (
            "model_index.json",
            {"controlnet": ["diffusers", "C"]},
            "unknown part: `controlnet` of `C`",
        ),
        (
            "model_index.json",
            {"unet": ["diffusers", "SanaUNet"]},
            "`SanaUNet`, which is not supported",
        ),
        ("model_index.json", {"vae": ["diffusers", "AutoencoderTiny"]}, "class `AutoencoderTiny`"),
        ("unet/config.json", {"_class_name": "Other"}, "is of the class `Other`, not `UNet2D"),
        ("unet/config.json", {"time_cond_proj_dim": 256}, "`time_cond_proj_dim`: `256`, which"),
        ("unet/config.json", {"norm_eps": 1e-6}, "`norm_eps`: `1e-06`, which stable-diffusion.cpp"),
        ("unet/config.json", {"brand_new": "yes"}, "`brand_new`: `yes`, which is not supported"),
        ("vae/config.json", {"scaling_factor": 0.3611}, "scaled by `0.3611` and shifted by `0`"),
        ("text_encoder/config.json", {"model_type": "bert"}, "`model_type`: `bert`, not `clip"),
        ("scheduler/scheduler_config.json", {"prediction_type": "v_prediction"}, "`v_prediction`"),
        ("scheduler/scheduler_config.json", {"beta_end": 0.02}, "`beta_end`: `0.02`"),
    ],
)
def test_what_the_engine_would_paint_otherwise_is_refused_by_name(
    tmp_path: Path, file: str, values: dict[str, object], said: str
) -> None:
    folder = sdxl(tmp_path / "xl")
    change(folder / file, **values)
    with pytest.raises(UnsupportedError, match=said):
        diffusers.parts(folder)


def test_sd2_may_predict_velocity(tmp_path: Path) -> None:
    folder = sdxl(tmp_path / "sd2")
    change(folder / "unet" / "config.json", cross_attention_dim=1024)
    change(folder / "scheduler" / "scheduler_config.json", prediction_type="v_prediction")
    assert diffusers.parts(folder)


def test_values_that_say_nothing_are_let_pass(tmp_path: Path) -> None:
    folder = sdxl(tmp_path / "xl")
    change(folder / "unet" / "config.json", brand_new=None, another=False, _name_or_path="x")
    assert diffusers.parts(folder)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({"vae": [None, None]}, "lacks a part of an image model: VAE"),
        ({"unet": [None, None]}, "lacks a part of an image model: diffusion model"),
        ({"text_encoder": None, "text_encoder_2": None}, "lacks a part .*: text encoder"),
        ({"../vae": ["diffusers", "AutoencoderKL"]}, r"says `\.\./vae`"),
        ({"vae": ["diffusers", 7]}, "says `vae`: .* not a library and a class"),
    ],
)
def test_what_the_index_lacks_is_named(tmp_path: Path, index: dict[str, object], said: str) -> None:
    folder = sdxl(tmp_path / "xl")
    change(folder / "model_index.json", **index)
    with pytest.raises(ModelCorruptError, match=said):
        diffusers.parts(folder)


def test_a_part_without_files_is_told(tmp_path: Path) -> None:
    folder = sdxl(tmp_path / "xl")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(NotFoundError, match="no safetensors files in"):
        diffusers.parts(folder)
