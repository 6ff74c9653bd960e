"""The text part of a multimodal checkpoint: its own config and tensors, under their usual names.

Gemma 3, Mistral 3, Qwen-VL and others are published as a wrapper around a model whose family we
have: `text_config` and `vision_config`, `language_model.model.*` and `vision_tower.*`. What
a wrapper does with text alone is what its text model does; the goldens hold it to that. Names and
defaults: transformers 5.23, `configuration_*.py` and `conversion_mapping.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sphere_edge.errors import ModelCorruptError
from sphere_edge.formats.safetensors import Checkpoint, TensorEntry


@dataclass(frozen=True)
class _Wrapper:
    """`text`: the text model's type where the file has none; `tied`: whether its head is.

    `is_flat`: older files have the text model's keys at the top level.
    """

    text: str
    tied: bool = False
    is_flat: bool = False


_WRAPPERS: Mapping[str, _Wrapper] = {
    "gemma3": _Wrapper("gemma3_text", tied=True),
    "idefics3": _Wrapper("llama"),
    "internvl": _Wrapper("qwen2"),
    "llava": _Wrapper("llama"),
    "llava_next": _Wrapper("llama"),
    "llava_onevision": _Wrapper("qwen2"),
    "mistral3": _Wrapper("mistral"),
    "qwen2_vl": _Wrapper("qwen2_vl_text", is_flat=True),
    "qwen2_5_vl": _Wrapper("qwen2_5_vl_text", is_flat=True),
    "qwen3_vl": _Wrapper("qwen3_vl_text"),
    "smolvlm": _Wrapper("llama"),
}
# The rotation by time, height and width of these is the usual one where all three are the position
# in the text.
_FAMILY = {"qwen2_vl_text": "qwen2", "qwen2_5_vl_text": "qwen2", "qwen3_vl_text": "qwen3"}


_SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "max_position_embeddings"),
)


def _sizes(*values: int | None) -> dict[str, Any]:
    """`values` in the order of _SIZES."""
    return dict(zip(_SIZES, values, strict=True))


# A `text_config` leaves out what is the default of its class.
_QWEN2_VL = {
    **_sizes(152064, 8192, 29568, 80, 64, 8, 32768),
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "gemma3_text": {**_sizes(262208, 2304, 9216, 26, 8, 4, 131072), "head_dim": 256},
    # As many key heads as there are others.
    "llama": _sizes(32000, 4096, 11008, 32, 32, None, 2048),
    "ministral3": {**_sizes(131072, 4096, 14336, 34, 32, 8, 262144), "head_dim": 128},
    "mistral": _sizes(32000, 4096, 14336, 32, 32, 8, 131072),
    "qwen2": _sizes(151936, 4096, 22016, 32, 32, 32, 32768),
    "qwen2_vl_text": _QWEN2_VL,
    "qwen2_5_vl_text": _QWEN2_VL,
    "qwen3": {**_sizes(151936, 4096, 22016, 32, 32, 32, 32768), "head_dim": 128},
    "qwen3_vl_text": {
        **_sizes(151936, 4096, 22016, 32, 32, 32, 128000),
        "head_dim": 128,
        "rope_theta": 5e5,
    },
}
# Keys for how the other parts are connected to the text model.
_OF_OTHER_PARTS = frozenset(
    {
        "_flash_attn_2_enabled",
        "boi_token_index",
        "downsample_ratio",
        "eoi_token_index",
        "ignore_index",
        "image_grid_pinpoints",
        "image_seq_length",
        "image_token_id",
        "image_token_index",
        "is_composition",
        "mm_tokens_per_image",
        "model_type",
        "multimodal_projector_bias",
        "neftune_noise_alpha",
        "perceiver_config",
        "pixel_shuffle_factor",
        "projector_hidden_act",
        "scale_factor",
        "spatial_merge_size",
        "text_config",
        "use_image_newline_parameter",
        "use_resampler",
        "video_token_id",
        "video_token_index",
        "vision_aspect_ratio",
        "vision_config",
        "vision_end_token_id",
        "vision_feature_layer",
        "vision_feature_select_strategy",
        "vision_start_token_id",
        "vision_token_id",
    }
)
_TEXT = re.compile(
    r"(language_model\.model\.|model\.language_model\.|model\.text_model\.)|language_model\.(?=lm_head\.)"
)
_OTHER_PARTS = re.compile(
    r"(model\.)?(vision_tower|vision_model|visual|multi_modal_projector|connector|image_newline"
    r"|patch_merger|vision_projection)\b"
)


def is_wrapper(values: Mapping[str, Any]) -> bool:
    """Whether a config.json is of a multimodal model whose text part is supported."""
    kind = values.get("model_type")
    return isinstance(kind, str) and kind in _WRAPPERS


def known() -> tuple[str, ...]:
    """The model types of all wrappers."""
    return tuple(_WRAPPERS)


def config(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config.json of the text model in `values`, which come back as they are if they are one.

    Raises ModelCorruptError for a wrapper without a text part.
    """
    if not is_wrapper(values):
        return values
    wrapper = _WRAPPERS[values["model_type"]]
    inner = values if wrapper.is_flat else None
    inner = values.get("text_config", inner)
    if not isinstance(inner, Mapping):
        message = f"config.json of a `{values['model_type']}` has no `text_config`"
        raise ModelCorruptError(message)
    model_type = wrapper.text if inner is values else str(inner.get("model_type", wrapper.text))
    kind = _FAMILY.get(model_type, model_type)
    sizes = _DEFAULTS.get(model_type, {})
    # What is beside it and no size is the text model's, too, such as how weights are quantized.
    beside = {key: value for key, value in values.items() if inner is values or key not in sizes}
    made = {**sizes, **beside, **inner}
    made = {key: value for key, value in made.items() if key not in _OF_OTHER_PARTS}
    tie = "tie_word_embeddings"
    ties = [part[tie] for part in (values, inner) if part.get(tie) is not None]
    made[tie] = any(ties) if ties else wrapper.tied
    return {**_without_mrope(made), "model_type": kind}


