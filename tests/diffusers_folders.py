"""Makes tiny image models in two forms: as their first publishers name tensors, and as diffusers.

Names and their order are the published ones, sizes are tiny and values random: what is compared is
which number goes where. `single` is what stable-diffusion.cpp reads; a folder is made from it by
taking apart what diffusers splits, which is the way its own conversion scripts go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

Tensors = dict[str, npt.NDArray[np.float16]]

_WIDTH = 8
_FLUX_EMBEDDERS = (("time", "timestep"), ("vector", "text"), ("guidance", "guidance"))


@dataclass(frozen=True)
class Form:
    """A model in its two forms.

    `single`: tensors with stable-diffusion.cpp's prefixes. `folders`: the tensors of each of
    diffusers' folders; `index`: their classes, `configs`: what their config.json say.
    """

    single: Tensors
    folders: Mapping[str, Tensors]
    index: Mapping[str, tuple[str, str]]
    configs: Mapping[str, Mapping[str, Any]]
    pipeline: str

    def write(self, folder: Path, *, shards: tuple[str, ...] = ()) -> Path:
        """The folder; parts named in `shards` in two files with an index."""
        folder.mkdir(parents=True)
        index = {"_class_name": self.pipeline, "_diffusers_version": "0.38.0"}
        parts = {name: list(kind) for name, kind in self.index.items()}
        tokenizer = {"tokenizer": ["transformers", "CLIPTokenizer"], "image_encoder": [None, None]}
        (folder / "model_index.json").write_text(json.dumps({**index, **parts, **tokenizer}))
        for name, tensors in self.folders.items():
            (folder / name).mkdir()
            (folder / name / "config.json").write_text(json.dumps(self.configs[name]))
            stem = "model" if name.startswith("text") else "diffusion_pytorch_model"
            if name in shards:
                _write_shards(folder / name, stem, tensors)
            else:
                save_file(tensors, folder / name / f"{stem}.safetensors")
        (folder / "scheduler").mkdir()
        (folder / "scheduler" / "scheduler_config.json").write_text(
            json.dumps(self.configs.get("scheduler", {}))
        )
        return folder


def _write_shards(folder: Path, stem: str, tensors: Tensors) -> None:
    names = sorted(tensors)
    half = len(names) // 2
    where = {}
    for number, some in enumerate((names[:half], names[half:]), 1):
        file = f"{stem}-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in some}, folder / file)
        where |= dict.fromkeys(some, file)
    text = json.dumps({"metadata": {}, "weight_map": where})
    (folder / f"{stem}.safetensors.index.json").write_text(text)


class _Maker:
    """Makes both forms of a part side by side."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.single: Tensors = {}
        self.parted: Tensors = {}

    def values(self, *shape: int) -> npt.NDArray[np.float16]:
        return self._random.standard_normal(shape).astype(np.float16)

    def same(self, single: str, parted: str, *shape: int) -> None:
        """One tensor under two names."""
        self.single[single] = self.parted[parted] = self.values(*shape)

    def linear(self, single: str, parted: str, rows: int, columns: int) -> None:
        self.same(f"{single}.weight", f"{parted}.weight", rows, columns)
        self.same(f"{single}.bias", f"{parted}.bias", rows)

    def joined(self, single: str, parted: Mapping[str, int], columns: int) -> None:
        """A layer of one matrix, and of as many as `parted` names, with their rows."""
        for kind, shape in (("weight", (columns,)), ("bias", ())):
            pieces = {f"{name}.{kind}": self.values(rows, *shape) for name, rows in parted.items()}
            self.single[f"{single}.{kind}"] = np.concatenate(list(pieces.values()))
            self.parted |= pieces

    def swapped(self, single: str, parted: str, rows: int, columns: int) -> None:
        """A layer that gives shift and scale, and scale and shift."""
        for kind, shape in (("weight", (columns,)), ("bias", ())):
            shift, scale = self.values(rows, *shape), self.values(rows, *shape)
            self.single[f"{single}.{kind}"] = np.concatenate([shift, scale])
            self.parted[f"{parted}.{kind}"] = np.concatenate([scale, shift])


