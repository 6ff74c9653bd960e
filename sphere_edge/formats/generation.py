"""What a model's makers advise: its generation_config.json, for text and for images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphere_edge.bundle.manifest import Image, Sampling
from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import json_object

_LIMIT_BYTES = 1024 * 1024


def read(folder: Path) -> dict[str, Any]:
    """The generation_config.json in `folder`, {} where it has none; null counts as absent."""
    path = folder / "generation_config.json"
    values = json_object.read(path, _LIMIT_BYTES) if path.is_file() else {}
    return {key: value for key, value in values.items() if value is not None}


def sampling_defaults(folder: Path) -> Sampling:
    """The sampling that the model's authors recommend; our defaults where they give none.

    `do_sample` false means greedy, which is temperature 0. Raises ModelCorruptError for a value
    that cannot be.
    """
    values = read(folder)
    if values.get("do_sample") is False:
        return Sampling(temperature=0.0, repeat_penalty=_repeat_penalty(values))
    ours = Sampling()
    return Sampling(
        temperature=_number(values, "temperature", ours.temperature, 0.0, 100.0),
        top_k=int(_number(values, "top_k", ours.top_k, 0, 2**31 - 1)),
        top_p=_number(values, "top_p", ours.top_p, 1e-6, 1.0),
        min_p=_number(values, "min_p", ours.min_p, 0.0, 1.0),
        repeat_penalty=_repeat_penalty(values),
    )


def image_defaults(folder: Path, family: Image) -> Image:
    """What the model's authors recommend for images; `family`'s defaults where they give none.

    Keys are the arguments of diffusers' pipelines: width, height, num_inference_steps,
    guidance_scale (its cfg scale). Raises ModelCorruptError for an invalid value.
    """
    values = read(folder)
    return Image(
        width=int(_number(values, "width", family.width, 1, 4096)),
        height=int(_number(values, "height", family.height, 1, 4096)),
        steps=int(_number(values, "num_inference_steps", family.steps, 1, 500)),
        cfg_scale=_number(values, "guidance_scale", family.cfg_scale, 0, 100),
        guidance=family.guidance,
    )


def _repeat_penalty(values: dict[str, Any]) -> float:
    return _number(values, "repetition_penalty", Sampling().repeat_penalty, 1e-3, 1000.0)


def _number(values: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = values.get(name, default)
    sound = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not sound or not low <= value <= high:
        message = f"`{name}` in generation_config.json is `{str(value)[:40]}`"
        raise ModelCorruptError(message, hint=f"it must be a number from {low:g} to {high:g}")
    return float(value)