def _without_mrope(values: dict[str, Any]) -> dict[str, Any]:
    """Tables for RoPE without what only images need."""
    for name in ("rope_scaling", "rope_parameters"):
        table = values.get(name)
        if not isinstance(table, Mapping) or "mrope_section" not in table:
            continue
        kept = {k: v for k, v in table.items() if k not in ("mrope_section", "mrope_interleaved")}
        kinds = {k: "default" if v == "mrope" else v for k, v in kept.items() if k.endswith("type")}
        values = {**values, name: {**kept, **kinds}}
    return values


def name(stored: str) -> str:
    """A tensor's name in the text model alone, by its name in a wrapper's checkpoint."""
    return _TEXT.sub(lambda match: "model." if match[1] else "", stored, count=1)


@dataclass(frozen=True)
class Parts:
    """A wrapper's checkpoint: the text model's tensors under their own names, and the others."""

    text: Checkpoint
    left_out: tuple[TensorEntry, ...]

    @property
    def note(self) -> str:
        """What is left out, in a few words."""
        towers = sorted(
            {entry.name.removeprefix("model.").split(".")[0] for entry in self.left_out}
        )
        numbers = sum(entry.elements for entry in self.left_out)
        return f"{', '.join(towers)}: {len(self.left_out)} tensors, {numbers:,} parameters"


def parts(checkpoint: Checkpoint) -> Parts:
    """The parts of a wrapper's checkpoint; raises ModelCorruptError where two names become one."""
    tensors: dict[str, TensorEntry] = {}
    left_out = []
    for stored, entry in checkpoint.tensors.items():
        if _OTHER_PARTS.match(stored):
            left_out.append(entry)
            continue
        own = name(stored)
        if own in tensors:
            message = f"the checkpoint holds `{own}` under two names"
            raise ModelCorruptError(message)
        tensors[own] = replace(entry, name=own)
    return Parts(Checkpoint(tensors), tuple(left_out))
