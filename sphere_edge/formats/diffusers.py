"""The parts of an image model in a folder of diffusers: model_index.json lists them.

Tensors are read under stable-diffusion.cpp's prefixes; what it calls or joins otherwise is renamed
as the model is converted (native/src/engines/diffusers_names.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sphere_edge.errors import ModelCorruptError, NotFoundError, UnsupportedError
from sphere_edge.formats import diffusers_config, json_object, shards
from sphere_edge.formats.diffusion_part import DIFFUSERS_UNET, Kind, Part, clip_of, prefix_of
from sphere_edge.formats.safetensors import read_header

INDEX = "model_index.json"
_LIMIT_BYTES = 1024 * 1024
# What writes pictures from words, from pictures, and where a mask is white.
_PIPELINES = frozenset(
    {
        "StableDiffusionPipeline",
        "StableDiffusionImg2ImgPipeline",
        "StableDiffusionInpaintPipeline",
        "StableDiffusionXLPipeline",
        "StableDiffusionXLImg2ImgPipeline",
        "StableDiffusionXLInpaintPipeline",
        "StableDiffusion3Pipeline",
        "StableDiffusion3Img2ImgPipeline",
        "FluxPipeline",
        "FluxImg2ImgPipeline",
        "FluxFillPipeline",
        "ZImagePipeline",
        "QwenImagePipeline",
    }
)
# Parts that take no part in generation.
_ASIDE = ("tokenizer", "scheduler", "feature_extractor", "safety_checker")
# Scale and shift of the VAE's latents, by the class of the diffusion model.
_SCALES: Mapping[str, tuple[tuple[float, float], ...]] = {
    "UNet2DConditionModel": ((0.18215, 0), (0.13025, 0)),
    "SD3Transformer2DModel": ((1.5305, 0.0609),),
    "FluxTransformer2DModel": ((0.3611, 0.1159),),
    "ZImageTransformer2DModel": ((0.3611, 0.1159),),
}
_VAES = {"QwenImageTransformer2DModel": "AutoencoderKLQwenImage"}


class _Encoder(NamedTuple):
    """A class of text encoders: what it is, and the model types that its config.json may name."""

    kind: Kind
    model_types: tuple[str, ...]


_ENCODERS: Mapping[str, _Encoder] = {
    "CLIPTextModel": _Encoder("clip_l", ("clip_text_model",)),
    "CLIPTextModelWithProjection": _Encoder("clip_g", ("clip_text_model",)),
    "T5EncoderModel": _Encoder("t5xxl", ("t5",)),
    "Qwen2_5_VLForConditionalGeneration": _Encoder("llm", ("qwen2_5_vl",)),
    "Qwen3Model": _Encoder("llm", ("qwen3",)),
    "Qwen3ForCausalLM": _Encoder("llm", ("qwen3",)),
}
_SD2_WIDTH = 1024
# By which the engine shifts the schedules of these.
_FLOW_SHIFT = 3.0
_SHIFTED = ("SD3Transformer2DModel", "ZImageTransformer2DModel", "QwenImageTransformer2DModel")


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder of diffusers."""
    return (path / INDEX).is_file()


def parts(folder: Path) -> tuple[Part, ...]:
    """The parts of the model in `folder`, the diffusion model first, each of its files as one.

    Raises UnsupportedError (another pipeline, a class or a value that the engine does not know),
    ModelCorruptError, NotFoundError (a part or a file of one is missing).
    """
    components = _components(folder)
    denoiser = _denoiser(folder, components)
    is_unet = denoiser == "UNet2DConditionModel"
    flow_shift(folder)
    found: list[Part] = []
    for name, (_, kind) in components.items():
        part_folder = folder / name
        if name in ("unet", "transformer"):
            diffusers_config.check(part_folder, kind)
            prefix = DIFFUSERS_UNET if is_unet else prefix_of("diffusion_model", beside_unet=False)
            found += (
                Part("diffusion_model", file, prefix, is_unet) for file in _files(part_folder)
            )
        elif name == "vae":
            _check_vae(part_folder, kind, denoiser)
            found += (
                Part("vae", file, prefix_of("vae", beside_unet=False))
                for file in _files(part_folder)
            )
        elif kind in _ENCODERS and name.startswith("text_encoder"):
            found += _encoder(part_folder, _ENCODERS[kind], beside_unet=is_unet)
        else:
            message = f"`{folder.name}` has an unknown part: `{name}` of `{kind[:80]}`"
            raise UnsupportedError(message, hint="use a text-to-image model")
    return tuple(sorted(found, key=lambda part: part.kind != "diffusion_model"))


def flow_shift(folder: Path) -> float | None:
    """How far the model's schedule is shifted to noise, where it is otherwise than the engine's.

    Only of families whose schedule has one; a schedule that follows the image's size is the
    engine's. Raises UnsupportedError for a schedule that it does not have.
    """
    components = _components(folder)
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        return None
    values = json_object.read(path, _LIMIT_BYTES)
    denoiser = _denoiser(folder, components)
    if denoiser == "UNet2DConditionModel":
        _check_betas(folder, values)
        return None
    if denoiser not in _SHIFTED or values.get("use_dynamic_shifting") is True:
        return None
    shift = values.get("shift", _FLOW_SHIFT)
    if isinstance(shift, bool) or not isinstance(shift, (int, float)) or not 0 < shift <= 100:
        message = f"`shift` in scheduler_config.json is `{str(shift)[:40]}`"
        raise ModelCorruptError(message, hint="it must be a number above 0 and up to 100")
    return None if shift == _FLOW_SHIFT else float(shift)


