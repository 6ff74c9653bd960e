"""What a model's makers advise: its generation_config.json, for text and for images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge.bundle.manifest import Image, Sampling
from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats import json_object

_LIMIT_BYTES = 1024 * 1024
_FILE = "generation_config.json"


def read(folder: Path) -> dict[str, Any]:
    """The generation_config.json in `folder`, {} where it has none; null counts as absent."""
    path = folder / _FILE
    values = json_object.read(path, _LIMIT_BYTES) if path.is_file() else {}
    return {key: value for key, value in values.items() if value is not None}


# What transformers samples with where a file that says how to sample leaves a key out:
# `save_pretrained` writes no defaults.
_THEIRS = Sampling(temperature=1.0, top_k=50, top_p=1.0, min_p=0.0)
_SAMPLING_KEYS = ("temperature", "top_k", "top_p", "min_p")
# GGUF's keys for the same (gguf.Keys.General), and what they are called in generation_config.json.
_GGUF_KEYS = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_k": "top_k",
    "general.sampling.top_p": "top_p",
    "general.sampling.min_p": "min_p",
    "general.sampling.penalty_repeat": "repetition_penalty",
}


def sampling_defaults(folder: Path) -> Sampling:
    """The sampling that the model's authors recommend; our defaults where they recommend none.

    `do_sample` false means greedy, which is temperature 0. Raises ModelCorruptError for a value
    that cannot be.
    """
    values = read(folder)
    advice = _Advice(values, _FILE)
    if values.get("do_sample") is False:
        return Sampling(temperature=0.0, repeat_penalty=advice.sampling(Sampling()).repeat_penalty)
    is_given = values.get("do_sample") is True or any(key in values for key in _SAMPLING_KEYS)
    return advice.sampling(_THEIRS if is_given else Sampling())


def gguf_sampling_defaults(metadata: Mapping[str, Any]) -> Sampling:
    """The same from a GGUF's metadata; what it leaves out is ours, as with llama.cpp's own."""
    found = {name: metadata[key] for key, name in _GGUF_KEYS.items() if key in metadata}
    # Stored as float32: 0.6 comes back as 0.6000000238.
    values = {k: float(f"{v:.7g}") if isinstance(v, float) else v for k, v in found.items()}
    return _Advice(values, "the GGUF's general.sampling").sampling(Sampling())


def image_defaults(folder: Path, family: Image) -> Image:
    """What the model's authors recommend for images; `family`'s defaults where they give none.

    Keys are the arguments of diffusers' pipelines: width, height, num_inference_steps,
    guidance_scale (its cfg scale). Raises ModelCorruptError for an invalid value.
    """
    advice = _Advice(read(folder), _FILE)
    return Image(
        width=int(advice.number("width", family.width, 1, 4096)),
        height=int(advice.number("height", family.height, 1, 4096)),
        steps=int(advice.number("num_inference_steps", family.steps, 1, 500)),
        cfg_scale=advice.number("guidance_scale", family.cfg_scale, 0, 100),
        guidance=family.guidance,
    )


@dataclass(frozen=True)
class _Advice:
    """Recommended values by the names of generation_config.json, and the `source` to blame."""

    values: Mapping[str, Any]
    source: str

    def sampling(self, usual: Sampling) -> Sampling:
        """`usual` where there is no value."""
        return Sampling(
            temperature=self.number("temperature", usual.temperature, 0.0, 100.0),
            top_k=int(self.number("top_k", usual.top_k, 0, 2**31 - 1)),
            top_p=self.number("top_p", usual.top_p, 1e-6, 1.0),
            min_p=self.number("min_p", usual.min_p, 0.0, 1.0),
            repeat_penalty=self.number("repetition_penalty", usual.repeat_penalty, 1e-3, 1000.0),
        )

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """The value `name`; raises ModelCorruptError where it is not from `low` to `high`."""
        value = self.values.get(name, default)
        sound = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not sound or not low <= value <= high:
            message = f"`{name}` in {self.source} is `{str(value)[:40]}`"
            raise ModelCorruptError(message, hint=f"it must be a number from {low:g} to {high:g}")
        return float(value)
