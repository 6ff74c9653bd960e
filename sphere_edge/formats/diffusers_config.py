"""Compares the values that stable-diffusion.cpp assumes with those of a diffusers folder's parts.

Its own values are fixed in its source or seen in the tensors; a part with other values would give
wrong images without an error. Keys and defaults are those of diffusers 0.38's classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sphere_edge.errors import UnsupportedError
from sphere_edge.formats import json_object

_LIMIT_BYTES = 1024 * 1024
# Seen in the tensors, or of no consequence once a model is trained.
_SEEN: tuple[Any, ...] = ()
Known = Mapping[str, tuple[Any, ...]]


def _seen(*keys: str) -> dict[str, tuple[Any, ...]]:
    return dict.fromkeys(keys, _SEEN)


_UNET: Known = {
    **_seen("sample_size", "down_block_types", "up_block_types", "block_out_channels"),
    **_seen("layers_per_block", "cross_attention_dim", "transformer_layers_per_block"),
    **_seen("reverse_transformer_layers_per_block", "use_linear_projection", "upcast_attention"),
    **_seen("dropout", "addition_embed_type_num_heads", "mid_block_type", "downsample_padding"),
    "in_channels": (4, 9),
    "out_channels": (4,),
    "center_input_sample": (False,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "only_cross_attention": (False,),
    "mid_block_scale_factor": (1,),
    "act_fn": ("silu",),
    "norm_num_groups": (32,),
    "norm_eps": (1e-5,),
    "attention_head_dim": (8, [5, 10, 20, 20], [5, 10, 20]),
    "addition_embed_type": (None, "text_time"),
    "addition_time_embed_dim": (None, 256),
    "resnet_time_scale_shift": ("default",),
    "resnet_out_scale_factor": (1,),
    "time_embedding_type": ("positional",),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "projection_class_embeddings_input_dim": (None, 2816),
    "attention_type": ("default",),
}
_FLUX: Known = {
    **_seen("num_layers", "num_single_layers", "num_attention_heads", "joint_attention_dim"),
    **_seen("guidance_embeds"),
    "patch_size": (1,),
    "in_channels": (64, 384),
    "out_channels": (None, 64),
    "attention_head_dim": (128,),
    "pooled_projection_dim": (768,),
    "axes_dims_rope": ([16, 56, 56],),
}
_SD3: Known = {
    **_seen("sample_size", "num_layers", "num_attention_heads", "caption_projection_dim"),
    **_seen("pos_embed_max_size", "dual_attention_layers"),
    "patch_size": (2,),
    "in_channels": (16,),
    "out_channels": (16,),
    "attention_head_dim": (64,),
    "joint_attention_dim": (4096,),
    "pooled_projection_dim": (2048,),
    "qk_norm": (None, "rms_norm"),
}
_Z_IMAGE: Known = {
    **_seen("axes_lens"),
    "all_patch_size": ([2],),
    "all_f_patch_size": ([1],),
    "in_channels": (16,),
    "dim": (3840,),
    "n_layers": (30,),
    "n_refiner_layers": (2,),
    "n_heads": (30,),
    "n_kv_heads": (30,),
    "norm_eps": (1e-5,),
    "qk_norm": (True,),
    "cap_feat_dim": (2560,),
    "rope_theta": (256,),
    "t_scale": (1000,),
    "axes_dims": ([32, 48, 48],),
}
_QWEN_IMAGE: Known = {
    **_seen("num_layers", "pooled_projection_dim"),
    "patch_size": (2,),
    "in_channels": (64,),
    "out_channels": (16,),
    "attention_head_dim": (128,),
    "num_attention_heads": (24,),
    "joint_attention_dim": (3584,),
    "axes_dims_rope": ([16, 56, 56],),
}
_VAE: Known = {
    **_seen("sample_size", "force_upcast", "down_block_types", "up_block_types"),
    **_seen("block_out_channels", "use_quant_conv", "use_post_quant_conv"),
    "in_channels": (3,),
    "out_channels": (3,),
    "layers_per_block": (2,),
    "act_fn": ("silu",),
    "latent_channels": (4, 16),
    "norm_num_groups": (32,),
    "scaling_factor": (0.18215, 0.13025, 1.5305, 0.3611),
    "shift_factor": (None, 0, 0.0609, 0.1159),
    "mid_block_add_attention": (True,),
}
# Of Wan 2.1's VAE, one for each of its 16 channels.
_WAN_MEAN = [
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
]
_WAN_DEVIATION = [
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
]
_WAN_VAE: Known = {
    **_seen("base_dim", "dropout"),
    "z_dim": (16,),
    "dim_mult": ([1, 2, 4, 4],),
    "num_res_blocks": (2,),
    "temperal_downsample": ([False, True, True],),
    "input_channels": (3,),
    "latents_mean": (_WAN_MEAN,),
    "latents_std": (_WAN_DEVIATION,),
}
_CLASSES: Mapping[str, Known] = {
    "UNet2DConditionModel": _UNET,
    "FluxTransformer2DModel": _FLUX,
    "SD3Transformer2DModel": _SD3,
    "ZImageTransformer2DModel": _Z_IMAGE,
    "QwenImageTransformer2DModel": _QWEN_IMAGE,
    "AutoencoderKL": _VAE,
    "AutoencoderKLQwenImage": _WAN_VAE,
}
# Of text encoders only what is fixed: their other keys say how they were trained and saved.
_ENCODERS: Mapping[str, Known] = {
    "clip_text_model": {"layer_norm_eps": (1e-5,)},
    "t5": {
        "feed_forward_proj": ("gated-gelu",),
        "relative_attention_num_buckets": (32,),
        "relative_attention_max_distance": (128,),
        "d_kv": (64,),
        "num_heads": (64,),
        "layer_norm_epsilon": (1e-6,),
    },
    "qwen2_5_vl": {
        "hidden_act": ("silu",),
        "num_attention_heads": (28,),
        "num_key_value_heads": (4,),
        "rms_norm_eps": (1e-6,),
        "rope_theta": (1e6,),
    },
    "qwen3": {
        "hidden_act": ("silu",),
        "num_attention_heads": (32,),
        "num_key_value_heads": (8,),
        "head_dim": (128,),
        "rms_norm_eps": (1e-6,),
        "rope_theta": (1e6,),
    },
}


def check(folder: Path, expected: str) -> None:
    """That the part in `folder`, of diffusers' class `expected`, is as the engine takes it to be.

    Raises UnsupportedError naming the key and its value; also for an unknown key that says
    something. ModelCorruptError, NotFoundError: no config.json that can be read.
    """
    values = json_object.read(folder / "config.json", _LIMIT_BYTES)
    found = values.get("_class_name", expected)
    if found != expected:
        message = f"`{_shown(folder)}` is of the class `{str(found)[:80]}`, not `{expected}`"
        raise UnsupportedError(message, hint="model_index.json and the folder's config differ")
    for key, value in values.items():
        if key.startswith("_"):
            continue
        if key not in _CLASSES[expected]:
            if value not in (None, False, []):
                raise _refusal(folder, key, value, "which is not supported")
        elif not _is_one_of(value, _CLASSES[expected][key]):
            raise _refusal(folder, key, value, "which stable-diffusion.cpp does not compute")


def check_encoder(folder: Path, model_types: tuple[str, ...]) -> None:
    """The same for a text encoder of transformers, of one of these model types."""
    values = json_object.read(folder / "config.json", _LIMIT_BYTES)
    model_type = values.get("model_type")
    if model_type not in model_types:
        raise _refusal(folder, "model_type", model_type, f"not `{' or '.join(model_types)}`")
    # Newer transformers write what a language model is into objects of its own.
    text = {**_object(values, "text_config"), **values}
    text = {**_object(text, "rope_parameters"), **text}
    for key, allowed in _ENCODERS[str(model_type)].items():
        if key in text and not _is_one_of(text[key], allowed):
            raise _refusal(folder, key, text[key], "which stable-diffusion.cpp does not compute")


def _object(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _is_one_of(value: Any, allowed: tuple[Any, ...]) -> bool:
    return allowed == _SEEN or any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed
    )


def _shown(folder: Path) -> str:
    return f"{folder.name}/config.json"


def _refusal(folder: Path, key: str, value: Any, why: str) -> UnsupportedError:
    message = f"`{_shown(folder)}` says `{key}`: `{str(value)[:80]}`, {why}"
    return UnsupportedError(message, hint="such models would generate other images here")