def flux() -> Form:
    """FLUX.1 dev with one double and two single blocks."""
    make = _Maker(1)
    make.linear("img_in", "x_embedder", _WIDTH, 4)
    make.linear("txt_in", "context_embedder", _WIDTH, 4)
    for theirs, ours in _FLUX_EMBEDDERS:
        for place, layer in (("in", 1), ("out", 2)):
            parted = f"time_text_embed.{ours}_embedder.linear_{layer}"
            make.linear(f"{theirs}_in.{place}_layer", parted, _WIDTH, _WIDTH)
    block = "transformer_blocks.0."
    halves = (("img", "norm1", ("to_q", "to_k", "to_v"), "to_out.0", "ff", "norm"),)
    halves += (
        ("txt", "norm1_context", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out")
        + ("ff_context", "norm_added"),
    )
    for half, norm, qkv, out, feed, heads in halves:
        first = f"double_blocks.0.{half}_"
        make.linear(f"{first}mod.lin", f"{block}{norm}.linear", 6 * _WIDTH, _WIDTH)
        pieces = {f"{block}attn.{name}": _WIDTH for name in qkv}
        make.joined(f"{first}attn.qkv", pieces, _WIDTH)
        make.linear(f"{first}attn.proj", f"{block}attn.{out}", _WIDTH, _WIDTH)
        for which, letter in (("query", "q"), ("key", "k")):
            name = f"{first}attn.norm.{which}_norm.scale"
            make.same(name, f"{block}attn.{heads}_{letter}.weight", 4)
        make.linear(f"{first}mlp.0", f"{block}{feed}.net.0.proj", 4 * _WIDTH, _WIDTH)
        make.linear(f"{first}mlp.2", f"{block}{feed}.net.2", _WIDTH, 4 * _WIDTH)
    for layer in range(2):
        first, block = f"single_blocks.{layer}.", f"single_transformer_blocks.{layer}."
        make.linear(f"{first}modulation.lin", f"{block}norm.linear", 3 * _WIDTH, _WIDTH)
        pieces = {f"{block}attn.to_{letter}": _WIDTH for letter in "qkv"}
        make.joined(f"{first}linear1", {**pieces, f"{block}proj_mlp": 4 * _WIDTH}, _WIDTH)
        make.linear(f"{first}linear2", f"{block}proj_out", _WIDTH, 5 * _WIDTH)
        for which, letter in (("query", "q"), ("key", "k")):
            name = f"{first}norm.{which}_norm.scale"
            make.same(name, f"{block}attn.norm_{letter}.weight", 4)
    make.linear("final_layer.linear", "proj_out", 4, _WIDTH)
    make.swapped("final_layer.adaLN_modulation.1", "norm_out.linear", _WIDTH, _WIDTH)
    transformer = {
        **{"_class_name": "FluxTransformer2DModel", "patch_size": 1, "in_channels": 64},
        **{"num_layers": 1, "num_single_layers": 2, "attention_head_dim": 128},
        **{"num_attention_heads": 24, "joint_attention_dim": 4096, "guidance_embeds": True},
        **{"pooled_projection_dim": 768, "axes_dims_rope": [16, 56, 56]},
    }
    parts = {"text_encoder": _clip(2, "l", 768), "text_encoder_2": _t5(3), "vae": _vae(4)}
    configs = {
        "transformer": transformer,
        "text_encoder": _CLIP_CONFIG,
        "text_encoder_2": _T5_CONFIG,
        "vae": {**_VAE_CONFIG, "scaling_factor": 0.3611, "shift_factor": 0.1159},
        "scheduler": {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0},
    }
    classes = {
        "transformer": ("diffusers", "FluxTransformer2DModel"),
        "text_encoder": ("transformers", "CLIPTextModel"),
        "text_encoder_2": ("transformers", "T5EncoderModel"),
        "vae": ("diffusers", "AutoencoderKL"),
    }
    return _form(make, parts, classes, configs, "FluxPipeline")


def sd3() -> Form:
    """SD 3.5 medium with two blocks, of which the first attends twice and the last is the last."""
    make = _Maker(5)
    make.same("pos_embed", "pos_embed.pos_embed", 1, 9, _WIDTH)
    make.same("x_embedder.proj.weight", "pos_embed.proj.weight", _WIDTH, 4, 2, 2)
    make.same("x_embedder.proj.bias", "pos_embed.proj.bias", _WIDTH)
    make.linear("context_embedder", "context_embedder", _WIDTH, 4)
    for theirs, ours in (("t", "timestep"), ("y", "text")):
        for place, layer in ((0, 1), (2, 2)):
            parted = f"time_text_embed.{ours}_embedder.linear_{layer}"
            make.linear(f"{theirs}_embedder.mlp.{place}", parted, _WIDTH, _WIDTH)
    for layer in range(2):
        first, block = f"joint_blocks.{layer}.", f"transformer_blocks.{layer}."
        is_last = layer == 1
        attentions = ("attn",) if is_last else ("attn", "attn2")
        rows = (3 + 3 * len(attentions)) * _WIDTH
        make.linear(f"{first}x_block.adaLN_modulation.1", f"{block}norm1.linear", rows, _WIDTH)
        words = (f"{first}context_block.adaLN_modulation.1", f"{block}norm1_context.linear")
        if is_last:
            make.swapped(*words, _WIDTH, _WIDTH)
        else:
            make.linear(*words, 6 * _WIDTH, _WIDTH)
        for attention in attentions:
            pieces = {f"{block}{attention}.to_{letter}": _WIDTH for letter in "qkv"}
            make.joined(f"{first}x_block.{attention}.qkv", pieces, _WIDTH)
            out = f"{block}{attention}.to_out.0"
            make.linear(f"{first}x_block.{attention}.proj", out, _WIDTH, _WIDTH)
            for letter in "qk":
                name = f"{first}x_block.{attention}.ln_{letter}.weight"
                make.same(name, f"{block}{attention}.norm_{letter}.weight", 4)
        pieces = {f"{block}attn.add_{letter}_proj": _WIDTH for letter in "qkv"}
        make.joined(f"{first}context_block.attn.qkv", pieces, _WIDTH)
        for letter in "qk":
            name = f"{first}context_block.attn.ln_{letter}.weight"
            make.same(name, f"{block}attn.norm_added_{letter}.weight", 4)
        if not is_last:
            name = f"{first}context_block.attn.proj"
            make.linear(name, f"{block}attn.to_add_out", _WIDTH, _WIDTH)
        for half, feed in (("x", "ff"), ("context", "ff_context"))[: 1 if is_last else 2]:
            name = f"{first}{half}_block.mlp.fc"
            make.linear(f"{name}1", f"{block}{feed}.net.0.proj", 4 * _WIDTH, _WIDTH)
            make.linear(f"{name}2", f"{block}{feed}.net.2", _WIDTH, 4 * _WIDTH)
    make.linear("final_layer.linear", "proj_out", 4, _WIDTH)
    make.swapped("final_layer.adaLN_modulation.1", "norm_out.linear", _WIDTH, _WIDTH)
    transformer = {
        **{"_class_name": "SD3Transformer2DModel", "sample_size": 128, "patch_size": 2},
        **{"in_channels": 16, "out_channels": 16, "num_layers": 24, "attention_head_dim": 64},
        **{"num_attention_heads": 24, "joint_attention_dim": 4096, "qk_norm": "rms_norm"},
        **{"caption_projection_dim": 1536, "pooled_projection_dim": 2048},
        **{"pos_embed_max_size": 384, "dual_attention_layers": [0]},
    }
    parts = {
        "text_encoder": _clip(6, "l", 768),
        "text_encoder_2": _clip(7, "g", 1280),
        "text_encoder_3": _t5(8),
        "vae": _vae(9),
    }
    configs = {
        "transformer": transformer,
        "text_encoder": _CLIP_CONFIG,
        "text_encoder_2": _CLIP_CONFIG,
        "text_encoder_3": _T5_CONFIG,
        "vae": {**_VAE_CONFIG, "scaling_factor": 1.5305, "shift_factor": 0.0609},
        "scheduler": {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0},
    }
    classes = {
        "transformer": ("diffusers", "SD3Transformer2DModel"),
        "text_encoder": ("transformers", "CLIPTextModelWithProjection"),
        "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
        "text_encoder_3": ("transformers", "T5EncoderModel"),
        "vae": ("diffusers", "AutoencoderKL"),
    }
    return _form(make, parts, classes, configs, "StableDiffusion3Pipeline")


def z_image() -> Form:
    """Z-Image with one layer of each kind, and its language model as transformers saves it."""
    make = _Maker(10)
    make.linear("x_embedder", "all_x_embedder.2-1", _WIDTH, 4)
    for name in ("cap_embedder.1", "t_embedder.mlp.0", "t_embedder.mlp.2"):
        make.linear(name, name, _WIDTH, _WIDTH)
    make.same("cap_embedder.0.weight", "cap_embedder.0.weight", _WIDTH)
    for name in ("x_pad_token", "cap_pad_token"):
        make.same(name, name, 1, _WIDTH)
    for stem in ("noise_refiner.0.", "context_refiner.0.", "layers.0."):
        attention = f"{stem}attention."
        pieces = [make.values(_WIDTH, _WIDTH) for _ in "qkv"]
        make.single[f"{attention}qkv.weight"] = np.concatenate(pieces)
        names = (f"{attention}to_{letter}.weight" for letter in "qkv")
        make.parted |= dict(zip(names, pieces, strict=True))
        make.same(f"{attention}out.weight", f"{attention}to_out.0.weight", _WIDTH, _WIDTH)
        for letter in "qk":
            make.same(f"{attention}{letter}_norm.weight", f"{attention}norm_{letter}.weight", 4)
        for name in ("w1", "w2", "w3"):
            feed = f"{stem}feed_forward.{name}.weight"
            make.same(feed, feed, _WIDTH, _WIDTH)
        if not stem.startswith("context"):
            name = f"{stem}adaLN_modulation.0"
            make.linear(name, name, 4 * _WIDTH, _WIDTH)
    for name in ("linear", "adaLN_modulation.1"):
        make.linear(f"final_layer.{name}", f"all_final_layer.2-1.{name}", _WIDTH, _WIDTH)
    transformer = {
        **{"_class_name": "ZImageTransformer2DModel", "all_patch_size": [2], "dim": 3840},
        **{"all_f_patch_size": [1], "in_channels": 16, "n_layers": 30, "n_refiner_layers": 2},
        **{"n_heads": 30, "n_kv_heads": 30, "norm_eps": 1e-05, "qk_norm": True},
        **{"cap_feat_dim": 2560, "siglip_feat_dim": None, "rope_theta": 256.0, "t_scale": 1000.0},
        **{"axes_dims": [32, 48, 48], "axes_lens": [1536, 512, 512]},
    }
    configs = {
        "transformer": transformer,
        "text_encoder": {"model_type": "qwen3", "num_attention_heads": 32, "head_dim": 128},
        "vae": {**_VAE_CONFIG, "scaling_factor": 0.3611, "shift_factor": 0.1159},
        "scheduler": {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 6.0},
    }
    classes = {
        "transformer": ("diffusers", "ZImageTransformer2DModel"),
        "text_encoder": ("transformers", "Qwen3Model"),
        "vae": ("diffusers", "AutoencoderKL"),
    }
    parts = {"text_encoder": _language_model(11, ""), "vae": _vae(12)}
    return _form(make, parts, classes, configs, "ZImagePipeline")


def qwen_image() -> Form:
    """Qwen-Image, whose transformer has one set of names; its VAE and text encoder have two."""
    make = _Maker(13)
    names = (*("img_in", "txt_in", "proj_out", "norm_out.linear"),)
    names += ("time_text_embed.timestep_embedder.linear_1",)
    block = "transformer_blocks.0."
    inside = (*("attn.to_q", "attn.to_k", "attn.to_v", "attn.add_q_proj", "attn.to_add_out"),)
    for name in (*names, *(block + name for name in (*inside, "img_mod.1", "img_mlp.net.0.proj"))):
        make.linear(name, name, _WIDTH, _WIDTH)
    transformer = {
        **{"_class_name": "QwenImageTransformer2DModel", "patch_size": 2, "in_channels": 64},
        **{"out_channels": 16, "num_layers": 1, "attention_head_dim": 128},
        **{"num_attention_heads": 24, "joint_attention_dim": 3584, "guidance_embeds": False},
        **{"axes_dims_rope": [16, 56, 56], "pooled_projection_dim": 768},
    }
    configs = {
        "transformer": transformer,
        "text_encoder": {"model_type": "qwen2_5_vl", "num_attention_heads": 28},
        "vae": {"_class_name": "AutoencoderKLQwenImage", "z_dim": 16, "base_dim": 96},
        "scheduler": {
            **{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 1.0},
            "use_dynamic_shifting": True,
        },
    }
    classes = {
        "transformer": ("diffusers", "QwenImageTransformer2DModel"),
        "text_encoder": ("transformers", "Qwen2_5_VLForConditionalGeneration"),
        "vae": ("diffusers", "AutoencoderKLQwenImage"),
    }
    text = _language_model(14, "model.language_model.")
    text.parted["model.visual.blocks.0.norm1.weight"] = text.values(_WIDTH)
    text.parted["lm_head.weight"] = text.values(_WIDTH, _WIDTH)
    parts = {"text_encoder": text, "vae": _wan_vae(15)}
    return _form(make, parts, classes, configs, "QwenImagePipeline")


FORMS: Mapping[str, Callable[[], Form]] = {
    "flux": flux,
    "sd3": sd3,
    "z-image": z_image,
    "qwen-image": qwen_image,
}
_CLIP_CONFIG = {"model_type": "clip_text_model", "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
_T5_CONFIG = {"model_type": "t5", "feed_forward_proj": "gated-gelu", "num_heads": 64, "d_kv": 64}
_VAE_CONFIG = {
    **{"_class_name": "AutoencoderKL", "latent_channels": 16, "layers_per_block": 2},
    **{"use_quant_conv": False, "use_post_quant_conv": False, "latents_mean": None},
}


def _form(
    transformer: _Maker,
    parts: Mapping[str, _Maker],
    classes: Mapping[str, tuple[str, str]],
    configs: Mapping[str, Mapping[str, Any]],
    pipeline: str,
) -> Form:
    single = {f"model.diffusion_model.{name}": one for name, one in transformer.single.items()}
    for part in parts.values():
        single |= part.single
    folders = {"transformer": transformer.parted}
    folders |= {name: part.parted for name, part in parts.items()}
    return Form(single, folders, classes, configs, pipeline)


def _clip(seed: int, letter: str, width: int) -> _Maker:
    make = _Maker(seed)
    prefix = f"text_encoders.clip_{letter}.transformer."
    name = "text_model.embeddings.token_embedding.weight"
    make.same(prefix + name, name, 2, width)
    name = "text_model.encoder.layers.0.self_attn.q_proj"
    make.linear(prefix + name, name, 4, 4)
    name = "text_model.final_layer_norm"
    make.linear(prefix + name, name, 4, 4)
    return make


def _t5(seed: int) -> _Maker:
    make = _Maker(seed)
    names = ("shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight")
    for name in (*names, "encoder.final_layer_norm.weight"):
        make.same(f"text_encoders.t5xxl.transformer.{name}", name, 4, 4)
    return make


def _language_model(seed: int, parted: str) -> _Maker:
    make = _Maker(seed)
    for name in ("embed_tokens", "layers.0.self_attn.q_proj", "layers.0.input_layernorm", "norm"):
        weight = f"{name}.weight"
        make.same(f"text_encoders.llm.model.{weight}", parted + weight, _WIDTH, _WIDTH)
    return make


def _vae(seed: int) -> _Maker:
    """Some layers of an AutoencoderKL, of each kind that has two names."""
    make = _Maker(seed)
    for single, parted in (
        ("decoder.conv_in", "decoder.conv_in"),
        ("decoder.mid.block_1.conv1", "decoder.mid_block.resnets.0.conv1"),
        ("decoder.mid.attn_1.q", "decoder.mid_block.attentions.0.to_q"),
        ("decoder.up.3.block.2.norm1", "decoder.up_blocks.0.resnets.2.norm1"),
        ("decoder.up.3.upsample.conv", "decoder.up_blocks.0.upsamplers.0.conv"),
        ("decoder.up.0.block.0.conv1", "decoder.up_blocks.3.resnets.0.conv1"),
        ("decoder.up.0.block.0.nin_shortcut", "decoder.up_blocks.3.resnets.0.conv_shortcut"),
        ("decoder.norm_out", "decoder.conv_norm_out"),
        ("encoder.down.0.downsample.conv", "encoder.down_blocks.0.downsamplers.0.conv"),
    ):
        make.linear(f"first_stage_model.{single}", parted, 4, 4)
    return make


def _wan_vae(seed: int) -> _Maker:
    """Layers of Qwen-Image's VAE, of each kind and at the ends of what is counted."""
    make = _Maker(seed)
    up = "decoder.up_blocks"
    for single, parted in (
        ("conv1.weight", "quant_conv.weight"),
        ("conv2.weight", "post_quant_conv.weight"),
        ("encoder.conv1.weight", "encoder.conv_in.weight"),
        ("encoder.downsamples.2.resample.1.weight", "encoder.down_blocks.2.resample.1.weight"),
        ("encoder.downsamples.3.shortcut.weight", "encoder.down_blocks.3.conv_shortcut.weight"),
        ("encoder.downsamples.5.time_conv.weight", "encoder.down_blocks.5.time_conv.weight"),
        ("encoder.downsamples.10.residual.6.weight", "encoder.down_blocks.10.conv2.weight"),
        ("encoder.head.0.gamma", "encoder.norm_out.gamma"),
        ("encoder.head.2.weight", "encoder.conv_out.weight"),
        ("decoder.conv1.weight", "decoder.conv_in.weight"),
        ("decoder.middle.0.residual.0.gamma", "decoder.mid_block.resnets.0.norm1.gamma"),
        ("decoder.middle.1.norm.gamma", "decoder.mid_block.attentions.0.norm.gamma"),
        ("decoder.middle.1.to_qkv.weight", "decoder.mid_block.attentions.0.to_qkv.weight"),
        ("decoder.middle.1.proj.weight", "decoder.mid_block.attentions.0.proj.weight"),
        ("decoder.middle.2.residual.3.gamma", "decoder.mid_block.resnets.1.norm2.gamma"),
        ("decoder.upsamples.0.residual.2.weight", f"{up}.0.resnets.0.conv1.weight"),
        ("decoder.upsamples.3.resample.1.weight", f"{up}.0.upsamplers.0.resample.1.weight"),
        ("decoder.upsamples.7.time_conv.weight", f"{up}.1.upsamplers.0.time_conv.weight"),
        ("decoder.upsamples.4.shortcut.weight", f"{up}.1.resnets.0.conv_shortcut.weight"),
        ("decoder.upsamples.14.residual.6.weight", f"{up}.3.resnets.2.conv2.weight"),
        ("decoder.head.0.gamma", "decoder.norm_out.gamma"),
        ("decoder.head.2.weight", "decoder.conv_out.weight"),
    ):
        make.same(f"first_stage_model.{single}", parted, 4, 4)
    return make