def _components(folder: Path) -> dict[str, tuple[str, str]]:
    """Parts that are there: name of the folder, library and class."""
    index = json_object.read(folder / INDEX, _LIMIT_BYTES)
    pipeline = index.get("_class_name")
    if pipeline not in _PIPELINES:
        message = f"`{folder.name}` is a `{str(pipeline)[:80]}`, which is not supported as a folder"
        known = ", ".join(sorted(_PIPELINES))
        raise UnsupportedError(message, hint=f"known are {known}; or take its single files")
    found = {}
    for name, value in index.items():
        is_part = isinstance(value, list) and len(value) == 2 and value != [None, None]
        if name.startswith(("_", *_ASIDE)) or not is_part:
            continue
        if not all(isinstance(word, str) for word in value) or Path(name).name != name:
            message = (
                f"`{INDEX}` says `{name[:80]}`: `{str(value)[:80]}`, not a library and a class"
            )
            raise ModelCorruptError(message, hint="download the model again")
        found[name] = (value[0], value[1])
    return found


def _denoiser(folder: Path, components: Mapping[str, tuple[str, str]]) -> str:
    """The class of the diffusion model."""
    kinds = [components[name][1] for name in ("unet", "transformer") if name in components]
    missing = [] if kinds else ["diffusion model"]
    missing += [] if "vae" in components else ["VAE"]
    missing += (
        [] if any(name.startswith("text_encoder") for name in components) else ["text encoder"]
    )
    if missing:
        message = f"`{folder.name}` lacks a part of an image model: {', '.join(missing)}"
        raise ModelCorruptError(message, hint=f"`{INDEX}` has to name its folder")
    known = (*_SCALES, *_VAES)
    if len(kinds) > 1 or kinds[0] not in known:
        message = f"`{folder.name}` uses `{', '.join(kinds)[:80]}`, which is not supported"
        raise UnsupportedError(message, hint=f"known are {', '.join(known)}")
    return kinds[0]


def _check_vae(folder: Path, kind: str, denoiser: str) -> None:
    expected = _VAES.get(denoiser, "AutoencoderKL")
    if kind != expected:
        message = f"the VAE is of the class `{kind[:80]}`, and `{denoiser}` has an `{expected}`"
        raise UnsupportedError(message, hint="take the model's own VAE")
    diffusers_config.check(folder, kind)
    if denoiser not in _SCALES:
        return
    values = json_object.read(folder / "config.json", _LIMIT_BYTES)
    scales = (values.get("scaling_factor", 0.18215), values.get("shift_factor") or 0)
    if scales not in _SCALES[denoiser]:
        message = f"the VAE is scaled by `{scales[0]}` and shifted by `{scales[1]}`"
        raise UnsupportedError(message, hint=f"VAEs of a `{denoiser}` have others: use its own")


def _encoder(folder: Path, encoder: _Encoder, *, beside_unet: bool) -> Iterator[Part]:
    diffusers_config.check_encoder(folder, encoder.model_types)
    kind = encoder.kind
    for file in _files(folder):
        if kind in ("clip_l", "clip_g"):
            kind = _clip(file, kind)
        yield Part(kind, file, prefix_of(kind, beside_unet=beside_unet))


def _clip(file: Path, otherwise: Kind) -> Kind:
    """Which CLIP it is, by its width: SD 3's first has the second's class."""
    for entry in read_header(file):
        if entry.name.endswith("token_embedding.weight"):
            return clip_of(entry.shape[-1])
    return otherwise


def _files(folder: Path) -> list[Path]:
    """The safetensors of a part, one or all its shards; in full precision where there are both."""
    names = shards.visible(folder, "*.safetensors") if folder.is_dir() else []
    full = [path for path in names if "." not in path.stem]
    chosen = full or names
    if not chosen:
        message = f"there are no safetensors files in `{folder}`"
        raise NotFoundError(message, hint="download the whole model, in safetensors")
    indexes = shards.visible(folder, "*.safetensors.index.json") if full else []
    if indexes:
        listed = shards.index_files(indexes[0])
        if any("-of-" in path.name for path in chosen):
            return [shards.present(folder, name) for name in listed]
    return shards.numbered(folder, chosen)


def _check_betas(folder: Path, values: Mapping[str, Any]) -> None:
    """That a UNet was trained with the noise that the engine takes away."""
    unet = json_object.read(folder / "unet" / "config.json", _LIMIT_BYTES)
    # The engine finds out what SD 2 predicts; the others predict the noise.
    is_sd2 = unet.get("cross_attention_dim") == _SD2_WIDTH
    known: dict[str, tuple[Any, ...]] = {
        "num_train_timesteps": (1000,),
        "beta_start": (0.00085,),
        "beta_end": (0.012,),
        "beta_schedule": ("scaled_linear",),
        "trained_betas": (None, []),
        "rescale_betas_zero_snr": (False, None),
        "prediction_type": ("epsilon", "v_prediction") if is_sd2 else ("epsilon",),
    }
    for key, allowed in known.items():
        if key in values and values[key] not in allowed:
            message = f"scheduler_config.json says `{key}`: `{str(values[key])[:80]}`"
            hint = "stable-diffusion.cpp computes this differently; use the model's single file"
            raise UnsupportedError(message, hint=hint)
